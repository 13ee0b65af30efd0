//! How precise an evidence level is, by how pure and how often seen its keys are. Knows no rules.

use super::Row;
use super::table::{Table, best};

/// Measured precision of one level.
pub(super) struct Precision {
    /// Right and all, by purity and by support.
    buckets: [[Tally; SUPPORTS.len() + 1]; PURITIES.len() + 1],
    measured: usize,
}

/// How often an answer was right.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    right: f64,
    all: f64,
}

impl Precision {
    /// Asks the table for each row without what is left out with it. A row counts once, however
    /// many flows it stands for: rare programs matter as much as busy ones.
    pub(super) fn measure(table: &Table, rows: &[(Row, u64)]) -> Self {
        let mut precision = Self { buckets: Default::default(), measured: 0 };
        let mut left = Vec::new();
        for (row, _) in rows {
            table.without(row, &mut left);
            let Some((found, weight)) = best(&left) else { continue };
            let right = found.application == row.application;
            if let Some(tally) = precision.bucket(found.weight / weight, weight) {
                tally.all += 1.0;
                tally.right += f64::from(u8::from(right));
            }
            precision.measured += 1;
        }
        precision
    }

    /// The precision of keys of this purity and support, drawn towards that of all keys of the
    /// purity, and that towards the level's, where few were measured.
    pub(super) fn of(&self, purity: f64, support: f64) -> f64 {
        let Some(row) = self.buckets.get(place(&PURITIES, purity)) else { return 0.0 };
        let own = row.get(place(&SUPPORTS, support)).copied().unwrap_or_default();
        let pure = total(row);
        pull(own, pull(pure, self.overall()))
    }

    /// The precision of the whole level, [`UNMEASURED`] if nothing could be.
    pub(super) fn overall(&self) -> f64 {
        let all = total(self.buckets.iter().flatten());
        if all.all > 0.0 { all.right / all.all } else { UNMEASURED }
    }

    /// On how many rows it was measured.
    pub(super) const fn measured(&self) -> usize {
        self.measured
    }

    fn bucket(&mut self, purity: f64, support: f64) -> Option<&mut Tally> {
        self.buckets.get_mut(place(&PURITIES, purity))?.get_mut(place(&SUPPORTS, support))
    }
}

/// What was measured, drawn towards `expected` as if [`PRIOR`] more rows had shown that.
fn pull(tally: Tally, expected: f64) -> f64 {
    (tally.right + PRIOR * expected) / (tally.all + PRIOR)
}

fn total<'t>(tallies: impl IntoIterator<Item = &'t Tally>) -> Tally {
    tallies.into_iter().fold(Tally::default(), |sum, tally| Tally {
        right: sum.right + tally.right,
        all: sum.all + tally.all,
    })
}

fn place(bounds: &[f64], value: f64) -> usize {
    bounds.iter().filter(|bound| value >= **bound).count()
}

/// Bounds of purity: the winner's share of the key's weight (dimensionless).
const PURITIES: [f64; 7] = [0.35, 0.5, 0.65, 0.8, 0.9, 0.97, 0.9999];

/// Bounds of support: the key's weight, as [`super::table::Level::weight`] counts it.
const SUPPORTS: [f64; 4] = [3.0, 8.0, 25.0, 100.0];

/// How many rows the expectation is worth: a bucket with fewer says little by itself.
const PRIOR: f64 = 8.0;

/// What a level that could not be measured is worth: right as often as wrong. A handful of
/// captures of one flow each leaves nothing to measure on.
const UNMEASURED: f64 = 0.5;
