//! Random numbers that are the same on every machine. Knows no traffic.

use std::time::Duration;

/// A stream of random numbers: SplitMix64 (Steele, Lea and Flood, 2014).
///
/// Only additions, multiplications and shifts are used, on integers and on IEEE doubles, so a
/// seed gives the same numbers on every platform.
#[derive(Clone, Debug)]
pub struct Random {
    state: u64,
}

impl Random {
    /// The stream of a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The stream of one actor under a seed: adding an actor leaves the others' numbers alone.
    #[must_use]
    pub fn of_actor(seed: u64, actor: &str) -> Self {
        let mut state = seed ^ FNV_OFFSET;
        for byte in actor.bytes() {
            state = (state ^ u64::from(byte)).wrapping_mul(FNV_PRIME);
        }
        let mut random = Self { state };
        Self { state: random.next_u64() }
    }

    /// The stream of the actor with a number under a seed.
    #[must_use]
    pub fn of_number(seed: u64, number: u64) -> Self {
        let mut random = Self { state: seed ^ number.wrapping_mul(FNV_PRIME) };
        Self { state: random.next_u64() }
    }

    /// The next 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// An integer below `bound`; zero when `bound` is zero.
    pub fn below(&mut self, bound: u64) -> u64 {
        let wide = u128::from(self.next_u64()) * u128::from(bound);
        u64::try_from(wide >> 64).unwrap_or_default()
    }

    /// The next 32 random bits.
    pub fn next_u32(&mut self) -> u32 {
        u32::try_from(self.next_u64() >> 32).unwrap_or_default()
    }

    /// The next 16 random bits.
    pub fn next_u16(&mut self) -> u16 {
        u16::try_from(self.next_u64() >> 48).unwrap_or_default()
    }

    /// A number in `[0, 1)`.
    pub fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / TWO_TO_THE_53
    }

    /// A number in `[low, high)`.
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// A time in `[low, high)`, both in seconds.
    pub fn seconds_between(&mut self, low: f64, high: f64) -> Duration {
        seconds(self.between(low, high))
    }

    /// True with probability `p`.
    pub fn chance(&mut self, p: f64) -> bool {
        self.unit() < p
    }

    /// One of `items`; `None` when there are none.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        let index = self.below(u64::try_from(items.len()).unwrap_or(u64::MAX));
        items.get(usize::try_from(index).ok()?)
    }

    /// A log-normal number: half are below `median`; `sigma` is the deviation of its logarithm.
    pub fn log_normal(&mut self, median: f64, sigma: f64) -> f64 {
        median * exp(sigma * self.normal())
    }

    /// A log-normal time; `median` in seconds.
    pub fn log_normal_seconds(&mut self, median: f64, sigma: f64) -> Duration {
        seconds(self.log_normal(median, sigma))
    }

    /// A log-normal count of bytes, at least 1 and at most `most`.
    pub fn log_normal_bytes(&mut self, median: f64, sigma: f64, most: u32) -> u32 {
        to_bytes(self.log_normal(median, sigma), most)
    }

    /// A count of bytes with a heavy tail, at least `least` and at most `most`: Pareto with index
    /// 4/3, whose mean is four times `least` where `most` is far away. A power of 3/4 takes square
    /// roots only, which IEEE defines to the last bit.
    pub fn pareto_bytes(&mut self, least: u32, most: u32) -> u32 {
        let root = (1.0 - self.unit()).sqrt();
        to_bytes(f64::from(least) / (root * root.sqrt()), most)
    }

    /// Fills `bytes` with random ones, as ciphertext looks.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            for (byte, random) in chunk.iter_mut().zip(self.next_u64().to_le_bytes()) {
                *byte = random;
            }
        }
    }

    /// `count` random bytes.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.fill(&mut bytes);
        bytes
    }

    /// A standard normal number: the sum of twelve uniform ones less six (Irwin-Hall), which
    /// needs no logarithm and never leaves `[-6, 6]`.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.unit()).sum::<f64>() - 6.0
    }
}

/// `bytes` rounded down, at least 1 and at most `most`.
fn to_bytes(bytes: f64, most: u32) -> u32 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to the range of a u32"
    )]
    let bytes = bytes.clamp(1.0, f64::from(most)) as u32;
    bytes
}

/// A time of `s` seconds; zero for what is no time (negative, infinite, not a number).
#[must_use]
pub fn seconds(s: f64) -> Duration {
    Duration::try_from_secs_f64(s).unwrap_or_default()
}

/// e to the power of `x`, by a series for x/1024 squared ten times: the standard library's
/// exponential may differ in the last bit between platforms.
fn exp(x: f64) -> f64 {
    let small = x.clamp(-700.0, 700.0) / 1024.0;
    let series = 1.0
        + small
            * (1.0 + small / 2.0 * (1.0 + small / 3.0 * (1.0 + small / 4.0 * (1.0 + small / 5.0))));
    (0..10).fold(series, |power, _| power * power)
}

/// The first integer that a double cannot tell from the next.
const TWO_TO_THE_53: f64 = 9_007_199_254_740_992.0;

/// FNV-1a, 64 bits (Fowler, Noll and Vo).
const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_is_splitmix64() {
        // First outputs for seed 1234567 of the reference implementation (Vigna, splitmix64.c).
        let mut random = Random::new(1_234_567);
        let outputs: Vec<u64> = (0..3).map(|_| random.next_u64()).collect();
        assert_eq!(
            outputs,
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]
        );
    }

    #[test]
    fn actors_have_streams_of_their_own() {
        let first = |seed, actor| Random::of_actor(seed, actor).next_u64();
        assert_ne!(first(1, "chat"), first(1, "sync"));
        assert_ne!(first(1, "chat"), first(2, "chat"));
        assert_eq!(first(1, "chat"), first(1, "chat"));
    }

    #[test]
    fn the_exponential_agrees_with_the_standard_library() {
        for x in [-6.0, -1.5, 0.0, 0.3, 2.0, 9.0] {
            assert!((exp(x) / f64::exp(x) - 1.0).abs() < 1e-9, "{x}");
        }
    }

    #[test]
    fn half_of_a_log_normal_is_below_its_median() {
        let mut random = Random::new(3);
        let below = (0..4000).filter(|_| random.log_normal(40.0, 1.6) < 40.0).count();
        assert!((1880..2120).contains(&below), "{below}");
    }

    #[test]
    fn a_sixteenth_of_a_pareto_is_eight_times_its_least() {
        // P(X > x) = (least/x)^(4/3): one in sixteen is above 8 x least.
        let mut random = Random::new(4);
        let above = (0..16_000).filter(|_| random.pareto_bytes(500, u32::MAX) > 4_000).count();
        assert!((900..1_100).contains(&above), "{above}");
        assert!((0..1_000).all(|_| (500..=9_000).contains(&random.pareto_bytes(500, 9_000))));
    }

    #[test]
    fn nothing_to_pick_from_is_none() {
        assert_eq!(Random::new(1).pick::<u8>(&[]), None);
        assert_eq!(Random::new(1).below(0), 0);
    }
}
