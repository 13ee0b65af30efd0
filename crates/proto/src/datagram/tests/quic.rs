//! QUIC and Google QUIC flows.

use super::*;
use crate::quic::seal::{Initial, crypto};
use crate::quic::vectors;

/// The connection ID that clients here make up.
const ID: &[u8] = b"original";

/// The client's Initial with that CRYPTO stream in one frame.
fn initial(id: &[u8], stream: &[u8]) -> Vec<u8> {
    Initial::client(id, crypto(0, stream)).seal()
}

/// The server's Initial with those messages.
fn answer(id: &[u8], retry_request: bool) -> Vec<u8> {
    let message = sample::message(2, &server_hello_body(retry_request));
    Initial::server(id, crypto(0, &message)).seal()
}

/// RFC 9001, appendix A.2 and A.3, and RFC 9369, appendix A.2 and A.3, as a flow each.
#[test]
fn published_flows_show_both_hellos() {
    let check = |client: Vec<u8>, server: Vec<u8>, version: u32| {
        let facts = facts_of(&[(CLIENT, client), (SERVER, server)]);
        let [hello] = &client_hellos(&facts)[..] else { panic!("{facts:?}") };
        assert_eq!(hello.handshake, Handshake::Quic);
        assert_eq!(hello.server_name.as_deref(), Some(&b"example.com"[..]));
        assert_eq!(hello.alpn, [b"alpn"]);
        assert_eq!((hello.number, hello.quic_version), (1, Some(version)));
        let [answer] = &server_hellos(&facts)[..] else { panic!("{facts:?}") };
        // MD5 of 771,4865,51-43, as `md5sum` prints it.
        assert_eq!(answer.ja3s, "eb1d94daa7e0344597e756a1fb6e7054");
        assert_eq!((answer.answers, answer.version), (1, 0x0304));
        assert_eq!(anomalies(&facts), []);
    };
    check(vectors::client_initial_1(), vectors::server_initial_1(), 1);
    check(vectors::client_initial_2(), vectors::server_initial_2(), 0x6b33_43cf);
}

#[test]
fn the_version_on_the_wire_picks_the_salt() {
    let drafts = (0xff00_0016..=0xff00_0022).chain([0xface_b001, 0xface_b002, 0xface_b00e]);
    for version in drafts.chain([1, 0x6b33_43cf]) {
        let frames = crypto(0, &hello_for("quic.example").message());
        let datagram = Initial { version, ..Initial::client(ID, frames) }.seal();
        let facts = facts_of(&[(CLIENT, datagram)]);
        let [hello] = &client_hellos(&facts)[..] else { panic!("{version:#x}: {facts:?}") };
        assert_eq!(hello.quic_version, Some(version));
        // The parts of JA4 that the carrier does not change: as in `sample::JA4`.
        assert_eq!(hello.ja4, sample::JA4.replacen('t', "q", 1));
    }
}

#[test]
fn packet_numbers_of_any_length_and_connection_ids_of_any_length_open() {
    let frames = crypto(0, &hello_for("quic.example").message());
    for length in 1..=4 {
        let number = [0, 0xfe, 0xfffe, 0xff_fffe, 0xffff_fffe][length];
        let packet = Initial { number, ..Initial::client(ID, frames.clone()) };
        let facts = facts_of(&[(CLIENT, packet.seal_with_number_of(length))]);
        assert_eq!(names(&facts).len(), 1, "packet number of {length} bytes");
    }
    for length in 0..=20 {
        let facts = facts_of(&[(CLIENT, initial(&[7; 20][..length], &hello_for("x").message()))]);
        assert_eq!(names(&facts).len(), 1, "connection id of {length} bytes");
    }
}

#[test]
fn a_server_initial_that_comes_first_is_read_once_the_client_spoke() {
    let facts =
        facts_of(&[(SERVER, vectors::server_initial_1()), (CLIENT, vectors::client_initial_1())]);
    assert_eq!(client_hellos(&facts).len(), 1);
    assert_eq!(server_hellos(&facts).len(), 1);
    assert_eq!(anomalies(&facts), []);
}

