//! DTLS flows.

use super::*;

/// A handshake fragment (RFC 6347, section 4.2.2).
fn fragment(kind: u8, sequence: u16, length: usize, offset: usize, bytes: &[u8]) -> Vec<u8> {
    let u24 = |value: usize| u32::try_from(value).unwrap().to_be_bytes()[1..].to_vec();
    let header = [vec![kind], u24(length), sequence.to_be_bytes().to_vec(), u24(offset)];
    [header.concat(), u24(bytes.len()), bytes.to_vec()].concat()
}

/// A plain record (RFC 6347, section 4.1).
fn record(number: u8, fragments: &[u8]) -> Vec<u8> {
    let header = [22, 0xfe, 0xff, 0, 0, 0, 0, 0, 0, 0, number];
    [&header[..], &sample::vector16(fragments)].concat()
}

fn hello(name: &str, cookie: &[u8]) -> Vec<u8> {
    let mut hello = hello_for(name).without(0x002b);
    hello.version = 0xfefd;
    hello.cookie = Some(cookie.to_vec());
    hello.body()
}

fn whole(kind: u8, sequence: u16, body: &[u8]) -> Vec<u8> {
    record(0, &fragment(kind, sequence, body.len(), 0, body))
}

pub(super) fn whole_hello_datagram() -> Vec<u8> {
    whole(1, 0, &hello("dtls.example", b""))
}

#[test]
fn a_hello_in_one_record_has_the_fingerprints_of_dtls() {
    let facts = facts_of(&[(CLIENT, whole_hello_datagram())]);
    let [found] = &client_hellos(&facts)[..] else { panic!("{facts:?}") };
    assert_eq!(found.handshake, Handshake::Dtls);
    assert_eq!(names(&facts), [("dtls.example".into(), 1)]);
    // `sample::JA4` with one extension less, and for version 1.2 over DTLS (JA4 technical details,
    // section "Protocol and version").
    assert!(found.ja4.starts_with("dd2d1513h2_8daaf6152771_"), "{}", found.ja4);
    assert_eq!(found.quic_version, None);
}

#[test]
fn a_hello_with_a_cookie_is_the_second_and_has_the_same_fingerprint() {
    let verify = whole(3, 0, &[0xfe, 0xff, 2, 0xaa, 0xbb]);
    let answer = whole(2, 1, &server_hello_body(false));
    let first = (CLIENT, whole_hello_datagram());
    let facts = facts_of(&[
        first.clone(),
        first,
        (SERVER, verify),
        (CLIENT, whole(1, 1, &hello("dtls.example", &[0xaa, 0xbb]))),
        (SERVER, answer.clone()),
        (SERVER, answer),
    ]);
    let hellos = client_hellos(&facts);
    assert_eq!(names(&facts), [("dtls.example".into(), 1), ("dtls.example".into(), 2)]);
    assert_eq!(hellos[0].ja4, hellos[1].ja4);
    let [answer] = &server_hellos(&facts)[..] else { panic!("{facts:?}") };
    assert_eq!((answer.handshake, answer.answers), (Handshake::Dtls, 2));
}

#[test]
fn several_records_and_fragments_in_a_datagram_are_each_read() {
    let body = hello("dtls.example", b"");
    let (first, second) = body.split_at(100);
    let pieces =
        [fragment(1, 0, body.len(), 0, &first[..40]), fragment(1, 0, body.len(), 40, &first[40..])];
    let datagram =
        [record(0, &pieces.concat()), record(1, &fragment(1, 0, body.len(), 100, second))];
    assert_eq!(names(&facts_of(&[(CLIENT, datagram.concat())])), [("dtls.example".into(), 1)]);
}

#[test]
fn a_fragment_that_lies_about_the_length_spoils_nothing() {
    let body = hello("dtls.example", b"");
    let lie = record(0, &fragment(1, 0, body.len() + 1, 0, &body[..50]));
    let huge = record(0, &fragment(1, 0, 0xff_ffff, 0, &body[..50]));
    let outside = record(0, &fragment(1, 0, 20, 15, &body[..10]));
    let facts = facts_of(&[
        (CLIENT, lie),
        (CLIENT, huge),
        (CLIENT, outside),
        (CLIENT, record(1, &fragment(1, 0, body.len(), 60, &body[60..]))),
        (CLIENT, record(2, &fragment(1, 0, body.len(), 0, &body[..60]))),
    ]);
    assert_eq!(names(&facts), [("dtls.example".into(), 1)]);
    let told =
        [Anomaly::OversizedHandshake, Anomaly::IncompleteHandshake].map(|kind| (CLIENT, kind));
    assert_eq!(anomalies(&facts), told);
}

