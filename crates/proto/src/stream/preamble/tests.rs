//! Messages as the protocols' documents have them; each must be recognised from any beginning of it.

use super::*;

const CLIENT: Sender = Sender::Originator;
const SERVER: Sender = Sender::Responder;

fn socks_conversation(socks: Socks) -> Conversation {
    let mut conversation = Conversation::default();
    conversation.socks = socks;
    conversation
}

/// `message` must be recognised with `length`, and every beginning of it be unclear or say the same.
fn check(message: &[u8], conversation: &Conversation, from: Sender) -> Meaning {
    let whole = opening(message, from, conversation);
    let Opening::Message { length, meaning } = whole.clone() else { panic!("{whole:?}") };
    assert_eq!(length, message.len());
    for end in 1..message.len() {
        let part = opening(&message[..end], from, conversation);
        assert!(part == Opening::Unclear || part == whole, "{end} bytes: {part:?}");
    }
    meaning
}

fn check_client(message: &[u8]) -> Meaning {
    check(message, &Conversation::default(), CLIENT)
}

fn check_other(bytes: &[u8]) {
    let found = opening(bytes, CLIENT, &Conversation::default());
    assert_eq!(found, Opening::Other, "{bytes:?}");
}

#[test]
fn proxy_headers_are_known_from_any_beginning() {
    let v1 = check_client(b"PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n");
    let client = Some(b"192.0.2.1:56324".to_vec());
    assert_eq!(v1, Meaning::Preamble(Preamble::Proxy { version: 1, client }));
    let head = b"\r\n\r\n\0\r\nQUIT\n\x21\x21\x00\x24";
    let mut block = [0; 36];
    (block[0], block[1], block[15]) = (0x20, 0x01, 1);
    (block[32], block[33]) = (0, 80);
    let v2 = check_client(&[&head[..], &block].concat());
    let client = Some(b"[2001::1]:80".to_vec());
    assert_eq!(v2, Meaning::Preamble(Preamble::Proxy { version: 2, client }));
}

#[test]
fn a_proxy_line_without_end_is_none() {
    check_other(format!("PROXY TCP4 {}", "1".repeat(120)).as_bytes());
    check_other(b"PROXIED");
}

#[test]
fn a_proxy_header_that_lies_about_its_length_names_no_client() {
    let head = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x04";
    let found = opening(&[&head[..], &[1; 40]].concat(), CLIENT, &Conversation::default());
    let preamble = Preamble::Proxy { version: 2, client: None };
    assert_eq!(found, Opening::Message { length: 20, meaning: Meaning::Preamble(preamble) });
}

#[test]
fn socks_messages_are_known_from_any_beginning() {
    let greeted = Socks::Greeted { client: CLIENT, replies: 0 };
    assert_eq!(check_client(&[5, 3, 0, 1, 2]), Meaning::Socks(greeted));
    let conversation = socks_conversation(greeted);
    let request = [5, 1, 0, 4, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 187];
    let target = b"[2001:db8::1]:443".to_vec();
    assert_eq!(
        check(&request, &conversation, CLIENT),
        Meaning::Preamble(Preamble::Socks { version: 5, target })
    );
    assert_eq!(check(b"\x01\x02me\x00", &conversation, CLIENT), Meaning::Nothing);
    check(&[5, 2], &conversation, SERVER);
    let v4 = check_client(b"\x04\x01\x01\xbb\x00\x00\x00\x09me\0a.example\0");
    let target = b"a.example:443".to_vec();
    assert_eq!(v4, Meaning::SocksRequest(Preamble::Socks { version: 4, target }));
}

#[test]
fn what_is_no_socks_request_is_none() {
    check_other(&[5, 0, 0, 9]);
    check_other(&[5, 1, 99]);
    check_other(&[4, 3, 1, 187, 192, 0, 2, 1, 0]);
    check_other(&[4, 1, 1, 187, 0, 9, 2, 1, 0]);
    let conversation = socks_conversation(Socks::Greeted { client: CLIENT, replies: 0 });
    assert_eq!(opening(&[5, 1, 7, 1], CLIENT, &conversation), Opening::Other);
}

#[test]
fn requests_for_tls_are_known_from_any_beginning() {
    let asks = |message: &[u8]| check_client(message);
    assert_eq!(asks(&[0, 0, 0, 8, 4, 0xd2, 0x16, 0x2f]), Meaning::AsksForTls(Dialect::Postgres));
    let mut mysql = vec![32, 0, 0, 1, 0x85, 0xae, 0xff, 0x19];
    mysql.resize(36, 0);
    assert_eq!(asks(&mysql), Meaning::AsksForTls(Dialect::MySql));
    let rdp = [3, 0, 0, 11, 6, 0xe0, 0, 0, 0, 0, 0];
    assert_eq!(asks(&rdp), Meaning::AsksForTls(Dialect::Rdp));
    let ldap = [&[0x30, 0x1d, 2, 1, 1, 0x77, 0x18, 0x80, 0x16][..], b"1.3.6.1.4.1.1466.20037"];
    assert_eq!(asks(&ldap.concat()), Meaning::AsksForTls(Dialect::Ldap));
    let magic = (!u32::from_le_bytes(*b"STLS")).to_le_bytes();
    let adb = [&b"STLS"[..], &[0, 0, 0, 1], &[0; 12], &magic].concat();
    assert_eq!(asks(&adb), Meaning::AsksForTls(Dialect::Adb));
    assert_eq!(asks(b"AMQP\x02\x01\x00\x00"), Meaning::AsksForTls(Dialect::Amqp));
}

#[test]
fn a_mysql_login_without_tls_asks_for_none() {
    let mut login = vec![32, 0, 0, 1, 0x85, 0xa6, 0xff, 0x19];
    login.resize(36, 0);
    check_other(&login);
}

#[test]
fn text_that_begins_alike_is_no_binary_protocol() {
    check_other(b"0123456789abcdefgh");
    check_other(b"AUTH TLS\r\n");
    check_other(b"CNXN hello");
    check_other(b"GET / HTTP/1.1\r\n");
}

#[test]
fn an_ldap_message_may_use_the_long_form_of_length() {
    let search =
        [&[0x30, 0x84, 0, 0, 0, 12, 2, 1, 1, 0x63, 7][..], &[4, 0, 0, 0, 0, 0, 0]].concat();
    assert_eq!(check_client(&search), Meaning::Speaks(Dialect::Ldap));
}
