//! Conversations are scripts of what each side sends; facts must not depend on how they are split.

use proptest::prelude::*;

use super::*;
use crate::facts::{Anomaly, Fact, Preamble};
use crate::sample::{self, Hello, message, record, server_hello_12, server_hello_13};

mod http;
mod starttls;
mod tls;

type Script = Vec<(Sender, Vec<u8>)>;

const CLIENT: Sender = Sender::Originator;
const SERVER: Sender = Sender::Responder;

/// Plays `script` in pieces of at most `piece` bytes.
fn play(script: &Script, piece: usize) -> (StreamInspector, Vec<Observed>) {
    let mut inspector = StreamInspector::new(StreamProtocol::Detect);
    let mut facts = Vec::new();
    for (from, bytes) in script {
        for bytes in bytes.chunks(piece) {
            if inspector.wants(*from) {
                inspector.inspect(*from, bytes, &mut facts);
            }
            assert!(inspector.held_bytes() <= 4 * 64 * 1024);
        }
    }
    (inspector, facts)
}

/// The facts of `script`, which are the same however its bytes are split.
fn facts(script: &Script) -> Vec<Observed> {
    let (_, whole) = play(script, usize::MAX);
    for piece in [1, 2, 3, 5, 7, 16, 100, 1460] {
        let (_, split) = play(script, piece);
        assert_eq!(split, whole, "in pieces of {piece}");
    }
    whole
}

fn client(bytes: impl Into<Vec<u8>>) -> (Sender, Vec<u8>) {
    (CLIENT, bytes.into())
}

fn server(bytes: impl Into<Vec<u8>>) -> (Sender, Vec<u8>) {
    (SERVER, bytes.into())
}

fn hello() -> Vec<u8> {
    Hello::chrome_like().record()
}

fn ja4s(facts: &[Observed]) -> Vec<String> {
    let hellos = facts.iter().filter_map(|observed| match &observed.fact {
        Fact::ClientHello(hello) => Some(hello.ja4.clone()),
        _ => None,
    });
    hellos.collect()
}

fn answers(facts: &[Observed]) -> Vec<(u32, bool)> {
    let hellos = facts.iter().filter_map(|observed| match &observed.fact {
        Fact::ServerHello(hello) => Some((hello.answers, hello.retry_request)),
        _ => None,
    });
    hellos.collect()
}

fn preambles(facts: &[Observed]) -> Vec<Preamble> {
    let found = facts.iter().filter_map(|observed| match &observed.fact {
        Fact::Preamble(preamble) => Some(preamble.clone()),
        _ => None,
    });
    found.collect()
}

fn anomalies(facts: &[Observed]) -> Vec<Anomaly> {
    let found = facts.iter().filter_map(|observed| match observed.fact {
        Fact::Anomaly(anomaly) => Some(anomaly),
        _ => None,
    });
    found.collect()
}

#[test]
fn an_unknown_protocol_is_given_up_after_the_search() {
    let script = vec![server([0x7f; 4]), client(vec![0xee; MAX_SEARCHED])];
    let (inspector, facts) = play(&script, 1460);
    assert!(!inspector.wants(CLIENT) && !inspector.wants(SERVER));
    assert!(facts.is_empty());
    assert_eq!(inspector.held_bytes(), 0);
    let (inspector, _) = play(&vec![client(vec![0xee; MAX_SEARCHED - 1])], 1460);
    assert!(inspector.wants(CLIENT) && inspector.held_bytes() == 0);
}

#[test]
fn ssh_is_given_up_at_its_first_line() {
    let banner = "SSH-2.0-OpenSSH_9.9\r\n";
    let (inspector, _) = play(&vec![server(banner), client(banner)], 1);
    assert!(!inspector.wants(CLIENT) && !inspector.wants(SERVER));
}

#[test]
fn what_one_side_pretends_does_not_hide_the_other() {
    for front in [&b"SSH-2.0-x\r\n"[..], &[0xee; 20_000], &record(23, 0x0303, &[1; 20])] {
        let found = facts(&vec![server(front), client(hello())]);
        assert_eq!(ja4s(&found), [sample::JA4]);
    }
}

