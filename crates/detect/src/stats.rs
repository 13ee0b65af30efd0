//! Statistics of one session, kept in constant space. Knows no flows, no hosts and no scores.
//!
//! All figures are over bursts of the session (its flows together) and the silences between them;
//! definitions: Welford 1962 for means and spreads, Kim and Jo 2016 for finite-size burstiness,
//! Goh and Barabasi 2008 for memory.

mod saved;

use std::time::Duration;

use dwell_packet::Timestamp;

use crate::slots::Slots;
use crate::{Burst, Shape, Side};

/// Silence that parts two bursts of a session.
pub(crate) const BURST_SILENCE: Duration = Duration::from_secs(1);

/// Running statistics of one session. Allocates once, when a second address comes; 256 bytes.
///
/// Sums that only ever grow by what one burst adds are kept in 32 bits: their rounding error stays
/// below .1 % up to some ten million bursts, a hundred days of one a second.
#[derive(Clone, Debug)]
pub(crate) struct Statistics {
    first: Timestamp,
    current: Current,
    bursts: u32,
    up_bytes: f64,
    down_bytes: f64,
    gaps: Gaps,
    ln_up: Moments,
    ln_down: Moments,
    coupling: Coupling,
    server_first: u32,
    reversed: u32,
    reversed_bytes: f32,
    slots: Slots,
    /// Addresses after the first: few sessions have any.
    more_addresses: Option<Box<MoreAddresses>>,
    first_address: u16,
    addresses: u8,
}

/// The burst that is still open.
#[derive(Clone, Copy, Debug)]
struct Current {
    end: Timestamp,
    length_s: f32,
    up_bytes: f32,
    down_bytes: f32,
    first: Side,
    settled: bool,
}

impl Statistics {
    /// Statistics that start with a session's first burst.
    pub(crate) fn new(burst: &Burst) -> Self {
        Self {
            first: burst.start,
            current: Current::of(burst),
            bursts: 0,
            up_bytes: 0.0,
            down_bytes: 0.0,
            gaps: Gaps::default(),
            ln_up: Moments::default(),
            ln_down: Moments::default(),
            coupling: Coupling::default(),
            server_first: 0,
            reversed: 0,
            reversed_bytes: 0.0,
            slots: Slots::default(),
            more_addresses: None,
            first_address: 0,
            addresses: 0,
        }
    }

    /// Takes in a burst, or a part of one. Bursts must come by start time.
    pub(crate) fn add(&mut self, burst: &Burst) {
        let silence = burst.start.saturating_since(self.current.end);
        if silence < BURST_SILENCE && !self.current.settled {
            return self.current.join(burst);
        }
        self.settle();
        self.gaps.add(silence.as_secs_f64());
        self.current = Current::of(burst);
    }

    /// Counts the open burst, if it has been silent for long enough to be over.
    pub(crate) fn settle_at(&mut self, now: Timestamp) {
        if now.saturating_since(self.current.end) >= BURST_SILENCE {
            self.settle();
        }
    }

    /// Counts the open burst as over.
    pub(crate) fn settle(&mut self) {
        if self.current.settled {
            return;
        }
        self.current.settled = true;
        let Current { end, length_s, first, .. } = self.current;
        let (up, down) = self.current.bytes();
        let ln = |bytes: f64| f64::from(narrow(bytes + SIZE_OFFSET).ln());
        let (ln_up, ln_down) = (ln(up), ln(down));
        let before = self.bursts;
        if before >= MIN_BURSTS_FOR_UNUSUAL {
            let large_up = self.ln_up.unusual(ln_up, before);
            self.coupling.add(large_up, self.ln_down.unusual(ln_down, before));
        }
        self.bursts = before.saturating_add(1);
        self.ln_up.add(ln_up, self.bursts);
        self.ln_down.add(ln_down, self.bursts);
        if first == Side::Server {
            self.server_first = self.server_first.saturating_add(1);
            if up > REVERSE_RATIO * down && up > REVERSE_MIN_BYTES {
                self.reversed = self.reversed.saturating_add(1);
                self.reversed_bytes += narrow(up);
            }
        }
        self.up_bytes += up;
        self.down_bytes += down;
        let ended = end.saturating_since(self.first);
        let began = ended.saturating_sub(Duration::from_secs_f32(length_s)) + ROUNDING;
        self.slots.add(began.min(ended), ended);
    }

    /// Takes note of an address (or, for several destinations together, a destination) that the
    /// session went to, by sixteen bits of its mark.
    pub(crate) fn note_address(&mut self, mark: u16) {
        if self.addresses == 0 {
            self.first_address = mark;
            self.addresses = 1;
        } else if self.first_address != mark {
            let more = self.more_addresses.get_or_insert_default();
            self.addresses = more.add(mark).saturating_add(1);
        }
    }

