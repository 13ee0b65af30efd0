//! TLS from the first byte on: records in any form, retries, order, limits.

use super::*;

fn in_records(message: &[u8], size: usize) -> Vec<u8> {
    message.chunks(size).flat_map(|piece| record(22, 0x0301, piece)).collect()
}

fn change_cipher_spec() -> Vec<u8> {
    record(20, 0x0303, &[1])
}

fn only_hello(script: &Script) {
    let found = facts(script);
    assert_eq!(ja4s(&found), [sample::JA4]);
    assert_eq!(anomalies(&found), []);
}

#[test]
fn a_hello_and_its_answer() {
    let script = vec![
        client(hello()),
        server([record(22, 0x0303, &server_hello_13(false)), change_cipher_spec()].concat()),
    ];
    let found = facts(&script);
    assert_eq!(found.len(), 2);
    assert_eq!(found[0].from, CLIENT);
    assert_eq!(found[1].from, SERVER);
    let Fact::ServerHello(answer) = &found[1].fact else { panic!("{found:?}") };
    assert_eq!(answer.ja3s_string, "771,4865,43-51");
    assert_eq!((answer.version, answer.answers), (0x0304, 1));
    let (inspector, _) = play(&script, 1460);
    assert!(!inspector.wants(CLIENT) && !inspector.wants(SERVER));
    assert_eq!(inspector.held_bytes(), 0);
}

#[test]
fn records_of_any_size_and_version() {
    let message = Hello::chrome_like().message();
    for size in [1, 2, 3, 4, 5, 39, 100, 200] {
        only_hello(&vec![client(in_records(&message, size))]);
    }
    for version in [0x0300, 0x0301, 0x0302, 0x0303, 0x0304] {
        only_hello(&vec![client(record(22, version, &message))]);
    }
}

#[test]
fn a_message_split_over_two_records_at_every_byte() {
    let message = Hello::chrome_like().message();
    for at in 1..message.len() {
        let (head, tail) = message.split_at(at);
        let stream = [record(22, 0x0301, head), record(22, 0x0303, tail)].concat();
        let (_, found) = play(&vec![client(stream)], usize::MAX);
        assert_eq!(ja4s(&found), [sample::JA4], "split at {at}");
    }
}

/// OpenSSL 3.0 accepts it; RFC 8446, section 5.1, forbids it.
#[test]
fn an_empty_record_between_two_halves_is_passed_and_noted() {
    let message = Hello::chrome_like().message();
    let (head, tail) = message.split_at(60);
    let empty = record(22, 0x0301, &[]);
    let stream = [record(22, 0x0301, head), empty.clone(), empty, record(22, 0x0301, tail)];
    let found = facts(&vec![client(stream.concat())]);
    assert_eq!(ja4s(&found), [sample::JA4]);
    assert_eq!(anomalies(&found), [Anomaly::OddRecord]);
}

#[test]
fn an_alert_in_front_is_passed_and_noted() {
    let found = facts(&vec![client([record(21, 0x0301, &[1, 112]), hello()].concat())]);
    assert_eq!(ja4s(&found), [sample::JA4]);
    assert_eq!(anomalies(&found), [Anomaly::OddRecord]);
}

#[test]
fn early_data_in_the_same_segment_is_passed() {
    let early = record(23, 0x0303, &[9; 300]);
    only_hello(&vec![client([hello(), change_cipher_spec(), early].concat())]);
}

#[test]
fn each_hello_of_a_retry_is_reported_and_numbered() {
    let first = Hello::chrome_like().with(0x002a, vec![]);
    let second = Hello::chrome_like();
    let early = record(23, 0x0303, &[9; 300]);
    let script = vec![
        client([first.record(), change_cipher_spec(), early].concat()),
        server([record(22, 0x0303, &server_hello_13(true)), change_cipher_spec()].concat()),
        client([change_cipher_spec(), second.record()].concat()),
        server(record(22, 0x0303, &server_hello_13(false))),
    ];
    let found = facts(&script);
    assert_eq!(ja4s(&found).len(), 2);
    assert_eq!(ja4s(&found)[1], sample::JA4);
    assert_eq!(answers(&found), [(1, true), (2, false)]);
    let numbers: Vec<u32> = found
        .iter()
        .filter_map(|observed| match &observed.fact {
            Fact::ClientHello(hello) => Some(hello.number),
            _ => None,
        })
        .collect();
    assert_eq!(numbers, [1, 2]);
    let (inspector, _) = play(&script, 1460);
    assert!(!inspector.wants(CLIENT) && !inspector.wants(SERVER));
}

