//! Frames of wanted flows out of a capture that is read once more. Knows no sessions and no findings
//! beyond a number for each.

use dwell_packet::{DecodeConfig, Decoder, FiveTuple, FlowKey, Frame, Scope};
use foldhash::fast::RandomState;
use hashbrown::HashMap;

use crate::heads::HeadLimits;
use crate::keeper::{KeeperLimits, KeptFrame};

/// Picks frames: the first of each wanted flow whole, the others as far as a snap length goes.
#[derive(Debug)]
pub struct Picker {
    decoder: Decoder,
    wanted: HashMap<FlowKey, Wanted, RandomState>,
    head: HeadLimits,
    cut: usize,
}

#[derive(Debug, Default)]
struct Wanted {
    cases: Vec<u64>,
    frames: usize,
    bytes: usize,
}

impl Picker {
    /// A picker of nothing yet.
    #[must_use]
    pub fn new(decode: DecodeConfig, limits: KeeperLimits) -> Self {
        Self {
            decoder: Decoder::new(decode),
            wanted: HashMap::default(),
            head: limits.head,
            cut: limits.recent_cut,
        }
    }

    /// Wants the frames of a flow, either way round, for a case.
    pub fn want(&mut self, tuple: &FiveTuple, case: u64) {
        let cases = &mut self.wanted.entry(tuple.flow_key(Scope::default()).0).or_default().cases;
        if !cases.contains(&case) {
            cases.push(case);
        }
    }

    /// Whether nothing is wanted.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.wanted.is_empty()
    }

    /// Gives a frame to each case that wants it.
    pub fn pick(&mut self, frame: Frame<'_>, out: &mut Vec<KeptFrame>) {
        let Ok(pdu) = self.decoder.decode(frame) else { return };
        let key = pdu.tuple.flow_key(Scope::default()).0;
        let Some(wanted) = self.wanted.get_mut(&key) else { return };
        wanted.frames = wanted.frames.saturating_add(1);
        wanted.bytes = wanted.bytes.saturating_add(frame.bytes.len());
        let head = wanted.frames <= self.head.frames && wanted.bytes <= self.head.bytes;
        let cut = if head { frame.bytes.len() } else { self.cut };
        let bytes = frame.bytes.get(..cut).unwrap_or(frame.bytes);
        out.extend(wanted.cases.iter().map(|&case| KeptFrame {
            case,
            ts: frame.ts,
            wire_len: frame.wire_len,
            link_type: frame.link_type,
            head,
            bytes: bytes.into(),
        }));
    }
}
