//! Inter-arrival times in constant memory: running moments of the logarithm and a log-scale
//! histogram, all integers, so that sums merge in any order. Reads no clock.

use std::time::Duration;

use dwell_packet::{PerDirection, Timestamp};

/// Gaps are clamped to this from below: the resolution of most captures, and the logarithm of
/// zero is undefined.
pub const MIN_GAP: Duration = Duration::from_micros(1);

/// Running count, sum and sum of squares of log2(gap in nanoseconds), fixed point.
///
/// 24 bytes, never allocates, merges exactly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogMoments {
    count: u64,
    /// Sum of the logarithm, in units of 1/65536.
    sum: u64,
    /// Sum of the squared logarithm, in units of 1/65536.
    sum_squares: u64,
}

impl LogMoments {
    /// Counts one gap.
    pub fn add(&mut self, gap: Duration) {
        let log = u64::from(log2_q16(clamped_nanos(gap)));
        self.count = self.count.saturating_add(1);
        self.sum = self.sum.saturating_add(log);
        self.sum_squares = self.sum_squares.saturating_add((log * log) >> 16);
    }

    /// Adds what `other` counted.
    pub fn merge(&mut self, other: &Self) {
        self.count = self.count.saturating_add(other.count);
        self.sum = self.sum.saturating_add(other.sum);
        self.sum_squares = self.sum_squares.saturating_add(other.sum_squares);
    }

    /// How many gaps were counted.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// Geometric mean of the gaps, in seconds; `None` before the first.
    #[must_use]
    pub fn geometric_mean_s(&self) -> Option<f64> {
        (self.count > 0).then(|| (self.mean_log2() - NANOS_LOG2).exp2())
    }

    /// Standard deviation of the natural logarithm of the gap (dimensionless); `None` before the
    /// second gap. A Poisson process gives π/√6 = 1.283, a metronome 0.
    #[must_use]
    pub fn log_deviation(&self) -> Option<f64> {
        if self.count < 2 {
            return None;
        }
        let mean = self.mean_log2();
        let mean_square = self.sum_squares as f64 / 65536.0 / self.count as f64;
        // The fixed-point sums round down by up to 2^-16 each: differences below that are noise.
        let variance = (mean_square - mean * mean).max(0.0);
        Some(variance.sqrt() * std::f64::consts::LN_2)
    }

    fn mean_log2(&self) -> f64 {
        self.sum as f64 / 65536.0 / self.count as f64
    }
}

/// Base-two logarithm of the nanoseconds in a second.
const NANOS_LOG2: f64 = 29.897_352_853_986_26;

/// Half-octave bins of the gap, from 16 µs to 19 h; what is shorter or longer falls into the first
/// or last bin. 128 bytes, never allocates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GapHistogram {
    bins: [u16; Self::BINS],
}

impl Default for GapHistogram {
    fn default() -> Self {
        Self { bins: [0; Self::BINS] }
    }
}

impl GapHistogram {
    /// Number of bins.
    pub const BINS: usize = 64;
    /// log2 of the first bin's upper neighbour, in nanoseconds: 2^14 ns = 16 µs.
    const FIRST_LOG2: u32 = 14;

    /// Counts one gap. When a bin is full all are halved, which keeps the shape.
    pub fn add(&mut self, gap: Duration) {
        let half_octaves = log2_q16(clamped_nanos(gap)) >> 15;
        let index = half_octaves.saturating_sub(2 * Self::FIRST_LOG2);
        let index = usize::try_from(index).unwrap_or(0).min(Self::BINS - 1);
        if let Some(bin) = self.bins.get_mut(index) {
            *bin += 1;
            if *bin == u16::MAX {
                self.bins.iter_mut().for_each(|bin| *bin /= 2);
            }
        }
    }

    /// Adds what `other` counted, halving both as needed.
    pub fn merge(&mut self, other: &Self) {
        let sums = std::array::from_fn::<u32, { Self::BINS }, _>(|i| {
            let bin = |h: &Self| h.bins.get(i).copied().map_or(0, u32::from);
            bin(self) + bin(other)
        });
        let highest = sums.iter().copied().max().unwrap_or(0);
        let shift = u32::from(highest >= u32::from(u16::MAX));
        self.bins = sums.map(|sum| u16::try_from(sum >> shift).unwrap_or(u16::MAX));
    }