#[test]
fn a_new_destination_id_keeps_the_keys_of_the_first() {
    let stream = hello_for("quic.example").message();
    let (first, second) = stream.split_at(200);
    let first = initial(ID, first);
    let rest =
        Initial { keys_of: Some(ID), number: 1, ..Initial::client(b"server", crypto(200, second)) };
    let server = answer(ID, false);
    let check = |datagrams: &[Sent]| {
        let facts = facts_of(datagrams);
        assert_eq!(names(&facts), [("quic.example".into(), 1)]);
        assert_eq!(anomalies(&facts), []);
    };
    let (first, rest) = ((CLIENT, first), (CLIENT, rest.seal()));
    let server = (SERVER, server);
    check(&[first.clone(), server.clone(), rest.clone()]);
    check(&[first.clone(), rest.clone(), server.clone()]);
    check(&[rest.clone(), first.clone(), server]);
    check(&[first, rest]);
}

#[test]
fn the_ids_are_those_of_the_long_headers() {
    let mut inspector = DatagramInspector::new(DatagramProtocol::Detect);
    let mut facts = Vec::new();
    assert_eq!(inspector.connection_ids(), None);
    inspector.inspect(CLIENT, &initial(ID, &hello_for("quic.example").message()), &mut facts);
    let ids = inspector.connection_ids().unwrap();
    assert_eq!((ids.original.as_bytes(), ids.client.as_bytes()), (ID, &b"clnt"[..]));
    assert_eq!(ids.server, None);
    inspector.inspect(SERVER, &answer(ID, false), &mut facts);
    inspector.finish(&mut facts);
    let ids = inspector.connection_ids().unwrap();
    assert_eq!(ids.server.unwrap().as_bytes(), b"server");
}

#[test]
fn the_same_hello_after_a_retry_is_one_and_a_new_random_makes_two() {
    let hello = hello_for("quic.example");
    let retry = (SERVER, vectors::bytes(include_str!("../../../vectors/rfc9001-retry.hex")));
    let first = (CLIENT, initial(ID, &hello.message()));
    let again = |stream: &[u8]| {
        let packet = Initial { token: b"token", ..Initial::client(b"retried", crypto(0, stream)) };
        (CLIENT, packet.seal())
    };
    let answer = (SERVER, answer(b"retried", false));
    let same = again(&hello.message());
    let facts = facts_of(&[first.clone(), retry.clone(), same.clone(), answer.clone()]);
    assert_eq!(names(&facts), [("quic.example".into(), 1)]);
    assert_eq!(server_hellos(&facts)[0].answers, 1);
    let mut redrawn = hello.message();
    redrawn[10] ^= 0xff;
    let facts = facts_of(&[first, retry.clone(), again(&redrawn), answer.clone()]);
    assert_eq!(names(&facts), [("quic.example".into(), 1), ("quic.example".into(), 2)]);
    assert_eq!(server_hellos(&facts)[0].answers, 2);
    let facts = facts_of(&[retry, same, answer]);
    assert_eq!(names(&facts), [("quic.example".into(), 1)], "only the second was captured");
}

#[test]
fn a_version_negotiation_makes_the_next_hello_the_second() {
    let draft = Initial {
        version: 0xff00_001d,
        ..Initial::client(b"older ID", crypto(0, &hello_for("draft.example").message()))
    };
    let negotiation = b"\xc0\x00\x00\x00\x00\x04clnt\x08older ID\x00\x00\x00\x01".to_vec();
    let facts = facts_of(&[
        (CLIENT, draft.seal()),
        (SERVER, negotiation),
        (CLIENT, initial(ID, &hello_for("quic.example").message())),
        (SERVER, answer(ID, false)),
    ]);
    assert_eq!(names(&facts), [("draft.example".into(), 1), ("quic.example".into(), 2)]);
    assert_eq!(server_hellos(&facts)[0].answers, 2);
}

#[test]
fn an_unknown_version_before_a_known_one_hides_nothing() {
    let mut unknown = initial(b"other ID", &hello_for("quic.example").message());
    unknown[1..5].copy_from_slice(&0x1a2a_3a4a_u32.to_be_bytes());
    let facts =
        facts_of(&[(CLIENT, unknown), (CLIENT, initial(ID, &hello_for("quic.example").message()))]);
    assert_eq!(names(&facts), [("quic.example".into(), 1)]);
    assert_eq!(anomalies(&facts), []);
}

#[test]
fn a_connection_after_an_answered_one_counts_from_one_again() {
    let facts = facts_of(&[
        (CLIENT, initial(b"first", &hello_for("one.example").message())),
        (SERVER, answer(b"first", false)),
        (CLIENT, initial(b"second", &hello_for("two.example").message())),
        (SERVER, answer(b"second", false)),
    ]);
    assert_eq!(names(&facts), [("one.example".into(), 1), ("two.example".into(), 1)]);
}

