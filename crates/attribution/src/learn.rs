//! Learning rules on site: labelled flows in, mapping rules with measured precision out.
//!
//! Knows flows whose application is known (captures of one application, endpoint telemetry,
//! labelled tables). It reads no files and decides nothing about flows without a label.

mod lines;
mod measure;
mod table;
mod write;

use hashbrown::HashMap;

use crate::destination::{group_of, host_name, is_public_suffix};
use crate::index::{PARTS, Part};
use crate::rule::{is_hex, is_ja4, is_suffix};
use crate::written::WrittenRule;
use crate::{AppRules, Date, Evidence};

pub use lines::{FlowLineError, LabelledFlow, read_flow_line};

use measure::Precision;
use table::{LEVELS, Table};

/// One application's flows of one kind, as a label source saw them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Observation<'a> {
    /// The application that held them.
    pub application: &'a str,
    /// JA4 of their ClientHello.
    pub ja4: Option<&'a str>,
    /// JA4 without the extensions that come and go with resumption.
    pub stable: Option<&'a str>,
    /// JA3, lower hex.
    pub ja3: Option<&'a str>,
    /// Where they went: a name; what counts is its registrable domain.
    pub server_name: Option<&'a str>,
    /// How many flows.
    pub flows: u64,
}

/// Why an observation cannot be learned from.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ObservationError {
    /// It names no application.
    #[error("no application is named")]
    NoApplication,
    /// It has neither a fingerprint nor a name.
    #[error("neither ja4, ja3 nor a server name is there")]
    NoKey,
    /// A fingerprint is not one.
    #[error("`{key}`: `{value}` is not of the right form")]
    Malformed {
        /// Which field.
        key: &'static str,
        /// What stands there.
        value: String,
    },
    /// There is no room for further kinds of flows.
    #[error("more than {MAX_ROWS} kinds of flows")]
    Full,
}

/// Labelled flows, counted by what they showed.
#[derive(Debug, Default)]
pub struct Learner {
    texts: Texts,
    rows: HashMap<Row, u64, foldhash::fast::FixedState>,
}

/// What flows of one kind showed; texts by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Row {
    application: u32,
    /// By [`PARTS`].
    parts: [Option<u32>; PARTS.len()],
    /// The destination's registrable domain.
    group: Option<u32>,
}

/// What was learned.
#[derive(Debug)]
#[non_exhaustive]
pub struct Learned {
    /// The rules, in a fixed order.
    pub rules: Vec<WrittenRule>,
    /// Fingerprints that several applications share, the most flows first.
    pub conflicts: Vec<Conflict>,
    /// How precise each evidence level was on what it was learned from, with the flows' own kind
    /// left out: its name, the precision (dimensionless), how many kinds it was measured on.
    pub levels: Vec<(&'static str, f64, usize)>,
    /// Kinds of flows learned from.
    pub kinds: usize,
    /// Flows learned from.
    pub flows: u64,
}

/// A fingerprint that several applications share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// `ja4`, `stable` or `ja3`.
    pub part: &'static str,
    /// The fingerprint.
    pub key: String,
    /// The applications, each with its flows, the most flows first.
    pub applications: Vec<(String, u64)>,
}

/// What rules say of their origin.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    /// The day of the observations: confidence ages from here.
    pub date: Date,
    /// Where they are from, for the rules' `source`.
    pub source: &'a str,
    /// Licence of that source, if it is not our own.
    pub licence: Option<&'a str>,
    /// The first word of the rules' identifiers, so that files learned apart can be used together.
    pub prefix: &'a str,
}

impl Learner {
    /// Takes an observation in.
    ///
    /// # Errors
    /// An observation without application or key, or with something that is no fingerprint; when
    /// there are more kinds of flows than the bound.
    pub fn observe(&mut self, observation: &Observation<'_>) -> Result<(), ObservationError> {
        let application = observation.application.trim();
        if application.is_empty() {
            return Err(ObservationError::NoApplication);
        }
        let group = observation.server_name.and_then(|name| host_name(name.as_bytes()));
        let group = group.map(|name| group_of(&name)).map(|group| {
            // Everybody's names lie under a public suffix: it stands for itself alone.
            if is_public_suffix(&group) { format!("={group}") } else { group }
        });
        let group = group.filter(|group| is_suffix(group));
        let evidence = Evidence {
            ja4: checked("ja4", observation.ja4, is_plain_ja4)?,
            stable: checked("stable", observation.stable, is_plain_ja4)?,
            ja3: checked("ja3", observation.ja3, |text| is_hex(text, 32))?,
            ..Evidence::default()
        };
        let parts = PARTS.map(|part| part.of(&evidence).map(|key| self.texts.number(key)));
        if group.is_none() && parts.iter().all(Option::is_none) {
            return Err(ObservationError::NoKey);
        }
        let application = self.texts.number(application);
        let group = group.map(|group| self.texts.number(&group));
        let row = Row { application, parts, group };
        if self.rows.len() >= MAX_ROWS && !self.rows.contains_key(&row) {
            return Err(ObservationError::Full);
        }
        let flows = self.rows.entry(row).or_default();
        *flows = flows.saturating_add(observation.flows.max(1));
        Ok(())
    }

