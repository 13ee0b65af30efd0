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
    let mut reader = Reader::new(body);
    let too_short = HelloError::TooShort { captured: body.len() };
    let (Some(legacy_version), Some(random)) = (reader.u16(), reader.array::<32>()) else {
        return Err(too_short);
    };
    let is_old_draft = OLD_DRAFTS.contains(&legacy_version);
    if !is_old_draft {
        reader.vector8().ok_or(too_short)?;
    }
    let cipher = reader.u16().ok_or(too_short)?;
    let compressed = is_old_draft || reader.u8().is_some();
    let (list, list_fits) = match reader.is_empty() {
        true => (&[][..], compressed),
        false => reader
            .vector16()
            .map_or((&[][..], false), |list| (list.bytes, list.whole && reader.is_empty())),
    };
    let mut hello = ServerHello {
        handshake,
        version: legacy_version,
        cipher,
        alpn: None,
        ja3s: String::new(),
        ja3s_string: ja3s_string(legacy_version, cipher, list),
        retry_request: random == RETRY_REQUEST_RANDOM,
        answers,
        malformed: !list_fits,
    };
    hello.ja3s = md5_hex(&hello.ja3s_string);
    read_extensions(&mut hello, list);
    Ok(hello)
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
    use super::*;

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
    fn nothing_before_the_cipher_suite_is_an_error() {
        assert!(parse(Handshake::Tls, &hello(0x0303, &[32, 1, 2]), 1).is_err());
        assert!(parse(Handshake::Tls, &[3, 3], 1).is_err());
    }
}