#[test]
fn a_hello_after_a_retry_request_is_the_second_of_its_stream() {
    let first = hello_for("quic.example").message();
    let second = hello_for("quic.example").with(0x002c, vec![0, 1, 9]).message();
    let more = Initial { number: 1, ..Initial::client(ID, crypto(first.len(), &second)) };
    let requests = sample::message(2, &server_hello_body(true));
    let last = sample::message(2, &server_hello_body(false));
    let answer = Initial { number: 1, ..Initial::server(ID, crypto(requests.len(), &last)) };
    let facts = facts_of(&[
        (CLIENT, initial(ID, &first)),
        (SERVER, Initial::server(ID, crypto(0, &requests)).seal()),
        (CLIENT, more.seal()),
        (SERVER, answer.seal()),
    ]);
    assert_eq!(names(&facts), [("quic.example".into(), 1), ("quic.example".into(), 2)]);
    let answers: Vec<_> =
        server_hellos(&facts).iter().map(|hello| (hello.retry_request, hello.answers)).collect();
    assert_eq!(answers, [(true, 1), (false, 2)]);
}

#[test]
fn coalesced_packets_are_each_read() {
    let stream = hello_for("quic.example").message();
    let zero_rtt = [&[0xd0, 0, 0, 0, 1, 8][..], ID, &[4], b"clnt", &[0x40, 0x20], &[0x5a; 32]];
    let second = Initial { number: 1, ..Initial::client(ID, crypto(200, &stream[200..])) };
    let datagram =
        [zero_rtt.concat(), initial(ID, &stream[..200]), second.seal(), vec![0; 60]].concat();
    let facts = facts_of(&[(CLIENT, datagram)]);
    assert_eq!(names(&facts), [("quic.example".into(), 1)]);
}

#[test]
fn compatible_negotiation_keeps_the_connection_id_and_changes_the_salt() {
    let message = sample::message(2, &server_hello_body(false));
    let answer = Initial { version: 0x6b33_43cf, ..Initial::server(ID, crypto(0, &message)) };
    let facts = facts_of(&[
        (CLIENT, initial(ID, &hello_for("quic.example").message())),
        (SERVER, answer.seal()),
    ]);
    assert_eq!(server_hellos(&facts).len(), 1);
    assert_eq!(anomalies(&facts), []);
}

#[test]
fn decoys_that_do_not_open_change_nothing_but_are_told_once() {
    let truth = initial(ID, &hello_for("true.example").message());
    let mut decoy = initial(ID, &hello_for("decoy.example").message());
    let last = decoy.len() - 1;
    decoy[last] ^= 1;
    let mut other = initial(b"stranger", &hello_for("decoy.example").message());
    other[last] ^= 1;
    let mut datagrams = vec![(CLIENT, decoy.clone()); 30];
    datagrams.extend(vec![(CLIENT, other.clone()); 30]);
    datagrams.extend([(CLIENT, truth), (CLIENT, decoy), (CLIENT, other)]);
    datagrams.push((SERVER, answer(ID, false)));
    let facts = facts_of(&datagrams);
    assert_eq!(names(&facts), [("true.example".into(), 1)]);
    assert_eq!(server_hellos(&facts).len(), 1);
    assert_eq!(anomalies(&facts), [(CLIENT, Anomaly::UndecryptableInitial)]);
}

#[test]
fn duplicates_do_not_fill_a_hole() {
    let stream = hello_for("quic.example").message();
    let (start, end) = (&stream[..100], &stream[200..]);
    let frames = [crypto(0, start), crypto(0, start), crypto(200, end), crypto(0, start)];
    let facts = facts_of(&[(CLIENT, Initial::client(ID, frames.concat()).seal())]);
    assert_eq!(names(&facts), []);
    assert_eq!(anomalies(&facts), [(CLIENT, Anomaly::IncompleteHandshake)]);
}

#[test]
fn of_two_copies_in_a_packet_the_first_counts_and_the_difference_is_told() {
    let (truth, lie) = (hello_for("true.example").message(), hello_for("fake.example").message());
    let frames = [crypto(0, &truth[..200]), crypto(0, &lie), crypto(200, &truth[200..])];
    let facts = facts_of(&[(CLIENT, Initial::client(ID, frames.concat()).seal())]);
    assert_eq!(names(&facts), [("true.example".into(), 1)]);
    assert_eq!(anomalies(&facts), [(CLIENT, Anomaly::ConflictingHandshakeBytes)]);
}

