//! TLS records of one direction, and the handshake messages that run through them.
//!
//! Knows the record layer in the clear (RFC 8446, section 5.1) and where handshake messages begin
//! and end, however both are split. It knows nothing of what the messages say.

/// Puts handshake messages together, bytes in any split, each byte looked at once.
#[derive(Debug, Default)]
pub(crate) struct Records {
    kind: ContentType,
    /// Bytes of the current record still to come.
    remaining: usize,
    message: Assembly,
}

/// The next thing in the records.
#[derive(Debug)]
pub(crate) enum Found<'a> {
    /// All input is used up, but for a part of a record header.
    NeedMore,
    /// A record begins that carries no handshake, or one without contents.
    Record { kind: ContentType, length: usize },
    /// A handshake message begins.
    Begin { kind: u8, length: usize },
    /// A handshake message is complete; `body` is cut at [`MAX_MESSAGE`].
    Message { kind: u8, body: &'a [u8] },
    /// The input goes on with something that is no record.
    Broken,
}

/// What a record carries (RFC 8446, appendix B.1); unknown values survive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ContentType(u8);

impl ContentType {
    pub(crate) const CHANGE_CIPHER_SPEC: Self = Self(20);
    pub(crate) const ALERT: Self = Self(21);
    pub(crate) const HANDSHAKE: Self = Self(22);
    pub(crate) const APPLICATION: Self = Self(23);
    const HEARTBEAT: Self = Self(24);
}

/// The content type and length of the record header `bytes` begin with, if they do.
///
/// The record version says nothing (RFC 8446, section 5.1): 0x0300 to 0x0304 are all in use.
pub(crate) fn record_header(bytes: [u8; RECORD_HEADER]) -> Option<(ContentType, usize)> {
    let [kind, major, minor, high, low] = bytes;
    let length = usize::from(u16::from_be_bytes([high, low]));
    let known = ContentType::CHANGE_CIPHER_SPEC.0..=ContentType::HEARTBEAT.0;
    let is_record = known.contains(&kind) && major == 3 && minor <= 4 && length <= MAX_RECORD;
    is_record.then_some((ContentType(kind), length))
}

impl Records {
    pub(crate) fn held_bytes(&self) -> usize {
        self.message.body.capacity()
    }

    /// Whether a handshake message has begun and is not complete.
    pub(crate) const fn is_inside_message(&self) -> bool {
        self.message.header_bytes > 0
    }

    /// Advances `input` to behind the next thing found.
    pub(crate) fn next<'s, 'i: 's>(&'s mut self, input: &mut &'i [u8]) -> Found<'s> {
        self.message.clear_if_done();
        loop {
            if self.remaining == 0
                && let Some(found) = self.begin_record(input)
            {
                return found;
            }
            let (piece, rest) = input.split_at(self.remaining.min(input.len()));
            let step = match self.kind {
                ContentType::HANDSHAKE => self.message.step(piece),
                _ => None,
            };
            let Some(step) = step else {
                self.remaining -= piece.len();
                *input = rest;
                if input.is_empty() {
                    return Found::NeedMore;
                }
                continue;
            };
            let used = step.used();
            self.remaining -= used;
            *input = input.split_at(used.min(input.len())).1;
            return match step {
                Assembled::Begin { kind, length, .. } => Found::Begin { kind, length },
                Assembled::Whole { kind, body, .. } => Found::Message { kind, body },
                Assembled::Kept { kind, .. } => Found::Message { kind, body: &self.message.body },
            };
        }
    }

    /// Reads a record header; `None` once a handshake record with contents has begun.
    fn begin_record<'s>(&mut self, input: &mut &[u8]) -> Option<Found<'s>> {
        let Some((header, rest)) = input.split_first_chunk() else {
            return Some(Found::NeedMore);
        };
        let Some((kind, length)) = record_header(*header) else {
            return Some(Found::Broken);
        };
        *input = rest;
        self.kind = kind;
        self.remaining = length;
        let has_handshake = kind == ContentType::HANDSHAKE && length > 0;
        (!has_handshake).then_some(Found::Record { kind, length })
    }
}

