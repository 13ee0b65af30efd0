//! HTTP/1 heads on a stream: pipelining, bodies, upgrades, limits.

use super::*;

fn hosts(facts: &[Observed]) -> Vec<String> {
    let found = facts.iter().filter_map(|observed| match &observed.fact {
        Fact::HttpRequest(request) => {
            Some(String::from_utf8_lossy(request.host.as_deref().unwrap_or(b"-")).into_owned())
        }
        _ => None,
    });
    found.collect()
}

fn statuses(facts: &[Observed]) -> Vec<u16> {
    let found = facts.iter().filter_map(|observed| match &observed.fact {
        Fact::HttpResponse(response) => Some(response.status),
        _ => None,
    });
    found.collect()
}

fn get(host: &str) -> Vec<u8> {
    format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").into_bytes()
}

#[test]
fn each_pipelined_request_is_reported() {
    let stream = [get("a"), get("b"), get("c")].concat();
    assert_eq!(hosts(&facts(&vec![client(stream)])), ["a", "b", "c"]);
}

#[test]
fn bodies_with_a_length_are_passed_over() {
    let post = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\nGET / HTTP/1.1\r\n\r\n.."
        .to_vec();
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nHTTP".to_vec();
    let script = vec![
        client([post, get("b")].concat()),
        server([&answer[..], b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"].concat()),
    ];
    let found = facts(&script);
    assert_eq!(hosts(&found), ["a", "b"]);
    assert_eq!(statuses(&found), [200, 404]);
    assert_eq!(anomalies(&found), []);
}

#[test]
fn responses_without_a_body_are_known_by_request_and_status() {
    let head = b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec();
    let script = vec![
        client([head, get("b")].concat()),
        server("HTTP/1.1 200 OK\r\nContent-Length: 4000\r\n\r\n"),
        server("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 304 Not Modified\r\n\r\n"),
    ];
    assert_eq!(statuses(&facts(&script)), [200, 100, 304]);
}

#[test]
fn chunked_and_endless_bodies_end_the_reading() {
    for field in ["Transfer-Encoding: chunked", "Content-Length: 999999999", "X: y"] {
        let answer = format!("HTTP/1.1 200 OK\r\n{field}\r\n\r\n");
        let script = vec![client(get("a")), server(answer)];
        let (inspector, found) = play(&script, 1460);
        assert_eq!(statuses(&found), [200]);
        assert!(!inspector.wants(SERVER), "{field}");
    }
}

#[test]
fn heads_that_many_servers_take_are_read() {
    let check = |head: &str| assert_eq!(hosts(&facts(&vec![client(head)])), ["a"], "{head:?}");
    check("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
    check("GET / HTTP/1.1\nHost: a\n\n");
    check("GET / HTTP/1.0\r\nhOsT:a\r\n\r\n");
    check("PATCH /x?y=1 HTTP/1.1\r\nHost: a\r\n\r\n");
    check("GET /\u{e9} HTTP/1.1\r\nHost: a\r\n\r\n");
}

const UPGRADE: &str =
    "GET /s HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
const SWITCHED: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n";

#[test]
fn a_websocket_is_noted_and_given_up_after_the_search() {
    let frame = [&[0x82, 0xfe, 0x10, 0x00][..], &[0xee; 4100]].concat();
    let script =
        vec![client(UPGRADE), server(SWITCHED), client(frame.repeat(3)), server(frame.repeat(3))];
    let found = facts(&script);
    assert_eq!(found.len(), 2);
    let Fact::HttpRequest(request) = &found[0].fact else { panic!("{found:?}") };
    assert!(request.websocket);
    let (inspector, _) = play(&script, 1460);
    assert!(!inspector.wants(CLIENT) && !inspector.wants(SERVER));
}

#[test]
fn tls_behind_a_pretended_upgrade_is_found() {
    let script = vec![
        client(UPGRADE),
        server(SWITCHED),
        client(hello()),
        server(record(22, 0x0303, &server_hello_13(false))),
    ];
    let found = facts(&script);
    assert_eq!((ja4s(&found).len(), answers(&found).len()), (1, 1));
}

/// RFC 2817, section 3.
#[test]
fn an_upgrade_to_tls_is_followed() {
    let upgrade =
        "OPTIONS * HTTP/1.1\r\nHost: a\r\nUpgrade: TLS/1.2\r\nConnection: Upgrade\r\n\r\n";
    let script = vec![
        client(upgrade),
        server("HTTP/1.1 101 Switching Protocols\r\nUpgrade: TLS/1.2, HTTP/1.1\r\n\r\n"),
        client(hello()),
        server(record(22, 0x0303, &server_hello_13(false))),
    ];
    let found = facts(&script);
    assert_eq!((ja4s(&found).len(), answers(&found).len()), (1, 1));
}

#[test]
fn http_2_in_the_clear_is_noted() {
    let script = vec![client("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")];
    assert_eq!(facts(&script)[0].fact, Fact::Http2Preface);
    assert_eq!(facts(&script).len(), 1);
    assert!(!play(&script, 1460).0.wants(CLIENT));
}

#[test]
fn a_head_without_end_is_reported_once_and_dropped() {
    let endless = format!("GET / HTTP/1.1\r\nHost: a\r\n{}", "X: y\r\n".repeat(10_000));
    let script = vec![client(endless)];
    let (inspector, found) = play(&script, 1460);
    assert_eq!(hosts(&found), ["a"]);
    assert_eq!(anomalies(&found), [Anomaly::MalformedHttp]);
    assert!(!inspector.wants(CLIENT));
    assert_eq!(inspector.held_bytes(), 0);
}

#[test]
fn after_enough_heads_the_reading_ends() {
    let (inspector, found) = play(&vec![client(get("a").repeat(100))], 1460);
    assert_eq!(hosts(&found).len(), 32);
    assert!(!inspector.wants(CLIENT));
}

#[test]
fn what_only_looks_like_http_is_no_request() {
    for line in ["OPTIONS rtsp://a/ RTSP/1.0\r\n\r\n", "INVITE sip:a SIP/2.0\r\n\r\n", "GET /\r\n"]
    {
        assert!(facts(&vec![client(line)]).is_empty(), "{line}");
    }
}
