//! ServerHello and HelloRetryRequest: one pass over the message, and the fact made from it.
//!
//! Knows the message of SSL 3.0 to TLS 1.3, its drafts, QUIC and DTLS (RFC 8446, section 4.1.3) once
//! it is in one piece. It knows neither records nor CRYPTO frames.

use crate::bytes::Reader;
use crate::client_hello::{HelloError, extension, extensions};
use crate::facts::{Anomaly, Fact, Handshake, Observed, Sender, ServerHello};
use crate::ja3::{ja3s_string, md5_hex};

/// The ServerHello in `body`, the handshake message after its four-byte header (twelve in DTLS).
///
/// A hello whose extensions break still yields what could be read, with
/// [`ServerHello::malformed`] set. `answers` is the number of the ClientHello it answers.
///
/// # Errors
/// When it ends before the cipher suite.
pub fn parse(handshake: Handshake, body: &[u8], answers: u32) -> Result<ServerHello, HelloError> {
    let Fields { version, random, cipher, extensions, whole } = Fields::by_tls_parser(body)
        .or_else(|| Fields::by_hand(body))
        .ok_or(HelloError::TooShort { captured: body.len() })?;
    let ja3s_string = ja3s_string(version, cipher, extensions);
    let mut hello = ServerHello {
        handshake,
        version,
        cipher,
        alpn: None,
        ja3s: md5_hex(&ja3s_string),
        ja3s_string,
        retry_request: random == RETRY_REQUEST_RANDOM,
        answers,
        malformed: !whole,
    };
    read_extensions(&mut hello, extensions);
    Ok(hello)
}

/// The message's own fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fields<'a> {
    version: u16,
    random: [u8; 32],
    cipher: u16,
    /// The extension list.
    extensions: &'a [u8],
    /// Whether the fields fit the message exactly.
    whole: bool,
}

impl<'a> Fields<'a> {
    /// What tls-parser reads of a message without fault. Its extension parser is not used: it reads
    /// `padding` as another extension and then drops the rest of the list.
    fn by_tls_parser(body: &'a [u8]) -> Option<Self> {
        let (rest, hello) = tls_parser::parse_tls_handshake_server_hello(body).ok()?;
        rest.is_empty().then_some(Self {
            version: hello.version.0,
            random: hello.random.try_into().ok()?,
            cipher: hello.cipher.0,
            extensions: hello.ext.unwrap_or_default(),
            whole: true,
        })
    }

    /// What tls-parser does not know or refuses: DTLS, old drafts of TLS 1.3, SSL 3 with extensions, and
    /// messages that break, of which this yields what there is. `None` before the cipher suite.
    fn by_hand(body: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(body);
        let version = reader.u16()?;
        let random = reader.array()?;
        let is_old_draft = OLD_DRAFTS.contains(&version);
        if !is_old_draft {
            reader.vector8()?;
        }
        let cipher = reader.u16()?;
        let has_compression = is_old_draft || reader.u8().is_some();
        let (extensions, whole) = if reader.is_empty() {
            (&[][..], has_compression)
        } else {
            match reader.vector16() {
                Some(list) => (list.bytes, list.whole && reader.is_empty()),
                None => (&[][..], false),
            }
        };
        Some(Self { version, random, cipher, extensions, whole })
    }
}

/// Appends `hello` and, before it, a fact for its anomaly.
pub(crate) fn report(from: Sender, hello: ServerHello, facts: &mut Vec<Observed>) {
    if hello.malformed {
        facts.push(Observed { from, fact: Fact::Anomaly(Anomaly::MalformedServerHello) });
    }
    facts.push(Observed { from, fact: Fact::ServerHello(Box::new(hello)) });
}

fn read_extensions(hello: &mut ServerHello, list: &[u8]) {
    let mut found = extensions(list);
    for extension in &mut found {
        let mut reader = Reader::new(extension.body);
        match extension.kind {
            extension::SUPPORTED_VERSIONS => {
                hello.version = reader.u16().unwrap_or(hello.version);
            }
            extension::ALPN if hello.alpn.is_none() => {
                let mut names =
                    reader.vector16().map_or(Reader::new(&[]), |v| Reader::new(v.bytes));
                hello.alpn = names.vector8().map(|name| name.bytes.to_vec());
            }
            _ => {}
        }
    }
    hello.malformed |= !found.fits();
}

/// TLS 1.3 drafts before 22 sent neither session id nor compression method; drafts 22 and later say
/// 0x0303 here (draft-ietf-tls-tls13-22, section 4.1.3).
const OLD_DRAFTS: core::ops::RangeInclusive<u16> = 0x7f00..=0x7f15;