/// One handshake message on its way.
#[derive(Debug, Default)]
struct Assembly {
    header: [u8; MESSAGE_HEADER],
    header_bytes: usize,
    announced: bool,
    received: usize,
    body: Vec<u8>,
    done: bool,
}

enum Assembled<'a> {
    Begin {
        kind: u8,
        length: usize,
        used: usize,
    },
    /// All of it lay in one piece.
    Whole {
        kind: u8,
        body: &'a [u8],
        used: usize,
    },
    /// It lies in the assembly's own buffer.
    Kept {
        kind: u8,
        used: usize,
    },
}

impl Assembled<'_> {
    const fn used(&self) -> usize {
        match self {
            Self::Begin { used, .. } | Self::Whole { used, .. } | Self::Kept { used, .. } => *used,
        }
    }
}

impl Assembly {
    fn clear_if_done(&mut self) {
        if self.done {
            *self = Self::default();
        }
    }

    /// `None` when all of `piece` is taken in and the message is still not complete.
    fn step<'a>(&mut self, piece: &'a [u8]) -> Option<Assembled<'a>> {
        let mut rest = piece;
        let header = fill(&mut self.header, &mut self.header_bytes, &mut rest)?;
        let [kind, high, middle, low] = header;
        let length = usize::try_from(u32::from_be_bytes([0, high, middle, low])).ok()?;
        if !self.announced {
            self.announced = true;
            return Some(Assembled::Begin { kind, length, used: piece.len() - rest.len() });
        }
        if self.received == 0
            && let Some((body, _)) = rest.split_at_checked(length)
        {
            self.done = true;
            let used = piece.len() - rest.len() + length;
            let body = body.get(..MAX_MESSAGE).unwrap_or(body);
            return Some(Assembled::Whole { kind, body, used });
        }
        let wanted = (length - self.received).min(rest.len());
        let taken = rest.get(..wanted).unwrap_or_default();
        if is_kept(kind) {
            let room = MAX_MESSAGE - self.body.len();
            self.body.extend_from_slice(taken.get(..room).unwrap_or(taken));
        }
        self.received += wanted;
        if self.received < length {
            return None;
        }
        self.done = true;
        Some(Assembled::Kept { kind, used: piece.len() - rest.len() + wanted })
    }
}

/// Completes `header` from `input`; `None` while bytes are missing.
fn fill<const N: usize>(
    header: &mut [u8; N],
    filled: &mut usize,
    input: &mut &[u8],
) -> Option<[u8; N]> {
    let missing = N - *filled;
    let (taken, rest) = input.split_at(missing.min(input.len()));
    for (slot, byte) in header.iter_mut().skip(*filled).zip(taken) {
        *slot = *byte;
    }
    *filled += taken.len();
    *input = rest;
    (*filled == N).then_some(*header)
}

/// Whether the message is one that somebody reads: the others are counted through.
const fn is_kept(kind: u8) -> bool {
    matches!(kind, message::CLIENT_HELLO | message::SERVER_HELLO | message::CERTIFICATE)
}

/// Handshake message types (RFC 8446, section 4; RFC 5246, section 7.4).
pub(crate) mod message {
    pub(crate) const CLIENT_HELLO: u8 = 1;
    pub(crate) const SERVER_HELLO: u8 = 2;
    /// Of TLS 1.3 drafts before 22; later ones are a ServerHello.
    pub(crate) const HELLO_RETRY_REQUEST: u8 = 6;
    pub(crate) const CERTIFICATE: u8 = 11;
    /// Comes before the certificate, if at all (RFC 4680).
    pub(crate) const SUPPLEMENTAL_DATA: u8 = 23;
    pub(crate) const HELLO_REQUEST: u8 = 0;
}

/// Kept bytes of a handshake message. Real hellos stay below 4 KiB; a leaf certificate comes first.
pub(crate) const MAX_MESSAGE: usize = 64 * 1024;
/// 16 KiB of plaintext and 2 KiB of expansion (RFC 5246, section 6.2.3).
const MAX_RECORD: usize = 16 * 1024 + 2048;
/// Type, version, length.
pub(crate) const RECORD_HEADER: usize = 5;
/// Type and length.
const MESSAGE_HEADER: usize = 4;