#[test]
fn a_packet_that_contradicts_those_before_hides_no_hello() {
    let (truth, lie) = (hello_for("true.example").message(), hello_for("fake.example").message());
    let sent = |number, offset, bytes: &[u8]| {
        (CLIENT, Initial { number, ..Initial::client(ID, crypto(offset, bytes)) }.seal())
    };
    let (first, second) = (sent(0, 0, &truth[..200]), sent(1, 200, &truth[200..]));
    let forged = sent(0, 0, &lie);
    for datagrams in [
        [forged.clone(), first.clone(), second.clone()],
        [first.clone(), forged.clone(), second.clone()],
        [first, second, forged],
    ] {
        let facts = facts_of(&datagrams);
        let mut found: Vec<_> = names(&facts).into_iter().map(|(name, _)| name).collect();
        found.sort();
        assert_eq!(found, ["fake.example", "true.example"]);
        assert_eq!(anomalies(&facts), [(CLIENT, Anomaly::ConflictingHandshakeBytes)]);
    }
}

#[test]
fn offsets_and_lengths_that_lie_reserve_nothing() {
    let mut inspector = DatagramInspector::new(DatagramProtocol::Detect);
    let mut facts = Vec::new();
    let far = [0x06, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xf0, 4, 1, 2, 3, 4];
    let frames = [&far[..], &crypto(0, &[1, 0xff, 0xff, 0xff, 3, 3])].concat();
    inspector.inspect(CLIENT, &Initial::client(ID, frames).seal(), &mut facts);
    assert!(inspector.held_bytes() < 8 * 1024, "{}", inspector.held_bytes());
    assert_eq!(anomalies(&facts), [(CLIENT, Anomaly::OversizedHandshake)]);
}

#[test]
fn hostile_streams_stay_within_the_bound() {
    let mut inspector = DatagramInspector::new(DatagramProtocol::Detect);
    let mut facts = Vec::new();
    for round in 0..2_000_u32 {
        let id = (round / 70).to_be_bytes();
        let offset = usize::try_from(round % 70).unwrap() * 1200 + 1;
        let packet = Initial { number: round, ..Initial::client(&id, crypto(offset, &[7; 1100])) };
        inspector.inspect(CLIENT, &packet.seal(), &mut facts);
        assert!(inspector.held_bytes() <= MOST_HELD, "{}", inspector.held_bytes());
    }
    assert!(!inspector.wants(CLIENT), "a hello that never ends is given up");
    assert!(facts.len() < 10, "{facts:?}");
}

#[test]
fn an_answered_flow_is_let_go_soon() {
    let mut inspector = DatagramInspector::new(DatagramProtocol::Detect);
    let mut facts = Vec::new();
    inspector.inspect(CLIENT, &initial(ID, &hello_for("quic.example").message()), &mut facts);
    inspector.inspect(SERVER, &answer(ID, false), &mut facts);
    let mut later = 0;
    while inspector.wants(CLIENT) {
        inspector.inspect(CLIENT, &[0x41; 1200], &mut facts);
        later += 1;
    }
    assert!(later <= 32);
}

/// Frame type 08, as the issue of Google's TLS versions: Chromium, `quic_types.h`, `CRYPTO_FRAME`.
#[test]
fn google_versions_with_tls_have_their_own_crypto_frame() {
    let stream = hello_for("quic.example").message();
    let mut frames = crypto(0, &stream);
    frames[0] = 0x08;
    for version in [*b"T050", *b"T051"] {
        let version = u32::from_be_bytes(version);
        let datagram = Initial { version, ..Initial::client(ID, frames.clone()) }.seal();
        let facts = facts_of(&[(CLIENT, datagram)]);
        let [hello] = &client_hellos(&facts)[..] else { panic!("{facts:?}") };
        assert_eq!(hello.ja4, sample::JA4.replacen('t', "q", 1));
    }
}

