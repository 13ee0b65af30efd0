//! Which applications are expected on which hosts. Knows nothing of sessions or behaviour.

mod exception;
mod explain;
mod group;
mod inventory;
mod known;

use std::path::Path;
use std::sync::Arc;

use dwell_packet::Timestamp;
use serde::Deserialize;

use crate::config::{MappingError, Source, read_file};
use crate::{Attribution, Cidr, Destination, HostRef, LoadError, Outcome};

pub use explain::{PolicyExplanation, PolicyStep};

use exception::Exception;
use group::HostGroup;
use inventory::{Export, Inventory};
use known::KnownDestinations;

/// What is expected where: host groups, what they may and must never run, and dated exceptions.
#[derive(Debug)]
pub struct Policy {
    defaults: Defaults,
    tags: Vec<Tag>,
    groups: Vec<HostGroup>,
    exceptions: Vec<Exception>,
    known: Vec<KnownDestinations>,
    inventory: Inventory,
    refused: Vec<MappingError>,
}

/// What is judged: an application on a host, towards a destination, at a time.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The host.
    pub host: &'a HostRef,
    /// The application.
    pub attribution: &'a Attribution,
    /// Where it goes.
    pub destination: &'a Destination,
    /// When.
    pub at: Timestamp,
}

/// What endpoint telemetry says of the program; nothing if there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Program<'a> {
    /// Path of its executable.
    pub path: Option<&'a str>,
    /// Team that signed it.
    pub team: Option<&'a str>,
    /// Its bundle's identifier.
    pub bundle: Option<&'a str>,
}

/// What the policy says, and which of its rules says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// The answer.
    pub verdict: Verdict,
    /// The rule behind it: `group/key` or an exception's identifier.
    pub rule: Option<Arc<str>>,
    /// The host group that the host belongs to.
    pub group: Option<Arc<str>>,
}

/// The policy's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Verdict {
    /// The application is on the group's list by its name, family, vendor or category.
    Expected,
    /// Only the stack is on the group's list: any program can be built on it.
    ExpectedStack,
    /// A dated exception allows it.
    Excepted,
    /// The policy speaks against it.
    Unexpected(Unexpected),
    /// The evidence contradicts itself.
    Contradictory,
    /// The policy has no opinion.
    Unknown,
}

/// How a policy speaks against an application.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unexpected {
    /// It is on the group's never-list.
    Never,
    /// The group expects what it lists and nothing else.
    NotListed,
}

impl Verdict {
    /// The name in records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Expected | Self::ExpectedStack => "expected",
            Self::Excepted => "excepted",
            Self::Unexpected(_) => "unexpected",
            Self::Contradictory => "contradictory",
            Self::Unknown => "unknown",
        }
    }
}

/// Why a policy cannot be used at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// The file cannot be read.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// It is no TOML, or of another version.
    #[error("{0}")]
    Entry(MappingError),
}

impl Policy {
    /// The policy that ships with the sensor: it expects what an operating system and office work
    /// bring along, never remote access tools, and has no opinion on the rest.
    #[must_use]
    pub fn builtin() -> Self {
        Self::from_text(BUILTIN_FILE, BUILTIN).unwrap_or_else(|_| Self::without_opinion())
    }

    /// A policy without any opinion.
    #[must_use]
    pub fn without_opinion() -> Self {
        Self {
            defaults: Defaults::default(),
            tags: Vec::new(),
            groups: Vec::new(),
            exceptions: Vec::new(),
            known: Vec::new(),
            inventory: Inventory::default(),
            refused: Vec::new(),
        }
    }

    /// The policy of a file, with the exports of approved software that it names; their paths count
    /// from its folder. What is refused of it is kept out: see [`Policy::refused`].
    ///
    /// # Errors
    /// A file that cannot be read, that is no TOML, or of another version.
    pub fn load(path: &Path) -> Result<Self, PolicyError> {
        let text = read_file(path)?;
        let base = path.parent().unwrap_or(Path::new(""));
        Self::read(Source { file: &path.display().to_string(), text: &text }, Some(base))
    }