#[test]
fn fragments_that_contradict_each_other_make_two_hellos() {
    let (truth, lie) = (hello("true.example", b""), hello("fake.example", b""));
    let length = truth.len();
    let sent = |number, body: &[u8], part: std::ops::Range<usize>| {
        (CLIENT, record(number, &fragment(1, 0, length, part.start, &body[part])))
    };
    let contradiction = [(CLIENT, Anomaly::ConflictingHandshakeBytes)];
    let both = [("fake.example".into(), 1), ("true.example".into(), 2)];
    let facts = facts_of(&[
        sent(0, &truth, 0..length - 9),
        sent(1, &lie, 0..length),
        sent(2, &truth, length - 9..length),
    ]);
    assert_eq!(names(&facts), both);
    assert_eq!(anomalies(&facts), contradiction);
    let facts = facts_of(&[
        sent(0, &lie, 0..length - 9),
        sent(1, &truth, 0..length - 9),
        sent(2, &truth, length - 9..length),
    ]);
    assert_eq!(names(&facts), both, "the last bytes fit both");
    assert_eq!(anomalies(&facts), contradiction);
}

#[test]
fn a_fragment_repeated_after_the_message_was_whole_is_no_message_begun() {
    let body = hello("dtls.example", b"");
    let first = (CLIENT, record(0, &fragment(1, 0, body.len(), 0, &body[..60])));
    let second = (CLIENT, record(1, &fragment(1, 0, body.len(), 60, &body[60..])));
    let facts = facts_of(&[first.clone(), second, first]);
    assert_eq!(names(&facts), [("dtls.example".into(), 1)]);
    assert_eq!(anomalies(&facts), []);
}

#[test]
fn stun_before_the_handshake_hides_nothing() {
    let stun = [&[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42][..], &[7; 12]].concat();
    let mut datagrams = vec![(CLIENT, stun); 100];
    datagrams.push((CLIENT, whole_hello_datagram()));
    assert_eq!(names(&facts_of(&datagrams)), [("dtls.example".into(), 1)]);
}

#[test]
fn a_hello_relayed_by_turn_is_found() {
    let inner = whole_hello_datagram();
    let channel = [&[0x40, 0x01][..], &sample::vector16(&inner)].concat();
    assert_eq!(names(&facts_of(&[(CLIENT, channel)])), [("dtls.example".into(), 1)]);
}

#[test]
fn encrypted_records_show_nothing_and_end_the_watch() {
    let mut inspector = DatagramInspector::new(DatagramProtocol::Detect);
    let mut facts = Vec::new();
    let sealed = [23, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 7, 0, 4, 1, 2, 3, 4];
    for _ in 0..32 {
        inspector.inspect(CLIENT, &sealed, &mut facts);
    }
    assert!(!inspector.wants(CLIENT));
    assert_eq!(facts, []);
}

proptest! {
    /// However a hello is cut, shuffled and repeated, it is the same fact.
    #[test]
    fn any_fragments_in_any_order_give_the_same_hello(
        mut cuts in proptest::collection::vec(1_usize..280, 0..10),
        order in proptest::collection::vec((any::<u32>(), any::<bool>()), 11),
    ) {
        let body = hello("dtls.example", b"cookie");
        let alone = client_hellos(&facts_of(&[(CLIENT, whole(1, 1, &body))]));
        cuts.iter_mut().for_each(|cut| *cut %= body.len());
        cuts.extend([0, body.len()]);
        cuts.sort_unstable();
        let mut pieces: Vec<_> = cuts.windows(2).zip(&order).collect();
        pieces.sort_by_key(|(_, (rank, _))| *rank);
        let datagrams: Vec<Sent> = pieces
            .into_iter()
            .map(|(cut, (_, wider))| {
                let start = if *wider { cut[0].saturating_sub(9) } else { cut[0] };
                fragment(1, 1, body.len(), start, &body[start..cut[1]])
            })
            .map(|fragment| (CLIENT, record(0, &fragment)))
            .collect();
        let facts = facts_of(&datagrams);
        prop_assert_eq!(client_hellos(&facts), alone);
        prop_assert_eq!(anomalies(&facts), []);
    }
}
