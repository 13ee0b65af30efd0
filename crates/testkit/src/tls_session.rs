//! A TLS 1.3 connection: a real ClientHello and ServerHello under another name, then records of
//! random bytes, as ciphertext looks to a sensor. Knows no HTTP.

use std::time::Duration;

use dwell_packet::Timestamp;

use crate::capture::Capture;
use crate::conversation::{Conversation, Keep, Route, SEGMENT_PAYLOAD, Side};
use crate::random::Random;
use crate::templates::Handshake;

/// One request and its answer, or one message pushed and what came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// When its first segment passes the sensor.
    pub at: Timestamp,
    /// Who speaks first.
    pub first: Side,
    /// Bytes of application data from the client; none is sent when zero.
    pub up: u32,
    /// Bytes of application data from the server; none is sent when zero.
    pub down: u32,
}

/// An open TLS connection.
///
/// Unless it was opened whole, frames with a hello are captured as far as the hello goes; of the
/// payload of all others, the first [`CIPHERTEXT_KEPT`] bytes.
#[derive(Clone, Debug)]
pub struct TlsSession {
    tcp: Conversation,
    random: Random,
    /// How much of each segment of ciphertext is captured.
    keep: Keep,
}

/// Whose handshake a connection starts with, and how much of it is captured.
#[derive(Clone, Copy)]
struct Greeting<'a> {
    template: &'a Handshake,
    server_name: &'a str,
    keep: Keep,
}

impl TlsSession {
    /// Connects and shakes hands with the hellos of `template`, the client's for `server_name`
    /// and both with random numbers of their own. The connection can be used at the time
    /// returned.
    pub fn open(
        at: Timestamp,
        route: Route,
        (template, server_name): (&Handshake, &str),
        random: Random,
        capture: &mut Capture,
    ) -> (Self, Timestamp) {
        let greeting = Greeting { template, server_name, keep: Keep::First(CIPHERTEXT_KEPT) };
        Self::connect(at, route, greeting, random, capture)
    }

    /// The same, with every frame captured whole.
    pub fn open_whole(
        at: Timestamp,
        route: Route,
        (template, server_name): (&Handshake, &str),
        random: Random,
        capture: &mut Capture,
    ) -> (Self, Timestamp) {
        let greeting = Greeting { template, server_name, keep: Keep::Whole };
        Self::connect(at, route, greeting, random, capture)
    }

    fn connect(
        at: Timestamp,
        route: Route,
        Greeting { template, server_name, keep }: Greeting<'_>,
        mut random: Random,
        capture: &mut Capture,
    ) -> (Self, Timestamp) {
        let mut hello = template.hello().clone().for_server(server_name);
        random.fill(&mut hello.random);
        random.fill(&mut hello.session_id);
        let mut server_random = [0; 32];
        random.fill(&mut server_random);

        let (mut tcp, connected) = Conversation::open(at, route, capture);
        let asked = tcp.send(connected, Side::Client, (&hello.records(), Keep::Whole), capture);
        let mut flight = template.server_hello_for(&hello, &server_random);
        let hello_end = flight.len() + CHANGE_CIPHER_SPEC.len();
        let keep_hello = match keep {
            Keep::Whole => Keep::Whole,
            Keep::First(ciphertext) => Keep::First(hello_end + ciphertext),
        };
        flight.extend_from_slice(&CHANGE_CIPHER_SPEC);
        let certificate = random.log_normal_bytes(2_600.0, 0.25, 6_000);
        for length in [21, certificate, 260, 53] {
            push_record(&mut flight, length, &mut random);
        }
        let (first, rest) = flight.split_at_checked(SEGMENT_PAYLOAD).unwrap_or((&flight, &[]));
        let answered = asked.saturating_add(route.round_trip + SERVER_WORK);
        let told = tcp.send(answered, Side::Server, (first, keep_hello), capture);
        let told = told.saturating_add(SEGMENT_GAP);
        let told = tcp.send(told, Side::Server, (rest, keep), capture);
        let mut finished = CHANGE_CIPHER_SPEC.to_vec();
        push_record(&mut finished, 53, &mut random);
        let ready = told.saturating_add(CLIENT_WORK);
        tcp.send(ready, Side::Client, (&finished, keep), capture);
        (Self { tcp, random, keep }, ready.saturating_add(SEGMENT_GAP))
    }

    /// Plays an exchange; the time returned is that of its last segment.
    pub fn exchange(&mut self, exchange: Exchange, capture: &mut Capture) -> Timestamp {
        let amount = |side| match side {
            Side::Client => exchange.up,
            Side::Server => exchange.down,
        };
        let mut now = exchange.at;
        for side in [exchange.first, exchange.first.other()] {
            if amount(side) == 0 {
                continue;
            }
            let mut records = Vec::new();
            push_records(&mut records, amount(side), &mut self.random);
            let last = self.tcp.send(now, side, (&records, self.keep), capture);
            now = last.saturating_add(self.turnaround(side));
        }
        self.tcp.settle(now, capture);
        now
    }

    /// As [`Conversation::acknowledge_every`].
    pub const fn acknowledge_every(&mut self, segments: u32) {
        self.tcp.acknowledge_every(segments);
    }

    /// A TCP keep-alive from one side, and its answer.
    pub fn keep_alive(&mut self, at: Timestamp, from: Side, capture: &mut Capture) {
        self.tcp.keep_alive(at, from, capture);
    }

