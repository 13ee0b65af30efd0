//! ClientHello: one pass over the message, and the fact made from it.
//!
//! Knows the message of SSL 3.0 to TLS 1.3, QUIC and DTLS (RFC 8446, section 4.1.2; RFC 6347, section
//! 4.2.1) once it is in one piece. It knows neither records nor CRYPTO frames.

use crate::bytes::{Reader, Vector, codes};
use crate::facts::{Anomaly, ClientHello, Fact, Handshake, Observed, Sender};
use crate::ja3::{ja3_string, md5_hex};
use crate::ja4::ja4;

/// The ClientHello in `body`, the handshake message after its four-byte header (twelve in DTLS).
///
/// A hello whose structure breaks still yields what could be read, and says so in
/// [`ClientHello::anomalies`]. `number` is its place among the hellos of the connection, from 1.
///
/// # Errors
/// When not even version and random are there.
pub fn parse(handshake: Handshake, body: &[u8], number: u32) -> Result<ClientHello, HelloError> {
    let walk = walk(handshake, body)?;
    let offered_version = walk.offered_version();
    let ja4 = ja4(&walk, handshake, offered_version);
    let ja3_string = ja3_string(&walk);
    let anomalies = [
        (!walk.sound || walk.broken_extension, Anomaly::MalformedClientHello),
        (walk.odd_server_name, Anomaly::OddServerName),
        (walk.repeated_extension || ja4.repeated_extension, Anomaly::RepeatedExtension),
    ];
    Ok(ClientHello {
        handshake,
        legacy_version: walk.legacy_version,
        offered_version,
        server_name: walk.server_name.map(|name| first_bytes(name, MAX_SERVER_NAME)),
        alpn: walk.alpn_names().take(MAX_ALPN_NAMES).map(<[u8]>::to_vec).collect(),
        ja3: md5_hex(&ja3_string),
        ja3_string,
        ja4: ja4.hashed,
        ja4_r: ja4.raw,
        stable: ja4.stable,
        ech: walk.ech,
        resumption: walk.resumption,
        early_data: walk.early_data,
        random: walk.random,
        number,
        quic_version: None,
        anomalies: anomalies.iter().filter(|(seen, _)| *seen).map(|(_, kind)| *kind).collect(),
    })
}

/// Appends `hello` and, before it, a fact for each of its anomalies.
pub(crate) fn report(from: Sender, hello: ClientHello, facts: &mut Vec<Observed>) {
    let anomalies = hello.anomalies.iter().map(|anomaly| Fact::Anomaly(*anomaly));
    facts.extend(anomalies.map(|fact| Observed { from, fact }));
    facts.push(Observed { from, fact: Fact::ClientHello(Box::new(hello)) });
}

/// Bytes that cannot be a hello at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HelloError {
    /// Too few bytes for version and random.
    #[error("hello of {captured} bytes: version and random need 34")]
    TooShort {
        /// Bytes that are there.
        captured: usize,
    },
}

/// The fields of a ClientHello that fingerprints and facts need, borrowed from the message.
///
/// Lists are the bytes inside their length prefixes. Where an extension comes twice, the first
/// counts; an absent list is empty.
#[derive(Clone, Copy, Debug)]
pub struct Walk<'a> {
    /// `legacy_version`.
    pub legacy_version: u16,
    /// `random`.
    pub random: [u8; 32],
    /// `cipher_suites`, two bytes each.
    pub ciphers: &'a [u8],
    /// The extension list; see [`extensions`].
    pub extensions: &'a [u8],
    /// `supported_groups`, two bytes each.
    pub groups: &'a [u8],
    /// `ec_point_formats`, one byte each.
    pub point_formats: &'a [u8],
    /// `signature_algorithms`, two bytes each.
    pub signature_algorithms: &'a [u8],
    /// `supported_versions`, two bytes each.
    pub versions: &'a [u8],
    /// `application_layer_protocol_negotiation`, each name behind a length byte.
    pub alpn: &'a [u8],
    /// Whether `server_name` is there, whatever it holds.
    pub has_server_name: bool,
    /// The first host name, unless empty.
    pub server_name: Option<&'a [u8]>,
    /// Whether `encrypted_client_hello` is there.
    pub ech: bool,
    /// Whether `pre_shared_key` or a `session_ticket` with content is there.
    pub resumption: bool,
    /// Whether `early_data` is there.
    pub early_data: bool,
    /// Whether the message's own lists fit it exactly.
    pub sound: bool,
    /// Whether one of the extensions looked into does not fit its length.
    pub broken_extension: bool,
    /// Whether `server_name` is not one plain host name.
    pub odd_server_name: bool,
    /// Whether `server_name` or ALPN comes twice; JA4's sorted list shows the others.
    pub repeated_extension: bool,
    has_alpn: bool,
    seen: Seen,
}

