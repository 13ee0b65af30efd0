//! Bytes of one direction in, facts out.
//!
//! Knows TLS, QUIC, DTLS, HTTP/1, DNS and the fingerprints JA3, JA3S and JA4. It knows no packets,
//! no flows and no time: somebody else puts the bytes in order and says which side sent them.

mod ascii;
mod bytes;
pub mod client_hello;
mod facts;
mod ja3;
mod ja4;
#[cfg(test)]
mod sample;
pub mod server_hello;

pub use facts::{
    Anomaly, CertificateFacts, ClientHello, Fact, Handshake, HttpRequest, HttpResponse, Observed,
    Preamble, Sender, ServerHello,
};