    /// The policy of a text, with the name it goes by in errors. Exports that it names are not
    /// read.
    ///
    /// # Errors
    /// A text that is no TOML, or of another version.
    pub fn from_text(file: &str, text: &str) -> Result<Self, PolicyError> {
        Self::read(Source { file, text }, None)
    }

    /// The entries that were refused: unknown keys, values of the wrong type, groups that inherit
    /// from nobody, lines of exports. The rest of the policy is in force.
    #[must_use]
    pub fn refused(&self) -> &[MappingError] {
        &self.refused
    }

    /// How many host groups, exceptions and names of approved software are in force.
    #[must_use]
    pub fn counts(&self) -> (usize, usize, usize) {
        (self.groups.len(), self.exceptions.len(), self.inventory.names())
    }

    /// What the policy says of `subject`. Exceptions come first, then the never-list, then
    /// contradictions, then approved software and the expected list.
    #[must_use]
    pub fn judge(&self, subject: &Subject<'_>) -> Judgement {
        self.decide(subject, &mut |_, _| {})
    }

    /// What the policy says of `subject`, and each step on the way there.
    #[must_use]
    pub fn explain(&self, subject: &Subject<'_>) -> PolicyExplanation {
        let mut steps = Vec::new();
        let judgement = self.decide(subject, &mut |rule, outcome| {
            steps.push(PolicyStep { rule: rule.to_owned(), outcome: outcome.to_owned() });
        });
        PolicyExplanation { judgement, steps }
    }

    /// The one place that judges; `tell` hears of each rule looked at and what came of it.
    fn decide(&self, subject: &Subject<'_>, tell: &mut dyn FnMut(&str, &str)) -> Judgement {
        let attribution = subject.attribution;
        let program = Program::of(attribution);
        let group = self.group_of(subject.host, tell);
        let name = group.map(|group| Arc::from(group.name.as_str()));
        let judgement = |verdict, rule: Option<String>| Judgement {
            verdict,
            rule: rule.map(Arc::from),
            group: name.clone(),
        };
        for exception in &self.exceptions {
            match exception.allows(subject, name.as_deref()) {
                Ok(()) => {
                    tell(&exception.id, &format!("allows it {}", exception.grounds()));
                    return judgement(Verdict::Excepted, Some(exception.id.clone()));
                }
                Err(why) => tell(&exception.id, &why),
            }
        }
        if attribution.outcome == Outcome::Unattributed {
            tell("application", "the opening was not seen");
            return judgement(Verdict::Unknown, None);
        }
        let never =
            group.and_then(|g| g.never.iter().find(|entry| entry.fits(attribution, &program)));
        if let (Some(group), Some(entry)) = (group, never) {
            let rule = format!("{}/never/{}", group.name, entry.text());
            tell(&rule, "speaks against it");
            return judgement(Verdict::Unexpected(Unexpected::Never), Some(rule));
        }
        if let Some(rule) = self.contradiction(subject, tell) {
            return judgement(Verdict::Contradictory, Some(rule));
        }
        if let Some(software) = self.inventory.approves(subject.host, attribution, &program) {
            let rule = format!("inventory/{software}");
            tell(&rule, "is approved software");
            return judgement(Verdict::Expected, Some(rule));
        }
        let Some(group) = group else {
            tell("host groups", "none holds the host");
            return judgement(Verdict::Unknown, None);
        };
        let (verdict, rule) = self.by_group(group, attribution, &program, tell);
        judgement(verdict, rule)
    }

    /// The group with the most conditions that holds the host.
    fn group_of(&self, host: &HostRef, tell: &mut dyn FnMut(&str, &str)) -> Option<&HostGroup> {
        let tagged =
            self.tags.iter().filter(|tag| tag.hosts.iter().any(|text| names_host(text, host)));
        let tags: Vec<&str> = tagged.map(|tag| tag.name.as_str()).collect();
        self.groups.iter().find(|group| match group.holds(host, &tags) {
            Ok(()) => {
                tell(&group.name, "holds the host");
                true
            }
            Err(why) => {
                tell(&group.name, &format!("does not hold the host: {why}"));
                false
            }
        })
    }