#[test]
fn a_google_hello_is_one_fact_however_often_it_comes() {
    let chlo = b"CHLO\x02\0\0\0SNI\0\x09\0\0\0UAID\x0d\0\0\0a.exampleChro".to_vec();
    let expected = |version: &[u8; 4]| Fact::GoogleQuicHello {
        server_name: Some(b"a.example".to_vec()),
        user_agent: Some(b"Chro".to_vec()),
        version: *version,
    };
    let hash_and_frame = [&[0x77; 12][..], &[0xa0, 0x01, 0x40, 0x00]].concat();
    let plain = [&b"\x09eight IDQ043\x01"[..], &hash_and_frame, &chlo].concat();
    let facts = facts_of(&[(CLIENT, plain.clone()), (CLIENT, plain)]);
    let [only] = &facts[..] else { panic!("{facts:?}") };
    assert_eq!(only.fact, expected(b"Q043"));
    let mut frames = crypto(0, &chlo);
    frames[0] = 0x08;
    let version = u32::from_be_bytes(*b"Q050");
    let sealed = Initial { version, ..Initial::client(ID, frames) }.seal();
    let facts = facts_of(&[(CLIENT, sealed)]);
    let [only] = &facts[..] else { panic!("{facts:?}") };
    assert_eq!(only.fact, expected(b"Q050"));
}

proptest! {
    /// Past the tag, which random bytes never get by, anything may be in a packet.
    #[test]
    fn any_frames_never_panic_and_stay_bounded(
        packets in proptest::collection::vec(
            (any::<bool>(), 0_usize..4, prop_oneof![
                proptest::collection::vec(any::<u8>(), 4..300),
                hostile_frames(),
            ]), 1..30),
    ) {
        let versions = [1, 0x6b33_43cf, u32::from_be_bytes(*b"T051"), u32::from_be_bytes(*b"Q050")];
        let mut inspector = DatagramInspector::new(DatagramProtocol::Detect);
        let mut facts = Vec::new();
        for ((is_server, version, frames), number) in packets.into_iter().zip(0..) {
            let (packet, from) = match is_server {
                true => (Initial::server(ID, frames), SERVER),
                false => (Initial::client(ID, frames), CLIENT),
            };
            let packet = Initial { version: versions[version], number, ..packet };
            inspector.inspect(from, &packet.seal(), &mut facts);
            prop_assert!(inspector.held_bytes() <= MOST_HELD);
        }
        inspector.finish(&mut facts);
    }

    /// However a hello is cut, shuffled, repeated and spread over datagrams, it is the same fact.
    #[test]
    fn any_split_and_order_gives_the_same_hello(
        mut cuts in proptest::collection::vec(1_usize..300, 0..12),
        order in proptest::collection::vec((any::<u32>(), 0_usize..4, any::<bool>()), 13),
    ) {
        let stream = hello_for("quic.example").message();
        let whole = client_hellos(&facts_of(&[(CLIENT, initial(ID, &stream))]));
        cuts.iter_mut().for_each(|cut| *cut %= stream.len());
        cuts.extend([0, stream.len()]);
        cuts.sort_unstable();
        let mut pieces: Vec<_> = cuts.windows(2).zip(&order).collect();
        pieces.sort_by_key(|(_, (rank, _, _))| *rank);
        let mut packets = vec![Vec::new(); 4];
        for (cut, (_, packet, repeated)) in pieces {
            // A repeated piece reaches back into its neighbour.
            let start = if *repeated { cut[0].saturating_sub(20) } else { cut[0] };
            packets[*packet].extend(crypto(start, &stream[start..cut[1]]));
            packets[*packet].extend([0, 1, 0]);
        }
        let datagrams: Vec<Sent> = packets
            .into_iter()
            .zip(0..)
            .map(|(frames, number)| (CLIENT, Initial { number, ..Initial::client(ID, frames) }))
            .filter(|(_, packet)| !packet.frames.is_empty())
            .map(|(from, packet)| (from, packet.seal()))
            .collect();
        let facts = facts_of(&datagrams);
        prop_assert_eq!(client_hellos(&facts), whole);
        prop_assert_eq!(anomalies(&facts), []);
    }
}

/// CRYPTO frames, of either dialect, that begin messages of any type and length.
fn hostile_frames() -> impl Strategy<Value = Vec<u8>> {
    let bytes = proptest::collection::vec(any::<u8>(), 0..80);
    let frame = (any::<bool>(), 0_usize..70_000, 0_u8..3, bytes).prop_map(
        |(is_google, offset, kind, bytes)| {
            let at_start = [&[kind, 0, 0][..], &bytes].concat();
            let near = if offset < 40_000 { 0 } else { offset };
            let mut frame = crypto(near, &at_start);
            frame[0] = if is_google { 8 } else { 6 };
            frame
        },
    );
    proptest::collection::vec(frame, 1..8).prop_map(|frames| [frames.concat(), vec![0; 4]].concat())
}
