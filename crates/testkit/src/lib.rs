//! Frames, flows and a scenario, built from a seed: for tests, benches and the demo capture.
//!
//! [`frame`] makes single frames, [`Conversation`] a TCP connection, [`TlsSession`] one with a
//! real handshake from `pcaps/`, [`office`] seven hours of a small office, [`fleet`] days of many
//! machines as events, [`traffic`] as much as a benchmark needs. The same arguments give the same bytes on every machine. It shares no parser with
//! the sensor, so that it can be the other side of a test.

mod capture;
mod client_hello;
mod conversation;
pub mod dhcp;
pub mod dns;
pub mod fleet;
pub mod frame;
pub mod office;
mod quic;
mod random;
mod templates;
mod tls_session;
pub mod traffic;

pub use capture::{Capture, CapturedFrame, PcapWriter};
pub use client_hello::ClientHello;
pub use conversation::{Conversation, Keep, Route, SEGMENT_PAYLOAD, Side};
pub use random::{Random, seconds};
pub use templates::{Client, Handshake};
pub use tls_session::{CIPHERTEXT_KEPT, Exchange, TlsSession};
