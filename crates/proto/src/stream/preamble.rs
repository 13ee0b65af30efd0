//! Messages of fixed form that stand in front of another protocol on the same connection.
//!
//! Knows the PROXY protocol, SOCKS, and how binary protocols ask for TLS. Whether TLS really follows
//! is for the caller to see.

mod proxy;
mod socks;
mod tls_request;

use std::net::{IpAddr, SocketAddr};

use super::conversation::{Conversation, Socks};
use super::dialect::Dialect;
use crate::facts::{Preamble, Sender};

/// What the first bytes of a direction are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Opening {
    /// None of these protocols.
    Other,
    /// The beginning of one of them, perhaps.
    Unclear,
    /// A message of `length` bytes, of which not all need be there.
    Message { length: usize, meaning: Meaning },
}

/// What a message in front means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// Nothing that matters here.
    Nothing,
    /// To be reported.
    Preamble(Preamble),
    /// This protocol is spoken.
    Speaks(Dialect),
    /// TLS was asked for in this protocol.
    AsksForTls(Dialect),
    /// How far SOCKS got.
    Socks(Socks),
    /// A SOCKS version 4 request.
    SocksRequest(Preamble),
}

/// Reads the first bytes of a direction; `None` if they are none of its protocol.
type Recogniser = fn(&[u8]) -> Option<Opening>;

/// What `input` begins with.
pub(crate) fn opening(input: &[u8], from: Sender, conversation: &Conversation) -> Opening {
    let recognisers: [Recogniser; 9] = [
        proxy::v1,
        proxy::v2,
        tls_request::postgres,
        tls_request::mysql,
        tls_request::rdp,
        tls_request::ldap,
        tls_request::adb,
        tls_request::tds,
        tls_request::short_forms,
    ];
    let socks = socks::opening(input, from, conversation.socks);
    let from_postgres = (conversation.dialect() == Some(Dialect::Postgres))
        .then(|| tls_request::postgres_answer(input))
        .flatten();
    let mut unclear = false;
    for opening in [socks, from_postgres].into_iter().chain(recognisers.map(|read| read(input))) {
        match opening {
            Some(Opening::Message { length, meaning }) => {
                return Opening::Message { length, meaning };
            }
            Some(Opening::Unclear) => unclear = true,
            Some(Opening::Other) | None => {}
        }
    }
    if unclear { Opening::Unclear } else { Opening::Other }
}

/// Compares `input` with a fixed beginning: `None` if it differs, unclear if it is too short.
fn begins(input: &[u8], expected: &[u8]) -> Option<Opening> {
    let there = expected.len().min(input.len());
    if input.get(..there) != expected.get(..there) {
        return None;
    }
    Some(if there < expected.len() { Opening::Unclear } else { Opening::Other })
}

fn message(length: usize, meaning: Meaning) -> Option<Opening> {
    Some(Opening::Message { length, meaning })
}

fn endpoint(address: IpAddr, port: u16) -> Vec<u8> {
    SocketAddr::new(address, port).to_string().into_bytes()
}

/// `host:port` of a name.
fn named(host: &[u8], port: u16) -> Vec<u8> {
    [host, b":", port.to_string().as_bytes()].concat()
}

#[cfg(test)]
mod tests;
