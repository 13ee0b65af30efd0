//! What whole flows of datagrams show, whatever the order, the losses and the lies in them.

use proptest::prelude::*;

use super::*;
use crate::facts::{Anomaly, ClientHello, Handshake, ServerHello};
use crate::sample::{self, Hello};

mod dtls;
mod quic;

/// One datagram of a flow.
type Sent = (Sender, Vec<u8>);

/// Everything that a flow of these datagrams shows, its end included.
fn facts_of(datagrams: &[Sent]) -> Vec<Observed> {
    let mut inspector = DatagramInspector::new(DatagramProtocol::Detect);
    let mut facts = Vec::new();
    for (from, datagram) in datagrams {
        inspector.inspect(*from, datagram, &mut facts);
    }
    inspector.finish(&mut facts);
    facts
}

fn client_hellos(facts: &[Observed]) -> Vec<ClientHello> {
    let hello = |observed: &Observed| match &observed.fact {
        Fact::ClientHello(hello) => Some((**hello).clone()),
        _ => None,
    };
    facts.iter().filter_map(hello).collect()
}

fn server_hellos(facts: &[Observed]) -> Vec<ServerHello> {
    let hello = |observed: &Observed| match &observed.fact {
        Fact::ServerHello(hello) => Some((**hello).clone()),
        _ => None,
    };
    facts.iter().filter_map(hello).collect()
}

fn anomalies(facts: &[Observed]) -> Vec<(Sender, Anomaly)> {
    let anomaly = |observed: &Observed| match observed.fact {
        Fact::Anomaly(anomaly) => Some((observed.from, anomaly)),
        _ => None,
    };
    facts.iter().filter_map(anomaly).collect()
}

/// Name and number of each ClientHello.
fn names(facts: &[Observed]) -> Vec<(String, u32)> {
    let name = |hello: ClientHello| {
        (String::from_utf8(hello.server_name.unwrap_or_default()).unwrap(), hello.number)
    };
    client_hellos(facts).into_iter().map(name).collect()
}

/// [`Hello::chrome_like`] with another name.
fn hello_for(name: &str) -> Hello {
    Hello::chrome_like().with(0x0000, sample::server_name(&[(0, name.as_bytes())]))
}

/// A ServerHello of TLS 1.3 without extensions, or a HelloRetryRequest (RFC 8446, section 4.1.3:
/// the SHA-256 of its name for a random).
fn server_hello_body(retry_request: bool) -> Vec<u8> {
    use sha2::Digest;
    let random: [u8; 32] = match retry_request {
        true => sha2::Sha256::digest(b"HelloRetryRequest").into(),
        false => [0x17; 32],
    };
    [&[3, 3][..], &random, &[0, 0x13, 0x01, 0, 0, 6, 0, 0x2b, 0, 2, 3, 4]].concat()
}

const CLIENT: Sender = Sender::Originator;
const SERVER: Sender = Sender::Responder;

#[test]
fn a_flow_of_no_known_protocol_is_given_up_after_sixteen_datagrams() {
    let mut inspector = DatagramInspector::new(DatagramProtocol::Detect);
    let rtp = [&[0x80, 0x60][..], &[7; 170]].concat();
    for _ in 0..16 {
        assert!(inspector.wants(CLIENT));
        inspector.inspect(CLIENT, &rtp, &mut Vec::new());
        assert_eq!(inspector.held_bytes(), 0);
    }
    assert!(!inspector.wants(CLIENT));
    assert!(inspector.wants(SERVER), "each side has its own fuel");
}

#[test]
fn a_dns_flow_shows_each_message_and_quic_on_its_port_all_the_same() {
    // RFC 1035, section 4.1: a query for the address of "a.example".
    let query =
        b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01a\x07example\x00\x00\x01\x00\x01";
    let mut inspector = DatagramInspector::new(DatagramProtocol::Dns);
    let mut facts = Vec::new();
    for _ in 0..300 {
        inspector.inspect(CLIENT, query, &mut facts);
    }
    assert_eq!(facts.len(), 300);
    assert!(facts.iter().all(|observed| matches!(
        &observed.fact,
        Fact::Dns(message) if message.questions[0].name == "a.example"
    )));
    facts.clear();
    inspector.inspect(CLIENT, &crate::quic::vectors::client_initial_1(), &mut facts);
    assert_eq!(names(&facts), [("example.com".into(), 1)]);
}

proptest! {
    #[test]
    fn any_datagrams_never_panic_and_stay_bounded(
        datagrams in proptest::collection::vec(
            (any::<bool>(), prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..200),
                changed(crate::quic::vectors::client_initial_1()),
                changed(crate::quic::vectors::server_initial_2()),
                changed(dtls::whole_hello_datagram()),
            ]), 0..40),
        is_dns in any::<bool>(),
    ) {
        let protocol = if is_dns { DatagramProtocol::Dns } else { DatagramProtocol::Detect };
        let mut inspector = DatagramInspector::new(protocol);
        let mut facts = Vec::new();
        for (from_client, datagram) in datagrams {
            inspector.inspect(if from_client { CLIENT } else { SERVER }, &datagram, &mut facts);
            prop_assert!(inspector.held_bytes() <= MOST_HELD);
        }
        inspector.finish(&mut facts);
    }
}

/// `datagram` with a few bytes changed and its end perhaps cut.
fn changed(datagram: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    let length = datagram.len();
    let changes = proptest::collection::vec((0..length, any::<u8>()), 0..4);
    (changes, 0..=length).prop_map(move |(changes, end)| {
        let mut datagram = datagram.clone();
        for (place, byte) in changes {
            datagram[place] = byte;
        }
        datagram.truncate(end.max(length / 2));
        datagram
    })
}

/// The bound that [`DatagramInspector`] documents.
const MOST_HELD: usize = 400 * 1024;
