//! The latest frames of all flows, in a ring of bytes. Knows no flows beyond a number for each.

use std::collections::VecDeque;

use dwell_packet::{Frame, LinkType, Timestamp};

use crate::keeper::Kept;

/// The latest frames, each cut to a length.
#[derive(Debug)]
pub(crate) struct Recent {
    bytes: Box<[u8]>,
    /// Where the next frame goes.
    head: usize,
    /// The frames in the ring, the oldest first.
    entries: VecDeque<Entry>,
    cut: usize,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    flow: u64,
    number: u64,
    ts: Timestamp,
    wire_len: u32,
    link_type: LinkType,
    at: usize,
    len: usize,
}

impl Recent {
    /// A ring of so many bytes, whose frames are cut to `cut` bytes.
    pub(crate) fn new(bytes: usize, cut: usize) -> Self {
        Self {
            bytes: vec![0; bytes].into_boxed_slice(),
            head: 0,
            entries: VecDeque::with_capacity((bytes / 128).min(MAX_RESERVED)),
            cut,
        }
    }

    /// Keeps a frame in the place of the oldest.
    pub(crate) fn push(&mut self, flow: u64, frame: &Frame<'_>) {
        let kept = frame.bytes.get(..self.cut).unwrap_or(frame.bytes);
        let len = kept.len();
        if len > self.bytes.len() {
            return;
        }
        if self.head + len > self.bytes.len() {
            // The rest of the ring is too short: frames there are the oldest.
            while self.entries.front().is_some_and(|oldest| oldest.at >= self.head) {
                self.entries.pop_front();
            }
            self.head = 0;
        }
        let end = self.head + len;
        let in_the_way = |oldest: &Entry| oldest.at < end && oldest.at + oldest.len > self.head;
        while self.entries.front().is_some_and(in_the_way) {
            self.entries.pop_front();
        }
        if let Some(place) = self.bytes.get_mut(self.head..end) {
            place.copy_from_slice(kept);
        }
        self.entries.push_back(Entry {
            flow,
            number: frame.number,
            ts: frame.ts,
            wire_len: frame.wire_len,
            link_type: frame.link_type,
            at: self.head,
            len,
        });
        self.head = end;
    }

    /// The frames of a flow, the latest first.
    pub(crate) fn of(&self, flow: u64) -> impl Iterator<Item = Kept<'_>> + '_ {
        self.entries.iter().rev().filter(move |entry| entry.flow == flow).filter_map(|entry| {
            Some(Kept {
                number: entry.number,
                ts: entry.ts,
                wire_len: entry.wire_len,
                link_type: entry.link_type,
                head: false,
                bytes: self.bytes.get(entry.at..entry.at + entry.len)?,
            })
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}

/// Places for frames that are reserved at the start.
const MAX_RESERVED: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use dwell_packet::Processes;

    use super::*;

    fn push(ring: &mut Recent, number: u64, len: u8) {
        let bytes = vec![u8::try_from(number).unwrap(); usize::from(len)];
        let frame = Frame {
            ts: Timestamp::from_parts(number, 0),
            number,
            wire_len: u32::from(len),
            link_type: LinkType::ETHERNET,
            bytes: &bytes,
            processes: Processes::default(),
        };
        ring.push(number % 3, &frame);
    }

    /// Whatever the lengths: what is given is what was put in, the latest frames of the flow.
    #[test]
    fn the_latest_frames_are_whole_whatever_their_lengths() {
        let mut ring = Recent::new(1000, 64);
        for number in 0..200 {
            push(&mut ring, number, u8::try_from(1 + number * 37 % 90).unwrap());
            for flow in 0..3 {
                let mut last = None;
                for kept in ring.of(flow) {
                    assert_eq!(kept.number % 3, flow);
                    assert!(kept.bytes.iter().all(|&byte| u64::from(byte) == kept.number));
                    assert_eq!(kept.bytes.len(), usize::try_from(kept.wire_len.min(64)).unwrap());
                    assert!(last.is_none_or(|last| last > kept.number));
                    last = Some(kept.number);
                }
            }
            assert_eq!(ring.entries.back().map(|entry| entry.number), Some(number));
        }
        assert!(ring.len() > 15, "{}", ring.len());
    }
}
