//! The bytes of one TCP connection, both directions: what is spoken, and the facts it shows.
//!
//! Knows which protocol's reader a direction is with and hands bytes to it, each byte once. It knows
//! neither segments nor sequence numbers: somebody else puts the bytes in order.

mod conversation;
mod dialect;
mod heads;
mod hunt;
mod lookups;
mod preamble;
mod records;
mod start;
mod tls;

use conversation::{Context, Conversation};
use heads::{Heads, Read};
use hunt::{Hunt, Hunted};
use lookups::{Looked, Lookups};
use start::{Beginning, Start};
use tls::{TlsSide, Verdict};

use crate::facts::{Observed, Sender};

/// Reads one TCP connection while it can still show a fact.
///
/// Looks at each byte once, whatever the pieces they come in, and holds at most 64 KiB of a direction
/// beside the handshake message that is being put together (again 64 KiB), both grown with the bytes
/// that came and never with a length that was announced.
#[derive(Debug)]
pub struct StreamInspector {
    originator: Side,
    responder: Side,
    conversation: Conversation,
}

/// What a connection is expected to speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamProtocol {
    /// Whatever its first bytes show.
    Detect,
    /// DNS messages behind two length bytes; if the first bytes are none, whatever they show.
    Dns,
}

impl StreamInspector {
    /// An inspector for a connection of which nothing was seen.
    #[must_use]
    pub fn new(protocol: StreamProtocol) -> Self {
        Self {
            originator: Side::new(protocol),
            responder: Side::new(protocol),
            conversation: Conversation::default(),
        }
    }

    /// Reads contiguous bytes of one direction, each byte once, and appends the facts they complete.
    pub fn inspect(&mut self, from: Sender, bytes: &[u8], facts: &mut Vec<Observed>) {
        let side = match from {
            Sender::Originator => &mut self.originator,
            Sender::Responder => &mut self.responder,
        };
        let mut context = Context { from, conversation: &mut self.conversation, facts };
        side.feed(bytes, &mut context);
        self.settle();
    }

    /// The stream of `from` has a hole here: bytes that will not come.
    pub fn gap(&mut self, from: Sender) {
        self.conversation.bytes_are_missing = true;
        match from {
            Sender::Originator => self.originator.gap(),
            Sender::Responder => self.responder.gap(),
        }
        self.settle();
    }

    /// Whether more bytes of `from` could still yield a fact. When neither side's could, the
    /// inspector can be dropped.
    #[must_use]
    pub fn wants(&self, from: Sender) -> bool {
        match from {
            Sender::Originator => !self.originator.is_finished(),
            Sender::Responder => !self.responder.is_finished(),
        }
    }

    /// Bytes of memory held for both directions, beside the inspector itself.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.originator.held_bytes() + self.responder.held_bytes()
    }

    /// Ends the reading of a side once the other has shown that it is of no more use.
    fn settle(&mut self) {
        if self.conversation.is_answered() {
            for side in [&mut self.originator, &mut self.responder] {
                if matches!(&side.stage, Stage::Tls(tls) if tls.is_client()) {
                    side.finish();
                }
            }
        }
        let gave_up = self.originator.gave_up || self.responder.gave_up;
        let is_known = self.conversation.dialect().is_some() || self.conversation.client_hellos > 0;
        if gave_up && !is_known {
            for side in [&mut self.originator, &mut self.responder] {
                if matches!(side.stage, Stage::Hunt(_)) {
                    side.finish();
                }
            }
        }
    }
}

/// One direction: who reads it, and the bytes that its reader has not used up.
#[derive(Debug)]
struct Side {
    stage: Stage,
    held: Vec<u8>,
    /// Bytes to come that are of no use.
    skip: u64,
    /// Bytes passed without knowing the protocol.
    searched: usize,
    /// Preambles read.
    preambles: u32,
    /// Whether the search ended without finding anything.
    gave_up: bool,
}

#[derive(Debug)]
enum Stage {
    Start(Start),
    Tls(Box<TlsSide>),
    Http(Heads),
    Hunt(Hunt),
    Dns(Lookups),
    Finished,
}

/// What a stage made of its input.
struct Step {
    used: usize,
    next: Next,
}