    /// Time of the first payload.
    pub(crate) const fn first(&self) -> Timestamp {
        self.first
    }

    /// Time of the last payload.
    pub(crate) const fn last(&self) -> Timestamp {
        self.current.end
    }

    /// Payload bytes from and to the host, the open burst included.
    pub(crate) fn bytes(&self) -> (u64, u64) {
        let (up, down) = if self.current.settled { (0.0, 0.0) } else { self.current.bytes() };
        (whole(self.up_bytes + up), whole(self.down_bytes + down))
    }

    /// Distinct addresses, up to 16.
    pub(crate) fn addresses(&self) -> u32 {
        u32::from(self.addresses)
    }

    /// Ten-minute slots with payload.
    pub(crate) const fn slots(&self) -> &Slots {
        &self.slots
    }

    /// Gaps by half octaves, from 1 s.
    pub(crate) const fn gap_histogram(&self) -> &[u16; GAP_BINS] {
        &self.gaps.histogram
    }

    /// All figures at once, for a session that has lasted `duration`.
    pub(crate) fn shape(&self, duration: Duration) -> Shape {
        let mut shape = self.judged_shape(duration);
        self.gaps.describe_histogram(&mut shape);
        shape
    }

    /// The figures that are judged; those of the histogram are zero. Cheaper.
    pub(crate) fn judged_shape(&self, duration: Duration) -> Shape {
        let bursts = f64::from(self.bursts).max(1.0);
        let share = |count: u32| f64::from(count) / bursts;
        let (up, down) = (self.up_bytes, self.down_bytes);
        let mut shape = Shape {
            bursts: self.bursts,
            coverage: self.slots.coverage(duration),
            longest_run_slots: self.slots.longest_run(),
            server_first_share: share(self.server_first),
            reversed_bursts: self.reversed,
            reversed_bytes_share: f64::from(self.reversed_bytes) / (up + 1.0),
            mean_ln_up: f64::from(self.ln_up.mean),
            sd_ln_up: self.ln_up.sd(self.bursts),
            mean_ln_down: f64::from(self.ln_down.mean),
            sd_ln_down: self.ln_down.sd(self.bursts),
            up_share: up / (up + down + 1.0),
            coupling_bits: self.coupling.bits(self.bursts),
            ..Shape::default()
        };
        self.gaps.describe(&mut shape);
        shape
    }
}

impl Current {
    fn of(burst: &Burst) -> Self {
        let Burst { start, end, up_bytes, down_bytes, first } = *burst;
        Self {
            end,
            length_s: end.saturating_since(start).as_secs_f32(),
            up_bytes: narrow(up_bytes as f64),
            down_bytes: narrow(down_bytes as f64),
            first,
            settled: false,
        }
    }

    fn join(&mut self, burst: &Burst) {
        self.length_s += burst.end.saturating_since(self.end).as_secs_f32();
        self.end = self.end.max(burst.end);
        self.up_bytes += narrow(burst.up_bytes as f64);
        self.down_bytes += narrow(burst.down_bytes as f64);
    }

    fn bytes(&self) -> (f64, f64) {
        (f64::from(self.up_bytes), f64::from(self.down_bytes))
    }
}

/// Mean and spread of a series (Welford 1962), added up in 64 bits and kept in 32.
#[derive(Clone, Copy, Debug, Default)]
struct Moments {
    mean: f32,
    squares: f32,
}

impl Moments {
    /// Takes in the value that makes the series `count` long.
    fn add(&mut self, value: f64, count: u32) {
        let before = f64::from(self.mean);
        let delta = value - before;
        let mean = before + delta / f64::from(count);
        self.mean = narrow(mean);
        self.squares = narrow(f64::from(self.squares) + delta * (value - mean));
    }

    /// Standard deviation over the whole series of `count` (divided by its length).
    fn sd(&self, count: u32) -> f64 {
        if count == 0 { 0.0 } else { (f64::from(self.squares) / f64::from(count)).max(0.0).sqrt() }
    }

    /// Whether `value` lies two spreads above the mean of what came before.
    fn unusual(&self, value: f64, count: u32) -> bool {
        value > f64::from(self.mean) + 2.0 * self.sd(count).max(MIN_SIZE_SPREAD)
    }
}

/// Silences between bursts.
#[derive(Clone, Debug)]
struct Gaps {
    count: u32,
    seconds: Moments,
    longest_s: f32,
    /// Sums of ln gaps, of their squares, and of products of consecutive ones: the correlation is
    /// a small difference of them.
    sum_ln: f64,
    squares_ln: f64,
    products: f64,
    first_ln: f32,
    last_ln: f32,
    histogram: [u16; GAP_BINS],
}