    /// The counts, shortest gaps first.
    #[must_use]
    pub const fn bins(&self) -> &[u16; Self::BINS] {
        &self.bins
    }

    /// The gap below which a share `q` of the gaps lies, in seconds, interpolated within the bin
    /// on the log scale (within a factor of 2^¼ of the truth); `None` when empty.
    #[must_use]
    pub fn quantile_s(&self, q: f64) -> Option<f64> {
        let total: f64 = self.bins.iter().copied().map(f64::from).sum();
        if total == 0.0 {
            return None;
        }
        let wanted = q.clamp(0.0, 1.0) * total;
        let mut below = 0.0;
        let mut last = 0.0;
        for (index, count) in self.bins.iter().copied().map(f64::from).enumerate() {
            if count == 0.0 {
                continue;
            }
            last = seconds_at(index as f64 + ((wanted - below) / count).clamp(0.0, 1.0));
            if below + count >= wanted {
                return Some(last);
            }
            below += count;
        }
        Some(last)
    }

    /// Median, 95th percentile and entropy at once: the same as [`Self::quantile_s`] and
    /// [`Self::entropy_bits`] give, for less. `None` when empty.
    #[must_use]
    pub fn summary(&self) -> Option<GapSummary> {
        let total: u64 = self.filled().map(|(_, count)| u64::from(count)).sum();
        if total == 0 {
            return None;
        }
        let total = total as f64;
        let mut entropy_bits = 0.0;
        let mut below = 0.0;
        let (mut p50_s, mut p95_s) = (None, None);
        for (index, count) in self.filled() {
            let count = f64::from(count);
            for (found, wanted) in [(&mut p50_s, 0.5 * total), (&mut p95_s, 0.95 * total)] {
                if found.is_none() && below + count >= wanted {
                    *found = Some(seconds_at(index as f64 + (wanted - below) / count));
                }
            }
            below += count;
            let share = count / total;
            entropy_bits -= share * share.log2();
        }
        Some(GapSummary { p50_s: p50_s?, p95_s: p95_s?, entropy_bits })
    }

    /// The bins that are not empty. Flows are short and bins many: four are looked at at once.
    fn filled(&self) -> impl Iterator<Item = (usize, u16)> {
        let (fours, _) = self.bins.as_chunks::<4>();
        let busy = fours.iter().enumerate().filter(|(_, four)| **four != [0; 4]);
        busy.flat_map(|(at, four)| (4 * at..).zip(*four)).filter(|&(_, count)| count > 0)
    }

    /// Shannon entropy of the bins, in bits: 0 for a metronome, 6 at most.
    #[must_use]
    pub fn entropy_bits(&self) -> f64 {
        let total: f64 = self.bins.iter().copied().map(f64::from).sum();
        let share = |count: &u16| f64::from(*count) / total;
        self.bins.iter().filter(|&&count| count > 0).map(share).map(|p| -p * p.log2()).sum()
    }
}

/// What a distribution of gaps comes to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GapSummary {
    /// Median, in seconds.
    pub p50_s: f64,
    /// 95th percentile, in seconds.
    pub p95_s: f64,
    /// Shannon entropy of the bins, in bits.
    pub entropy_bits: f64,
}

/// The gap at a place on the histogram's scale, in bins, as seconds.
fn seconds_at(position: f64) -> f64 {
    (position / 2.0 + f64::from(GapHistogram::FIRST_LOG2) - NANOS_LOG2).exp2()
}

/// Gaps between arrivals of one kind: log moments, plain moments and histogram.
///
/// Never allocates. 192 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InterArrival {
    /// Moments of the logarithm.
    pub log: LogMoments,
    /// Distribution on a log scale.
    pub histogram: GapHistogram,
    /// Sum of the gaps, in nanoseconds.
    sum_ns: u64,
    /// Sum of the squared gaps, in square microseconds.
    sum_squares_us2: u128,
    /// The longest gap, in nanoseconds.
    max_ns: u64,
}

