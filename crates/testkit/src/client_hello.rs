//! A TLS ClientHello taken apart and put together again, byte for byte. Knows its layout and what
//! must change with the server's name; judges nothing in it.

/// A ClientHello in the TLS records that carried it (RFC 8446, section 4.1.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientHello {
    record_version: [u8; 2],
    version: [u8; 2],
    /// Client random.
    pub random: [u8; 32],
    /// Legacy session identifier, up to 32 bytes.
    pub session_id: Vec<u8>,
    /// Cipher suites, as on the wire.
    pub cipher_suites: Vec<u8>,
    compression_methods: Vec<u8>,
    /// Extension numbers and bodies in wire order.
    pub extensions: Vec<(u16, Vec<u8>)>,
}

impl ClientHello {
    /// The ClientHello at the start of a client's TLS stream; `None` when there is none, or it is
    /// not complete.
    #[must_use]
    pub fn from_stream(stream: &[u8]) -> Option<Self> {
        let (record_version, message) = first_message(stream)?;
        Some(Self { record_version, ..Self::from_message(&message)? })
    }

    /// The ClientHello that is a handshake message, as QUIC carries it without records.
    #[must_use]
    pub fn from_message(message: &[u8]) -> Option<Self> {
        let mut message = Reader(message);
        (message.u8()? == CLIENT_HELLO).then_some(())?;
        let mut body = Reader(message.vector24()?);
        let version = body.array()?;
        let random = body.array()?;
        let session_id = body.vector8()?.to_vec();
        let cipher_suites = body.vector16()?.to_vec();
        let compression_methods = body.vector8()?.to_vec();
        let mut extensions = Vec::new();
        let mut rest = Reader(body.vector16()?);
        while !rest.0.is_empty() {
            extensions.push((rest.u16()?, rest.vector16()?.to_vec()));
        }
        Some(Self {
            record_version: version,
            version,
            random,
            session_id,
            cipher_suites,
            compression_methods,
            extensions,
        })
    }

    /// The name in the `server_name` extension (RFC 6066, section 3).
    #[must_use]
    pub fn server_name(&self) -> Option<&str> {
        let (_, body) = self.extensions.iter().find(|(number, _)| *number == SERVER_NAME)?;
        let mut list = Reader(Reader(body).vector16()?);
        (list.u8()? == HOST_NAME).then_some(())?;
        std::str::from_utf8(list.vector16()?).ok()
    }

    /// The same hello for another server: the name changes, and so does a padding extension, as
    /// the libraries that send one compute it (RFC 7685). Without a `server_name` extension the
    /// hello stays as it is.
    #[must_use]
    pub fn for_server(mut self, name: &str) -> Self {
        for (number, body) in &mut self.extensions {
            if *number == SERVER_NAME {
                *body = server_name_body(name);
            }
        }
        let padded = self.extensions.iter().position(|(number, _)| *number == PADDING);
        if let Some(at) = padded {
            self.extensions.remove(at);
            let unpadded = self.message().len();
            if (PADDED_FROM..PADDED_TO).contains(&unpadded) {
                let room = (PADDED_TO - unpadded).saturating_sub(EXTENSION_HEADER);
                self.extensions.insert(at, (PADDING, vec![0; room.max(1)]));
            }
        }
        self
    }

    /// The TLS records: one where it fits (RFC 8446, section 5.1).
    #[must_use]
    pub fn records(&self) -> Vec<u8> {
        let mut records = Vec::new();
        for fragment in self.message().chunks(MAX_FRAGMENT) {
            records.push(HANDSHAKE);
            records.extend_from_slice(&self.record_version);
            push_vector16(&mut records, fragment);
        }
        records
    }

    /// The handshake message with its header.
    #[must_use]
    pub fn message(&self) -> Vec<u8> {
        let mut body = self.version.to_vec();
        body.extend_from_slice(&self.random);
        push_vector8(&mut body, &self.session_id);
        push_vector16(&mut body, &self.cipher_suites);
        push_vector8(&mut body, &self.compression_methods);
        let mut extensions = Vec::new();
        for (number, extension) in &self.extensions {
            extensions.extend_from_slice(&number.to_be_bytes());
            push_vector16(&mut extensions, extension);
        }
        push_vector16(&mut body, &extensions);
        let [_, length @ ..] = u32::try_from(body.len()).unwrap_or(u32::MAX).to_be_bytes();
        let mut message = vec![CLIENT_HELLO];
        message.extend_from_slice(&length);
        message.append(&mut body);
        message
    }
}

/// The body of a `server_name` extension for one host name.
fn server_name_body(name: &str) -> Vec<u8> {
    let mut entry = vec![HOST_NAME];
    push_vector16(&mut entry, name.as_bytes());
    let mut body = Vec::new();
    push_vector16(&mut body, &entry);
    body
}

