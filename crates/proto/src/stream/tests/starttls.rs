//! TLS behind something else: what stands in front is named, and the hello is found.

use super::*;

/// Plays what stands in front, then the handshake, and checks both.
fn check(front: Script, expected: &[Preamble]) {
    let mut script = front;
    script.push(client(hello()));
    script.push(server(record(22, 0x0303, &server_hello_13(false))));
    let found = facts(&script);
    assert_eq!(preambles(&found), expected);
    assert_eq!(ja4s(&found), [sample::JA4]);
    assert_eq!(answers(&found), [(1, false)]);
    assert_eq!(anomalies(&found), []);
    let (inspector, _) = play(&script, 1460);
    assert!(!inspector.wants(CLIENT) && !inspector.wants(SERVER));
}

fn check_dialect(front: Script, name: &'static str) {
    check(front, &[Preamble::StartTls(name)]);
}

#[test]
fn smtp() {
    let front = vec![
        server("220 mx ESMTP\r\n"),
        client("EHLO a\r\n"),
        server("250-mx\r\n250 STARTTLS\r\n"),
        client("STARTTLS\r\n"),
        server("220 go\r\n"),
    ];
    check_dialect(front, "smtp");
    check_dialect(vec![client("LHLO a\r\nSTARTTLS\r\n"), server("220 go\r\n")], "lmtp");
}

#[test]
fn imap() {
    let front =
        vec![server("* OK IMAP4rev1\r\n"), client("a1 STARTTLS\r\n"), server("a1 OK begin\r\n")];
    check_dialect(front, "imap");
}

#[test]
fn pop3() {
    let front = vec![
        server("+OK ready\r\n"),
        client("CAPA\r\n"),
        server("+OK\r\nSTLS\r\n.\r\n"),
        client("STLS\r\n"),
        server("+OK\r\n"),
    ];
    check_dialect(front, "pop3");
}

#[test]
fn ftp() {
    let front = vec![server("220 Welcome\r\n"), client("AUTH TLS\r\n"), server("234 Proceed\r\n")];
    check_dialect(front, "ftp");
}

#[test]
fn nntp_sieve_and_irc() {
    let nntp = vec![
        server("200 news ready\r\n"),
        client("CAPABILITIES\r\n"),
        server("101 list\r\nSTARTTLS\r\n.\r\n"),
        client("STARTTLS\r\n"),
        server("382 go\r\n"),
    ];
    check_dialect(nntp, "nntp");
    let sieve = vec![
        server("\"IMPLEMENTATION\" \"x\"\r\n\"STARTTLS\"\r\nOK\r\n"),
        client("STARTTLS\r\n"),
        server("OK\r\n"),
    ];
    check_dialect(sieve, "sieve");
    check_dialect(vec![client("CAP LS 302\r\nSTARTTLS\r\n"), server(":x 670 a :ok\r\n")], "irc");
}

#[test]
fn xmpp_needs_no_line_ends() {
    let front = vec![
        client("<?xml version='1.0'?><stream:stream to='a.example' version='1.0'>"),
        server("<?xml version='1.0'?><stream:stream from='a.example'><stream:features/>"),
        client("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"),
        server("<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"),
    ];
    check_dialect(front, "xmpp");
}

#[test]
fn a_late_request_for_tls_is_waited_for() {
    let noop = "NOOP\r\n".repeat(3000);
    let ok = "250 ok\r\n".repeat(3000);
    let front = vec![
        client("EHLO a\r\n"),
        client(noop),
        server(ok),
        client("STARTTLS\r\n"),
        server("220 go\r\n"),
    ];
    check_dialect(front, "smtp");
}

#[test]
fn a_request_for_tls_near_the_end_of_the_search_prolongs_it() {
    let lines = ["NOOP\r\n".repeat(1300), "STARTTLS\r\n".to_owned(), "\r\n".repeat(400)].concat();
    assert!(lines.len() > MAX_SEARCHED);
    let found = facts(&vec![client([lines.into_bytes(), hello()].concat())]);
    assert_eq!(ja4s(&found), [sample::JA4]);
}

#[test]
fn records_of_one_byte_are_found_where_a_line_ends() {
    let message = Hello::chrome_like().message();
    let tiny: Vec<u8> = message.iter().flat_map(|byte| record(22, 0x0301, &[*byte])).collect();
    let script = vec![client("EHLO a\r\nSTARTTLS\r\n"), client(tiny)];
    assert_eq!(ja4s(&facts(&script)), [sample::JA4]);
}

