//! Many frames at once, with the bytes they stand in: what one thread hands to another.

use std::sync::Arc;

use dwell_packet::{Frame, Heading, LinkType, Process, Processes, Timestamp};

use crate::mapping::Mapping;
use crate::record::Record;

/// A chunk is full when it holds this many bytes: few enough to stay in a second-level cache while
/// they are looked at.
pub(crate) const MAX_BYTES: usize = 768 << 10;

/// A chunk is full when it holds this many frames.
const MAX_FRAMES: usize = 4096;

/// Frames in the order of the capture, and the bytes they stand in.
#[derive(Debug, Default)]
pub struct Chunk {
    pub(crate) bytes: Vec<u8>,
    /// In place of `bytes`: a mapped file, in which frames have their places.
    pub(crate) mapping: Option<Arc<Mapping>>,
    pub(crate) frames: Vec<FrameAt>,
}

/// One frame's header fields and where its bytes are.
#[derive(Clone, Debug)]
pub(crate) struct FrameAt {
    pub(crate) ts: Timestamp,
    pub(crate) number: u64,
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) wire_len: u32,
    pub(crate) link_type: LinkType,
    pub(crate) processes: Option<Box<KeptProcesses>>,
}

/// The processes behind a frame, where the capture notes them.
#[derive(Clone, Debug)]
pub(crate) struct KeptProcesses {
    pub(crate) owner: Option<Arc<Process>>,
    pub(crate) effective: Option<Arc<Process>>,
    pub(crate) heading: Option<Heading>,
}

impl KeptProcesses {
    fn borrowed(&self) -> Processes<'_> {
        Processes {
            owner: self.owner.as_deref(),
            effective: self.effective.as_deref(),
            heading: self.heading,
        }
    }
}

impl Chunk {
    /// The frames, in order.
    pub fn frames(&self) -> impl Iterator<Item = Frame<'_>> {
        self.frames.iter().map(|at| Frame {
            ts: at.ts,
            link_type: at.link_type,
            bytes: self.bytes().get(at.start..at.end).unwrap_or_default(),
            wire_len: at.wire_len,
            number: at.number,
            processes: at.processes.as_deref().map(KeptProcesses::borrowed).unwrap_or_default(),
        })
    }

    /// Keeps the frames that `keep` says.
    ///
    /// # Errors
    /// The first that `keep` fails with.
    pub fn try_retain<E>(
        &mut self,
        mut keep: impl FnMut(&Frame<'_>) -> Result<bool, E>,
    ) -> Result<(), E> {
        let mut kept = Vec::with_capacity(self.frames.len());
        for frame in self.frames() {
            kept.push(keep(&frame)?);
        }
        let mut kept = kept.into_iter();
        self.frames.retain(|_| kept.next().unwrap_or(false));
        Ok(())
    }

    /// The bytes that every frame stands in.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.mapping.as_ref().map_or(&*self.bytes, |mapping| mapping.bytes())
    }

    /// How many frames there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.frames.len()
    }

    /// Whether there is no frame.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Whether another frame may be put in after `taken` bytes.
    pub(crate) fn has_room(&self, taken: usize) -> bool {
        taken < MAX_BYTES && self.frames.len() < MAX_FRAMES
    }

    /// Puts the frame of a record in that starts at `place`.
    pub(crate) fn put(
        &mut self,
        record: &Record,
        place: usize,
        number: u64,
        processes: Option<Box<KeptProcesses>>,
    ) {
        let start = place + record.header;
        self.frames.push(FrameAt {
            ts: record.ts,
            number,
            start,
            end: start + record.captured,
            wire_len: record.wire_len,
            link_type: record.link_type,
            processes,
        });
    }
}