/// The version of the first record and the first handshake message, however many records it
/// spans.
fn first_message(stream: &[u8]) -> Option<([u8; 2], Vec<u8>)> {
    let mut stream = Reader(stream);
    let mut message = Vec::new();
    let mut first_version = None;
    loop {
        (stream.u8()? == HANDSHAKE).then_some(())?;
        let version = stream.array()?;
        message.extend_from_slice(stream.vector16()?);
        let version = *first_version.get_or_insert(version);
        if let [_, length @ ..] = message.as_slice()
            && let [high, middle, low, body @ ..] = length
        {
            let length = u32::from_be_bytes([0, *high, *middle, *low]);
            let length = usize::try_from(length).ok()?;
            if body.len() >= length {
                message.truncate(MESSAGE_HEADER + length);
                return Some((version, message));
            }
        }
    }
}

fn push_vector8(out: &mut Vec<u8>, body: &[u8]) {
    out.push(u8::try_from(body.len()).unwrap_or(u8::MAX));
    out.extend_from_slice(body);
}

fn push_vector16(out: &mut Vec<u8>, body: &[u8]) {
    out.extend_from_slice(&u16::try_from(body.len()).unwrap_or(u16::MAX).to_be_bytes());
    out.extend_from_slice(body);
}

/// Takes bytes off the front.
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_be_bytes)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn vector8(&mut self) -> Option<&'a [u8]> {
        let length = self.u8()?;
        self.take(usize::from(length))
    }

    pub(crate) fn vector16(&mut self) -> Option<&'a [u8]> {
        let length = self.u16()?;
        self.take(usize::from(length))
    }

    pub(crate) fn vector24(&mut self) -> Option<&'a [u8]> {
        let [high, middle, low] = self.array()?;
        self.take(usize::try_from(u32::from_be_bytes([0, high, middle, low])).ok()?)
    }
}

/// TLS content type (RFC 8446, appendix B.1).
const HANDSHAKE: u8 = 22;
/// Handshake type (RFC 8446, appendix B.3).
const CLIENT_HELLO: u8 = 1;
/// Extension number (IANA TLS ExtensionType values).
const SERVER_NAME: u16 = 0;
/// Extension number (IANA TLS ExtensionType values).
const PADDING: u16 = 21;
/// Name type (RFC 6066, section 3).
const HOST_NAME: u8 = 0;
/// Handshake type and length.
const MESSAGE_HEADER: usize = 4;
/// Extension number and length.
const EXTENSION_HEADER: usize = 4;
/// Hellos of 256 to 511 bytes are padded to 512 (RFC 7685, section 3): a load balancer of the time
/// hung on those sizes.
const PADDED_FROM: usize = 256;
const PADDED_TO: usize = 512;
/// 16 KiB (RFC 8446, section 5.1).
const MAX_FRAGMENT: usize = 16_384;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::templates::Client;

    #[test]
    fn every_captured_hello_goes_back_together_byte_for_byte() {
        for client in Client::ALL {
            for template in client.templates() {
                let records = template.hello().records();
                assert!(template.client_stream().starts_with(&records), "{client:?}");
                assert_eq!(template.hello().server_name(), Some("www.example.test"));
            }
        }
    }

    #[test]
    fn only_name_and_padding_change_with_the_server() {
        let others = |hello: &ClientHello| -> Vec<(u16, Vec<u8>)> {
            let kept = |number: &u16| ![SERVER_NAME, PADDING].contains(number);
            hello.extensions.iter().filter(|(number, _)| kept(number)).cloned().collect()
        };
        for client in Client::ALL {
            for template in client.templates() {
                let before = template.hello();
                let after = before.clone().for_server("a.much.longer.name.than.before.example");
                assert_eq!(after.server_name(), Some("a.much.longer.name.than.before.example"));
                assert_eq!(others(before), others(&after), "{client:?}");
                assert_eq!(before.cipher_suites, after.cipher_suites);
                let back = after.for_server("www.example.test");
                assert_eq!(back.records(), before.records(), "{client:?}");
            }
        }
    }

    #[test]
    fn a_padded_hello_stays_512_bytes_long() {
        let padded = Client::Curl.templates()[0].hello().clone();
        for name in ["a.test", "quite.a.long.name.that.is.still.short.enough.example"] {
            assert_eq!(padded.clone().for_server(name).message().len(), PADDED_TO);
        }
        let huge = ["x".repeat(60), "y".repeat(60), "z".repeat(60), "w".repeat(60)].join(".");
        let unpadded = padded.for_server(&huge);
        assert!(unpadded.message().len() > PADDED_TO);
        assert!(unpadded.extensions.iter().all(|(number, _)| *number != PADDING));
    }

    #[test]
    fn a_hello_over_two_records_is_one_message() {
        let template = Client::Go.templates()[0].clone();
        let message = template.hello().message();
        let mut stream = Vec::new();
        for fragment in message.chunks(message.len() / 2 + 1) {
            stream.extend_from_slice(&[HANDSHAKE, 3, 1]);
            push_vector16(&mut stream, fragment);
        }
        assert_eq!(ClientHello::from_stream(&stream).as_ref(), Some(template.hello()));
    }

    #[test]
    fn no_prefix_of_a_hello_is_a_hello() {
        let records = Client::Firefox.templates()[0].hello().records();
        for end in 0..records.len() {
            assert_eq!(ClientHello::from_stream(&records[..end]), None, "{end}");
        }
    }
}
