//! Which applications are expected on which hosts. Knows nothing of sessions or behaviour.

use std::path::Path;
use std::sync::Arc;

use dwell_packet::Timestamp;
use serde::Deserialize;

use crate::config::{MappingError, Source, read_file};
use crate::destination::is_under;
use crate::{Attribution, Category, Cidr, Date, Destination, HostRef, LoadError, Os, Outcome};

/// What is expected where: host groups, what they may and must never run, and dated exceptions.
#[derive(Debug)]
pub struct Policy {
    defaults: Defaults,
    groups: Vec<HostGroup>,
    exceptions: Vec<Exception>,
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

/// Why a policy cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// The file cannot be read.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// An entry is refused: a policy is used whole or not at all.
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
        Self { defaults: Defaults::default(), groups: Vec::new(), exceptions: Vec::new() }
    }

    /// The policy of a file.
    ///
    /// # Errors
    /// A file that cannot be read, an unknown key, a value of the wrong type, a group that
    /// inherits from itself or from nobody, an exception without owner, reason or end.
    pub fn load(path: &Path) -> Result<Self, PolicyError> {
        let text = read_file(path)?;
        Self::from_text(&path.display().to_string(), &text)
    }

    /// The policy of a text, with the name it goes by in errors.
    ///
    /// # Errors
    /// As for [`Policy::load`].
    pub fn from_text(file: &str, text: &str) -> Result<Self, PolicyError> {
        let source = Source { file, text };
        let mut policy = Self::without_opinion();
        for (key, value) in source.entries().map_err(PolicyError::Entry)? {
            let span = value.span();
            let fault = |message: String| {
                let key = Some(key.clone());
                PolicyError::Entry(MappingError { key, ..source.error(&span, message) })
            };
            match key.as_str() {
                "version" => match source.read::<u32>(value).map_err(PolicyError::Entry)? {
                    VERSION => {}
                    other => {
                        return Err(fault(format!("version {VERSION} is needed, not {other}")));
                    }
                },
                "defaults" => policy.defaults = source.read(value).map_err(PolicyError::Entry)?,
                "host_group" => policy.groups = read_tables(source, &key, value)?,
                "exception" => policy.exceptions = read_tables(source, &key, value)?,
                _ => {
                    let known = "expected version, defaults, [[host_group]] or [[exception]]";
                    return Err(fault(format!("unknown key, {known}")));
                }
            }
        }
        policy.inherit().map_err(|(group, message)| {
            let at = text.find(&format!("\"{group}\"")).unwrap_or(0);
            PolicyError::Entry(source.error(&(at..at), message))
        })?;
        Ok(policy)
    }

    /// What the policy says of `subject`. Exceptions come first, then the never-list, then
    /// contradictions, then the expected list.
    #[must_use]
    pub fn judge(&self, subject: &Subject<'_>) -> Judgement {
        let group = self.groups.iter().find(|group| group.holds(subject.host));
        let group_name = group.map(|group| Arc::from(group.name.as_str()));
        let judgement = |verdict, rule: Option<String>| Judgement {
            verdict,
            rule: rule.map(Arc::from),
            group: group_name.clone(),
        };
        let allows = |exception: &&Exception| exception.allows(subject, group_name.as_deref());
        if let Some(exception) = self.exceptions.iter().find(allows) {
            return judgement(Verdict::Excepted, Some(exception.id.clone()));
        }
        if subject.attribution.outcome == Outcome::Unattributed {
            return judgement(Verdict::Unknown, None);
        }
        let Some(group) = group else { return judgement(without_group(subject), None) };
        if let Some(entry) = group.never.iter().find(|entry| entry.fits(subject.attribution)) {
            let rule = format!("{}/never/{}", group.name, entry.text());
            return judgement(Verdict::Unexpected(Unexpected::Never), Some(rule));
        }
        if !subject.attribution.contradictions.is_empty() {
            return judgement(Verdict::Contradictory, None);
        }
        let (verdict, key) = group.expected.find(subject.attribution, self.defaults.expected_mass);
        match verdict {
            Some(verdict) => judgement(verdict, Some(format!("{}/expected/{key}", group.name))),
            None => self.unlisted(group, subject.attribution, &judgement),
        }
    }

    fn unlisted(
        &self,
        group: &HostGroup,
        attribution: &Attribution,
        judgement: &dyn Fn(Verdict, Option<String>) -> Judgement,
    ) -> Judgement {
        let observed =
            attribution.outcome == Outcome::Unknown && self.defaults.unknown == UnknownIs::Observe;
        if group.only_expected && !observed {
            let rule = format!("{}/only_expected", group.name);
            return judgement(Verdict::Unexpected(Unexpected::NotListed), Some(rule));
        }
        judgement(Verdict::Unknown, None)
    }

    /// Copies inherited lists down; gives the group and the reason when that cannot be done.
    fn inherit(&mut self) -> Result<(), (String, String)> {
        let mut done: Vec<HostGroup> = Vec::with_capacity(self.groups.len());
        for group in &self.groups {
            let mut group = group.clone();
            if let Some(parent) = group.inherits.clone() {
                let Some(parent) = done.iter().find(|other| other.name == parent) else {
                    let message = format!("inherits from `{parent}`, which no group above is");
                    return Err((group.name, message));
                };
                group.expected.add(&parent.expected);
                group.never.extend(parent.never.iter().cloned());
            }
            if done.iter().any(|other| other.name == group.name) {
                return Err((group.name.clone(), "a group of this name stands above".to_owned()));
            }
            done.push(group);
        }
        done.sort_by_key(|group| std::cmp::Reverse(group.conditions()));
        self.groups = done;
        Ok(())
    }
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

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct HostGroup {
    name: String,
    inherits: Option<String>,
    #[serde(default)]
    os: Vec<Os>,
    #[serde(default)]
    networks: Vec<Cidr>,
    #[serde(default)]
    hosts: Vec<String>,
    #[serde(default)]
    expected: Expected,
    #[serde(default)]
    never: Vec<Never>,
    /// Whether everything that is not listed is unexpected.
    #[serde(default)]
    only_expected: bool,
}