    /// A closing alert (RFC 8446, section 6.1) and FIN from one side, then FIN from the other.
    pub fn close(mut self, at: Timestamp, by: Side, capture: &mut Capture) {
        let mut alert = Vec::new();
        push_record(&mut alert, 2 + RECORD_TAG, &mut self.random);
        self.tcp.send(at, by, (&alert, self.keep), capture);
        self.tcp.close(at.saturating_add(SEGMENT_GAP), by, capture);
    }

    /// Ends the connection by a reset from one side.
    pub fn reset(self, at: Timestamp, by: Side, capture: &mut Capture) {
        self.tcp.reset(at, by, capture);
    }

    /// From the last segment of `side` to the first of the other's answer.
    fn turnaround(&mut self, side: Side) -> Duration {
        match side {
            Side::Client => self.tcp.route().round_trip + self.random.seconds_between(0.003, 0.040),
            Side::Server => self.random.seconds_between(0.002, 0.080),
        }
    }
}

/// Records with `length` bytes of application data, as many as it takes.
fn push_records(out: &mut Vec<u8>, length: u32, random: &mut Random) {
    let mut left = length;
    while left > 0 {
        let fragment = left.min(MAX_FRAGMENT);
        push_record(out, fragment + RECORD_TAG, random);
        left -= fragment;
    }
}

/// One application-data record with `length` bytes of ciphertext (RFC 8446, section 5.2).
fn push_record(out: &mut Vec<u8>, length: u32, random: &mut Random) {
    let length = u16::try_from(length).unwrap_or(u16::MAX);
    out.extend_from_slice(&[23, 3, 3]);
    out.extend_from_slice(&length.to_be_bytes());
    out.append(&mut random.bytes(usize::from(length)));
}

/// How much of an encrypted segment's payload the capture keeps: the record header and a little,
/// which makes frames of 76 bytes.
pub const CIPHERTEXT_KEPT: usize = 10;
/// The record that TLS 1.3 sends for the sake of middleboxes (RFC 8446, appendix D.4).
const CHANGE_CIPHER_SPEC: [u8; 6] = [20, 3, 3, 0, 1, 1];
/// Content type and AEAD tag (RFC 8446, section 5.2).
const RECORD_TAG: u32 = 17;
/// 16 KiB (RFC 8446, section 5.1).
const MAX_FRAGMENT: u32 = 16_384;
const SERVER_WORK: Duration = Duration::from_micros(900);
const CLIENT_WORK: Duration = Duration::from_micros(1_700);
const SEGMENT_GAP: Duration = Duration::from_micros(125);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client_hello::ClientHello;
    use crate::templates::Client;
    use dwell_packet::{Endpoint, LinkAddresses, MacAddress};

    fn open(client: Client, capture: &mut Capture) -> (TlsSession, Timestamp) {
        let route = Route {
            client: Endpoint { addr: "10.20.1.2".parse().unwrap(), port: 50_000 },
            server: Endpoint { addr: "198.51.100.7".parse().unwrap(), port: 443 },
            link: LinkAddresses { src: MacAddress([1; 6]), dst: MacAddress([2; 6]) },
            round_trip: Duration::from_millis(20),
            initial_seq: 77,
        };
        let template = &client.templates()[0];
        let at = Timestamp::from_parts(1_000, 0);
        TlsSession::open(at, route, (template, "a.example"), Random::new(5), capture)
    }

    /// Payload bytes captured from one port, in sending order.
    fn payload_from(port: u16, capture: &Capture) -> Vec<u8> {
        let frames = capture.frames().iter().filter(|f| f.bytes[34..36] == port.to_be_bytes());
        let header = |f: &crate::CapturedFrame| 34 + usize::from(f.bytes[46] >> 4) * 4;
        frames.flat_map(|f| f.bytes[header(f)..].to_vec()).collect()
    }

    #[test]
    fn the_hello_names_the_server_and_is_whole() {
        for client in Client::ALL {
            let mut capture = Capture::new();
            open(client, &mut capture);
            let hello = ClientHello::from_stream(&payload_from(50_000, &capture)).unwrap();
            assert_eq!(hello.server_name(), Some("a.example"), "{client:?}");
        }
    }

    #[test]
    fn the_server_hello_is_whole_and_the_certificate_is_not() {
        let mut capture = Capture::new();
        open(Client::Go, &mut capture);
        let stream = payload_from(443, &capture);
        let length = usize::from(u16::from_be_bytes([stream[3], stream[4]]));
        assert_eq!((stream[0], stream[5]), (22, 2));
        assert_eq!(stream[5 + length..][..6], CHANGE_CIPHER_SPEC);
        let on_the_wire: u32 = capture.frames().iter().map(|frame| frame.wire_len).sum();
        let captured: usize = capture.frames().iter().map(|frame| frame.bytes.len()).sum();
        assert!(usize::try_from(on_the_wire).unwrap() > captured + 1_500);
    }

    #[test]
    fn an_exchange_carries_its_bytes_in_records() {
        let mut capture = Capture::new();
        let (mut tls, ready) = open(Client::Curl, &mut capture);
        let before = capture.frames().len();
        let exchange = Exchange { at: ready, first: Side::Server, up: 20_000, down: 300 };
        tls.exchange(exchange, &mut capture);
        let payload = |port: u16| -> u32 {
            let frames = capture.frames()[before..].iter();
            let from = frames.filter(|f| f.bytes[34..36] == port.to_be_bytes());
            from.map(|f| f.wire_len - 66).sum()
        };
        assert_eq!(payload(443), 300 + 5 + RECORD_TAG);
        assert_eq!(payload(50_000), 20_000 + 2 * (5 + RECORD_TAG));
        let first = &capture.frames()[before].bytes;
        assert_eq!(first[34..36], 443_u16.to_be_bytes());
    }
}