    /// The rule that the evidence contradicts, if any.
    fn contradiction(
        &self,
        subject: &Subject<'_>,
        tell: &mut dyn FnMut(&str, &str),
    ) -> Option<String> {
        if let Some(found) = subject.attribution.contradictions.first() {
            let rule = format!("contradiction/{}", found.name());
            tell(&rule, &found.to_string());
            return Some(rule);
        }
        let odd = self.known.iter().find(|known| known.contradicts(subject))?;
        let rule = format!("known_destinations/{}", odd.application);
        tell(&rule, &format!("does not go to {}", subject.destination.group));
        Some(rule)
    }

    /// What the group's lists say.
    fn by_group(
        &self,
        group: &HostGroup,
        attribution: &Attribution,
        program: &Program<'_>,
        tell: &mut dyn FnMut(&str, &str),
    ) -> (Verdict, Option<String>) {
        let listed = group.expected.find(attribution, program, self.defaults.expected_mass);
        let odd_stack = group.odd_stack(attribution);
        if let Some((verdict, key)) = listed {
            let by_stack = verdict == Verdict::ExpectedStack && odd_stack.is_some();
            if !by_stack {
                let rule = format!("{}/expected/{key}", group.name);
                tell(&rule, "expects it");
                return (verdict, Some(rule));
            }
        }
        if let Some(stack) = odd_stack {
            let rule = format!("{}/expected_stacks/{stack}", group.name);
            tell(&rule, "is none of the stacks listed");
            return (Verdict::Unexpected(Unexpected::NotListed), Some(rule));
        }
        let observed =
            attribution.outcome == Outcome::Unknown && self.defaults.unknown == UnknownIs::Observe;
        if group.only_expected && !observed {
            let rule = format!("{}/only_expected", group.name);
            tell(&rule, "nothing that is listed fits");
            return (Verdict::Unexpected(Unexpected::NotListed), Some(rule));
        }
        tell(&group.name, "has no opinion on it");
        (Verdict::Unknown, None)
    }

    fn read(source: Source<'_>, base: Option<&Path>) -> Result<Self, PolicyError> {
        let mut policy = Self::without_opinion();
        let mut exports: Vec<Export> = Vec::new();
        let mut groups: Vec<(usize, HostGroup)> = Vec::new();
        for (key, value) in source.entries().map_err(PolicyError::Entry)? {
            let span = value.span();
            let refused = &mut policy.refused;
            match key.as_str() {
                "version" => match source.read::<u32>(value).map_err(PolicyError::Entry)? {
                    VERSION => {}
                    other => {
                        let message = format!("version {VERSION} is needed, not {other}");
                        let error = source.error(&span, message);
                        return Err(PolicyError::Entry(MappingError { key: Some(key), ..error }));
                    }
                },
                "defaults" => match source.read(value) {
                    Ok(defaults) => policy.defaults = defaults,
                    Err(error) => refused.push(error),
                },
                "host_group" => groups = read_tables(source, &key, value, refused),
                "tag" => policy.tags = bare(read_tables(source, &key, value, refused)),
                "exception" => policy.exceptions = bare(read_tables(source, &key, value, refused)),
                "known_destinations" => {
                    policy.known = bare(read_tables(source, &key, value, refused));
                }
                "inventory" => exports = bare(read_tables(source, &key, value, refused)),
                _ => {
                    let message = format!("unknown key, expected version, defaults, {TABLES}");
                    let error = source.error(&span, message);
                    refused.push(MappingError { key: Some(key), ..error });
                }
            }
        }
        policy.inherit(source, groups);
        for export in exports.iter().filter(|_| base.is_some()) {
            let base = base.unwrap_or(Path::new(""));
            policy.inventory.read(export, base, &mut policy.refused);
        }
        Ok(policy)
    }

