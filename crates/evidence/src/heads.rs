//! The first frames of each flow, whole: handshakes, which are long gone when a session is found.

use dwell_packet::{Frame, LinkType, Timestamp};

use crate::keeper::Kept;

/// What is kept of the beginning of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadLimits {
    /// Frames.
    pub frames: usize,
    /// Their bytes.
    pub bytes: usize,
}

impl Default for HeadLimits {
    /// A handshake with a post-quantum key share and a chain of certificates.
    fn default() -> Self {
        Self { frames: 24, bytes: 12 << 10 }
    }
}

/// The first frames of one flow.
#[derive(Debug, Default)]
pub(crate) struct Head {
    frames: Vec<HeadFrame>,
    bytes: usize,
    /// Nothing more is kept: what is kept has no holes.
    full: bool,
}

#[derive(Debug)]
struct HeadFrame {
    number: u64,
    ts: Timestamp,
    wire_len: u32,
    link_type: LinkType,
    bytes: Box<[u8]>,
}

/// What a kept frame costs besides its bytes.
const FRAME_BYTES: usize = size_of::<HeadFrame>();

impl Head {
    /// Keeps a frame while there is room; gives the bytes that it took.
    pub(crate) fn push(&mut self, number: u64, frame: &Frame<'_>, limits: HeadLimits) -> usize {
        self.full |=
            self.frames.len() >= limits.frames || self.bytes + frame.bytes.len() > limits.bytes;
        if self.full {
            return 0;
        }
        self.bytes += frame.bytes.len();
        self.frames.push(HeadFrame {
            number,
            ts: frame.ts,
            wire_len: frame.wire_len,
            link_type: frame.link_type,
            bytes: frame.bytes.into(),
        });
        frame.bytes.len() + FRAME_BYTES
    }

    /// The frames, the first first.
    pub(crate) fn frames(&self) -> impl Iterator<Item = Kept<'_>> + '_ {
        self.frames.iter().map(|frame| Kept {
            number: frame.number,
            ts: frame.ts,
            wire_len: frame.wire_len,
            link_type: frame.link_type,
            head: true,
            bytes: &frame.bytes,
        })
    }
}