#[test]
fn a_connection_seen_from_its_middle_is_given_up_at_once() {
    let data = record(23, 0x0303, &[1; 500]);
    let (inspector, facts) = play(&vec![client(data.clone()), server(data)], 1460);
    assert!(!inspector.wants(CLIENT) && !inspector.wants(SERVER));
    assert!(facts.is_empty());
}

#[test]
fn dns_over_tcp_is_read_message_by_message() {
    let query = [&[0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0][..], b"\x01a\x00\x00\x01\x00\x01"].concat();
    let stream = [sample::vector16(&query), sample::vector16(&query)].concat();
    for piece in [1, 3, 100] {
        let mut inspector = StreamInspector::new(StreamProtocol::Dns);
        let mut facts = Vec::new();
        for bytes in stream.chunks(piece) {
            inspector.inspect(CLIENT, bytes, &mut facts);
        }
        let names: Vec<_> = facts
            .iter()
            .map(|observed| match &observed.fact {
                Fact::Dns(message) => message.questions[0].name.as_str(),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(names, ["a", "a"]);
        assert_eq!(inspector.held_bytes(), 0);
    }
}

#[test]
fn what_is_no_dns_on_its_port_is_read_as_what_it_is() {
    let request = b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n".to_vec();
    for (bytes, count) in [(hello(), 1), (request, 1), (b"SSH-2.0-x\r\n".to_vec(), 0)] {
        for piece in [1, 5, 4000] {
            let mut inspector = StreamInspector::new(StreamProtocol::Dns);
            let mut facts = Vec::new();
            for bytes in bytes.chunks(piece) {
                inspector.inspect(CLIENT, bytes, &mut facts);
            }
            assert_eq!(facts.len(), count, "{facts:?}");
        }
    }
}

fn any_script() -> impl Strategy<Value = Script> {
    let opening = prop_oneof![
        Just(hello()),
        Just(record(22, 0x0303, &server_hello_12())),
        Just(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec()),
        Just(b"CONNECT a:443 HTTP/1.1\r\n\r\n".to_vec()),
        Just(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc".to_vec()),
        Just(b"EHLO a\r\nSTARTTLS\r\n".to_vec()),
        Just(vec![5, 1, 0, 5, 1, 0, 1, 192, 0, 2, 1, 1, 187]),
        Just(vec![0, 0, 0, 8, 4, 0xd2, 0x16, 0x2f]),
        Just(b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n".to_vec()),
        Just(b"\x04\x01\x01\xbb\x00\x00\x00\x09me\0a.example\0".to_vec()),
        Just(vec![3, 0, 0, 11, 6, 0xe0, 0, 0, 0, 0, 0]),
        Just(
            [&[0x30, 0x1d, 2, 1, 2, 0x77, 0x18, 0x80, 0x16][..], b"1.3.6.1.4.1.1466.20037"]
                .concat()
        ),
        Just([&[32, 0, 0, 1, 5, 0xae][..], &[0; 30]].concat()),
        Just(vec![0x12, 1, 0, 20, 0, 0, 0, 0, 0, 0, 11, 0, 6, 1, 0, 17, 0, 1, 0xff, 9]),
        Just([&[0x80, 46, 1, 3, 1, 0, 21, 0, 0, 0, 16][..], &[9; 37]].concat()),
        Just(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec()),
        Just(vec![22, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3]),
        proptest::collection::vec(any::<u8>(), 0..40),
    ];
    let part = (any::<bool>(), opening)
        .prop_map(|(from, bytes)| (if from { CLIENT } else { SERVER }, bytes));
    proptest::collection::vec(part, 0..8)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn facts_do_not_depend_on_the_split(script in any_script(), piece in 1_usize..40) {
        let (_, whole) = play(&script, usize::MAX);
        let (_, split) = play(&script, piece);
        prop_assert_eq!(split, whole);
    }

    #[test]
    fn any_bytes_never_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..2000),
        piece in 1_usize..300,
        gap_at in 0_usize..10,
    ) {
        for protocol in [StreamProtocol::Detect, StreamProtocol::Dns] {
            let mut inspector = StreamInspector::new(protocol);
            let mut facts = Vec::new();
            for (place, bytes) in bytes.chunks(piece).enumerate() {
                let from = if place % 3 == 0 { SERVER } else { CLIENT };
                if place == gap_at {
                    inspector.gap(from);
                }
                inspector.inspect(from, bytes, &mut facts);
            }
        }
    }
}