    /// Copies inherited lists down; a group that cannot inherit is refused.
    fn inherit(&mut self, source: Source<'_>, groups: Vec<(usize, HostGroup)>) {
        let mut done: Vec<HostGroup> = Vec::with_capacity(groups.len());
        for (start, mut group) in groups {
            let mut refuse = |message: String| {
                let at = source
                    .text
                    .get(start..)
                    .and_then(|text| text.find(&format!("\"{}\"", group.name)));
                let at = start.saturating_add(at.unwrap_or(0));
                self.refused.push(source.error(&(at..at), message));
            };
            if done.iter().any(|other| other.name == group.name) {
                refuse("a group of this name stands above".to_owned());
                continue;
            }
            if let Some(wanted) = group.inherits.clone() {
                let Some(parent) = done.iter().find(|other| other.name == wanted) else {
                    refuse(format!("inherits from `{wanted}`, which no group above is"));
                    continue;
                };
                group.inherit(parent);
            }
            done.push(group);
        }
        done.sort_by_key(|group| std::cmp::Reverse(group.conditions()));
        self.groups = done;
    }
}

impl<'a> Program<'a> {
    /// What telemetry says of the program behind an attribution.
    #[must_use]
    pub fn of(attribution: &'a Attribution) -> Self {
        let Some(process) = attribution.process.as_deref() else { return Self::default() };
        let own = &process.facts;
        // On whose behalf a helper acts is what counts.
        let facts = own.effective.as_deref().unwrap_or(own);
        Self {
            path: facts.path.as_deref().or(own.path.as_deref()),
            team: facts.team_id.as_deref(),
            bundle: facts.signing_id.as_deref(),
        }
    }
}

/// A word for hosts that have something in common.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tag {
    name: String,
    /// By name, address or range.
    hosts: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Defaults {
    /// Share of an ambiguous answer's confidence that must be expected (dimensionless). Measured:
    /// below .5 unexpected, false positives per flow jump from .2 % to 17 %.
    #[serde(default = "default_expected_mass")]
    expected_mass: f64,
    #[serde(default)]
    unknown: UnknownIs,
}

impl Default for Defaults {
    fn default() -> Self {
        Self { expected_mass: default_expected_mass(), unknown: UnknownIs::default() }
    }
}

/// What an application that no rule knows is to a group that lists what it expects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum UnknownIs {
    #[default]
    Unexpected,
    Observe,
}

/// Whether `text` is the host's name, one of its addresses, or a range around it.
fn names_host(text: &str, host: &HostRef) -> bool {
    let by_name = host.name.as_deref().is_some_and(|name| name.eq_ignore_ascii_case(text));
    let in_range = |range: Cidr| range.contains(host.addr) || range.contains(host.id.0);
    by_name || text.parse::<Cidr>().is_ok_and(in_range)
}

/// The tables of an array, each with the byte at which it starts; what is refused is told.
fn read_tables<'a, T: serde::de::DeserializeOwned>(
    source: Source<'a>,
    key: &str,
    value: toml::Spanned<toml::de::DeValue<'a>>,
    refused: &mut Vec<MappingError>,
) -> Vec<(usize, T)> {
    let tables = source.tables(key, value).unwrap_or_else(|error| {
        refused.push(error);
        Vec::new()
    });
    let mut read = Vec::new();
    for table in tables {
        let span = table.span();
        if read.len() >= MAX_ENTRIES {
            refused.push(source.error(&span, format!("more than {MAX_ENTRIES} entries")));
            break;
        }
        match source.read(table) {
            Ok(entry) => read.push((span.start, entry)),
            Err(error) => refused.push(error),
        }
    }
    read
}

fn bare<T>(tables: Vec<(usize, T)>) -> Vec<T> {
    tables.into_iter().map(|(_, table)| table).collect()
}

const fn default_expected_mass() -> f64 {
    0.35
}

/// The version of the policy format.
const VERSION: u32 = 1;

/// The tables that a policy may have.
const TABLES: &str =
    "[[host_group]], [[tag]], [[exception]], [[known_destinations]] or [[inventory]]";

/// Most groups or exceptions: each judgement walks them.
const MAX_ENTRIES: usize = 4096;

const BUILTIN_FILE: &str = "policy.toml";
const BUILTIN: &str = include_str!("../../../configs/policy.toml");