impl InterArrival {
    /// Counts one gap.
    pub fn add(&mut self, gap: Duration) {
        let nanos = u64::try_from(gap.as_nanos()).unwrap_or(u64::MAX);
        let micros = gap.as_micros();
        self.log.add(gap);
        self.histogram.add(gap);
        self.sum_ns = self.sum_ns.saturating_add(nanos);
        self.sum_squares_us2 = self.sum_squares_us2.saturating_add(micros.saturating_mul(micros));
        self.max_ns = self.max_ns.max(nanos);
    }

    /// Adds what `other` counted.
    pub fn merge(&mut self, other: &Self) {
        self.log.merge(&other.log);
        self.histogram.merge(&other.histogram);
        self.sum_ns = self.sum_ns.saturating_add(other.sum_ns);
        self.sum_squares_us2 = self.sum_squares_us2.saturating_add(other.sum_squares_us2);
        self.max_ns = self.max_ns.max(other.max_ns);
    }

    /// How many gaps were counted.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.log.count()
    }

    /// Arithmetic mean, in seconds; `None` before the first gap.
    #[must_use]
    pub fn mean_s(&self) -> Option<f64> {
        (self.count() > 0).then(|| self.sum_ns as f64 / 1e9 / self.count() as f64)
    }

    /// The longest gap, in seconds.
    #[must_use]
    pub fn max_s(&self) -> f64 {
        self.max_ns as f64 / 1e9
    }

    /// Coefficient of variation: standard deviation over mean (dimensionless); `None` before the
    /// second gap or when all gaps are zero.
    #[must_use]
    pub fn variation(&self) -> Option<f64> {
        let mean = self.mean_s().filter(|&mean| mean > 0.0 && self.count() > 1)?;
        let mean_square = self.sum_squares_us2 as f64 / 1e12 / self.count() as f64;
        Some((mean_square - mean * mean).max(0.0).sqrt() / mean)
    }

    /// Burstiness B = (σ − μ)/(σ + μ) of Goh and Barabási 2008 (dimensionless): −1 for a
    /// metronome, 0 for Poisson, towards 1 for bursts.
    #[must_use]
    pub fn burstiness(&self) -> Option<f64> {
        self.variation().map(|r| (r - 1.0) / (r + 1.0))
    }
}

/// All timing of a flow: gaps between new payload of each direction, and between exchanges.
///
/// Retransmissions, keep-alives, duplicates and bare acknowledgements do not count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timing {
    /// Gaps between new payload in the same direction.
    pub packets: PerDirection<InterArrival>,
    /// Silences between bursts: runs of payload that end at a direction change or a pause of
    /// [`crate::BURST_SILENCE`].
    pub exchanges: InterArrival,
    last: PerDirection<Option<Timestamp>>,
}

impl Timing {
    /// Counts new payload in `direction` at `ts`.
    ///
    /// A time stamp earlier than the last one of its direction counts as a gap of zero and does
    /// not move the clock back.
    pub fn payload(&mut self, direction: dwell_packet::Direction, ts: Timestamp) {
        let latest = self.latest();
        let (own, other) = self.last.split_mut(direction);
        let turned = match (*own, *other) {
            (Some(own), Some(other)) => other > own,
            (None, Some(_)) => true,
            (Some(_) | None, None) => false,
        };
        if let Some(latest) = latest {
            let silence = ts.saturating_since(latest);
            if turned || silence >= crate::BURST_SILENCE {
                self.exchanges.add(silence);
            }
        }
        match own {
            Some(last) => {
                self.packets.of_mut(direction).add(ts.saturating_since(*last));
                *last = ts.max(*last);
            }
            None => *own = Some(ts),
        }
    }

    /// Adds what `other` counted; its clock is not taken over.
    pub fn merge(&mut self, other: &Self) {
        for direction in dwell_packet::Direction::BOTH {
            self.packets.of_mut(direction).merge(other.packets.of(direction));
        }
        self.exchanges.merge(&other.exchanges);
    }