impl HostGroup {
    /// How many kinds of condition the group has: groups with more are tried first.
    fn conditions(&self) -> usize {
        let asked = [!self.os.is_empty(), !self.networks.is_empty(), !self.hosts.is_empty()];
        asked.into_iter().filter(|&asked| asked).count()
    }

    fn holds(&self, host: &HostRef) -> bool {
        let os = host.os.is_some_and(|guess| self.os.iter().any(|&os| guess.allows(os)));
        let network = self.networks.iter().any(|network| network.contains(host.addr));
        let named = self.hosts.iter().any(|wanted| names_host(wanted, host));
        (self.os.is_empty() || os)
            && (self.networks.is_empty() || network)
            && (self.hosts.is_empty() || named)
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    #[serde(default)]
    applications: Vec<String>,
    #[serde(default)]
    families: Vec<String>,
    #[serde(default)]
    vendors: Vec<String>,
    #[serde(default)]
    categories: Vec<Category>,
    #[serde(default)]
    stacks: Vec<String>,
}

impl Expected {
    fn add(&mut self, other: &Self) {
        self.applications.extend(other.applications.iter().cloned());
        self.families.extend(other.families.iter().cloned());
        self.vendors.extend(other.vendors.iter().cloned());
        self.categories.extend(&other.categories);
        self.stacks.extend(other.stacks.iter().cloned());
    }

    /// The verdict, and the key and entry that gives it.
    fn find(&self, attribution: &Attribution, expected_mass: f64) -> (Option<Verdict>, String) {
        let listed = |list: &[String], name: Option<&Arc<str>>| {
            name.filter(|name| list.iter().any(|entry| entry.eq_ignore_ascii_case(name))).cloned()
        };
        let known = attribution.outcome != Outcome::Unknown;
        if let Some(name) = listed(&self.applications, Some(&attribution.application)) {
            return (Some(Verdict::Expected), format!("application/{name}"));
        }
        if let Some(name) = listed(&self.families, attribution.family.as_ref()) {
            return (Some(Verdict::Expected), format!("family/{name}"));
        }
        if let Some(name) = listed(&self.vendors, attribution.vendor.as_ref()) {
            return (Some(Verdict::Expected), format!("vendor/{name}"));
        }
        if known && self.categories.contains(&attribution.category) {
            return (Some(Verdict::Expected), format!("category/{}", attribution.category.name()));
        }
        if attribution.outcome == Outcome::Ambiguous && self.mass(attribution) >= expected_mass {
            return (Some(Verdict::Expected), "candidates".to_owned());
        }
        match listed(&self.stacks, attribution.stack.as_ref()) {
            Some(name) => (Some(Verdict::ExpectedStack), format!("stack/{name}")),
            None => (None, String::new()),
        }
    }

