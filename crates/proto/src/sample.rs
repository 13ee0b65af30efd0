//! Hellos for the tests: one like Chrome's, taken apart so that a test can change a field.

pub(crate) type Extension = (u16, Vec<u8>);

/// A ClientHello in parts. [`Hello::chrome_like`] has the JA3 and JA4 in [`JA3`] and [`JA4`].
#[derive(Clone)]
pub(crate) struct Hello {
    pub(crate) version: u16,
    pub(crate) session_id: Vec<u8>,
    pub(crate) cookie: Option<Vec<u8>>,
    pub(crate) ciphers: Vec<u16>,
    pub(crate) extensions: Vec<Extension>,
}

/// As Wireshark 4.6.9, Suricata 8.0.7 and nDPI 4.11 print it.
pub(crate) const JA3: &str = "7f805430de1e7d98b1de033adb58cf46";
/// As Wireshark 4.6.9, Suricata 8.0.7, FoxIO's two tools and nDPI 4.11 print it.
pub(crate) const JA4: &str = "t13d1514h2_8daaf6152771_bc9a4605e104";

impl Hello {
    pub(crate) fn chrome_like() -> Self {
        Self {
            version: 0x0303,
            session_id: vec![0x11; 32],
            cookie: None,
            ciphers: vec![
                0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc013,
                0xc014, 0x009c, 0x009d, 0x002f, 0x0035,
            ],
            extensions: vec![
                (0x0000, server_name(&[(0, b"example.com")])),
                (0x0017, vec![]),
                (0xff01, vec![0]),
                (0x000a, vec![0, 6, 0, 0x1d, 0, 0x17, 0, 0x18]),
                (0x000b, vec![1, 0]),
                (0x0023, vec![]),
                (0x0010, alpn(&[b"h2", b"http/1.1"])),
                (0x0005, vec![1, 0, 0, 0, 0]),
                (0x000d, vector16(&[4, 3, 8, 4, 4, 1, 5, 3, 8, 5, 5, 1, 8, 6, 6, 1])),
                (0x0012, vec![]),
                (0x0033, [&[0, 0x24, 0, 0x1d, 0, 0x20][..], &[0x42; 32]].concat()),
                (0x002d, vec![1, 1]),
                (0x002b, vec![4, 3, 4, 3, 3]),
                (0x001b, vec![2, 0, 2]),
            ],
        }
    }

    pub(crate) fn with(mut self, kind: u16, body: Vec<u8>) -> Self {
        match self.extensions.iter_mut().find(|(present, _)| *present == kind) {
            Some((_, old)) => *old = body,
            None => self.extensions.push((kind, body)),
        }
        self
    }

    pub(crate) fn without(mut self, kind: u16) -> Self {
        self.extensions.retain(|(present, _)| *present != kind);
        self
    }

    /// The message without its handshake header.
    pub(crate) fn body(&self) -> Vec<u8> {
        let mut out = self.version.to_be_bytes().to_vec();
        out.extend([0x5a; 32]);
        out.extend(vector8(&self.session_id));
        out.extend(self.cookie.iter().flat_map(|cookie| vector8(cookie)));
        let ciphers: Vec<u8> = self.ciphers.iter().flat_map(|code| code.to_be_bytes()).collect();
        out.extend(vector16(&ciphers));
        out.extend([1, 0]);
        if !self.extensions.is_empty() {
            out.extend(vector16(&self.extension_list()));
        }
        out
    }

    pub(crate) fn extension_list(&self) -> Vec<u8> {
        let encoded =
            |(kind, body): &Extension| [&kind.to_be_bytes()[..], &vector16(body)].concat();
        self.extensions.iter().flat_map(encoded).collect()
    }

    pub(crate) fn message(&self) -> Vec<u8> {
        message(1, &self.body())
    }

    pub(crate) fn record(&self) -> Vec<u8> {
        record(22, 0x0301, &self.message())
    }
}

pub(crate) fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    [&[kind][..], &length[1..], body].concat()
}

pub(crate) fn record(kind: u8, version: u16, payload: &[u8]) -> Vec<u8> {
    [&[kind][..], &version.to_be_bytes(), &vector16(payload)].concat()
}

pub(crate) fn vector8(bytes: &[u8]) -> Vec<u8> {
    [&[u8::try_from(bytes.len()).unwrap()][..], bytes].concat()
}

pub(crate) fn vector16(bytes: &[u8]) -> Vec<u8> {
    [&u16::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat()
}

pub(crate) fn server_name(names: &[(u8, &[u8])]) -> Vec<u8> {
    let entry = |(kind, name): &(u8, &[u8])| [&[*kind][..], &vector16(name)].concat();
    vector16(&names.iter().flat_map(entry).collect::<Vec<u8>>())
}

pub(crate) fn alpn(names: &[&[u8]]) -> Vec<u8> {
    vector16(&names.iter().flat_map(|name| vector8(name)).collect::<Vec<u8>>())
}

/// A ServerHello for TLS 1.3, or a HelloRetryRequest.
pub(crate) fn server_hello_13(retry_request: bool) -> Vec<u8> {
    // SHA-256 of "HelloRetryRequest" (RFC 8446, section 4.1.3).
    let retry: Vec<u8> = "cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c"
        .as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect();
    let random = if retry_request { retry } else { vec![7; 32] };
    let list = [0x00, 0x2b, 0, 2, 3, 4, 0x00, 0x33, 0, 2, 0, 0x1d];
    let body = [&[3, 3][..], &random, &[0, 0x13, 0x01, 0], &vector16(&list)].concat();
    message(2, &body)
}

/// A ServerHello for TLS 1.2 without extensions.
pub(crate) fn server_hello_12() -> Vec<u8> {
    message(2, &[&[3, 3][..], &[7; 32], &[0, 0xc0, 0x2f, 0]].concat())
}
