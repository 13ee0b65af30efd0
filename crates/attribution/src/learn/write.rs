//! Learned rules as they stand in a file. Knows no observations.

use std::collections::BTreeMap;
use std::io::{self, Write};

use hashbrown::HashMap;
use serde::Serialize;

use super::measure::Precision;
use super::table::{Key, Level, Share, Table, best};
use super::{Learned, Origin, Texts};
use crate::index::Part;
use crate::search::MIN_CONFIDENCE;
use crate::{AppRules, Category};

/// A rule that was learned, as [`AppRules`] reads it back from a file.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct LearnedRule {
    /// Identifier.
    pub id: String,
    /// The application.
    pub application: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    family: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vendor: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    category: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ja4: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    stable: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ja3: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cipher: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    extensions: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    sni: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    long_lived_normal: Option<bool>,
    /// Precision measured for keys like these, 0 to 1 (dimensionless).
    pub confidence: f64,
    /// Flows behind it.
    pub flows: u64,
    date: String,
    source: String,
}

impl Learned {
    /// Writes the rules as a mapping file.
    ///
    /// # Errors
    /// When `out` cannot be written.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        #[derive(Serialize)]
        struct One<'r> {
            rule: [&'r LearnedRule; 1],
        }
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
            let text = toml::to_string(&One { rule: [rule] }).map_err(io::Error::other)?;
            write!(out, "\n{text}")?;
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
    pub(super) fn rules(self, origin: &Origin<'_>, known: &AppRules) -> Vec<LearnedRule> {
        let facts = Facts::new(known);
        let mut rules = Vec::with_capacity(self.groups.len());
        for ((_, part, application, hundredths), mut group) in self.groups {
            group.keys.sort_unstable();
            let level = group.level.name().replace('+', "-");
            let mut rule = LearnedRule {
                id: format!("{}-{level}-{:05}", origin.prefix, rules.len()),
                family: None,
                vendor: None,
                category: None,
                ja4: Vec::new(),
                stable: Vec::new(),
                ja3: Vec::new(),
                cipher: Vec::new(),
                extensions: Vec::new(),
                sni: Vec::new(),
                long_lived_normal: None,
                confidence: f64::from(hundredths.0) / 100.0,
                flows: group.flows,
                date: origin.date.to_string(),
                source: origin.source.to_owned(),
                application,
            };
            facts.lend(&mut rule);
            rule.put_keys(group, part);
            rules.push(rule);
        }
        rules
    }
}

impl LearnedRule {
    fn put_keys(&mut self, group: Group, part: String) {
        let Level { part: kind, destination } = group.level;
        let parts = if destination {
            self.sni = group.keys;
            vec![part]
        } else {
            group.keys
        };
        match kind {
            Some(Part::Ja4 | Part::Prefix) => self.ja4 = parts,
            Some(Part::Stable) => self.stable = parts,
            Some(Part::Ja3) => self.ja3 = parts,
            Some(Part::Cipher) => self.cipher = parts,
            Some(Part::Extensions) => self.extensions = parts,
            None => {}
        }
    }
}

/// What rules that are there say of applications, to be lent to learned ones.
struct Facts<'k> {
    by_name: HashMap<String, &'k crate::search::Known, foldhash::fast::RandomState>,
}

impl<'k> Facts<'k> {
    fn new(known: &'k AppRules) -> Self {
        let mut by_name = HashMap::default();
        for rule in &known.rules {
            by_name.entry(rule.application.to_ascii_lowercase()).or_insert(rule);
        }
        Self { by_name }
    }

    fn lend(&self, rule: &mut LearnedRule) {
        let Some(known) = self.by_name.get(&rule.application.to_ascii_lowercase()) else { return };
        rule.family = known.family.as_ref().map(ToString::to_string);
        rule.vendor = known.vendor.as_ref().map(ToString::to_string);
        rule.long_lived_normal = known.rule.long_lived_normal;
        let category = known.rule.category;
        rule.category = (category != Category::Unknown).then(|| category.name());
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
