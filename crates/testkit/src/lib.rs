//! Frames and flows, built from a seed: for tests, benches and the demo capture.
//!
//! [`frame`] makes single frames, [`Conversation`] a TCP connection, [`TlsSession`] one with a
//! real handshake from `pcaps/`. The same arguments
//! give the same bytes on every machine. It parses nothing that a sensor has to parse, so that it
//! can be the other side of a test.

mod capture;
mod client_hello;
mod conversation;
pub mod dns;
pub mod frame;
mod random;
mod templates;
mod tls_session;

pub use capture::{Capture, CapturedFrame};
pub use client_hello::ClientHello;
pub use conversation::{Conversation, Keep, Route, SEGMENT_PAYLOAD, Side};
pub use random::{Random, seconds};
pub use templates::{Client, Handshake};
pub use tls_session::{CIPHERTEXT_KEPT, Exchange, TlsSession};