enum Next {
    /// It needs more bytes.
    More,
    /// It goes on behind the bytes used.
    Again,
    /// Another stage goes on behind the bytes used.
    Become(Stage),
}

impl Side {
    fn new(protocol: StreamProtocol) -> Self {
        let stage = match protocol {
            StreamProtocol::Detect => Stage::Start(Start::default()),
            StreamProtocol::Dns => Stage::Dns(Lookups::default()),
        };
        Self { stage, held: Vec::new(), skip: 0, searched: 0, preambles: 0, gave_up: false }
    }

    fn is_finished(&self) -> bool {
        matches!(self.stage, Stage::Finished)
    }

    fn finish(&mut self) {
        self.stage = Stage::Finished;
        self.held = Vec::new();
    }

    fn held_bytes(&self) -> usize {
        self.held.capacity()
            + match &self.stage {
                Stage::Tls(tls) => tls.held_bytes(),
                Stage::Hunt(hunt) => hunt.held_bytes(),
                Stage::Start(_) | Stage::Http(_) | Stage::Dns(_) | Stage::Finished => 0,
            }
    }

    fn gap(&mut self) {
        self.held = Vec::new();
        self.skip = 0;
        let is_searched = match &self.stage {
            Stage::Start(_) | Stage::Hunt(_) => true,
            // A hello that lost bytes is lost, one that is to come is not.
            Stage::Tls(tls) => !tls.is_past_hello(),
            Stage::Http(_) | Stage::Dns(_) | Stage::Finished => false,
        };
        self.stage = if is_searched { Stage::Hunt(Hunt::default()) } else { Stage::Finished };
    }

    fn feed(&mut self, bytes: &[u8], context: &mut Context<'_>) {
        let mut held = core::mem::take(&mut self.held);
        if held.is_empty() {
            let used = self.read(bytes, context);
            self.hold(bytes.get(used..).unwrap_or_default().to_vec());
            return;
        }
        held.extend_from_slice(bytes);
        let used = self.read(&held, context);
        if used > 0 {
            held = held.get(used..).unwrap_or_default().to_vec();
        }
        self.hold(held);
    }

    /// Keeps what the stage could not use yet.
    fn hold(&mut self, rest: Vec<u8>) {
        if rest.len() > MAX_HELD {
            self.finish();
        }
        if !self.is_finished() {
            self.held = rest;
        }
    }

    /// Lets one stage after the other read `input`; how much of it is used up.
    fn read(&mut self, input: &[u8], context: &mut Context<'_>) -> usize {
        let mut used = 0;
        loop {
            let rest = input.get(used..).unwrap_or_default();
            if self.skip > 0 {
                let skipped = usize::try_from(self.skip).unwrap_or(usize::MAX).min(rest.len());
                self.skip = self.skip.saturating_sub(u64::try_from(skipped).unwrap_or(u64::MAX));
                used += skipped;
                if self.skip > 0 {
                    return used;
                }
                continue;
            }
            let step = self.step(rest, context);
            used += step.used;
            match step.next {
                Next::More => return used,
                Next::Again => {}
                Next::Become(stage) => self.stage = stage,
            }
        }
    }

    fn step(&mut self, input: &[u8], context: &mut Context<'_>) -> Step {
        match &mut self.stage {
            Stage::Finished => Step { used: input.len(), next: Next::More },
            Stage::Start(start) => {
                let beginning = start.step(input, context);
                self.begin(beginning, input)
            }
            Stage::Tls(tls) => {
                let mut rest = input;
                let next = match tls.step(&mut rest, context) {
                    Verdict::Continue => Next::More,
                    Verdict::Finished => Next::Become(Stage::Finished),
                    Verdict::Lost => Next::Become(Stage::Hunt(Hunt::default())),
                };
                Step { used: input.len() - rest.len(), next }
            }
            Stage::Http(heads) => {
                let read = heads.step(input, context);
                self.after_head(read)
            }
            Stage::Hunt(hunt) => {
                let room = room(self.searched, context);
                match hunt.step(input, room, context) {
                    Hunted::Passed(used) => self.passed(used, used == room, context),
                    Hunted::Tls(tls, used) => {
                        let finished = tls.is_finished();
                        let stage = if finished { Stage::Finished } else { Stage::Tls(tls) };
                        Step { used, next: Next::Become(stage) }
                    }
                }
            }
            Stage::Dns(lookups) => match lookups.step(input, context) {
                Looked::Read(used) => Step { used, next: Next::More },
                Looked::NotDns => {
                    Step { used: 0, next: Next::Become(Stage::Start(Start::default())) }
                }
                Looked::Finished => Step { used: 0, next: Next::Become(Stage::Finished) },
            },
        }
    }

