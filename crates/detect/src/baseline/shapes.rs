//! What sessions of a kind look like on other hosts. Knows figures by their place only.

use hashbrown::HashMap;

use crate::Shape;

/// Figures of a shape that are compared.
pub(crate) const FIGURES: usize = 7;

/// The place of the share of bytes sent.
const UP_SHARE: usize = 4;

/// Their names, for reasons.
pub(crate) const FIGURE_NAMES: [&str; FIGURES] = [
    "spread of the silences",
    "length of the silences",
    "bytes sent at a time",
    "bytes received at a time",
    "share of bytes sent",
    "share begun by the far side",
    "burstiness",
];

/// The figures of a shape that are compared, in the order of [`FIGURE_NAMES`].
pub(crate) const fn figures(shape: &Shape) -> [f64; FIGURES] {
    [
        shape.sd_ln_gap,
        shape.mean_ln_gap,
        shape.mean_ln_up,
        shape.mean_ln_down,
        shape.up_share,
        shape.server_first_share,
        shape.burstiness,
    ]
}

/// For each host a moving mean and variance of each figure; others' are summed when asked.
#[derive(Clone, Debug, Default)]
pub(crate) struct ShapeVotes {
    own: HashMap<u32, OwnShape, foldhash::fast::RandomState>,
    sum: [f64; FIGURES],
    squares: [f64; FIGURES],
}

/// One host's figures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct OwnShape {
    pub(crate) sessions: u32,
    pub(crate) mean: [f64; FIGURES],
    pub(crate) variance: [f64; FIGURES],
}

/// How far a shape lies from that of other hosts.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Deviation {
    /// Mean of the three largest two-sided tails, in bits.
    pub(crate) bits: f64,
    /// The figure that deviates most.
    pub(crate) most: usize,
    /// Its value, and its mean over other hosts.
    pub(crate) value: f64,
    pub(crate) expected: f64,
}

impl ShapeVotes {
    /// Takes in a finished session of `host`. Its figures move by a tenth at least, and by no more
    /// than three of its own spreads once it has some history.
    pub(crate) fn vote(&mut self, host: u32, figures: &[f64; FIGURES]) {
        let own = self.own.get(&host).copied();
        let next = match own {
            None => OwnShape { sessions: 0, mean: *figures, variance: [0.0; FIGURES] },
            Some(own) => moved(own, figures),
        };
        if let Some(own) = own {
            self.fold(&own, -1.0);
        }
        let next = OwnShape { sessions: next.sessions.saturating_add(1), ..next };
        self.fold(&next, 1.0);
        self.own.insert(host, next);
    }

    /// How far `figures` lie from what other hosts show; `None` below five of them.
    pub(crate) fn deviation(
        &self,
        host: Option<u32>,
        figures: &[f64; FIGURES],
    ) -> Option<Deviation> {
        let (own, hosts) = self.but_one(host)?;
        let mut found = [(0.0, 0_usize, 0.0, 0.0); FIGURES];
        let sums = self.sum.iter().zip(&self.squares).zip(figures);
        for (index, (slot, ((&sum, &squares), &value))) in found.iter_mut().zip(sums).enumerate() {
            let (mine, mine_squared) =
                own.map_or((0.0, 0.0), |own| (at(&own.mean, index), own.squares(index)));
            let mean = (sum - mine) / hosts;
            let variance = ((squares - mine_squared) / hosts - mean * mean).max(MIN_VARIANCE);
            let bits = if is_delivery(index, value - mean) {
                0.0
            } else {
                tail_bits(value, mean, variance.sqrt() * 1.1 + 0.05)
            };
            *slot = (bits, index, value, mean);
        }
        found.sort_by(|a, b| b.0.total_cmp(&a.0));
        let bits = found.iter().take(3).map(|found| found.0).sum::<f64>() / 3.0;
        let (_, most, value, expected) = found.first().copied().unwrap_or_default();
        Some(Deviation { bits, most, value, expected })
    }

    /// What one host shows, and how many others there are; `None` below five of them.
    fn but_one(&self, host: Option<u32>) -> Option<(Option<&OwnShape>, f64)> {
        let own = host.and_then(|host| self.own.get(&host));
        let hosts = self.own.len().saturating_sub(usize::from(own.is_some()));
        let count = f64::from(u32::try_from(hosts).unwrap_or(u32::MAX));
        (hosts >= MIN_HOSTS).then_some((own, count))
    }

    /// Share of bytes sent, over hosts but one; `None` below five of them.
    pub(crate) fn mean_up_share(&self, host: Option<u32>) -> Option<f64> {
        let (own, hosts) = self.but_one(host)?;
        let mine = own.map_or(0.0, |own| at(&own.mean, UP_SHARE));
        Some((at(&self.sum, UP_SHARE) - mine) / hosts)
    }

    /// One host's figures.
    pub(crate) fn of(&self, host: u32) -> Option<&OwnShape> {
        self.own.get(&host)
    }

