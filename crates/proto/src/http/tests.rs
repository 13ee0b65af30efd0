//! Heads as RFC 9112 has them, and as they are sent.

use super::*;

fn get(fields: &str) -> Head<HttpRequest> {
    request(format!("GET /index HTTP/1.1\r\n{fields}\r\n").as_bytes())
}

fn text(value: Option<Vec<u8>>) -> String {
    String::from_utf8(value.unwrap_or_default()).unwrap()
}

#[test]
fn a_plain_request() {
    let head = get("Host: a.example:8080\r\nUser-Agent: curl/8.1\r\n");
    assert_eq!(head.fact.method, b"GET");
    assert_eq!(head.fact.target, b"/index");
    assert_eq!(text(head.fact.host), "a.example:8080");
    assert_eq!(text(head.fact.user_agent), "curl/8.1");
    assert!(head.well_formed && !head.conflicting_hosts && !head.fact.websocket);
}

#[test]
fn names_of_fields_have_no_case() {
    let head = get("hOST:a\r\nUSER-AGENT:   x  \r\nuPGRADE: h2c, WebSocket\r\n");
    assert_eq!(text(head.fact.host), "a");
    assert_eq!(text(head.fact.user_agent), "x");
    assert!(head.fact.websocket);
}

/// RFC 9112, section 5.2: a folded line goes on with the field before.
#[test]
fn a_folded_field_is_put_together() {
    let head = get("User-Agent: Mozilla/5.0\r\n  (Macintosh)\r\n\tx\r\nHost: a\r\n");
    assert_eq!(text(head.fact.user_agent), "Mozilla/5.0 (Macintosh) x");
    assert_eq!(text(head.fact.host), "a");
    assert!(!head.well_formed);
}

#[test]
fn odd_bytes_in_one_field_hide_no_other() {
    let head = request(b"GET / HTTP/1.1\r\nUser-Agent: a\x01\x1b\"\xff\r\nHost: a\r\n\r\n");
    assert_eq!(head.fact.user_agent.as_deref(), Some(&b"a\x01\x1b\"\xff"[..]));
    assert_eq!(text(head.fact.host), "a");
}

#[test]
fn very_many_fields_are_all_read() {
    let head = get(&format!("{}Host: a\r\n", "X-Junk: y\r\n".repeat(500)));
    assert_eq!(text(head.fact.host), "a");
}

/// RFC 9112, section 3.2.2.
#[test]
fn the_host_of_an_absolute_target_goes_first() {
    let head = request(b"GET http://user@b.example:81/x HTTP/1.1\r\nHost: a.example\r\n\r\n");
    assert_eq!(text(head.fact.host), "b.example:81");
    assert!(head.conflicting_hosts);
    let head = request(b"GET HTTP://b.example HTTP/1.1\r\nHost: b.example\r\n\r\n");
    assert_eq!(text(head.fact.host), "b.example");
    assert!(!head.conflicting_hosts);
}

#[test]
fn of_two_hosts_the_first_counts_and_both_are_noted() {
    let head = get("Host: a\r\nHost: b\r\n");
    assert_eq!(text(head.fact.host), "a");
    assert!(head.conflicting_hosts);
    assert!(!get("Host: a\r\nHost: a\r\n").conflicting_hosts);
}

#[test]
fn long_values_are_cut() {
    let head = get(&format!("User-Agent: {}\r\nHost: a\r\n", "u".repeat(8000)));
    assert_eq!(head.fact.user_agent.unwrap().len(), MAX_VALUE);
    let head = request(format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(5000)).as_bytes());
    assert_eq!(head.fact.target.len(), MAX_TARGET);
}

#[test]
fn a_request_without_host_has_none() {
    let head = request(b"GET / HTTP/1.0\r\n\r\n");
    assert_eq!((head.fact.host, head.well_formed), (None, true));
}

#[test]
fn framing_is_read_from_the_fields() {
    let head = get("Content-Length: 12\r\nTransfer-Encoding: chunked\r\nUpgrade: TLS/1.0\r\n");
    let expected = Framing { content_length: Some(12), chunked: true, upgrades_to_tls: true };
    assert_eq!(head.framing, expected);
    assert_eq!(get("Content-Length: twelve\r\n").framing.content_length, None);
}

#[test]
fn a_response_has_a_status_and_a_server() {
    let head = response(b"HTTP/1.1 301 Moved\r\nServer: nginx/1.28\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(head.fact.status, 301);
    assert_eq!(text(head.fact.server), "nginx/1.28");
    assert_eq!(head.framing.content_length, Some(0));
    assert!(head.well_formed);
}

#[test]
fn a_response_that_breaks_the_grammar_still_has_its_status() {
    let head = response(b"HTTP/1.1  200  OK\r\nServer: a\x00b\r\n\r\n");
    assert_eq!(head.fact.status, 200);
    assert_eq!(head.fact.server.as_deref(), Some(&b"a\x00b"[..]));
    assert!(!head.well_formed);
}
