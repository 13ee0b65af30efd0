//! Statistics to bytes and back. Knows the order of fields, and nothing of where bytes are kept.

use super::{Coupling, Current, GAP_BINS, Gaps, MAX_ADDRESSES, Moments, MoreAddresses, Statistics};
use crate::Side;
use crate::slots::Slots;
use dwell_packet::Timestamp;

/// First byte of the layout below; statistics of another one are not read.
const LAYOUT: u8 = 1;

impl Statistics {
    /// All of it, little-endian.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut out = Writer(vec![LAYOUT]);
        let Current { end, length_s, up_bytes, down_bytes, first, settled } = self.current;
        out.u64(self.first.as_nanos());
        out.u64(end.as_nanos());
        [length_s, up_bytes, down_bytes].into_iter().for_each(|value| out.f32(value));
        out.u16(u16::from(first == Side::Server));
        out.u16(u16::from(settled));
        out.u32(self.bursts);
        let gaps = &self.gaps;
        out.u32(gaps.count);
        let doubles = [self.up_bytes, self.down_bytes, gaps.sum_ln, gaps.squares_ln, gaps.products];
        doubles.into_iter().for_each(|value| out.f64(value));
        for Moments { mean, squares } in [gaps.seconds, self.ln_up, self.ln_down] {
            out.f32(mean);
            out.f32(squares);
        }
        let singles = [gaps.longest_s, gaps.first_ln, gaps.last_ln, self.reversed_bytes];
        singles.into_iter().for_each(|value| out.f32(value));
        gaps.histogram.iter().for_each(|&count| out.u16(count));
        let Coupling { large_down, large_up, both, after_large_down } = self.coupling;
        [large_down, large_up, both, u16::from(after_large_down)]
            .into_iter()
            .for_each(|value| out.u16(value));
        out.u32(self.server_first);
        out.u32(self.reversed);
        self.slots.to_words().into_iter().for_each(|word| out.u16(word));
        out.u16(u16::from(self.addresses));
        out.u16(self.first_address);
        if let Some(more) = &self.more_addresses {
            more.marks.iter().for_each(|&mark| out.u16(mark));
        }
        out.0
    }

    /// What [`Statistics::to_bytes`] gave; `None` for anything else.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (&LAYOUT, rest) = bytes.split_first()? else { return None };
        let mut from = Reader(rest);
        let first = Timestamp::from_nanos(from.u64()?);
        let current = Current {
            end: Timestamp::from_nanos(from.u64()?),
            length_s: from.f32()?,
            up_bytes: from.f32()?,
            down_bytes: from.f32()?,
            first: if from.u16()? == 1 { Side::Server } else { Side::Client },
            settled: from.u16()? == 1,
        };
        let bursts = from.u32()?;
        let count = from.u32()?;
        let (up_bytes, down_bytes) = (from.f64()?, from.f64()?);
        let (sum_ln, squares_ln, products) = (from.f64()?, from.f64()?, from.f64()?);
        let (seconds, ln_up, ln_down) = (from.moments()?, from.moments()?, from.moments()?);
        let (longest_s, first_ln, last_ln) = (from.f32()?, from.f32()?, from.f32()?);
        let reversed_bytes = from.f32()?;
        let histogram = from.words::<GAP_BINS>()?;
        let gaps = Gaps {
            count,
            seconds,
            longest_s,
            sum_ln,
            squares_ln,
            products,
            first_ln,
            last_ln,
            histogram,
        };
        let coupling = Coupling {
            large_down: from.u16()?,
            large_up: from.u16()?,
            both: from.u16()?,
            after_large_down: from.u16()? == 1,
        };
        let (server_first, reversed) = (from.u32()?, from.u32()?);
        let slots = Slots::from_words(from.words()?);
        let addresses = u8::try_from(from.u16()?).ok()?;
        let first_address = from.u16()?;
        let more_addresses = match addresses.checked_sub(1) {
            None | Some(0) => None,
            Some(count) => {
                let marks = from.words::<{ MAX_ADDRESSES - 1 }>()?;
                Some(Box::new(MoreAddresses { marks, count }))
            }
        };
        from.0.is_empty().then_some(Self {
            first,
            current,
            bursts,
            up_bytes,
            down_bytes,
            gaps,
            ln_up,
            ln_down,
            coupling,
            server_first,
            reversed,
            reversed_bytes,
            slots,
            more_addresses,
            first_address,
            addresses,
        })
    }
}

struct Writer(Vec<u8>);

impl Writer {
    fn u16(&mut self, value: u16) {
        self.0.extend(value.to_le_bytes());
    }

    fn u32(&mut self, value: u32) {
        self.0.extend(value.to_le_bytes());
    }

    fn u64(&mut self, value: u64) {
        self.0.extend(value.to_le_bytes());
    }

    fn f32(&mut self, value: f32) {
        self.0.extend(value.to_le_bytes());
    }

    fn f64(&mut self, value: f64) {
        self.0.extend(value.to_le_bytes());
    }
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    fn u16(&mut self) -> Option<u16> {
        self.take().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    fn f32(&mut self) -> Option<f32> {
        self.take().map(f32::from_le_bytes)
    }

    fn f64(&mut self) -> Option<f64> {
        self.take().map(f64::from_le_bytes)
    }

    fn moments(&mut self) -> Option<Moments> {
        Some(Moments { mean: self.f32()?, squares: self.f32()? })
    }

    fn words<const N: usize>(&mut self) -> Option<[u16; N]> {
        let mut words = [0; N];
        for word in &mut words {
            *word = self.u16()?;
        }
        Some(words)
    }
}