    /// Every host's figures.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &OwnShape)> {
        self.own.iter().map(|(&host, own)| (host, own))
    }

    /// Takes a host's figures in as they were stored.
    pub(crate) fn restore(&mut self, host: u32, own: OwnShape) {
        if let Some(before) = self.own.insert(host, own) {
            self.fold(&before, -1.0);
        }
        self.fold(&own, 1.0);
    }

    fn fold(&mut self, own: &OwnShape, sign: f64) {
        for (index, (sum, squares)) in self.sum.iter_mut().zip(&mut self.squares).enumerate() {
            *sum += sign * at(&own.mean, index);
            *squares += sign * own.squares(index);
        }
    }
}

impl OwnShape {
    fn squares(&self, index: usize) -> f64 {
        at(&self.mean, index).powi(2) + at(&self.variance, index)
    }
}

fn moved(own: OwnShape, figures: &[f64; FIGURES]) -> OwnShape {
    let share = (1.0 / (f64::from(own.sessions) + 1.0)).max(MIN_SHARE);
    let mut next = own;
    let kept = next.mean.iter_mut().zip(&mut next.variance);
    for ((mean, variance), &figure) in kept.zip(figures) {
        let mut step = figure - *mean;
        if own.sessions >= CLAMP_FROM {
            let most = 3.0 * variance.max(MIN_VARIANCE).sqrt();
            step = step.clamp(-most, most);
        }
        *mean += share * step;
        *variance = (1.0 - share) * (*variance + share * step * step);
    }
    next
}

/// Bits of a two-sided tail of a normal distribution, halved: figures are not independent.
fn tail_bits(value: f64, mean: f64, sd: f64) -> f64 {
    let z = (value - mean).abs() / sd;
    if z < 1.0 {
        return 0.0;
    }
    let root = (2.0 * std::f64::consts::PI).sqrt();
    ((z * z / 2.0 + (z * root).ln()) / std::f64::consts::LN_2 * 0.5).min(8.0)
}

/// Whether a deviation only says that more is delivered to the host than elsewhere: films and
/// downloads, not an intruder's work.
const fn is_delivery(index: usize, deviation: f64) -> bool {
    (index == RECEIVED && deviation > 0.0) || (index == SENT_SHARE && deviation < 0.0)
}

/// Places of two figures.
const RECEIVED: usize = 3;
const SENT_SHARE: usize = 4;

fn at(figures: &[f64; FIGURES], index: usize) -> f64 {
    figures.get(index).copied().unwrap_or(0.0)
}

/// Other hosts needed before their shapes say anything.
const MIN_HOSTS: usize = 5;

/// Figures of few hosts agree by chance; in squares of their units.
const MIN_VARIANCE: f64 = 0.02;

/// Share of a new session in a host's moving figures, at least: old ones fade within some ten.
const MIN_SHARE: f64 = 0.1;

/// Sessions of a host before one more may only move its figures by three spreads.
const CLAMP_FROM: u32 = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn votes() -> ShapeVotes {
        let mut votes = ShapeVotes::default();
        for host in 0..6 {
            for n in 0..4_u32 {
                let wobble = f64::from(host + n) * 0.05;
                votes.vote(host, &[1.0 + wobble, 2.0, 3.0, 4.0, 0.5, 0.0, 0.1]);
            }
        }
        votes
    }

    #[test]
    fn few_other_hosts_say_nothing() {
        let mut votes = ShapeVotes::default();
        for host in 0..5 {
            votes.vote(host, &[1.0; FIGURES]);
        }
        assert_eq!(votes.deviation(Some(0), &[9.0; FIGURES]), None);
        assert!(votes.deviation(None, &[9.0; FIGURES]).is_some());
    }

    #[test]
    fn what_others_do_deviates_by_nothing_and_what_nobody_does_by_much() {
        let votes = votes();
        let usual = votes.deviation(None, &[1.1, 2.0, 3.0, 4.0, 0.5, 0.0, 0.1]).unwrap();
        let odd = votes.deviation(None, &[1.1, 2.0, 9.0, 9.0, 0.5, 1.0, 0.1]).unwrap();
        assert!(usual.bits < 0.1, "{usual:?}");
        assert!(odd.bits > 4.0, "{odd:?}");
        assert!([2, 3, 5].contains(&odd.most));
    }

    #[test]
    fn more_delivered_than_elsewhere_says_nothing() {
        let film = votes().deviation(None, &[1.1, 2.0, 3.0, 14.0, 0.0, 0.0, 0.1]).unwrap();
        assert!(film.bits < 0.1, "{film:?}");
    }

    #[test]
    fn a_host_is_not_compared_with_itself() {
        let mut votes = votes();
        for _ in 0..50 {
            votes.vote(0, &[1.1, 2.0, 9.0, 9.0, 0.5, 1.0, 0.1]);
        }
        let odd = votes.deviation(Some(0), &[1.1, 2.0, 9.0, 9.0, 0.5, 1.0, 0.1]).unwrap();
        assert!(odd.bits > 4.0, "{odd:?}");
    }

    #[test]
    fn one_session_cannot_move_a_long_history_far() {
        let mut votes = votes();
        (0..20).for_each(|_| votes.vote(0, &[1.0, 2.0, 3.0, 4.0, 0.5, 0.0, 0.1]));
        votes.vote(0, &[1.0, 2.0, 1e9, 4.0, 0.5, 0.0, 0.1]);
        let (_, own) = votes.iter().find(|(host, _)| *host == 0).unwrap();
        assert!(own.mean[2] < 3.2, "{own:?}");
    }
}
