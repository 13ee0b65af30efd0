//! Consecutive frames of one source, lent where they lie. Copies nothing.

use dwell_packet::{Frame, LinkType, Processes, Timestamp};

/// One frame's header fields, and where its bytes are.
#[derive(Clone, Copy, Debug)]
pub(super) struct FrameAt {
    pub(super) ts: Timestamp,
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) wire_len: u32,
}

/// Frames that a source lends until it is asked for more, in their order.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) frames: &'a [FrameAt],
    pub(super) link_type: LinkType,
    /// The number of the first.
    pub(super) first: u64,
}

impl<'a> Run<'a> {
    /// The frames, numbered on from the source's last.
    pub fn frames(&self) -> impl Iterator<Item = Frame<'a>> + use<'a> {
        let Self { bytes, frames, link_type, first } = *self;
        (first..).zip(frames).map(move |(number, at)| Frame {
            ts: at.ts,
            link_type,
            bytes: bytes.get(at.start..at.end).unwrap_or_default(),
            wire_len: at.wire_len,
            number,
            processes: Processes::default(),
        })
    }

    /// The bytes that every frame stands in.
    #[must_use]
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// How many frames there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.frames.len()
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }
}
