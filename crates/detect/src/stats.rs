//! Statistics of one session, kept in constant space. Knows no flows, no hosts and no scores.
//!
//! All figures are over bursts of the session (its flows together) and the silences between them;
//! definitions: Welford 1962 for means and spreads, Kim and Jo 2016 for finite-size burstiness,
//! Goh and Barabasi 2008 for memory, Bandt and Pompe 2002 for ordinal patterns.

use std::net::IpAddr;
use std::time::Duration;

use dwell_packet::Timestamp;

use crate::slots::Slots;
use crate::{Burst, Shape, Side};

/// Silence that parts two bursts of a session.
pub(crate) const BURST_SILENCE: Duration = Duration::from_secs(1);

/// Running statistics of one session. Never allocates; at most 432 bytes.
#[derive(Clone, Debug)]
pub(crate) struct Statistics {
    first: Timestamp,
    current: Current,
    bursts: u32,
    up_bytes: u64,
    down_bytes: u64,
    active_s: f64,
    gaps: Gaps,
    ln_up: Moments,
    ln_down: Moments,
    coupling: Coupling,
    server_first: u32,
    reversed: u32,
    reversed_bytes: u64,
    /// Bytes of the burst before; meaningful with `bursts`.
    previous_up: u64,
    equal_sized: u32,
    slots: Slots,
    addresses: AddressSet,
}

/// The burst that is still open.
#[derive(Clone, Copy, Debug)]
struct Current {
    start: Timestamp,
    end: Timestamp,
    up_bytes: u64,
    down_bytes: u64,
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
            up_bytes: 0,
            down_bytes: 0,
            active_s: 0.0,
            gaps: Gaps::default(),
            ln_up: Moments::default(),
            ln_down: Moments::default(),
            coupling: Coupling::default(),
            server_first: 0,
            reversed: 0,
            reversed_bytes: 0,
            previous_up: 0,
            equal_sized: 0,
            slots: Slots::default(),
            addresses: AddressSet::default(),
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
        let Current { start, end, up_bytes, down_bytes, first, .. } = self.current;
        let (up, down) = (up_bytes as f64, down_bytes as f64);
        let (ln_up, ln_down) = ((up + SIZE_OFFSET).ln(), (down + SIZE_OFFSET).ln());
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
                self.reversed_bytes = self.reversed_bytes.saturating_add(up_bytes);
            }
        }
        if before > 0 && same_size(self.previous_up as f64, up) {
            self.equal_sized = self.equal_sized.saturating_add(1);
        }
        self.previous_up = up_bytes;
        self.up_bytes = self.up_bytes.saturating_add(up_bytes);
        self.down_bytes = self.down_bytes.saturating_add(down_bytes);
        self.active_s += end.saturating_since(start).as_secs_f64();
        self.slots.add(start.saturating_since(self.first), end.saturating_since(self.first));
    }

    /// Takes note of an address that the session went to.
    pub(crate) fn note_address(&mut self, addr: IpAddr) {
        self.addresses.add(addr);
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
    pub(crate) const fn bytes(&self) -> (u64, u64) {
        let Current { up_bytes, down_bytes, settled, .. } = self.current;
        if settled {
            (self.up_bytes, self.down_bytes)
        } else {
            (self.up_bytes.saturating_add(up_bytes), self.down_bytes.saturating_add(down_bytes))
        }
    }

    /// Distinct addresses, up to 16.
    pub(crate) fn addresses(&self) -> u32 {
        u32::from(self.addresses.count)
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
        let bursts = f64::from(self.bursts).max(1.0);
        let share = |count: u32| f64::from(count) / bursts;
        let (up, down) = (self.up_bytes as f64, self.down_bytes as f64);
        let mut shape = Shape {
            bursts: self.bursts,
            coverage: self.slots.coverage(duration),
            longest_run_slots: self.slots.longest_run(),
            server_first_share: share(self.server_first),
            reversed_bursts: self.reversed,
            reversed_bytes_share: self.reversed_bytes as f64 / (up + 1.0),
            mean_ln_up: self.ln_up.mean,
            sd_ln_up: self.ln_up.sd(self.bursts),
            mean_ln_down: self.ln_down.mean,
            sd_ln_down: self.ln_down.sd(self.bursts),
            up_share: up / (up + down + 1.0),
            idle_share: 1.0 - self.active_s / (duration.as_secs_f64() + 1.0),
            coupling_bits: self.coupling.bits(self.bursts),
            equal_size_share: f64::from(self.equal_sized) / (bursts - 1.0).max(1.0),
            fano: self.slots.fano(),
            allan: self.slots.allan(),
            ..Shape::default()
        };
        self.gaps.describe(&mut shape);
        shape
    }
}

impl Current {
    const fn of(burst: &Burst) -> Self {
        let Burst { start, end, up_bytes, down_bytes, first } = *burst;
        Self { start, end, up_bytes, down_bytes, first, settled: false }
    }

    fn join(&mut self, burst: &Burst) {
        self.end = self.end.max(burst.end);
        self.up_bytes = self.up_bytes.saturating_add(burst.up_bytes);
        self.down_bytes = self.down_bytes.saturating_add(burst.down_bytes);
    }
}

/// Mean and spread of a series (Welford 1962).
#[derive(Clone, Copy, Debug, Default)]
struct Moments {
    mean: f64,
    squares: f64,
}

impl Moments {
    /// Takes in the value that makes the series `count` long.
    fn add(&mut self, value: f64, count: u32) {
        let delta = value - self.mean;
        self.mean += delta / f64::from(count);
        self.squares += delta * (value - self.mean);
    }

    /// Standard deviation over the whole series of `count` (divided by its length).
    fn sd(&self, count: u32) -> f64 {
        if count == 0 { 0.0 } else { (self.squares / f64::from(count)).max(0.0).sqrt() }
    }