impl Default for Gaps {
    fn default() -> Self {
        Self {
            count: 0,
            seconds: Moments::default(),
            longest_s: 0.0,
            sum_ln: 0.0,
            squares_ln: 0.0,
            products: 0.0,
            first_ln: 0.0,
            last_ln: 0.0,
            histogram: [0; GAP_BINS],
        }
    }
}

impl Gaps {
    fn add(&mut self, seconds: f64) {
        let seconds = seconds.max(MIN_GAP_S);
        let short = narrow(seconds).ln();
        let ln = f64::from(short);
        if self.count == 0 {
            self.first_ln = short;
        } else {
            self.products += f64::from(self.last_ln) * ln;
        }
        self.last_ln = short;
        self.sum_ln += ln;
        self.squares_ln += ln * ln;
        self.count = self.count.saturating_add(1);
        self.seconds.add(seconds, self.count);
        self.longest_s = self.longest_s.max(narrow(seconds));
        let bin = GAP_EDGES_S.partition_point(|&edge| edge <= seconds).saturating_sub(1);
        count_in(&mut self.histogram, bin);
    }

    /// The figures that are judged; the histogram's are left to [`Gaps::describe_histogram`].
    fn describe(&self, shape: &mut Shape) {
        shape.longest_gap_s = f64::from(self.longest_s);
        if self.count < 2 {
            return;
        }
        let gaps = f64::from(self.count);
        let seconds = f64::from(self.seconds.mean);
        let ratio = if seconds > 0.0 { self.seconds.sd(self.count) / seconds } else { 0.0 };
        shape.gaps = self.count;
        shape.mean_gap_s = seconds;
        shape.gap_variation = ratio;
        shape.burstiness = kim_jo(ratio, gaps + 1.0);
        shape.mean_ln_gap = self.sum_ln / gaps;
        let variance = self.squares_ln / gaps - shape.mean_ln_gap * shape.mean_ln_gap;
        shape.sd_ln_gap = variance.max(0.0).sqrt();
        shape.memory = self.memory();
    }

    fn describe_histogram(&self, shape: &mut Shape) {
        if self.count < 2 {
            return;
        }
        let quantile = |share| quantile_octaves(&self.histogram, share);
        let (q1, q2, q3) = (quantile(0.25), quantile(0.5), quantile(0.75));
        shape.gap_iqr_octaves = q3 - q1;
        shape.gap_quartiles_s = [q1.exp2(), q2.exp2(), q3.exp2()];
        shape.gap_entropy_bits = entropy_bits(&self.histogram);
        let all: f64 = self.histogram.iter().map(|&count| f64::from(count)).sum();
        let fullest =
            self.histogram.windows(3).map(|bins| bins.iter().map(|&c| u32::from(c)).sum());
        shape.gap_concentration = f64::from(fullest.max().unwrap_or(0_u32)) / all.max(1.0);
    }

    /// Pearson correlation of consecutive ln gaps. Sums over "all but the last" and "all but the
    /// first" follow from the sums over all.
    fn memory(&self) -> f64 {
        let pairs = f64::from(self.count) - 1.0;
        if pairs <= 2.0 {
            return 0.0;
        }
        let last = f64::from(self.last_ln);
        let first = f64::from(self.first_ln);
        let (sum_x, sum_y) = (self.sum_ln - last, self.sum_ln - first);
        let variance = |squares: f64, sum: f64| squares / pairs - (sum / pairs).powi(2);
        let var_x = variance(self.squares_ln - last * last, sum_x);
        let var_y = variance(self.squares_ln - first * first, sum_y);
        if var_x <= MIN_VARIANCE || var_y <= MIN_VARIANCE {
            return 0.0;
        }
        (self.products / pairs - sum_x / pairs * (sum_y / pairs)) / (var_x * var_y).sqrt()
    }
}

/// Command and response: how often an unusually large answer is followed by an unusually large
/// upload.
#[derive(Clone, Copy, Debug, Default)]
struct Coupling {
    large_down: u16,
    large_up: u16,
    both: u16,
    after_large_down: bool,
}

impl Coupling {
    fn add(&mut self, large_up: bool, large_down: bool) {
        self.large_down = self.large_down.saturating_add(u16::from(large_down));
        self.large_up = self.large_up.saturating_add(u16::from(large_up));
        let coupled = large_up && self.after_large_down;
        self.both = self.both.saturating_add(u16::from(coupled));
        self.after_large_down = large_down;
    }

    /// Couplings times the bits by which they exceed chance.
    fn bits(&self, bursts: u32) -> f64 {
        let both = f64::from(self.both);
        let chance = (f64::from(self.large_down) * f64::from(self.large_up)).max(1.0);
        both * (both * f64::from(bursts) / chance).max(1.0).log2()
    }
}

