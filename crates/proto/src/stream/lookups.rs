//! DNS over TCP: messages behind two length bytes (RFC 1035, section 4.2.2).
//!
//! What the messages say is known elsewhere.

use super::conversation::Context;
use super::records::{ContentType, record_header};
use crate::bytes::Reader;
use crate::dns;
use crate::facts::Fact;

/// One direction of DNS over TCP.
#[derive(Debug, Default)]
pub(crate) struct Lookups {
    messages: u32,
}

/// The outcome of one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Looked {
    /// So many bytes are read; the rest is to be shown again, with more.
    Read(usize),
    /// This is no DNS; nothing was consumed.
    NotDns,
    /// Enough.
    Finished,
}

impl Lookups {
    pub(crate) fn step(&mut self, input: &[u8], context: &mut Context<'_>) -> Looked {
        if self.messages == 0 && !begins_plausibly(input) {
            return Looked::NotDns;
        }
        let mut reader = Reader::new(input);
        let mut read = 0;
        while let Some(message) = reader.vector16().filter(|message| message.whole) {
            match dns::parse(message.bytes) {
                Ok(parsed) => context.report(Fact::Dns(Box::new(parsed))),
                Err(_) if self.messages == 0 => return Looked::NotDns,
                Err(_) => return Looked::Finished,
            }
            read = input.len() - reader.rest().len();
            self.messages = self.messages.saturating_add(1);
            if self.messages >= MAX_MESSAGES {
                return Looked::Finished;
            }
        }
        Looked::Read(read)
    }
}

/// Other protocols use the port too, and their first bytes make for long lengths to wait for.
fn begins_plausibly(input: &[u8]) -> bool {
    if let Some((ContentType::HANDSHAKE, 1..)) = input.first_chunk().and_then(|h| record_header(*h))
    {
        return false;
    }
    let field = |at: usize| {
        let bytes = input.get(at..)?.first_chunk()?;
        Some(u16::from_be_bytes(*bytes))
    };
    let is_operation = input.get(4).is_none_or(|flags| flags & 0x78 == 0);
    field(0).is_none_or(|length| length >= 12)
        && is_operation
        && field(6).is_none_or(|questions| questions <= 32)
}

/// Messages read of one direction: zone transfers go on for millions.
const MAX_MESSAGES: u32 = 64;