#[test]
fn the_order_in_which_the_sides_are_shown_does_not_matter() {
    let script = vec![
        server(record(22, 0x0303, &server_hello_13(true))),
        server(record(22, 0x0303, &server_hello_13(false))),
        client(hello()),
        client(hello()),
    ];
    let found = facts(&script);
    assert_eq!(answers(&found), [(1, true), (2, false)]);
    assert_eq!(ja4s(&found).len(), 2);
}

#[test]
fn a_retry_request_of_an_old_draft_counts() {
    let retry = message(6, &[0x7f, 0x12, 0, 0]);
    let script = vec![
        client(hello()),
        server(record(22, 0x0301, &retry)),
        client(hello()),
        server(record(22, 0x0301, &server_hello_13(false))),
    ];
    let found = facts(&script);
    assert_eq!(answers(&found), [(2, false)]);
    assert_eq!(ja4s(&found).len(), 2);
}

#[test]
fn a_second_hello_without_a_retry_is_not_the_one_answered() {
    let script = vec![
        client([hello(), Hello::chrome_like().without(0x0023).record()].concat()),
        server(record(22, 0x0303, &server_hello_13(false))),
    ];
    assert_eq!(answers(&facts(&script)), [(1, false)]);
}

#[test]
fn a_retry_request_may_be_among_missing_bytes() {
    let mut inspector = StreamInspector::new(StreamProtocol::Detect);
    let mut facts = Vec::new();
    inspector.inspect(CLIENT, &hello(), &mut facts);
    inspector.gap(SERVER);
    inspector.inspect(CLIENT, &hello(), &mut facts);
    inspector.inspect(SERVER, &record(22, 0x0303, &server_hello_13(false)), &mut facts);
    assert_eq!(answers(&facts), [(2, false)]);
}

#[test]
fn one_side_alone_is_read() {
    only_hello(&vec![client(hello()), client(record(23, 0x0303, &[1; 99]))]);
    let found = facts(&vec![server(record(22, 0x0303, &server_hello_12()))]);
    assert_eq!(answers(&found), [(1, false)]);
}

#[test]
fn a_client_that_goes_on_is_wanted_no_more() {
    let script = vec![client(hello()), client(record(23, 0x0303, &[1; 9]))];
    assert!(!play(&script, 1460).0.wants(CLIENT));
    let key_exchange = record(22, 0x0303, &message(16, &[0; 66]));
    assert!(!play(&vec![client(hello()), client(key_exchange)], 1460).0.wants(CLIENT));
    assert!(play(&vec![client(hello())], 1460).0.wants(CLIENT));
}

#[test]
fn the_leaf_certificate_is_read_before_tls_1_3() {
    // A list of one certificate of five bytes that are no DER.
    let certificate = message(11, &[0, 0, 8, 0, 0, 5, 1, 2, 3, 4, 5]);
    let flight = [server_hello_12(), certificate, message(14, &[])].concat();
    let script = vec![client(hello()), server(in_records(&flight, 50))];
    let found = facts(&script);
    assert_eq!(anomalies(&found), [Anomaly::MalformedCertificate]);
    assert!(!play(&script, 1460).0.wants(SERVER));
}

#[test]
fn a_resumed_session_has_no_certificate() {
    let script = vec![
        client(hello()),
        server([record(22, 0x0303, &server_hello_12()), change_cipher_spec()].concat()),
    ];
    assert!(!play(&script, 1460).0.wants(SERVER));
}