    /// Share of the confidence of the best candidates that is expected (dimensionless).
    fn mass(&self, attribution: &Attribution) -> f64 {
        let lists =
            |list: &[String], name: &str| list.iter().any(|entry| entry.eq_ignore_ascii_case(name));
        let (mut expected, mut all) = (0.0, 0.0);
        let best = attribution.candidates.iter().filter(|candidate| !candidate.hint);
        for candidate in best.filter(|candidate| candidate.level == attribution.level) {
            all += candidate.confidence;
            let family = candidate.family.as_deref().unwrap_or_default();
            if lists(&self.applications, &candidate.application) || lists(&self.families, family) {
                expected += candidate.confidence;
            }
        }
        if all > 0.0 { expected / all } else { 0.0 }
    }
}

/// One entry of a never-list: every part that is given must fit.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Never {
    application: Option<String>,
    family: Option<String>,
    stack: Option<String>,
    category: Option<Category>,
}

impl Never {
    fn fits(&self, attribution: &Attribution) -> bool {
        let same = |wanted: &Option<String>, name: Option<&str>| {
            wanted
                .as_ref()
                .is_none_or(|wanted| name.is_some_and(|name| wanted.eq_ignore_ascii_case(name)))
        };
        let asks = self.application.is_some()
            || self.family.is_some()
            || self.stack.is_some()
            || self.category.is_some();
        asks && same(&self.application, Some(&attribution.application))
            && same(&self.family, attribution.family.as_deref())
            && same(&self.stack, attribution.stack.as_deref())
            && self.category.is_none_or(|wanted| wanted == attribution.category)
    }

    fn text(&self) -> String {
        let category = self.category.map(|category| category.name().to_owned());
        [&self.application, &self.family, &self.stack, &category]
            .into_iter()
            .flatten()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join("+")
    }
}

/// A dated exception: who allows what, why, and until when.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Exception {
    id: String,
    application: String,
    /// A destination with everything under it; without it, any.
    destination: Option<String>,
    /// A host by name, address or range; without it, any.
    host: Option<String>,
    host_group: Option<String>,
    /// The last day on which it holds, UTC.
    until: Date,
    #[serde(rename = "owner")]
    _owner: String,
    #[serde(rename = "reason")]
    _reason: String,
}

impl Exception {
    fn allows(&self, subject: &Subject<'_>, group: Option<&str>) -> bool {
        let to = |suffix: &String| {
            is_under(&subject.destination.group, suffix)
                || subject.destination.name.as_deref().is_some_and(|name| is_under(name, suffix))
        };
        Date::of(subject.at) <= self.until
            && self.application.eq_ignore_ascii_case(&subject.attribution.application)
            && self.destination.as_ref().is_none_or(to)
            && self.host.as_ref().is_none_or(|host| names_host(host, subject.host))
            && self.host_group.as_ref().is_none_or(|wanted| Some(wanted.as_str()) == group)
    }
}

/// Whether `text` is the host's name, one of its addresses, or a range around it.
fn names_host(text: &str, host: &HostRef) -> bool {
    let by_name = host.name.as_deref().is_some_and(|name| name.eq_ignore_ascii_case(text));
    let in_range = |range: Cidr| range.contains(host.addr) || range.contains(host.id.0);
    by_name || text.parse::<Cidr>().is_ok_and(in_range)
}

fn without_group(subject: &Subject<'_>) -> Verdict {
    if subject.attribution.contradictions.is_empty() {
        Verdict::Unknown
    } else {
        Verdict::Contradictory
    }
}

fn read_tables<'a, T: serde::de::DeserializeOwned>(
    source: Source<'a>,
    key: &str,
    value: toml::Spanned<toml::de::DeValue<'a>>,
) -> Result<Vec<T>, PolicyError> {
    let tables = source.tables(key, value).map_err(PolicyError::Entry)?;
    if tables.len() > MAX_ENTRIES {
        let span = tables.first().map_or(0..0, toml::Spanned::span);
        let message = format!("more than {MAX_ENTRIES} entries");
        return Err(PolicyError::Entry(source.error(&span, message)));
    }
    tables.into_iter().map(|table| source.read(table).map_err(PolicyError::Entry)).collect()
}

const fn default_expected_mass() -> f64 {
    0.35
}

/// The version of the policy format.
const VERSION: u32 = 1;

/// Most groups or exceptions: each judgement walks them.
const MAX_ENTRIES: usize = 4096;

const BUILTIN_FILE: &str = "policy.toml";
const BUILTIN: &str = include_str!("../../../configs/policy.toml");
