//! DNS messages over UDP: one question and its answer (RFC 1035). Knows no cache and no resolver.

use std::net::IpAddr;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueryType {
    /// IPv4 addresses (1).
    A,
    /// IPv6 addresses (28).
    Aaaa,
    /// Service bindings (65, RFC 9460), which macOS and browsers ask for too.
    Https,
}

impl QueryType {
    const fn number(self) -> u16 {
        match self {
            Self::A => 1,
            Self::Aaaa => 28,
            Self::Https => 65,
        }
    }
}

/// A recursive query for `name`.
#[must_use]
pub fn query(id: u16, name: &str, query_type: QueryType) -> Vec<u8> {
    let mut message = header(id, RECURSION_DESIRED, 0);
    message.extend_from_slice(&question(name, query_type));
    message
}

/// The answer to [`query`]: one record for each of `addresses`, which live `ttl_s` seconds; no
/// error and no record when there are none.
#[must_use]
pub fn answer(
    id: u16,
    name: &str,
    query_type: QueryType,
    addresses: &[IpAddr],
    ttl_s: u32,
) -> Vec<u8> {
    let count = u16::try_from(addresses.len()).unwrap_or(u16::MAX);
    let mut message = header(id, RESPONSE | RECURSION_DESIRED | RECURSION_AVAILABLE, count);
    message.extend_from_slice(&question(name, query_type));
    for address in addresses.iter().take(usize::from(count)) {
        message.extend_from_slice(&NAME_OF_QUESTION);
        match address {
            IpAddr::V4(v4) => push_record(&mut message, QueryType::A, ttl_s, &v4.octets()),
            IpAddr::V6(v6) => push_record(&mut message, QueryType::Aaaa, ttl_s, &v6.octets()),
        }
    }
    message
}

fn header(id: u16, flags: u16, answers: u16) -> Vec<u8> {
    [id, flags, 1, answers, 0, 0].iter().flat_map(|field| field.to_be_bytes()).collect()
}

fn question(name: &str, query_type: QueryType) -> Vec<u8> {
    let mut question = Vec::with_capacity(name.len() + 6);
    for label in name.split('.').filter(|label| !label.is_empty()) {
        let label = label.as_bytes().get(..MAX_LABEL).unwrap_or(label.as_bytes());
        question.push(u8::try_from(label.len()).unwrap_or_default());
        question.extend_from_slice(label);
    }
    question.push(0);
    question.extend_from_slice(&query_type.number().to_be_bytes());
    question.extend_from_slice(&CLASS_IN);
    question
}

fn push_record(message: &mut Vec<u8>, query_type: QueryType, ttl_s: u32, rdata: &[u8]) {
    message.extend_from_slice(&query_type.number().to_be_bytes());
    message.extend_from_slice(&CLASS_IN);
    message.extend_from_slice(&ttl_s.to_be_bytes());
    message.extend_from_slice(&u16::try_from(rdata.len()).unwrap_or_default().to_be_bytes());
    message.extend_from_slice(rdata);
}

const RESPONSE: u16 = 0x8000;
const RECURSION_DESIRED: u16 = 0x0100;
const RECURSION_AVAILABLE: u16 = 0x0080;
const CLASS_IN: [u8; 2] = [0, 1];
/// A pointer to the name in the question, which begins after the twelve bytes of the header
/// (RFC 1035, section 4.1.4).
const NAME_OF_QUESTION: [u8; 2] = [0xc0, 12];
/// RFC 1035, section 2.3.4.
const MAX_LABEL: usize = 63;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_written_as_rfc_1035_lays_it_out() {
        let expected = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\
            \x03www\x07example\x04test\x00\x00\x01\x00\x01";
        assert_eq!(query(0x1234, "www.example.test", QueryType::A), expected);
    }

    #[test]
    fn an_answer_repeats_the_question_and_points_to_its_name() {
        let message =
            answer(0x1234, "a.test", QueryType::Aaaa, &["2001:db8::1".parse().unwrap()], 300);
        let expected = b"\x12\x34\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00\
            \x01a\x04test\x00\x00\x1c\x00\x01\
            \xc0\x0c\x00\x1c\x00\x01\x00\x00\x01\x2c\x00\x10\
            \x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01";
        assert_eq!(message, expected);
    }

    #[test]
    fn labels_beyond_63_bytes_are_cut() {
        let message = query(0, &"x".repeat(200), QueryType::Https);
        assert_eq!(message[12], 63);
        assert_eq!(message.len(), 12 + 64 + 1 + 4);
    }
}