/// Which of the list extensions were met, so that the first one counts.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    groups: bool,
    point_formats: bool,
    signature_algorithms: bool,
    versions: bool,
}

/// Walks the ClientHello in `body` once, each extension on its own. Never allocates.
///
/// # Errors
/// When not even version and random are there.
pub fn walk(handshake: Handshake, body: &[u8]) -> Result<Walk<'_>, HelloError> {
    let mut reader = Reader::new(body);
    let (Some(legacy_version), Some(random)) = (reader.u16(), reader.array()) else {
        return Err(HelloError::TooShort { captured: body.len() });
    };
    let mut walk = Walk::bare(legacy_version, random);
    walk.sound = walk.read_lists(handshake, reader).unwrap_or(false);
    walk.read_extensions();
    Ok(walk)
}

impl<'a> Walk<'a> {
    /// The highest version of `supported_versions` that is not GREASE, else `legacy_version`.
    #[must_use]
    pub fn offered_version(&self) -> u16 {
        let offered = codes(self.versions).filter(|version| !is_grease(*version));
        offered.max().unwrap_or(self.legacy_version)
    }

    /// The ALPN names in the order of preference. A name that claims too much is cut.
    pub fn alpn_names(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let mut reader = Reader::new(self.alpn);
        core::iter::from_fn(move || reader.vector8().map(|name| name.bytes))
    }

    pub(crate) fn first_alpn(&self) -> Option<&'a [u8]> {
        self.alpn_names().next()
    }

    const fn bare(legacy_version: u16, random: [u8; 32]) -> Self {
        Self {
            legacy_version,
            random,
            ciphers: &[],
            extensions: &[],
            groups: &[],
            point_formats: &[],
            signature_algorithms: &[],
            versions: &[],
            alpn: &[],
            has_server_name: false,
            server_name: None,
            ech: false,
            resumption: false,
            early_data: false,
            sound: false,
            broken_extension: false,
            odd_server_name: false,
            repeated_extension: false,
            has_alpn: false,
            seen: Seen {
                groups: false,
                point_formats: false,
                signature_algorithms: false,
                versions: false,
            },
        }
    }

    /// Whether the lists fit the message exactly; `None` when it ends before a list begins.
    fn read_lists(&mut self, handshake: Handshake, mut reader: Reader<'a>) -> Option<bool> {
        let session_id = reader.vector8()?;
        let cookie_fits = match handshake {
            Handshake::Dtls => reader.vector8()?.whole,
            Handshake::Tls | Handshake::Quic => true,
        };
        let ciphers = reader.vector16()?;
        self.ciphers = ciphers.bytes;
        let compressions = reader.vector8()?;
        let heads_fit = session_id.whole
            && session_id.bytes.len() <= MAX_SESSION_ID
            && cookie_fits
            && ciphers.whole
            && ciphers.bytes.len().is_multiple_of(2)
            && !ciphers.bytes.is_empty()
            && compressions.whole
            && !compressions.bytes.is_empty();
        if reader.is_empty() {
            return Some(heads_fit);
        }
        let list = reader.vector16()?;
        self.extensions = list.bytes;
        Some(heads_fit && list.whole && reader.is_empty())
    }

    fn read_extensions(&mut self) {
        let mut found = extensions(self.extensions);
        for extension in &mut found {
            self.read_extension(extension);
        }
        self.sound &= found.fits();
    }

    fn read_extension(&mut self, extension: Extension<'a>) {
        let body = extension.body;
        match extension.kind {
            extension::SERVER_NAME => self.read_server_name(body),
            extension::SUPPORTED_GROUPS if !self.seen.groups => {
                self.seen.groups = true;
                self.groups = self.only_list(Reader::vector16, body);
            }
            extension::POINT_FORMATS if !self.seen.point_formats => {
                self.seen.point_formats = true;
                self.point_formats = self.only_list(Reader::vector8, body);
            }
            extension::SIGNATURE_ALGORITHMS if !self.seen.signature_algorithms => {
                self.seen.signature_algorithms = true;
                self.signature_algorithms = self.only_list(Reader::vector16, body);
            }
            extension::SUPPORTED_VERSIONS if !self.seen.versions => {
                self.seen.versions = true;
                self.versions = self.only_list(Reader::vector8, body);
            }
            extension::ALPN if self.has_alpn => self.repeated_extension = true,
            extension::ALPN => {
                self.has_alpn = true;
                self.alpn = self.only_list(Reader::vector16, body);
            }
            extension::SESSION_TICKET => self.resumption |= !body.is_empty(),
            extension::PRE_SHARED_KEY => self.resumption = true,
            extension::EARLY_DATA => self.early_data = true,
            extension::ENCRYPTED_CLIENT_HELLO => self.ech = true,
            _ => {}
        }
    }

    /// The list that should fill `body`; notes if it does not.
    fn only_list(
        &mut self,
        read: fn(&mut Reader<'a>) -> Option<Vector<'a>>,
        body: &'a [u8],
    ) -> &'a [u8] {
        let mut reader = Reader::new(body);
        let Some(list) = read(&mut reader) else {
            self.broken_extension = true;
            return &[];
        };
        self.broken_extension |= !list.whole || !reader.is_empty();
        list.bytes
    }

    /// RFC 6066, section 3: a list of (type, name), of which the first host name counts.
    fn read_server_name(&mut self, body: &'a [u8]) {
        if self.has_server_name {
            self.repeated_extension = true;
            self.odd_server_name = true;
            return;
        }
        self.has_server_name = true;
        let mut names = Reader::new(self.only_list(Reader::vector16, body));
        let mut host_names = 0_usize;
        while let (Some(kind), Some(name)) = (names.u8(), names.vector16()) {
            self.odd_server_name |= kind != HOST_NAME || !name.whole;
            if kind == HOST_NAME {
                host_names = host_names.saturating_add(1);
                if host_names == 1 && !name.bytes.is_empty() {
                    self.server_name = Some(name.bytes);
                }
            }
        }
        let plain = self.server_name.is_some_and(is_plain_name);
        self.odd_server_name |= host_names != 1 || !plain || self.broken_extension;
    }
}