/// Addresses after the first, by 16 bits of each.
#[derive(Clone, Debug, Default)]
struct MoreAddresses {
    marks: [u16; MAX_ADDRESSES - 1],
    count: u8,
}

impl MoreAddresses {
    /// Takes one in; gives how many there are.
    fn add(&mut self, mark: u16) -> u8 {
        let used = usize::from(self.count);
        let known = self.marks.iter().take(used).any(|&known| known == mark);
        if !known && let Some(free) = self.marks.get_mut(used) {
            *free = mark;
            self.count = self.count.saturating_add(1);
        }
        self.count
    }
}

/// A figure in 32 bits; beyond their range, the nearest that they have.
pub(crate) fn narrow(value: f64) -> f32 {
    #[expect(clippy::cast_possible_truncation, reason = "there is no other way; rounding is meant")]
    let narrow = value as f32;
    narrow
}

/// Bytes that were added up as a fraction: exact below 2^53, and never negative.
fn whole(bytes: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "there is no other way; the cast saturates"
    )]
    let whole = bytes as u64;
    whole
}

/// Counts one in a bin; all bins are halved when one is full, so that shares stay.
fn count_in(bins: &mut [u16], bin: usize) {
    if bins.get(bin).is_some_and(|&count| count == u16::MAX) {
        bins.iter_mut().for_each(|count| *count /= 2);
    }
    if let Some(count) = bins.get_mut(bin) {
        *count = count.saturating_add(1);
    }
}

/// A quantile of the gaps as log2 of seconds, linear within its bin.
fn quantile_octaves(histogram: &[u16; GAP_BINS], share: f64) -> f64 {
    let all: f64 = histogram.iter().map(|&count| f64::from(count)).sum();
    let target = share * all;
    let mut below = 0.0;
    let mut low_edge = 0.0;
    for &count in histogram {
        let count = f64::from(count);
        if count > 0.0 && below + count >= target {
            return low_edge + 0.5 * (target - below) / count;
        }
        below += count;
        low_edge += 0.5;
    }
    low_edge
}

fn entropy_bits(bins: &[u16]) -> f64 {
    let all: f64 = bins.iter().map(|&count| f64::from(count)).sum();
    let shares = bins.iter().filter(|&&count| count > 0).map(|&count| f64::from(count) / all);
    shares.map(|share| -share * share.log2()).sum()
}

/// Finite-size burstiness (Kim and Jo 2016, equation 22) of `events` with this variation.
fn kim_jo(variation: f64, events: f64) -> f64 {
    let (more, less) = ((events + 1.0).sqrt(), (events - 1.0).sqrt());
    let scale = (more - 2.0) * variation + less;
    if scale == 0.0 { 0.0 } else { (more * variation - less) / scale }
}

/// Half octaves from 1 s to 2^17.5 s (two days).
pub(crate) const GAP_BINS: usize = 36;

/// Lower edges of the gap bins: 2^(i/2) seconds.
const GAP_EDGES_S: [f64; GAP_BINS] = gap_edges();

const fn gap_edges() -> [f64; GAP_BINS] {
    let mut edges = [1.0; GAP_BINS];
    let mut rest: &mut [f64] = &mut edges;
    let mut whole = 1.0;
    while let [even, odd, tail @ ..] = rest {
        *even = whole;
        *odd = whole * std::f64::consts::SQRT_2;
        whole *= 2.0;
        rest = tail;
    }
    edges
}

/// Added to bursts' bytes before the logarithm, so that empty directions have one.
const SIZE_OFFSET: f64 = 64.0;

/// Overlapping bursts that could not be joined count as this gap.
const MIN_GAP_S: f64 = 0.5;

/// An answer of the host this many times larger than what it answers is reversed interaction.
const REVERSE_RATIO: f64 = 1.5;

/// Smaller answers are acknowledgements.
const REVERSE_MIN_BYTES: f64 = 400.0;

/// More than the rounding of a burst's length, so that none falls into the slot before its own.
const ROUNDING: Duration = Duration::from_millis(1);

/// Before this many bursts nothing is unusual.
const MIN_BURSTS_FOR_UNUSUAL: u32 = 8;

/// Constant sizes have some spread yet, in ln bytes.
const MIN_SIZE_SPREAD: f64 = 0.15;

/// Below this, gaps are constant and have no correlation.
const MIN_VARIANCE: f64 = 1e-9;

/// More addresses than a pool has that serves one session.
const MAX_ADDRESSES: usize = 16;

#[cfg(test)]
#[path = "stats_tests.rs"]
mod tests;
