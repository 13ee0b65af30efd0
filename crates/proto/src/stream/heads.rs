//! One direction of HTTP/1: where heads end, how long bodies are, and what follows.
//!
//! Knows message framing (RFC 9112, section 6.3). What the heads say is known elsewhere.

use memchr::memchr;

use super::conversation::{Asked, Context};
use crate::facts::{Anomaly, Fact, Preamble};
use crate::http::{self, Framing, Head};

/// One direction of HTTP/1.
#[derive(Debug)]
pub(crate) struct Heads {
    side: Side,
    /// Bytes of the current head looked at.
    read: usize,
    /// Whether anything but line ends was among them.
    begun: bool,
    /// Whether the line so far is empty.
    line_is_empty: bool,
}

/// Which heads a direction sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// Requests.
    Requests,
    /// Responses.
    Responses,
}

/// The outcome of one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Read {
    /// The head is not complete.
    More,
    /// A head of `head` bytes, and `body` bytes after it that are of no use.
    Message { head: usize, body: u64 },
    /// After so many bytes another protocol begins.
    Tunnel(usize),
    /// After so many bytes the stream is to be searched.
    Search(usize),
    /// Nothing more can be learnt.
    Finished,
}

impl Heads {
    pub(crate) const fn new(side: Side) -> Self {
        Self { side, read: 0, begun: false, line_is_empty: true }
    }

    /// Reads `input`, which begins where a head does.
    pub(crate) fn step(&mut self, input: &[u8], context: &mut Context<'_>) -> Read {
        let is_text = |byte: &u8| byte.is_ascii_graphic() || byte.is_ascii_whitespace();
        if self.read == 0 && !input.first().is_none_or(is_text) {
            return Read::Tunnel(0);
        }
        let input = input.get(..MAX_HEAD).unwrap_or(input);
        let Some(end) = self.end_of_head(input) else {
            if input.len() < MAX_HEAD {
                return Read::More;
            }
            // What there is of it is reported all the same: its host came long before its end.
            self.head(input, context);
            return Read::Finished;
        };
        let head = input.get(..end).unwrap_or_default();
        *self = Self::new(self.side);
        self.head(head, context)
    }

    /// Where the empty line that ends the head ends; looks at no byte twice.
    fn end_of_head(&mut self, input: &[u8]) -> Option<usize> {
        let is_blank = |bytes: &[u8]| bytes.iter().all(|byte| *byte == b'\r');
        let mut rest = input.get(self.read..).unwrap_or_default();
        while let Some(at) = memchr(b'\n', rest) {
            let (line, after) = rest.split_at(at + 1);
            rest = after;
            self.read += line.len();
            let is_empty = self.line_is_empty && is_blank(line.split_at(at).0);
            if is_empty && self.begun {
                return Some(self.read);
            }
            self.begun |= !is_empty;
            self.line_is_empty = true;
        }
        self.read += rest.len();
        self.line_is_empty &= is_blank(rest);
        self.begun |= !self.line_is_empty;
        None
    }

    fn head(&mut self, head: &[u8], context: &mut Context<'_>) -> Read {
        match self.side {
            Side::Requests => request(head, context),
            Side::Responses => response(head, context),
        }
    }
}

fn request(bytes: &[u8], context: &mut Context<'_>) -> Read {
    let Head { fact, framing, well_formed, conflicting_hosts } = http::request(bytes);
    if !well_formed {
        context.anomaly(Anomaly::MalformedHttp);
    }
    if conflicting_hosts {
        context.anomaly(Anomaly::ConflictingHosts);
    }
    let exchange = &mut context.conversation.http;
    exchange.request(&fact.method);
    let is_last = exchange.requests >= MAX_HEADS;
    let tunnel = (fact.method == b"CONNECT").then(|| fact.target.clone());
    context.report(Fact::HttpRequest(Box::new(fact)));
    if let Some(target) = tunnel {
        context.report(Fact::Preamble(Preamble::Connect { target }));
        return Read::Tunnel(bytes.len());
    }
    if framing.upgrades_to_tls {
        return Read::Tunnel(bytes.len());
    }
    if is_last {
        return Read::Finished;
    }
    body(bytes.len(), Framing { content_length: framing.content_length.or(Some(0)), ..framing })
}

fn response(bytes: &[u8], context: &mut Context<'_>) -> Read {
    let Head { fact, framing, well_formed, .. } = http::response(bytes);
    if !well_formed {
        context.anomaly(Anomaly::MalformedHttp);
    }
    let status = fact.status;
    context.report(Fact::HttpResponse(Box::new(fact)));
    // Whatever protocol was agreed on, what comes may be TLS: some tunnels only pretend to upgrade.
    if status == SWITCHING_PROTOCOLS {
        return Read::Tunnel(bytes.len());
    }
    if (100..200).contains(&status) {
        return Read::Message { head: bytes.len(), body: 0 };
    }
    let exchange = &mut context.conversation.http;
    let asked = exchange.response();
    let is_last = exchange.responses >= MAX_HEADS;
    match (asked, status) {
        (Asked::Tunnel, 200..300) => Read::Tunnel(bytes.len()),
        _ if is_last => Read::Finished,
        (Asked::HeadOnly, _) | (_, 204 | 304) => Read::Message { head: bytes.len(), body: 0 },
        // The answer to a CONNECT that was not seen yet looks like this.
        (Asked::Unknown, 200..300) if framing.content_length.is_none() && !framing.chunked => {
            Read::Search(bytes.len())
        }
        _ => body(bytes.len(), framing),
    }
}

/// What follows a head with this framing.
fn body(head: usize, framing: Framing) -> Read {
    match framing.content_length {
        Some(length) if length <= MAX_BODY && !framing.chunked => {
            Read::Message { head, body: length }
        }
        _ => Read::Finished,
    }
}

/// 101 (RFC 9110, section 15.2.2).
const SWITCHING_PROTOCOLS: u16 = 101;
/// Bytes of one head; servers refuse heads above 8 to 64 KiB.
const MAX_HEAD: usize = 32 * 1024;
/// Heads of one direction that are reported: a client does not change within a connection.
const MAX_HEADS: u32 = 32;
/// Bytes of a body that are passed over to read the next head; longer transfers end the reading.
const MAX_BODY: u64 = 256 * 1024;
