use std::io::Read as _;
use std::net::TcpListener;

use super::*;

fn clock() -> Timestamp {
    Timestamp::from_parts(1_793_608_200, 123_456_000)
}

fn item(kind: &'static str, text: &str) -> Arc<Item> {
    Arc::new(Item { kind, bytes: text.as_bytes().to_vec() })
}

fn config(transport: SyslogTransport, address: String) -> SyslogConfig {
    SyslogConfig { transport, address, facility: 16, hostname: "tap 1".to_owned() }
}

/// What RFC 5424's grammar (section 6) makes of local0, warning, and the parts above.
fn expected(kind: &str, priority: u32, text: &str) -> String {
    let process = std::process::id();
    format!("<{priority}>1 2026-11-02T08:30:00.123456Z tap1 dwell {process} {kind} - {text}")
}

#[test]
fn a_datagram_is_one_message() {
    let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = receiver.local_addr().unwrap().to_string();
    let mut sink = SyslogSink::new(config(SyslogTransport::Udp, address), clock).unwrap();
    sink.write(&[item("alert", "{\"a\":1}"), item("flow", "{}")]).unwrap();
    let mut buffer = [0; 1000];
    for text in [expected("alert", 132, "{\"a\":1}"), expected("flow", 134, "{}")] {
        let len = receiver.recv(&mut buffer).unwrap();
        assert_eq!(String::from_utf8_lossy(&buffer[..len]), text);
    }
}

#[test]
fn a_record_too_long_for_a_datagram_is_refused_and_the_next_is_not() {
    let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = receiver.local_addr().unwrap().to_string();
    let mut sink = SyslogSink::new(config(SyslogTransport::Udp, address), clock).unwrap();
    let failure = sink.write(&[item("flow", "{}"), item("flow", &"x".repeat(70_000))]).unwrap_err();
    assert_eq!((failure.written, failure.again), (1, Again::Never));
}

/// Reads RFC 6587's `LENGTH SP MESSAGE` frames.
fn frames(mut bytes: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    while let Some(space) = bytes.iter().position(|byte| *byte == b' ') {
        let len: usize = std::str::from_utf8(&bytes[..space]).unwrap().parse().unwrap();
        found.push(String::from_utf8(bytes[space + 1..=space + len].to_vec()).unwrap());
        bytes = &bytes[space + len + 1..];
    }
    found
}

#[test]
fn a_collector_that_vanished_is_connected_to_again() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let mut sink = SyslogSink::new(config(SyslogTransport::Tcp, address), clock).unwrap();
    sink.write(&[item("alert", "first")]).unwrap();
    drop(listener.accept().unwrap().0);
    // The close has to arrive: it does before a new connection is accepted on the same loopback.
    while !sink.link.as_ref().is_some_and(is_gone) {
        std::thread::yield_now();
    }
    sink.write(&[item("alert", "second"), item("flow", "third")]).unwrap();
    let (mut stream, _) = listener.accept().unwrap();
    drop(sink);
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    assert_eq!(frames(&bytes), [expected("alert", 132, "second"), expected("flow", 134, "third")]);
}

#[test]
fn nobody_there_is_a_failure_to_be_tried_again() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let mut sink = SyslogSink::new(config(SyslogTransport::Tcp, address), clock).unwrap();
    let failure = sink.write(&[item("alert", "x")]).unwrap_err();
    assert_eq!((failure.error, failure.again), (SinkError::Unreachable, Again::Soon));
}

#[test]
fn tls_is_spoken_to_a_receiver_whose_authority_is_known_and_to_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let stranger = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let known = folder.path().join("known.pem");
    let unknown = folder.path().join("unknown.pem");
    std::fs::write(&known, made.cert.pem()).unwrap();
    std::fs::write(&unknown, stranger.cert.pem()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let server = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = Arc::new(server);
    let received = std::thread::spawn(move || {
        let mut texts = Vec::new();
        for _ in 0..2 {
            let (stream, _) = listener.accept().unwrap();
            let connection = rustls::ServerConnection::new(Arc::clone(&server)).unwrap();
            let mut stream = StreamOwned::new_server(connection, stream);
            let mut bytes = Vec::new();
            let _ = stream.read_to_end(&mut bytes);
            texts.extend(frames(&bytes));
        }
        texts
    });
    let tls = |authorities: &PathBuf| {
        let transport = SyslogTransport::Tls { authorities: authorities.clone() };
        SyslogSink::new(config(transport, address.clone()), clock).unwrap()
    };
    let failure = tls(&unknown).write(&[item("alert", "secret")]).unwrap_err();
    assert_eq!(failure.error, SinkError::Rejected);
    tls(&known).write(&[item("alert", "secret")]).unwrap();
    assert_eq!(received.join().unwrap(), [expected("alert", 132, "secret")]);
}

/// rustls tells server and client streams apart by type.
trait NewServer {
    fn new_server(connection: rustls::ServerConnection, stream: TcpStream) -> Self;
}

impl NewServer for StreamOwned<rustls::ServerConnection, TcpStream> {
    fn new_server(connection: rustls::ServerConnection, stream: TcpStream) -> Self {
        Self::new(connection, stream)
    }
}