/// Whether `name` has only bytes that names and addresses have, and a length that names can have.
fn is_plain_name(name: &[u8]) -> bool {
    let usual =
        |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':');
    name.len() <= MAX_HOST_NAME && name.iter().all(usual)
}

fn first_bytes(bytes: &[u8], at_most: usize) -> Vec<u8> {
    bytes.iter().copied().take(at_most).collect()
}

/// GREASE values have equal bytes with a low nibble of `a` (RFC 8701, section 2).
#[must_use]
pub const fn is_grease(code: u16) -> bool {
    let [high, low] = code.to_be_bytes();
    high == low && low & 0x0f == 0x0a
}

/// The extensions in `list`, each with the bytes that are there.
#[must_use]
pub const fn extensions(list: &[u8]) -> Extensions<'_> {
    Extensions { reader: Reader::new(list), cut: false }
}

/// One extension: its type and contents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extension<'a> {
    /// Type (IANA "TLS ExtensionType Values").
    pub kind: u16,
    /// Contents; fewer bytes than announced where the list ends first.
    pub body: &'a [u8],
}

/// Iterator over an extension list; ends where the list does, whatever the lengths claim.
#[derive(Clone, Debug)]
pub struct Extensions<'a> {
    reader: Reader<'a>,
    cut: bool,
}

impl Extensions<'_> {
    /// After the last one: whether all lengths fitted and nothing is left over.
    #[must_use]
    pub const fn fits(&self) -> bool {
        !self.cut && self.reader.is_empty()
    }
}

impl<'a> Iterator for Extensions<'a> {
    type Item = Extension<'a>;

    fn next(&mut self) -> Option<Extension<'a>> {
        let mut reader = self.reader;
        let kind = reader.u16()?;
        let body = reader.vector16()?;
        self.reader = reader;
        self.cut |= !body.whole;
        Some(Extension { kind, body: body.bytes })
    }
}

/// Extension types that matter here (IANA "TLS ExtensionType Values").
pub(crate) mod extension {
    pub(crate) const SERVER_NAME: u16 = 0x0000;
    pub(crate) const SUPPORTED_GROUPS: u16 = 0x000a;
    pub(crate) const POINT_FORMATS: u16 = 0x000b;
    pub(crate) const SIGNATURE_ALGORITHMS: u16 = 0x000d;
    pub(crate) const ALPN: u16 = 0x0010;
    pub(crate) const PADDING: u16 = 0x0015;
    pub(crate) const SESSION_TICKET: u16 = 0x0023;
    pub(crate) const PRE_SHARED_KEY: u16 = 0x0029;
    pub(crate) const EARLY_DATA: u16 = 0x002a;
    pub(crate) const SUPPORTED_VERSIONS: u16 = 0x002b;
    pub(crate) const ENCRYPTED_CLIENT_HELLO: u16 = 0xfe0d;
}

/// `name_type` of a host name, the only one defined (RFC 6066, section 3).
const HOST_NAME: u8 = 0;
/// Longest session id (RFC 5246, section 7.4.1.2).
const MAX_SESSION_ID: usize = 32;
/// Longest DNS name in text form is 253 (RFC 1035, section 2.3.4); servers accept up to 255.
const MAX_HOST_NAME: usize = 255;
/// Kept bytes of a server name: a hello can carry 64 KiB of it, a record should not.
const MAX_SERVER_NAME: usize = 4096;
/// Kept ALPN names: real hellos offer at most 8, a hostile one could offer 32,767 empty ones.
const MAX_ALPN_NAMES: usize = 32;

#[cfg(test)]
mod tests;
