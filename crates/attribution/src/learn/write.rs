//! Learned rules as they stand in a file. Knows no observations.

use std::collections::BTreeMap;
use std::io::{self, Write};

use super::measure::Precision;
use super::table::{Key, Level, Share, Table, best};
use super::{Learned, Origin, Texts};
use crate::AppRules;
use crate::index::Part;
use crate::search::MIN_CONFIDENCE;
use crate::written::{Facts, WrittenRule};

impl Learned {
    /// Writes the rules as a mapping file.
    ///
    /// # Errors
    /// When `out` cannot be written.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(
            out,
            "# Learned from {} labelled flows of {} kinds. Confidence is the precision measured \
             on them, with\n# what shares a flow's more specific key left out. Precision of each \
             evidence level:",
            self.flows, self.kinds
        )?;
        for (level, precision, kinds) in &self.levels {
            writeln!(out, "#   {level}: {precision:.3} on {kinds} kinds")?;
        }
        for rule in &self.rules {
            rule.write(out)?;
        }
        Ok(())
    }
}

/// Keys that give the same answer with the same confidence, on their way to one rule.
#[derive(Debug, Default)]
pub(super) struct Groups {
    groups: BTreeMap<GroupKey, Group>,
    levels: usize,
}

/// Place of the level, part of the fingerprint (where the rule has a destination as well),
/// application, and confidence in hundredths with the surest first.
type GroupKey = (usize, String, String, std::cmp::Reverse<u32>);

#[derive(Debug)]
struct Group {
    level: Level,
    /// Parts of fingerprints for a level without destination, else destinations.
    keys: Vec<String>,
    flows: u64,
}

impl Groups {
    /// Takes the keys of one level in.
    pub(super) fn add(&mut self, table: &Table, precision: &Precision, texts: &Texts) {
        let place = self.levels;
        self.levels += 1;
        for (key, shares) in table.cells() {
            for (share, confidence) in answers(shares, precision) {
                let hundredths = hundredths(confidence);
                if f64::from(hundredths) < MIN_CONFIDENCE * 100.0 {
                    continue;
                }
                let (part, one) = split(key, table.level, texts);
                let application = texts.get(share.application).to_owned();
                let group = (place, part, application, std::cmp::Reverse(hundredths));
                let group = self.groups.entry(group).or_insert_with(|| Group {
                    level: table.level,
                    keys: Vec::new(),
                    flows: 0,
                });
                group.keys.push(one);
                group.flows = group.flows.saturating_add(share.flows);
            }
        }
    }

    /// The rules, in the order of levels, fingerprints and names.
    pub(super) fn rules(self, origin: &Origin<'_>, known: &AppRules) -> Vec<WrittenRule> {
        let facts = Facts::new(known);
        let mut rules = Vec::with_capacity(self.groups.len());
        for ((_, part, application, hundredths), mut group) in self.groups {
            group.keys.sort_unstable();
            let level = group.level.name().replace('+', "-");
            let mut rule = WrittenRule {
                id: format!("{}-{level}-{:05}", origin.prefix, rules.len()),
                confidence: f64::from(hundredths.0) / 100.0,
                flows: Some(group.flows),
                date: Some(origin.date.to_string()),
                source: origin.source.to_owned(),
                licence: origin.licence.map(str::to_owned),
                application,
                ..WrittenRule::default()
            };
            facts.lend(&mut rule);
            put_keys(&mut rule, group, part);
            rules.push(rule);
        }
        rules
    }
}

fn put_keys(rule: &mut WrittenRule, group: Group, part: String) {
    let Level { part: kind, destination } = group.level;
    let parts = if destination {
        rule.sni = group.keys;
        vec![part]
    } else {
        group.keys
    };
    match kind {
        Some(Part::Ja4 | Part::Prefix) => rule.ja4 = parts,
        Some(Part::Stable) => rule.stable = parts,
        Some(Part::Ja3) => rule.ja3 = parts,
        Some(Part::Cipher) => rule.cipher = parts,
        Some(Part::Extensions) => rule.extensions = parts,
        None => {}
    }
}

/// The applications that a key is worth naming, each with its confidence: the best one with the
/// precision measured for such keys, rivals by their share of the best one's weight.
fn answers(shares: &[Share], precision: &Precision) -> Vec<(Share, f64)> {
    let Some((top, all)) = best(shares) else { return Vec::new() };
    let confidence = precision.of(top.weight / all, all);
    let mut shares = shares.to_vec();
    // A stable sort: equals stay in the order of names, as `best` settles them.
    shares.sort_by(|a, b| b.weight.total_cmp(&a.weight));
    let worth = shares
        .into_iter()
        .filter(|share| share.application == top.application || share.weight >= RIVAL_SHARE * all);
    worth.take(MAX_ANSWERS).map(|share| (share, confidence * share.weight / top.weight)).collect()
}

/// The key as the part that its rule has once, and the one of many.
fn split(key: Key, level: Level, texts: &Texts) -> (String, String) {
    let text = |number: Option<u32>| number.map_or("", |number| texts.get(number)).to_owned();
    let mut part = text(key.0);
    if level.part == Some(Part::Prefix) {
        part.push_str("_*");
    }
    if level.destination { (part, text(key.1)) } else { (String::new(), part) }
}

/// A confidence in whole hundredths.
fn hundredths(confidence: f64) -> u32 {
    let mut whole = 0_u32;
    while whole < 100 && f64::from(whole) + 0.5 <= confidence * 100.0 {
        whole += 1;
    }
    whole
}

/// The share of a key's weight from which a second application is worth a rule.
const RIVAL_SHARE: f64 = 0.1;

/// Most applications named for one key.
const MAX_ANSWERS: usize = 3;