    /// How many kinds of flows were taken in.
    #[must_use]
    pub fn kinds(&self) -> usize {
        self.rows.len()
    }

    /// The rules that the observations give, each with the precision that its evidence level had
    /// for keys as pure and as often seen: measured on the observations themselves, with what a
    /// flow shares its more specific key with left out. `known` lends family, vendor and category
    /// to applications that it names. The same observations give the same rules in any order.
    #[must_use]
    pub fn learn(&self, origin: &Origin<'_>, known: &AppRules) -> Learned {
        let mut rows: Vec<(Row, u64)> = self.rows.iter().map(|(&row, &n)| (row, n)).collect();
        rows.sort_unstable_by(|a, b| self.texts.of(&a.0).cmp(&self.texts.of(&b.0)));
        let mut levels = Vec::new();
        let mut groups = write::Groups::default();
        let mut conflicts = Vec::new();
        for level in LEVELS {
            let table = Table::new(level, &rows);
            let precision = Precision::measure(&table, &rows);
            if table.is_empty() {
                continue;
            }
            levels.push((level.name(), precision.overall(), precision.measured()));
            groups.add(&table, &precision, &self.texts);
            if let (Some(part @ (Part::Ja4 | Part::Stable | Part::Ja3)), false) =
                (level.part, level.destination)
            {
                conflicts.extend(table.conflicts(part.name(), &self.texts));
            }
        }
        let flows =
            |conflict: &Conflict| conflict.applications.iter().map(|app| app.1).sum::<u64>();
        conflicts.sort_by(|a, b| flows(b).cmp(&flows(a)).then_with(|| a.key.cmp(&b.key)));
        Learned {
            rules: groups.rules(origin, known),
            conflicts,
            levels,
            kinds: rows.len(),
            flows: rows.iter().fold(0, |sum: u64, (_, flows)| sum.saturating_add(*flows)),
        }
    }
}

/// Texts by number, each once.
#[derive(Debug, Default)]
struct Texts {
    numbers: HashMap<Box<str>, u32, foldhash::fast::RandomState>,
    texts: Vec<Box<str>>,
}

impl Texts {
    fn number(&mut self, text: &str) -> u32 {
        if let Some(&number) = self.numbers.get(text) {
            return number;
        }
        let number = u32::try_from(self.texts.len()).unwrap_or(u32::MAX);
        self.texts.push(text.into());
        self.numbers.insert(text.into(), number);
        number
    }

    fn get(&self, number: u32) -> &str {
        usize::try_from(number).ok().and_then(|at| self.texts.get(at)).map_or("", |text| text)
    }

    /// A row as texts: what it is sorted by.
    fn of(&self, row: &Row) -> (&str, [&str; PARTS.len()], &str) {
        let text = |number: Option<u32>| number.map_or("", |number| self.get(number));
        (self.get(row.application), row.parts.map(text), text(row.group))
    }
}

fn checked<'a>(
    key: &'static str,
    value: Option<&'a str>,
    fits: impl Fn(&str) -> bool,
) -> Result<Option<&'a str>, ObservationError> {
    match value {
        Some("") | None => Ok(None),
        Some(value) if fits(value) => Ok(Some(value)),
        Some(value) => {
            let value = crate::printable(value.as_bytes(), MAX_SHOWN_BYTES);
            Err(ObservationError::Malformed { key, value })
        }
    }
}

fn is_plain_ja4(text: &str) -> bool {
    is_ja4(text) && !text.ends_with('*')
}

/// Most kinds of flows: fifty times those of a year of an enterprise's Macs, and about 150 MB.
const MAX_ROWS: usize = 2_000_000;

/// Most bytes shown of a value that is refused.
const MAX_SHOWN_BYTES: usize = 64;
