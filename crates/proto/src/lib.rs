//! Bytes of one direction in, facts out.
//!
//! Knows TLS, QUIC, DTLS, HTTP/1, DNS and the fingerprints JA3, JA3S and JA4. It knows no packets,
//! no flows and no time: somebody else puts the bytes in order and says which side sent them.

mod ascii;
mod assembly;
mod bytes;
mod certificate;
pub mod client_hello;
mod datagram;
pub mod dhcp;
pub mod dns;
mod dtls;
mod facts;
mod hellos;
mod http;
mod ja3;
mod ja4;
mod quic;
#[cfg(test)]
mod sample;
pub mod server_hello;
mod stream;

pub use datagram::{DatagramInspector, DatagramProtocol};
pub use facts::{
    Anomaly, CertificateFacts, ClientHello, Fact, Handshake, HttpRequest, HttpResponse, Observed,
    Preamble, Sender, ServerHello,
};
pub use quic::{ConnectionId, QuicConnectionIds};
pub use stream::{StreamInspector, StreamProtocol};
