//! The search for a TLS hello in a stream that began as something else.
//!
//! Knows how a hello looks at its first bytes, and where the lines of a clear-text protocol end. What
//! is found is only believed once a whole hello proves sound; until then the bytes are kept, so that
//! a decoy costs nothing but its own bytes.

use memchr::{memchr, memchr2, memrchr};

use super::conversation::Context;
use super::records::{ContentType, RECORD_HEADER, message, record_header};
use super::tls::{TlsSide, Trial};
use crate::facts::Anomaly;

/// One direction that is searched.
#[derive(Debug, Default)]
pub(crate) struct Hunt {
    /// The candidate under trial, which begins at the first byte not consumed.
    candidate: Option<Box<TlsSide>>,
    /// Bytes from there on that the candidate has taken in.
    tried_bytes: usize,
    failed_candidates: u8,
    line: Line,
}

/// The outcome of one step of the search.
#[derive(Debug)]
pub(crate) enum Hunted {
    /// So many bytes are of no more use; the rest is to be shown again, with more.
    Passed(usize),
    /// TLS; so many bytes belong to its hello.
    Tls(Box<TlsSide>, usize),
}

impl Hunt {
    pub(crate) fn held_bytes(&self) -> usize {
        self.candidate.as_ref().map_or(0, |side| side.held_bytes())
    }

    /// Searches the first `room` bytes of `input` for the beginning of a hello. `input` begins at the
    /// first byte not passed before.
    pub(crate) fn step(&mut self, input: &[u8], room: usize, context: &mut Context<'_>) -> Hunted {
        let mut passed = 0;
        while passed < room {
            let rest = input.get(passed..).unwrap_or_default();
            if self.candidate.is_some() {
                match self.try_candidate(rest, context) {
                    Some(Hunted::Tls(side, used)) => return Hunted::Tls(side, passed + used),
                    Some(Hunted::Passed(_)) => return Hunted::Passed(passed),
                    None => {
                        self.pass(rest.get(..1).unwrap_or_default(), context);
                        passed += 1;
                        continue;
                    }
                }
            }
            let searched = rest.get(..room - passed).unwrap_or(rest);
            let Some(at) = memchr(HANDSHAKE, searched) else {
                self.pass(searched, context);
                return Hunted::Passed(passed + searched.len());
            };
            let (before, rest) = rest.split_at(at);
            self.pass(before, context);
            passed += at;
            match looks_like_hello(rest, self.line.is_at_start()) {
                Looks::Right if self.failed_candidates < MAX_CANDIDATES => {
                    self.candidate = Some(Box::default());
                    self.tried_bytes = 0;
                }
                Looks::Unclear => return Hunted::Passed(passed),
                Looks::Right | Looks::Wrong => {
                    self.pass(rest.get(..1).unwrap_or_default(), context);
                    passed += 1;
                }
            }
        }
        Hunted::Passed(passed)
    }

    /// `None` when the candidate failed.
    fn try_candidate(&mut self, input: &[u8], context: &mut Context<'_>) -> Option<Hunted> {
        let mut candidate = self.candidate.take()?;
        let trial = input.get(..MAX_TRIAL).unwrap_or(input);
        let mut rest = trial.get(self.tried_bytes..).unwrap_or_default();
        match candidate.try_hello(&mut rest, context) {
            Trial::Hello => Some(Hunted::Tls(candidate, trial.len() - rest.len())),
            Trial::Pending if input.len() < MAX_TRIAL => {
                self.tried_bytes = trial.len() - rest.len();
                self.candidate = Some(candidate);
                Some(Hunted::Passed(0))
            }
            // One that is still not complete is more likely to hide the true hello than to be it.
            Trial::Pending | Trial::Failed => {
                self.failed_candidates = self.failed_candidates.saturating_add(1);
                if self.failed_candidates == MAX_CANDIDATES {
                    context.anomaly(Anomaly::HandshakeAbandoned);
                }
                None
            }
        }
    }

    /// Reads the bytes that are left behind for lines that ask for TLS.
    fn pass(&mut self, bytes: &[u8], context: &mut Context<'_>) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let end = memchr2(b'\n', b'>', rest).map_or(rest.len(), |at| at + 1);
            let (piece, after) = rest.split_at(end);
            self.line.push(piece);
            if self.line.is_at_start() {
                context.conversation.continue_with(self.line.text());
            }
            rest = after;
        }
    }
}

/// The first bytes of the line that the search is in; an XML tag counts as a line.
#[derive(Debug)]
struct Line {
    text: [u8; LINE_BYTES],
    length: usize,
    ended: bool,
}

impl Default for Line {
    fn default() -> Self {
        Self { text: [0; LINE_BYTES], length: 0, ended: false }
    }
}

