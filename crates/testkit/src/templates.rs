//! Real handshakes to build traffic from: the clients captured in `pcaps/`, and how to take a
//! handshake out of such a capture. Knows no scenario.

use std::collections::BTreeMap;

use crate::capture::Capture;
use crate::client_hello::{ClientHello, Reader};

/// A client program of which `pcaps/` has a capture with ClientHellos over TCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Client {
    /// Chromium 156: four hellos, as it shuffles its extensions.
    Chromium,
    /// curl 7.88 with OpenSSL 3.0, HTTP/2.
    Curl,
    /// Firefox ESR 153.
    Firefox,
    /// git 2.47 over libcurl with GnuTLS.
    Git,
    /// Go 1.19 net/http.
    Go,
    /// OpenJDK 17 java.net.http.
    Java,
    /// Node.js 20 `https`.
    Node,
    /// Python 3.11 with requests.
    PythonRequests,
    /// rustls 0.23 (ring) with ureq.
    Rustls,
    /// Safari 26.0 as curl_cffi sends it.
    Safari26,
    /// Safari 27.0 as curl_cffi sends it.
    Safari27,
    /// Wget 1.21 with GnuTLS.
    Wget,
}

impl Client {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Chromium,
        Self::Curl,
        Self::Firefox,
        Self::Git,
        Self::Go,
        Self::Java,
        Self::Node,
        Self::PythonRequests,
        Self::Rustls,
        Self::Safari26,
        Self::Safari27,
        Self::Wget,
    ];

    /// The name of its capture in `pcaps/`, without `.pcap` (of the first, where it has two).
    #[must_use]
    pub const fn capture_name(self) -> &'static str {
        match self {
            Self::Chromium => "chromium-1",
            Self::Curl => "curl",
            Self::Firefox => "firefox",
            Self::Git => "git",
            Self::Go => "go",
            Self::Java => "java",
            Self::Node => "node-https",
            Self::PythonRequests => "python-requests",
            Self::Rustls => "rustls",
            Self::Safari26 => "curl-cffi-safari260",
            Self::Safari27 => "curl-cffi-safari270",
            Self::Wget => "wget",
        }
    }

    /// Its handshakes, in capture order: at least one.
    #[must_use]
    pub fn templates(self) -> Vec<Handshake> {
        self.captures().iter().flat_map(|file| Handshake::all_in(file)).collect()
    }

    fn captures(self) -> &'static [&'static [u8]] {
        macro_rules! pcap {
            ($name:literal) => {
                include_bytes!(concat!("../../../pcaps/", $name, ".pcap"))
            };
        }
        match self {
            Self::Chromium => &[pcap!("chromium-1"), pcap!("chromium-2")],
            Self::Curl => &[pcap!("curl")],
            Self::Firefox => &[pcap!("firefox")],
            Self::Git => &[pcap!("git")],
            Self::Go => &[pcap!("go")],
            Self::Java => &[pcap!("java")],
            Self::Node => &[pcap!("node-https")],
            Self::PythonRequests => &[pcap!("python-requests")],
            Self::Rustls => &[pcap!("rustls")],
            Self::Safari26 => &[pcap!("curl-cffi-safari260")],
            Self::Safari27 => &[pcap!("curl-cffi-safari270")],
            Self::Wget => &[pcap!("wget")],
        }
    }
}

/// A handshake as it was captured: the client's hello and the server's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handshake {
    client_stream: Vec<u8>,
    hello: ClientHello,
    /// The record with the ServerHello.
    server_hello: Vec<u8>,
}

impl Handshake {
    /// The handshakes of the TCP connections to port 443 in a pcap file, in the order of their
    /// first segments; connections without both hellos are left out.
    #[must_use]
    pub fn all_in(mut pcap: &[u8]) -> Vec<Self> {
        let capture = Capture::read_pcap(&mut pcap).unwrap_or_default();
        let streams = streams(&capture);
        let found = streams.into_iter().filter_map(|Streams { client, server, .. }| {
            let hello = ClientHello::from_stream(&client)?;
            let mut records = Reader(&server);
            let header: [u8; 5] = records.array()?;
            let [.., high, low] = header;
            let body = records.take(usize::from(u16::from_be_bytes([high, low])))?;
            (body.first() == Some(&SERVER_HELLO)).then_some(())?;
            let server_hello = [&header, body].concat();
            Some(Self { client_stream: client, hello, server_hello })
        });
        found.collect()
    }

    /// What the client sent, from its ClientHello on.
    #[must_use]
    pub fn client_stream(&self) -> &[u8] {
        &self.client_stream
    }

    /// The ClientHello.
    #[must_use]
    pub const fn hello(&self) -> &ClientHello {
        &self.hello
    }