#[test]
fn a_length_that_no_hello_has_ends_the_reading() {
    let claims = record(22, 0x0301, &[1, 0xff, 0xff, 0xff, 3, 3, 0, 0]);
    let script = vec![client(claims)];
    assert_eq!(anomalies(&facts(&script)), [Anomaly::OversizedHandshake]);
    assert!(!play(&script, 1).0.wants(CLIENT));
}

#[test]
fn after_its_limit_a_side_without_hello_is_read_no_more() {
    let alerts = record(21, 0x0301, &[1, 0]).repeat(512 * 1024 / 7 + 1);
    let script = vec![client([&alerts[..], &hello()].concat())];
    assert_eq!(ja4s(&play(&script, usize::MAX).1), ja4s(&play(&script, 1400).1));
    assert!(!play(&script, 1400).0.wants(CLIENT));
    assert!(ja4s(&play(&script, usize::MAX).1).is_empty());
}

#[test]
fn nothing_is_held_for_bytes_that_only_were_announced() {
    let claims = [22, 3, 1, 0x40, 0, 1, 0, 0xff, 0xff, 3, 3];
    let (inspector, facts) = play(&vec![client(claims)], 1460);
    assert!(facts.is_empty());
    assert!(inspector.held_bytes() < 64);
}

#[test]
fn a_hello_that_breaks_off_is_noted_and_the_next_is_found() {
    let broken = [&record(22, 0x0301, &Hello::chrome_like().message()[..50])[..], b"\n"].concat();
    let found = facts(&vec![client([broken, hello()].concat())]);
    assert_eq!(anomalies(&found), [Anomaly::HandshakeAbandoned]);
    assert_eq!(ja4s(&found), [sample::JA4]);
}

#[test]
fn a_hole_loses_only_the_hello_it_is_in() {
    let mut inspector = StreamInspector::new(StreamProtocol::Detect);
    let mut facts = Vec::new();
    inspector.inspect(CLIENT, &hello()[..100], &mut facts);
    inspector.gap(CLIENT);
    assert!(inspector.wants(CLIENT));
    inspector.inspect(CLIENT, &hello()[150..], &mut facts);
    inspector.inspect(CLIENT, &hello(), &mut facts);
    assert_eq!(ja4s(&facts), [sample::JA4]);
    inspector.gap(CLIENT);
    assert!(!inspector.wants(CLIENT));
}

/// RFC 5246, appendix E.2.
#[test]
fn an_sslv2_format_hello_has_no_fingerprint_but_an_answer() {
    let ciphers = [0, 0, 0x35, 0, 0, 0x2f, 1, 0, 0x80];
    let body = [&[1, 3, 1, 0, 9, 0, 0, 0, 16][..], &ciphers, &[8; 16]].concat();
    let sslv2 = [&[0x80, u8::try_from(body.len()).unwrap()][..], &body].concat();
    let script = vec![
        client(sslv2),
        server(record(22, 0x0301, &server_hello_12())),
        client(record(22, 0x0301, &message(16, &[0; 66]))),
    ];
    let found = facts(&script);
    assert_eq!(found[0].fact, Fact::SslV2Hello { version: 0x0301 });
    assert_eq!(answers(&found), [(1, false)]);
    assert_eq!(found.len(), 2);
    assert!(!play(&script, 1460).0.wants(CLIENT));
}

#[test]
fn a_long_hello_in_one_byte_segments_is_held_once() {
    let long = Hello::chrome_like().with(0x0015, vec![0; 16_000]);
    let stream = in_records(&long.message(), 1400);
    let (inspector, found) = play(&vec![client(stream.clone())], 1);
    assert_eq!(ja4s(&found).len(), 1);
    assert!(anomalies(&found).is_empty());
    assert_eq!(inspector.held_bytes(), 0);
    let (inspector, _) = play(&vec![client(&stream[..stream.len() - 1])], 1);
    assert!((16_000..40_000).contains(&inspector.held_bytes()));
}