impl Line {
    /// Takes in bytes of which only the last may end a line.
    fn push(&mut self, piece: &[u8]) {
        if self.ended {
            self.length = 0;
        }
        self.ended = matches!(piece, [.., b'\n' | b'>']);
        let tag = memrchr(b'<', piece);
        let piece = match tag.and_then(|at| piece.get(at..)) {
            Some(tag) => {
                self.length = 0;
                tag
            }
            None => piece,
        };
        let room = self.text.get_mut(self.length..).unwrap_or_default();
        let text = piece.trim_ascii_end();
        for (slot, byte) in room.iter_mut().zip(text) {
            *slot = *byte;
        }
        self.length = LINE_BYTES.min(self.length + text.len());
    }

    /// Whether the next byte begins a line.
    const fn is_at_start(&self) -> bool {
        self.ended
    }

    fn text(&self) -> &[u8] {
        self.text.get(..self.length).unwrap_or_default()
    }
}

/// What first bytes look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Looks {
    Right,
    Wrong,
    /// Too few bytes to tell.
    Unclear,
}

/// Whether `bytes` look like a record with a hello: `16 03 0x .. .. 01 00 .. .. 03 0x`. Where a line
/// begins, record header and message type are enough, as the records may be as small as one byte.
fn looks_like_hello(bytes: &[u8], at_line_start: bool) -> Looks {
    const IS_PLAUSIBLE: [fn(u8) -> bool; 11] = [
        |byte| byte == HANDSHAKE,
        |byte| byte == 3,
        |byte| byte <= 4,
        |_| true,
        |_| true,
        |byte| matches!(byte, message::CLIENT_HELLO | message::SERVER_HELLO),
        |byte| byte == 0,
        |_| true,
        |_| true,
        // TLS, or a draft of TLS 1.3 in a ServerHello.
        |byte| matches!(byte, 3 | 0x7f),
        |byte| byte <= 0x1c,
    ];
    let needed = if at_line_start { RECORD_HEADER + 1 } else { IS_PLAUSIBLE.len() };
    let mut checks = IS_PLAUSIBLE.iter().take(needed).zip(bytes);
    if !checks.all(|(is_plausible, byte)| is_plausible(*byte)) {
        return Looks::Wrong;
    }
    if bytes.len() < needed {
        return Looks::Unclear;
    }
    match bytes.first_chunk().and_then(|header| record_header(*header)) {
        Some((ContentType::HANDSHAKE, 1..)) => Looks::Right,
        _ => Looks::Wrong,
    }
}

/// Content type of a handshake record, the byte that is looked for.
const HANDSHAKE: u8 = 22;
/// Candidates tried for one direction. The pattern turns up by chance once in 2^40 bytes, so more
/// than a few mean a stream that was made for it.
const MAX_CANDIDATES: u8 = 8;
/// Bytes kept while a candidate is on trial.
const MAX_TRIAL: usize = 16 * 1024;
/// Kept bytes of a line: enough for `<tag> STARTTLS` with the longest tags in use.
const LINE_BYTES: usize = 48;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_bytes_of_a_hello_look_right() {
        let hello = [22, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3];
        for length in 1..hello.len() {
            assert_eq!(looks_like_hello(&hello[..length], false), Looks::Unclear, "{length}");
        }
        assert_eq!(looks_like_hello(&hello, false), Looks::Right);
        for (at, byte) in [(1, 2), (2, 5), (3, 0xff), (5, 4), (6, 1), (9, 4), (10, 0x1d)] {
            let mut wrong = hello;
            wrong[at] = byte;
            assert_eq!(looks_like_hello(&wrong, false), Looks::Wrong, "byte {at}");
        }
    }

    #[test]
    fn where_a_line_begins_the_record_header_is_enough() {
        assert_eq!(looks_like_hello(&[22, 3, 1, 0, 1, 1], true), Looks::Right);
        assert_eq!(looks_like_hello(&[22, 3, 1, 0, 0, 1], true), Looks::Wrong);
        assert_eq!(looks_like_hello(&[22, 3, 1, 0, 1, 1], false), Looks::Unclear);
    }

    #[test]
    fn lines_and_tags_are_told_apart() {
        let mut line = Line::default();
        let mut seen = Vec::new();
        for piece in [&b"EH"[..], b"LO a\r\n", b"xy<stream>", b"<starttls", b" xmlns='x'/>", b"b"] {
            line.push(piece);
            if line.is_at_start() {
                seen.push(line.text().to_vec());
            }
        }
        let expected: [&[u8]; 3] = [b"EHLO a", b"<stream>", b"<starttls xmlns='x'/>"];
        assert_eq!(seen, expected);
    }
}