    fn latest(&self) -> Option<Timestamp> {
        self.last.forward.max(self.last.reverse)
    }
}

fn clamped_nanos(gap: Duration) -> u64 {
    u64::try_from(gap.max(MIN_GAP).as_nanos()).unwrap_or(u64::MAX)
}

/// log2 of `x` ≥ 1 in 1/65536, linear between 257 table points: within 3 of those units.
fn log2_q16(x: u64) -> u32 {
    let exponent = 63 - x.max(1).leading_zeros();
    // The mantissa's 32 bits below the leading one: 8 choose the table entry, 24 interpolate.
    let mantissa = (x.max(1) << (63 - exponent)) << 1 >> 32;
    let index = usize::try_from(mantissa >> 24).unwrap_or(0);
    let below = LOG2_TABLE.get(index).copied().map_or(0, u64::from);
    let above = LOG2_TABLE.get(index + 1).copied().map_or(65536, u64::from);
    let fraction = below + (((above - below) * (mantissa & 0xff_ffff)) >> 24);
    (exponent << 16) + u32::try_from(fraction).unwrap_or(65535)
}

/// log2(1 + i/256) in 1/65536.
const LOG2_TABLE: [u32; 257] = log2_table();

/// Fills the table by repeated squaring: each squaring of a number in [1, 2) yields one bit.
const fn log2_table() -> [u32; 257] {
    let mut table = [65536; 257];
    let mut i = 0;
    while i < 256 {
        let mut square: u128 = (256 + i as u128) << 54;
        let mut log = 0;
        let mut bit = 0;
        while bit < 20 {
            square = (square * square) >> 62;
            log <<= 1;
            if square >= 1 << 63 {
                log |= 1;
                square >>= 1;
            }
            bit += 1;
        }
        #[expect(clippy::indexing_slicing, reason = "evaluated at compile time, i < 256")]
        {
            table[i] = (log + 8) >> 4;
        }
        i += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use dwell_packet::Direction;
    use proptest::prelude::*;

    #[test]
    fn the_table_logarithm_is_within_three_units() {
        for x in (0..64).flat_map(|e| [1u64 << e, (1u64 << e) + (1u64 << e) / 3, (1 << e) | 1]) {
            let exact = (x as f64).log2() * 65536.0;
            assert!((f64::from(log2_q16(x)) - exact).abs() < 3.0, "{x}");
        }
    }

    #[test]
    fn a_metronome_has_no_spread() {
        let mut gaps = InterArrival::default();
        for _ in 0..1000 {
            gaps.add(Duration::from_millis(2500));
        }
        assert!((gaps.mean_s().unwrap() - 2.5).abs() < 1e-9);
        assert!((gaps.log.geometric_mean_s().unwrap() - 2.5).abs() < 1e-3);
        assert!(gaps.log.log_deviation().unwrap() < 0.02);
        assert!(gaps.variation().unwrap() < 1e-6);
        assert!(gaps.burstiness().unwrap() < -0.999);
        assert!(gaps.histogram.entropy_bits() < 1e-9);
    }

    /// Inverse-transform samples of the exponential distribution at equally spaced
    /// probabilities. Known: mean 1/λ, CV 1, median ln 2/λ, sd of ln gap π/√6 = 1.2825.
    #[test]
    fn a_poisson_process_has_the_textbook_moments() {
        let mut gaps = InterArrival::default();
        let n = 20_000;
        for i in 0..n {
            let p = (f64::from(i) + 0.5) / f64::from(n);
            gaps.add(Duration::from_secs_f64(-30.0 * (1.0 - p).ln()));
        }
        let near = |value: f64, expected: f64, tolerance: f64| {
            assert!((value / expected - 1.0).abs() < tolerance, "{value} against {expected}");
        };
        near(gaps.mean_s().unwrap(), 30.0, 0.001);
        near(gaps.variation().unwrap(), 1.0, 0.01);
        near(gaps.log.log_deviation().unwrap(), 1.2825, 0.01);
        near(gaps.histogram.quantile_s(0.5).unwrap(), 30.0 * 2f64.ln(), 0.05);
        near(gaps.histogram.quantile_s(0.95).unwrap(), 30.0 * 20f64.ln(), 0.05);
    }

    #[test]
    fn each_direction_has_its_own_clock() {
        let mut timing = Timing::default();
        let at = |ms: u64| Timestamp::from_nanos(ms * 1_000_000);
        for (direction, ms) in [
            (Direction::Forward, 0),
            (Direction::Reverse, 10),
            (Direction::Forward, 100),
            (Direction::Reverse, 130),
        ] {
            timing.payload(direction, at(ms));
        }
        assert_eq!(timing.packets.forward.mean_s(), Some(0.1));
        assert_eq!(timing.packets.reverse.mean_s(), Some(0.12));
        assert_eq!(timing.exchanges.count(), 3);
        assert!((timing.exchanges.max_s() - 0.09).abs() < 1e-9);
    }

    #[test]
    fn a_clock_that_steps_back_counts_as_no_gap() {
        let mut timing = Timing::default();
        for second in [100, 50, 101] {
            timing.payload(Direction::Forward, Timestamp::from_parts(second, 0));
        }
        assert_eq!(timing.packets.forward.count(), 2);
        assert_eq!(timing.packets.forward.max_s(), 1.0);
    }

    proptest! {
        #[test]
        fn the_summary_is_what_its_parts_are(gaps in proptest::collection::vec(0_u64..1 << 45, 0..40)) {
            let mut histogram = GapHistogram::default();
            gaps.iter().for_each(|&gap| histogram.add(Duration::from_nanos(gap)));
            let near = |a: f64, b: Option<f64>| b.is_some_and(|b| (a - b).abs() <= 1e-9 * b.abs());
            match histogram.summary() {
                None => prop_assert!(gaps.is_empty()),
                Some(summary) => {
                    prop_assert!(near(summary.p50_s, histogram.quantile_s(0.5)));
                    prop_assert!(near(summary.p95_s, histogram.quantile_s(0.95)));
                    let entropy = histogram.entropy_bits();
                    prop_assert!((summary.entropy_bits - entropy).abs() < 1e-9);
                }
            }
        }
    }

    #[test]
    fn a_full_bin_halves_all() {
        let mut histogram = GapHistogram::default();
        for _ in 0..4 {
            histogram.add(Duration::from_secs(100));
        }
        for _ in 0..u16::MAX {
            histogram.add(Duration::from_secs(1));
        }
        assert_eq!(histogram.bins().iter().filter(|&&bin| bin > 0).count(), 2);
        assert!(histogram.bins().iter().all(|&bin| bin <= u16::MAX / 2 + 1));
    }

    proptest! {
        #[test]
        fn merging_equals_counting_all(gaps in prop::collection::vec(0u64..1 << 50, 0..200), cut in 0usize..200) {
            let cut = cut.min(gaps.len());
            let sum = |gaps: &[u64]| {
                let mut all = InterArrival::default();
                gaps.iter().for_each(|&gap| all.add(Duration::from_nanos(gap)));
                all
            };
            let mut merged = sum(&gaps[..cut]);
            merged.merge(&sum(&gaps[cut..]));
            prop_assert_eq!(merged, sum(&gaps));
        }

        #[test]
        fn moments_match_a_naive_computation(gaps in prop::collection::vec(1_000u64..1 << 46, 2..100)) {
            let mut all = InterArrival::default();
            gaps.iter().for_each(|&gap| all.add(Duration::from_nanos(gap)));
            let logs: Vec<f64> = gaps.iter().map(|&gap| (gap as f64).ln()).collect();
            let n = logs.len() as f64;
            let mean = logs.iter().sum::<f64>() / n;
            let deviation = (logs.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n).sqrt();
            prop_assert!((all.log.log_deviation().unwrap() - deviation).abs() < 0.03);
            prop_assert!(((all.log.geometric_mean_s().unwrap() * 1e9).ln() - mean).abs() < 0.001);
        }
    }
}