    fn begin(&mut self, beginning: Beginning, input: &[u8]) -> Step {
        let (used, stage) = match beginning {
            Beginning::Unclear => return Step { used: 0, next: Next::More },
            Beginning::Tls => (0, Stage::Tls(Box::default())),
            Beginning::AfterSslV2Hello(length) => {
                (length, Stage::Tls(Box::new(TlsSide::after_sslv2_hello())))
            }
            Beginning::MidStreamTls => (0, Stage::Finished),
            Beginning::HttpRequests => (0, Stage::Http(Heads::new(heads::Side::Requests))),
            Beginning::HttpResponses => (0, Stage::Http(Heads::new(heads::Side::Responses))),
            Beginning::Preamble(length) => {
                self.preambles = self.preambles.saturating_add(1);
                if self.preambles > MAX_PREAMBLES {
                    (0, Stage::Hunt(Hunt::default()))
                } else {
                    (length, Stage::Start(Start::default()))
                }
            }
            Beginning::Opaque => (0, Stage::Finished),
            Beginning::Unknown => (0, Stage::Hunt(Hunt::default())),
        };
        let there = used.min(input.len());
        self.skip = u64::try_from(used - there).unwrap_or(u64::MAX);
        Step { used: there, next: Next::Become(stage) }
    }

    fn after_head(&mut self, read: Read) -> Step {
        match read {
            Read::More => Step { used: 0, next: Next::More },
            Read::Message { head, body } => {
                self.skip = body;
                Step { used: head, next: Next::Again }
            }
            Read::Tunnel(used) => {
                self.preambles = self.preambles.saturating_add(1);
                let stage = if self.preambles > MAX_PREAMBLES {
                    Stage::Hunt(Hunt::default())
                } else {
                    Stage::Start(Start::default())
                };
                Step { used, next: Next::Become(stage) }
            }
            Read::Search(used) => Step { used, next: Next::Become(Stage::Hunt(Hunt::default())) },
            Read::Finished => Step { used: 0, next: Next::Become(Stage::Finished) },
        }
    }

    /// The search has left `used` bytes behind. At its limit it goes on if by now it may.
    fn passed(&mut self, used: usize, at_limit: bool, context: &Context<'_>) -> Step {
        self.searched = self.searched.saturating_add(used);
        let next = match (at_limit, room(self.searched, context)) {
            (_, 0) => {
                self.gave_up = true;
                Next::Become(Stage::Finished)
            }
            (true, _) => Next::Again,
            (false, _) => Next::More,
        };
        Step { used, next }
    }
}

/// Bytes that are still searched of a direction of which so many were.
fn room(searched: usize, context: &Context<'_>) -> usize {
    let limit = match context.conversation.dialect() {
        Some(_) => MAX_SEARCHED_DIALECT,
        None => MAX_SEARCHED,
    };
    limit.saturating_sub(searched)
}

/// Bytes of one direction held for its reader: one DNS message with its length is the most.
const MAX_HELD: usize = 64 * 1024 + 2;
/// Bytes searched for a hello in a direction that speaks nothing known: of 4,231 captured hellos the
/// latest begins at byte 379.
const MAX_SEARCHED: usize = 8 * 1024;
/// The same where a protocol is spoken that can turn to TLS at any time.
const MAX_SEARCHED_DIALECT: usize = 64 * 1024;
/// Messages in front of one another: a proxy header, a SOCKS exchange, a few tunnels; LDAP and ADB
/// send some messages before they turn to TLS.
const MAX_PREAMBLES: u32 = 32;

#[cfg(test)]
mod tests;