#[test]
fn postgres() {
    let request = vec![0, 0, 0, 8, 4, 0xd2, 0x16, 0x2f];
    check_dialect(vec![client(request.clone()), server("S")], "postgres");
    let gss = vec![0, 0, 0, 8, 4, 0xd2, 0x16, 0x30];
    check_dialect(vec![client(gss), server("N"), client(request), server("S")], "postgres");
}

#[test]
fn mysql() {
    let mut greeting = vec![74, 0, 0, 0, 10];
    greeting.extend(b"8.4.0\0");
    greeting.resize(78, 1);
    let mut request = vec![32, 0, 0, 1, 0x05, 0xae, 0xff, 0x01];
    request.resize(36, 0);
    check_dialect(vec![server(greeting), client(request)], "mysql");
}

#[test]
fn ldap() {
    let search = [&[0x30, 0x0c, 2, 1, 1, 0x63, 7][..], &[4, 0, 0, 0, 0, 0, 0]].concat();
    let oid = b"1.3.6.1.4.1.1466.20037";
    let request = [&[0x30, 0x1d, 2, 1, 2, 0x77, 0x18, 0x80, 0x16][..], oid].concat();
    let answer = vec![0x30, 0x0c, 2, 1, 2, 0x78, 7, 10, 1, 0, 4, 0, 4, 0];
    check_dialect(
        vec![client(search), server(answer.clone()), client(request), server(answer)],
        "ldap",
    );
}

#[test]
fn rdp() {
    let request = [&[3, 0, 0, 19, 14, 0xe0, 0, 0, 0, 0, 0][..], &[1, 0, 8, 0, 3, 0, 0, 0]].concat();
    let confirm = [&[3, 0, 0, 19, 14, 0xd0, 0, 0, 0x12, 0x34, 0][..], &[2, 0, 8, 0, 1, 0, 0, 0]];
    check_dialect(vec![client(request), server(confirm.concat())], "rdp");
}

#[test]
fn adb_amqp_and_tds() {
    let adb = |command: &[u8; 4], payload: &[u8]| {
        let length = u32::try_from(payload.len()).unwrap().to_le_bytes();
        let magic = (!u32::from_le_bytes(*command)).to_le_bytes();
        [&command[..], &[0; 8], &length, &[0; 4], &magic, payload].concat()
    };
    check_dialect(
        vec![
            client(adb(b"CNXN", b"host::features")),
            server(adb(b"STLS", b"")),
            client(adb(b"STLS", b"")),
        ],
        "adb",
    );
    let amqp = *b"AMQP\x02\x01\x00\x00";
    check_dialect(vec![client(amqp), server(amqp)], "amqp");
    let prelogin = vec![0x12, 1, 0, 20, 0, 0, 0, 0, 0, 0, 11, 0, 6, 1, 0, 17, 0, 1, 0xff, 9];
    let wrapped = |bytes: &[u8]| {
        let length = u16::try_from(bytes.len() + 8).unwrap().to_be_bytes();
        [&[0x12, 1][..], &length, &[0, 0, 0, 0], bytes].concat()
    };
    let script = vec![client(prelogin), client(wrapped(&hello()))];
    let found = facts(&script);
    assert_eq!(preambles(&found), [Preamble::StartTls("tds")]);
    assert_eq!(ja4s(&found), [sample::JA4]);
}

#[test]
fn connect_through_a_proxy() {
    let front = vec![
        client("CONNECT www.example.com:443 HTTP/1.1\r\nHost: www.example.com:443\r\n\r\n"),
        server("HTTP/1.1 407 Denied\r\nContent-Length: 5\r\n\r\nlogin"),
        client("CONNECT www.example.com:443 HTTP/1.1\r\nHost: www.example.com:443\r\n\r\n"),
        server("HTTP/1.1 200 Connection established\r\n\r\n"),
    ];
    let target = Preamble::Connect { target: b"www.example.com:443".to_vec() };
    check(front, &[target.clone(), target]);
}

#[test]
fn the_answer_to_a_connect_may_be_shown_first() {
    let script = vec![
        server("HTTP/1.1 200 Connection established\r\n\r\n"),
        server(record(22, 0x0303, &server_hello_13(false))),
        client("CONNECT a:443 HTTP/1.1\r\n\r\n"),
        client(hello()),
    ];
    let found = facts(&script);
    assert_eq!((ja4s(&found).len(), answers(&found).len()), (1, 1));
}