    /// Whether `value` lies two spreads above the mean of what came before.
    fn unusual(&self, value: f64, count: u32) -> bool {
        value > self.mean + 2.0 * self.sd(count).max(MIN_SIZE_SPREAD)
    }
}

/// Silences between bursts.
#[derive(Clone, Debug)]
struct Gaps {
    count: u32,
    seconds: Moments,
    ln: Moments,
    longest_s: f64,
    /// Sum of products of consecutive ln gaps.
    products: f64,
    first_ln: f64,
    /// The last two ln gaps, the later first; meaningful with `count`.
    recent_ln: [f64; 2],
    patterns: [u16; 6],
    histogram: [u16; GAP_BINS],
}

impl Default for Gaps {
    fn default() -> Self {
        Self {
            count: 0,
            seconds: Moments::default(),
            ln: Moments::default(),
            longest_s: 0.0,
            products: 0.0,
            first_ln: 0.0,
            recent_ln: [0.0; 2],
            patterns: [0; 6],
            histogram: [0; GAP_BINS],
        }
    }
}

impl Gaps {
    fn add(&mut self, seconds: f64) {
        let seconds = seconds.max(MIN_GAP_S);
        let ln = seconds.ln();
        let [previous, before] = self.recent_ln;
        match self.count {
            0 => self.first_ln = ln,
            1 => self.products += previous * ln,
            _ => {
                self.products += previous * ln;
                count_in(&mut self.patterns, ordinal_pattern(before, previous, ln));
            }
        }
        self.recent_ln = [ln, previous];
        self.count = self.count.saturating_add(1);
        self.seconds.add(seconds, self.count);
        self.ln.add(ln, self.count);
        self.longest_s = self.longest_s.max(seconds);
        let bin = GAP_EDGES_S.partition_point(|&edge| edge <= seconds).saturating_sub(1);
        count_in(&mut self.histogram, bin);
    }

    fn describe(&self, shape: &mut Shape) {
        shape.longest_gap_s = self.longest_s;
        shape.ordinal_entropy = entropy_bits(&self.patterns) / 6_f64.log2();
        let gaps = f64::from(self.count);
        if self.count < 2 {
            return;
        }
        let ratio = if self.seconds.mean > 0.0 {
            self.seconds.sd(self.count) / self.seconds.mean
        } else {
            0.0
        };
        shape.gaps = self.count;
        shape.mean_gap_s = self.seconds.mean;
        shape.gap_variation = ratio;
        shape.burstiness = kim_jo(ratio, gaps + 1.0);
        shape.mean_ln_gap = self.ln.mean;
        shape.sd_ln_gap = self.ln.sd(self.count);
        shape.memory = self.memory();
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
        let count = f64::from(self.count);
        let sum = self.ln.mean * count;
        let squares = self.ln.squares + count * self.ln.mean * self.ln.mean;
        let [last, _] = self.recent_ln;
        let (sum_x, sum_y) = (sum - last, sum - self.first_ln);
        let variance = |squares: f64, sum: f64| squares / pairs - (sum / pairs).powi(2);
        let var_x = variance(squares - last * last, sum_x);
        let var_y = variance(squares - self.first_ln * self.first_ln, sum_y);
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
    large_down: u32,
    large_up: u32,
    both: u32,
    after_large_down: bool,
}

impl Coupling {
    fn add(&mut self, large_up: bool, large_down: bool) {
        self.large_down = self.large_down.saturating_add(u32::from(large_down));
        self.large_up = self.large_up.saturating_add(u32::from(large_up));
        let coupled = large_up && self.after_large_down;
        self.both = self.both.saturating_add(u32::from(coupled));
        self.after_large_down = large_down;
    }

    /// Couplings times the bits by which they exceed chance.
    fn bits(&self, bursts: u32) -> f64 {
        let both = f64::from(self.both);
        let chance = (f64::from(self.large_down) * f64::from(self.large_up)).max(1.0);
        both * (both * f64::from(bursts) / chance).max(1.0).log2()
    }
}

/// Up to 16 addresses by 16 bits of each.
#[derive(Clone, Copy, Debug, Default)]
struct AddressSet {
    marks: [u16; MAX_ADDRESSES],
    count: u8,
}

impl AddressSet {
    fn add(&mut self, addr: IpAddr) {
        let bits = match addr {
            IpAddr::V4(addr) => u128::from(addr.to_bits()),
            IpAddr::V6(addr) => addr.to_bits(),
        };
        let mark = (0..8).fold(0x9e37_u16, |mark, word| {
            let word = u16::try_from((bits >> (word * 16)) & 0xffff).unwrap_or(0);
            (mark ^ word).wrapping_mul(0x6255).rotate_left(5)
        });
        let used = usize::from(self.count);
        if self.marks.iter().take(used).any(|&known| known == mark) {
            return;
        }
        if let Some(free) = self.marks.get_mut(used) {
            *free = mark;
            self.count = self.count.saturating_add(1);
        }
    }
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

/// Which of the six orders three values are in; equals count as rising.
fn ordinal_pattern(a: f64, b: f64, c: f64) -> usize {
    match (a <= b, b <= c, a <= c) {
        (true, true, _) => 0,
        (true, false, true) => 1,
        (true, false, false) => 2,
        (false, _, true) => 3,
        (false, true, false) => 4,
        (false, false, false) => 5,
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

fn same_size(a: f64, b: f64) -> bool {
    (a - b).abs() <= SAME_SIZE_SHARE * a.max(b) + SAME_SIZE_BYTES
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

/// Sizes that differ by less are the same request.
const SAME_SIZE_SHARE: f64 = 0.06;
const SAME_SIZE_BYTES: f64 = 16.0;

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
