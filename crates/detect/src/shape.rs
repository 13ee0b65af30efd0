//! A session's pattern in time and bytes, as figures. Knows not how they were kept.

/// Figures of one session's bursts and of the silences between them.
///
/// Gap figures are zero before there are two gaps. "ln" is the natural logarithm; of gaps in
/// seconds, of bytes plus 64.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Shape {
    /// Bursts that are over.
    pub bursts: u32,
    /// Gaps between them.
    pub gaps: u32,
    /// Mean gap, in seconds.
    pub mean_gap_s: f64,
    /// Standard deviation of gaps over their mean (dimensionless).
    pub gap_variation: f64,
    /// Finite-size burstiness, -1 (regular) to 1 (bursty) (dimensionless).
    pub burstiness: f64,
    /// Mean of ln gap.
    pub mean_ln_gap: f64,
    /// Standard deviation of ln gap; a Poisson process has 1.28, a timer about 0.
    pub sd_ln_gap: f64,
    /// Correlation of consecutive ln gaps, -1 to 1 (dimensionless).
    pub memory: f64,
    /// Quartiles of the gaps, in seconds.
    pub gap_quartiles_s: [f64; 3],
    /// Distance of the outer quartiles, in octaves.
    pub gap_iqr_octaves: f64,
    /// Share of gaps in the three fullest neighbouring half octaves (dimensionless).
    pub gap_concentration: f64,
    /// Entropy of the gap histogram, in bits.
    pub gap_entropy_bits: f64,
    /// Longest gap, in seconds.
    pub longest_gap_s: f64,
    /// Share of ten-minute slots with payload (dimensionless).
    pub coverage: f64,
    /// Longest run of ten-minute slots with payload.
    pub longest_run_slots: u32,
    /// Share of bursts in which the far side spoke first (dimensionless).
    pub server_first_share: f64,
    /// Bursts in which the far side spoke first and the host answered with more.
    pub reversed_bursts: u32,
    /// Their share of the host's bytes (dimensionless).
    pub reversed_bytes_share: f64,
    /// Mean of ln bytes from the host, a burst.
    pub mean_ln_up: f64,
    /// Its standard deviation.
    pub sd_ln_up: f64,
    /// Mean of ln bytes to the host, a burst.
    pub mean_ln_down: f64,
    /// Its standard deviation.
    pub sd_ln_down: f64,
    /// Share of bytes from the host (dimensionless).
    pub up_share: f64,
    /// Unusually large answers followed by unusually large uploads, in bits beyond chance.
    pub coupling_bits: f64,
}