    /// The ServerHello's record with another random number and the session identifier of
    /// `hello`, which a TLS 1.3 server echoes (RFC 8446, section 4.1.3).
    #[must_use]
    pub fn server_hello_for(&self, hello: &ClientHello, random: &[u8; 32]) -> Vec<u8> {
        let echo = hello.session_id.as_slice();
        let rewritten = || {
            let (before, rest) = self.server_hello.split_at_checked(SERVER_RANDOM_AT)?;
            let (_, rest) = rest.split_at_checked(random.len())?;
            let (length, rest) = rest.split_first()?;
            let (old, after) = rest.split_at_checked(usize::from(*length))?;
            let session_id = if old.len() == echo.len() { echo } else { old };
            Some([before, random, &[*length], session_id, after].concat())
        };
        rewritten().unwrap_or_else(|| self.server_hello.clone())
    }
}

/// Both directions of one TCP connection.
struct Streams {
    client_port: u16,
    client: Vec<u8>,
    server: Vec<u8>,
}

/// The streams of every connection to port 443. Local captures lose and reorder nothing, but a
/// segment may be sent twice: sequence numbers say what is new.
fn streams(capture: &Capture) -> Vec<Streams> {
    let mut streams: Vec<Streams> = Vec::new();
    let mut next: BTreeMap<(u16, u16), u32> = BTreeMap::new();
    for frame in capture.frames() {
        let Some(segment) = TcpSegment::read(&frame.bytes) else { continue };
        let expected = next.get(&(segment.src_port, segment.dst_port)).copied();
        let is_new = expected.is_none_or(|seq| seq == segment.seq);
        if !is_new || (segment.payload.is_empty() && !segment.syn) {
            continue;
        }
        let advance = u32::try_from(segment.payload.len()).unwrap_or_default();
        let after = segment.seq.wrapping_add(advance).wrapping_add(u32::from(segment.syn));
        next.insert((segment.src_port, segment.dst_port), after);
        let from_client = segment.dst_port == HTTPS;
        let client_port = if from_client { segment.src_port } else { segment.dst_port };
        let at = streams.iter().position(|known| known.client_port == client_port);
        let at = at.unwrap_or_else(|| {
            streams.push(Streams { client_port, client: Vec::new(), server: Vec::new() });
            streams.len() - 1
        });
        if let Some(known) = streams.get_mut(at) {
            let stream = if from_client { &mut known.client } else { &mut known.server };
            stream.extend_from_slice(segment.payload);
        }
    }
    streams
}

struct TcpSegment<'a> {
    src_port: u16,
    dst_port: u16,
    seq: u32,
    syn: bool,
    payload: &'a [u8],
}

impl<'a> TcpSegment<'a> {
    /// A segment from or to port 443 in IPv4 without options on Ethernet, which is what our
    /// clients were captured with.
    fn read(frame: &'a [u8]) -> Option<Self> {
        let mut frame = Reader(frame);
        frame.take(12)?;
        (frame.u16()? == 0x0800 && frame.u8()? == 0x45).then_some(())?;
        frame.take(1)?;
        let total = usize::from(frame.u16()?);
        frame.take(5)?;
        (frame.u8()? == 6).then_some(())?;
        frame.take(10)?;
        let mut tcp = Reader(frame.take(total.checked_sub(20)?)?);
        let (src_port, dst_port) = (tcp.u16()?, tcp.u16()?);
        (src_port == HTTPS || dst_port == HTTPS).then_some(())?;
        let seq = u32::from_be_bytes(tcp.array()?);
        tcp.take(4)?;
        let header = usize::from(tcp.u8()? >> 4) * 4;
        let syn = tcp.u8()? & 2 != 0;
        tcp.take(6)?;
        tcp.take(header.checked_sub(20)?)?;
        Some(Self { src_port, dst_port, seq, syn, payload: tcp.0 })
    }
}

const HTTPS: u16 = 443;
/// Handshake type (RFC 8446, appendix B.3).
const SERVER_HELLO: u8 = 2;
/// Record header (5), message header (4) and legacy version (2).
const SERVER_RANDOM_AT: usize = 11;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_client_has_a_handshake_and_chromium_has_four() {
        for client in Client::ALL {
            let expected = if client == Client::Chromium { 4 } else { 1 };
            assert_eq!(client.templates().len(), expected, "{client:?}");
        }
    }

    #[test]
    fn a_server_hello_echoes_the_session_identifier_and_keeps_its_length() {
        for client in Client::ALL {
            for template in client.templates() {
                let mut hello = template.hello().clone();
                hello.session_id.fill(0xab);
                let rewritten = template.server_hello_for(&hello, &[0xcd; 32]);
                assert_eq!(rewritten.len(), template.server_hello.len());
                assert_eq!(rewritten[11..43], [0xcd; 32]);
                assert_eq!(usize::from(rewritten[43]), hello.session_id.len());
                assert_eq!(rewritten[44..44 + hello.session_id.len()], hello.session_id);
                assert_eq!(rewritten[44 + 32..], template.server_hello[44 + 32..], "{client:?}");
            }
        }
    }

    #[test]
    fn bytes_that_are_no_capture_hold_no_handshake() {
        assert_eq!(Handshake::all_in(b"not a capture"), []);
    }
}
