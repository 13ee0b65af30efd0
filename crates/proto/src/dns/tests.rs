//! Messages are put together from the field layouts of RFC 1035, section 4, and RFC 9460.

use proptest::prelude::*;

use super::*;

const RESPONSE: u16 = 0x8180;

fn header(id: u16, flags: u16, counts: [u16; 4]) -> Vec<u8> {
    [id, flags].iter().chain(&counts).flat_map(|field| field.to_be_bytes()).collect()
}

fn name(text: &str) -> Vec<u8> {
    let labels = text.split('.').filter(|label| !label.is_empty());
    let mut out: Vec<u8> = labels
        .flat_map(|label| [&[u8::try_from(label.len()).unwrap()], label.as_bytes()].concat())
        .collect();
    out.push(0);
    out
}

fn question(text: &str, kind: u16) -> Vec<u8> {
    [name(text), kind.to_be_bytes().to_vec(), vec![0, 1]].concat()
}

fn record(owner: &[u8], kind: u16, ttl_s: u32, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).unwrap().to_be_bytes();
    [owner, &kind.to_be_bytes(), &[0, 1], &ttl_s.to_be_bytes(), &length, body].concat()
}

fn addresses(message: &Message) -> Vec<(String, String, u32)> {
    let found = message.addresses();
    found.map(|(name, address, ttl_s)| (name.to_owned(), address.to_string(), ttl_s)).collect()
}

/// Points at the question's name.
const ASKED: &[u8] = &[0xc0, 12];

#[test]
fn a_query_yields_its_question() {
    let bytes = [header(7, 0x0100, [1, 0, 0, 0]), question("Www.Example.COM", 28)].concat();
    let message = parse(&bytes).unwrap();
    assert_eq!((message.id, message.response, message.whole), (7, false, true));
    assert_eq!(message.questions, [Question { name: "www.example.com".to_owned(), kind: 28 }]);
}

#[test]
fn an_address_goes_by_the_name_that_was_asked_for() {
    let bytes = [
        header(7, RESPONSE, [1, 4, 0, 0]),
        question("www.example.com", 1),
        record(ASKED, CNAME, 300, &name("edge.cdn.example")),
        record(&name("edge.cdn.example"), CNAME, 20, &name("a.cdn.example")),
        record(&name("a.cdn.example"), A, 60, &[192, 0, 2, 1]),
        record(
            &name("a.cdn.example"),
            AAAA,
            60,
            &[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
        ),
    ]
    .concat();
    let message = parse(&bytes).unwrap();
    assert!(message.whole && message.response);
    let www = "www.example.com".to_owned();
    assert_eq!(
        addresses(&message),
        [(www.clone(), "192.0.2.1".to_owned(), 20), (www, "2001:db8::1".to_owned(), 20)]
    );
}

#[test]
fn an_mdns_answer_needs_no_question() {
    let bytes = [
        header(0, 0x8400, [0, 1, 0, 1]),
        record(&name("_http._tcp.local"), PTR, 4500, &name("Printer._http._tcp.local")),
        record(&name("Mac-mini.local"), A, 120, &[10, 0, 0, 9]),
    ]
    .concat();
    let message = parse(&bytes).unwrap();
    assert_eq!(addresses(&message), [("mac-mini.local".to_owned(), "10.0.0.9".to_owned(), 120)]);
    assert_eq!(message.records[0].value, Value::Pointer("printer._http._tcp.local".to_owned()));
}

#[test]
fn a_service_binding_gives_address_hints() {
    let parameters =
        [&[0, 1, 0, 3, 2, b'h', b'3', 0, 4, 0, 4, 192, 0, 2, 7, 0, 5, 0, 2, 9, 9][..]].concat();
    let body = [&[0, 1, 0][..], &parameters].concat();
    let bytes = [
        header(7, RESPONSE, [1, 1, 0, 0]),
        question("www.example.com", HTTPS),
        record(ASKED, HTTPS, 300, &body),
    ]
    .concat();
    let message = parse(&bytes).unwrap();
    assert!(message.whole);
    assert_eq!(addresses(&message), [("www.example.com".to_owned(), "192.0.2.7".to_owned(), 300)]);
    assert!(message.records.iter().any(|record| record.value == Value::EncryptedHello));
}

#[test]
fn names_keep_no_byte_that_is_not_plain() {
    let owner = [&[5, b'a', b'\n', b'"', b'.', 0xff][..], &[0]].concat();
    let bytes = [header(1, 0, [1, 0, 0, 0]), owner, vec![0, 1, 0, 1]].concat();
    assert_eq!(parse(&bytes).unwrap().questions[0].name, "a\\010\"\\.\\255");
}

#[test]
fn pointers_that_go_nowhere_new_end_the_message() {
    for owner in [[0xc0, 12], [0xc0, 14], [0xff, 0xff]] {
        let bytes = [header(1, 0, [1, 0, 0, 0]), owner.to_vec(), vec![0, 1, 0, 1]].concat();
        let message = parse(&bytes).unwrap();
        assert!(message.questions.is_empty() && !message.whole);
    }
}

#[test]
fn a_chain_of_aliases_that_bites_its_tail_ends() {
    let bytes = [
        header(7, RESPONSE, [1, 3, 0, 0]),
        question("other.example", 1),
        record(&name("a.example"), CNAME, 9, &name("b.example")),
        record(&name("b.example"), CNAME, 9, &name("a.example")),
        record(&name("a.example"), A, 9, &[192, 0, 2, 1]),
    ]
    .concat();
    assert_eq!(parse(&bytes).unwrap().addresses().count(), 1);
}

#[test]
fn a_cut_message_keeps_what_came_before() {
    let bytes = [
        header(7, RESPONSE | 0x0200, [1, 2, 0, 0]),
        question("www.example.com", 1),
        record(ASKED, A, 60, &[192, 0, 2, 1]),
        vec![0xc0],
    ]
    .concat();
    let message = parse(&bytes).unwrap();
    assert!(message.truncated && !message.whole);
    assert_eq!(message.addresses().count(), 1);
}

#[test]
fn what_is_no_query_is_refused() {
    assert_eq!(parse(&[0; 11]), Err(DnsError::TooShort { captured: 11 }));
    let update = header(1, 5 << 11, [0; 4]);
    assert_eq!(parse(&update), Err(DnsError::OtherOperation { opcode: 5 }));
}

#[test]
fn a_message_of_endless_records_is_bounded() {
    let one = record(ASKED, A, 60, &[192, 0, 2, 1]);
    let bytes =
        [header(7, RESPONSE, [1, 3000, 0, 0]), question("www.example.com", 1), one.repeat(3000)]
            .concat();
    let message = parse(&bytes).unwrap();
    assert_eq!(message.records.len(), MAX_RECORDS);
}

proptest! {
    #[test]
    fn any_bytes_never_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
        counts in any::<[u8; 4]>(),
    ) {
        let head = header(1, RESPONSE, counts.map(u16::from));
        if let Ok(message) = parse(&[head, bytes.clone()].concat()) {
            prop_assert!(message.addresses().count() <= MAX_RECORDS);
        }
        let _ = parse(&bytes);
    }
}