#[test]
fn socks() {
    let with_name = [&[5, 1, 0, 3, 11][..], b"example.com", &[1, 187]].concat();
    let reply = vec![5, 0, 0, 1, 10, 0, 0, 1, 0x12, 0x34];
    let target = |version, target: &str| Preamble::Socks { version, target: target.into() };
    check(
        vec![client([5, 1, 0]), server([5, 0]), client(with_name.clone()), server(reply.clone())],
        &[target(5, "example.com:443")],
    );
    let password = b"\x01\x04user\x06secret".to_vec();
    check(
        vec![
            client([5, 2, 0, 2]),
            server([5, 2]),
            client(password),
            server([1, 0]),
            client(with_name),
            server(reply),
        ],
        &[target(5, "example.com:443")],
    );
    let v4_reply = vec![0, 0x5a, 0, 0, 0, 0, 0, 0];
    check(
        vec![client(b"\x04\x01\x01\xbb\xc0\x00\x02\x07me\0".to_vec()), server(v4_reply.clone())],
        &[target(4, "192.0.2.7:443")],
    );
    check(
        vec![client(b"\x04\x01\x01\xbb\0\0\0\x01\0example.com\0".to_vec()), server(v4_reply)],
        &[target(4, "example.com:443")],
    );
}

#[test]
fn proxy_protocol() {
    let client_address = Some(b"192.0.2.1:56324".to_vec());
    check(
        vec![client("PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n")],
        &[Preamble::Proxy { version: 1, client: client_address.clone() }],
    );
    check(vec![client("PROXY UNKNOWN\r\n")], &[Preamble::Proxy { version: 1, client: None }]);
    let head = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0f";
    let block = [192, 0, 2, 1, 198, 51, 100, 1, 0xdc, 0x04, 1, 187, 4, 0, 0];
    check(
        vec![client([&head[..], &block].concat())],
        &[Preamble::Proxy { version: 2, client: client_address }],
    );
    check(
        vec![client(b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00".to_vec())],
        &[Preamble::Proxy { version: 2, client: None }],
    );
}

#[test]
fn one_preamble_behind_another() {
    let front = vec![
        client("PROXY TCP6 2001:db8::1 2001:db8::2 56324 1080\r\n"),
        client([5, 1, 0]),
        server([5, 0]),
        client(vec![5, 1, 0, 1, 192, 0, 2, 9, 0, 25]),
        server(vec![5, 0, 0, 1, 10, 0, 0, 1, 0x12, 0x34]),
        server("220 mx ESMTP\r\n"),
        client("EHLO a\r\nSTARTTLS\r\n"),
        server("250 mx\r\n220 go\r\n"),
    ];
    check(
        front,
        &[
            Preamble::Proxy { version: 1, client: Some(b"[2001:db8::1]:56324".to_vec()) },
            Preamble::Socks { version: 5, target: b"192.0.2.9:25".to_vec() },
            Preamble::StartTls("smtp"),
        ],
    );
}

#[test]
fn a_hello_behind_unknown_bytes_is_found() {
    for front in [1, 100, 7000] {
        check(vec![client(vec![0xee; front]), server(vec![0xdd; front])], &[]);
    }
}

#[test]
fn a_decoy_in_front_hides_nothing() {
    // A record and a hello that claim to go on over the true one.
    let decoy = [22, 3, 1, 0x40, 0, 1, 0, 0x01, 0x40, 3, 3];
    let front = client([&b"EHLO "[..], &decoy, b"\r\n"].concat());
    let more = client(record(23, 0x0303, &[1; 200]));
    assert_eq!(ja4s(&facts(&vec![front, client(hello()), more])), [sample::JA4]);
}

#[test]
fn more_decoys_than_are_tried_are_noted() {
    let decoy = [22, 3, 1, 0, 60, 1, 0, 0, 50, 3, 3].map(|byte| byte);
    let one = [&decoy[..], &[0; 60]].concat();
    let found = facts(&vec![client([vec![0xee; 4], one.repeat(9)].concat()), client(hello())]);
    assert_eq!(anomalies(&found), [Anomaly::HandshakeAbandoned]);
}