/// SHA-256 of "HelloRetryRequest" (RFC 8446, section 4.1.3).
const RETRY_REQUEST_RANDOM: [u8; 32] = [
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91,
    0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sample;

    fn hello(version: u16, rest: &[u8]) -> Vec<u8> {
        [&version.to_be_bytes()[..], &[7; 32], rest].concat()
    }

    /// RFC 8448, section 3: the ServerHello of "Simple 1-RTT Handshake".
    #[test]
    fn rfc_8448_server_hello() {
        let key_share = [&[0x00, 0x33, 0x00, 0x24, 0x00, 0x1d, 0x00, 0x20][..], &[9; 32]].concat();
        let list = [&key_share[..], &[0x00, 0x2b, 0x00, 0x02, 0x03, 0x04]].concat();
        let body = hello(0x0303, &[&[0, 0x13, 0x01, 0, 0, 0x2e][..], &list].concat());
        let parsed = parse(Handshake::Tls, &body, 1).unwrap();
        assert_eq!(parsed.version, 0x0304);
        assert_eq!(parsed.cipher, 0x1301);
        assert_eq!(parsed.ja3s_string, "771,4865,51-43");
        // As Wireshark 4.6.9 prints it for the same fields.
        assert_eq!(parsed.ja3s, "eb1d94daa7e0344597e756a1fb6e7054");
        assert!(!parsed.retry_request && !parsed.malformed);
    }

    #[test]
    fn a_hello_without_extensions_keeps_the_empty_field() {
        let parsed = parse(Handshake::Tls, &hello(0x0301, &[0, 0x00, 0x2f, 0]), 1).unwrap();
        assert_eq!(parsed.ja3s_string, "769,47,");
        assert!(!parsed.malformed);
    }

    #[test]
    fn old_drafts_have_neither_session_id_nor_compression() {
        let body = hello(0x7f12, &[0x13, 0x02, 0, 4, 0x00, 0x28, 0, 0]);
        let parsed = parse(Handshake::Tls, &body, 1).unwrap();
        assert_eq!(parsed.ja3s_string, "32530,4866,40");
        assert!(!parsed.malformed);
    }

    #[test]
    fn the_retry_request_random_marks_a_retry_request() {
        let body = [&[3, 3][..], &RETRY_REQUEST_RANDOM, &[0, 0x13, 0x01, 0]].concat();
        assert!(parse(Handshake::Tls, &body, 1).unwrap().retry_request);
    }

    #[test]
    fn the_alpn_answer_is_read() {
        let list = [0x00, 0x10, 0, 5, 0, 3, 2, b'h', b'2'];
        let body = hello(0x0303, &[&[0, 0xc0, 0x2f, 0, 0, 9][..], &list].concat());
        let parsed = parse(Handshake::Tls, &body, 1).unwrap();
        assert_eq!(parsed.alpn.as_deref(), Some(&b"h2"[..]));
    }

    #[test]
    fn a_list_that_claims_too_much_is_malformed_and_still_read() {
        let body = hello(0x0303, &[0, 0xc0, 0x2f, 0, 0, 99, 0xff, 0x01, 0, 1, 0]);
        let parsed = parse(Handshake::Tls, &body, 1).unwrap();
        assert!(parsed.malformed);
        assert_eq!(parsed.ja3s_string, "771,49199,65281");
    }

    #[test]
    fn ssl_3_may_have_extensions_too() {
        let body = hello(0x0300, &[0, 0x00, 0x2f, 0, 0, 5, 0xff, 0x01, 0, 1, 0]);
        let parsed = parse(Handshake::Tls, &body, 1).unwrap();
        assert!(!parsed.malformed);
        assert_eq!(parsed.ja3s_string, "768,47,65281");
    }

    #[test]
    fn the_cipher_suite_has_a_name() {
        let mut parsed = parse(Handshake::Tls, &hello(0x0303, &[0, 0xc0, 0x2f, 0]), 1).unwrap();
        assert_eq!(parsed.cipher_name(), Some("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"));
        parsed.cipher = 0x0a0a;
        assert_eq!(parsed.cipher_name(), None);
    }

    proptest! {
        #[test]
        fn tls_parser_and_our_own_reading_agree(
            version in 0x0301_u16..=0x0303,
            session_id in proptest::collection::vec(any::<u8>(), 0..=32),
            cipher in any::<[u8; 2]>(),
            list in proptest::collection::vec(any::<u8>(), 0..60),
        ) {
            let tail = if list.is_empty() { Vec::new() } else { sample::vector16(&list) };
            let rest = [&sample::vector8(&session_id)[..], &cipher, &[0], &tail].concat();
            let body = hello(version, &rest);
            let by_tls_parser = Fields::by_tls_parser(&body);
            prop_assert!(by_tls_parser.is_some());
            prop_assert_eq!(by_tls_parser, Fields::by_hand(&body));
        }
    }

    #[test]
    fn nothing_before_the_cipher_suite_is_an_error() {
        assert!(parse(Handshake::Tls, &hello(0x0303, &[32, 1, 2]), 1).is_err());
        assert!(parse(Handshake::Tls, &[3, 3], 1).is_err());
    }
}
