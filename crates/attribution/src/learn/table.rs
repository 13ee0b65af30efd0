//! Who was seen with which key, at one evidence level. Knows no precision.

use hashbrown::HashMap;

use super::{Conflict, Row, Texts};
use crate::index::{PARTS, Part};

/// A kind of key that rules are learned for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Level {
    /// The part of the fingerprint, if any.
    pub(super) part: Option<Part>,
    /// Whether the destination is part of the key.
    pub(super) destination: bool,
}

impl Level {
    const fn with(part: Part) -> Self {
        Self { part: Some(part), destination: true }
    }

    const fn alone(part: Part) -> Self {
        Self { part: Some(part), destination: false }
    }

    /// The name of the evidence level that a rule with this key has.
    pub(super) const fn name(self) -> &'static str {
        match (self.part, self.destination) {
            (Some(Part::Ja4), true) => "ja4+destination",
            (Some(Part::Stable), true) => "stable+destination",
            (Some(Part::Ja3), true) => "ja3+destination",
            (Some(Part::Prefix), true) => "prefix+destination",
            (Some(Part::Cipher), true) => "cipher+destination",
            (Some(Part::Extensions), true) => "extensions+destination",
            (Some(part), false) => part.name(),
            (None, _) => "destination",
        }
    }

    /// Whether the key holds a whole fingerprint: then a new flow mostly comes from a program that
    /// showed it before.
    const fn is_whole(self) -> bool {
        matches!(self.part, Some(Part::Ja4 | Part::Stable | Part::Ja3))
    }

    /// The row's key at this level, if it has one.
    pub(super) fn key(self, row: &Row) -> Option<Key> {
        let part = match self.part {
            Some(part) => Some(part_of(row, part)?),
            None => None,
        };
        let group = if self.destination { Some(row.group?) } else { None };
        Some((part, group))
    }

    /// What is left out together with a row when the level is measured, so that it shows how good
    /// the level is when it is needed: for a fingerprint alone its flows to the same destination;
    /// for a part of one, and for a destination alone, all flows of the same fingerprint. Nothing
    /// for a fingerprint with its destination: there one flow is left out.
    pub(super) fn left_out(self, row: &Row) -> Option<Key> {
        match (self.is_whole(), self.destination) {
            (true, true) => None,
            (true, false) => Some((self.part.and_then(|part| part_of(row, part)), row.group)),
            (false, _) => Some((part_of(row, Part::Ja4).or_else(|| part_of(row, Part::Ja3)), None)),
        }
    }

    /// What a row of so many flows weighs: the flows themselves where the destination is known;
    /// else their magnitude, for a flow to a new destination comes from the program that has many
    /// destinations rather than from the one that has much traffic.
    pub(super) fn weight(self, flows: u64) -> f64 {
        let flows = flows as f64;
        if self.destination { flows } else { 1.0 + flows.max(1.0).log2() }
    }
}

/// What rules are learned for. The cipher part alone is left out: it names a stack, and what it
/// named of programs was wrong for most new fingerprints.
pub(super) const LEVELS: [Level; 12] = [
    Level::with(Part::Ja4),
    Level::with(Part::Stable),
    Level::with(Part::Ja3),
    Level::with(Part::Prefix),
    Level::with(Part::Cipher),
    Level::alone(Part::Ja4),
    Level::alone(Part::Stable),
    Level::alone(Part::Ja3),
    Level::alone(Part::Prefix),
    Level::with(Part::Extensions),
    Level::alone(Part::Extensions),
    Level { part: None, destination: true },
];

/// Part of a fingerprint and destination, by the numbers of their texts.
pub(super) type Key = (Option<u32>, Option<u32>);

/// One application's share of a key.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Share {
    pub(super) application: u32,
    pub(super) weight: f64,
    pub(super) flows: u64,
}

/// All keys of one level with the applications seen under them.
pub(super) struct Table {
    pub(super) level: Level,
    /// Shares in the order of the rows, which is fixed.
    cells: HashMap<Key, Vec<Share>, foldhash::fast::FixedState>,
    /// What each group that can be left out adds to a key.
    groups: HashMap<(Key, Key), Vec<Share>, foldhash::fast::FixedState>,
}

impl Table {
    pub(super) fn new(level: Level, rows: &[(Row, u64)]) -> Self {
        let mut table = Self { level, cells: HashMap::default(), groups: HashMap::default() };
        for (row, flows) in rows {
            let Some(key) = level.key(row) else { continue };
            let share =
                Share { application: row.application, weight: level.weight(*flows), flows: *flows };
            add(table.cells.entry(key).or_default(), share);
            if let Some(group) = level.left_out(row) {
                add(table.groups.entry((key, group)).or_default(), share);
            }
        }
        table
    }

    pub(super) fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// All keys with their shares.
    pub(super) fn cells(&self) -> impl Iterator<Item = (Key, &[Share])> {
        self.cells.iter().map(|(key, shares)| (*key, shares.as_slice()))
    }

    /// The shares of `row`'s key without what is left out together with it.
    pub(super) fn without(&self, row: &Row, left: &mut Vec<Share>) {
        left.clear();
        let Some(key) = self.level.key(row) else { return };
        left.extend(self.cells.get(&key).into_iter().flatten());
        let group = self.level.left_out(row);
        let one = [Share { application: row.application, weight: 1.0, flows: 1 }];
        let out = match group {
            Some(group) => self.groups.get(&(key, group)).map_or(&[][..], Vec::as_slice),
            None => &one,
        };
        for share in out {
            let same = |kept: &&mut Share| kept.application == share.application;
            if let Some(kept) = left.iter_mut().find(same) {
                kept.weight -= share.weight;
            }
        }
        left.retain(|share| share.weight > NOTHING);
    }

    /// The keys that several applications share.
    pub(super) fn conflicts(&self, part: &'static str, texts: &Texts) -> Vec<Conflict> {
        let shared = self.cells().filter(|(_, shares)| shares.len() > 1);
        let conflict = |(key, shares): (Key, &[Share])| {
            let mut applications: Vec<(String, u64)> = shares
                .iter()
                .map(|share| (texts.get(share.application).to_owned(), share.flows))
                .collect();
            applications.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
            let key = key.0.map_or("", |number| texts.get(number)).to_owned();
            Conflict { part, key, applications }
        };
        shared.map(conflict).collect()
    }
}

/// The best share by weight, with all weight; `better` settles equal weights.
pub(super) fn best(shares: &[Share]) -> Option<(Share, f64)> {
    // Shares stand in the order of their applications' names, so that the first of equals wins.
    let best = shares.iter().copied().reduce(|a, b| if b.weight > a.weight { b } else { a })?;
    Some((best, shares.iter().map(|share| share.weight).sum()))
}

fn add(shares: &mut Vec<Share>, share: Share) {
    match shares.iter_mut().find(|kept| kept.application == share.application) {
        Some(kept) => {
            kept.weight += share.weight;
            kept.flows = kept.flows.saturating_add(share.flows);
        }
        None => shares.push(share),
    }
}

fn part_of(row: &Row, wanted: Part) -> Option<u32> {
    PARTS.into_iter().zip(row.parts).find(|(part, _)| *part == wanted).and_then(|(_, key)| key)
}

/// What is left of a weight by rounding after all of it was taken away.
const NOTHING: f64 = 1e-9;
