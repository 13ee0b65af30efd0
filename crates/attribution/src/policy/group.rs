//! Host groups of a policy: who belongs to them, what they expect and never allow. Knows no
//! exceptions and no inventory.

use std::sync::Arc;

use globset::{Glob, GlobSet, GlobSetBuilder};
use serde::Deserialize;
use serde::de::Error as _;

use super::{Program, Verdict, names_host};
use crate::{Attribution, Category, Cidr, HostRef, Os, Outcome};

/// A host group.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HostGroup {
    pub(super) name: String,
    pub(super) inherits: Option<String>,
    #[serde(default)]
    os: Vec<Os>,
    #[serde(default)]
    networks: Vec<Cidr>,
    #[serde(default)]
    hosts: Vec<String>,
    /// Tags that a host has by `[[tag]]`; one of them is enough.
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    pub(super) expected: Expected,
    /// Where it is given, a flow of any other known TLS stack is unexpected.
    #[serde(default)]
    pub(super) expected_stacks: Vec<String>,
    #[serde(default)]
    pub(super) never: Vec<Never>,
    /// Whether everything that is not listed is unexpected.
    #[serde(default)]
    pub(super) only_expected: bool,
}

impl HostGroup {
    /// How many kinds of condition the group has: groups with more are tried first.
    pub(super) fn conditions(&self) -> usize {
        let asked = [
            !self.os.is_empty(),
            !self.networks.is_empty(),
            !self.hosts.is_empty(),
            !self.tags.is_empty(),
        ];
        asked.into_iter().filter(|&asked| asked).count()
    }

    /// Whether `host`, with these tags, belongs to the group; else why not.
    pub(super) fn holds(&self, host: &HostRef, tags: &[&str]) -> Result<(), &'static str> {
        let os = host.os.is_some_and(|guess| self.os.iter().any(|&os| guess.allows(os)));
        let network = self.networks.iter().any(|network| network.contains(host.addr));
        let named = self.hosts.iter().any(|wanted| names_host(wanted, host));
        let tagged = self.tags.iter().any(|wanted| tags.contains(&wanted.as_str()));
        let conditions = [
            (self.os.is_empty() || os, "another operating system"),
            (self.networks.is_empty() || network, "outside its networks"),
            (self.hosts.is_empty() || named, "not among its hosts"),
            (self.tags.is_empty() || tagged, "without its tags"),
        ];
        conditions.into_iter().find(|(met, _)| !met).map_or(Ok(()), |(_, why)| Err(why))
    }

    /// Takes over what the group above has.
    pub(super) fn inherit(&mut self, parent: &Self) {
        self.expected.add(&parent.expected);
        self.never.extend(parent.never.iter().cloned());
        if !self.expected_stacks.is_empty() {
            self.expected_stacks.extend(parent.expected_stacks.iter().cloned());
        }
    }

    /// The flow's stack, if the group lists stacks and this is none of them.
    pub(super) fn odd_stack(&self, attribution: &Attribution) -> Option<Arc<str>> {
        let stack = attribution.stack.as_ref().filter(|_| !self.expected_stacks.is_empty())?;
        let listed = self.expected_stacks.iter().any(|name| name.eq_ignore_ascii_case(stack));
        (!listed).then(|| Arc::clone(stack))
    }
}

/// What a group expects.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Expected {
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
    /// Signing teams, of processes that endpoint telemetry names.
    #[serde(default)]
    teams: Vec<String>,
    /// Paths of executables, `**` for any folders, of processes that endpoint telemetry names.
    #[serde(default)]
    paths: Vec<PathGlob>,
}

impl Expected {
    fn add(&mut self, other: &Self) {
        self.applications.extend(other.applications.iter().cloned());
        self.families.extend(other.families.iter().cloned());
        self.vendors.extend(other.vendors.iter().cloned());
        self.categories.extend(&other.categories);
        self.stacks.extend(other.stacks.iter().cloned());
        self.teams.extend(other.teams.iter().cloned());
        self.paths.extend(other.paths.iter().cloned());
    }

    /// The verdict, and the key and entry that gives it.
    pub(super) fn find(
        &self,
        attribution: &Attribution,
        program: &Program<'_>,
        expected_mass: f64,
    ) -> Option<(Verdict, String)> {
        let listed = |list: &[String], name: Option<&Arc<str>>| {
            name.filter(|name| list.iter().any(|entry| entry.eq_ignore_ascii_case(name))).cloned()
        };
        let expected = |key: String| Some((Verdict::Expected, key));
        let known = attribution.outcome != Outcome::Unknown;
        if let Some(name) = listed(&self.applications, Some(&attribution.application)) {
            return expected(format!("application/{name}"));
        }
        if let Some(name) = listed(&self.families, attribution.family.as_ref()) {
            return expected(format!("family/{name}"));
        }
        if let Some(name) = listed(&self.vendors, attribution.vendor.as_ref()) {
            return expected(format!("vendor/{name}"));
        }
        if let Some(team) = program.team.filter(|team| self.teams.iter().any(|known| known == team))
        {
            return expected(format!("team/{team}"));
        }
        let glob = program.path.and_then(|path| self.paths.iter().find(|glob| glob.fits(path)));
        if let Some(glob) = glob {
            return expected(format!("path/{}", glob.text));
        }
        if known && self.categories.contains(&attribution.category) {
            return expected(format!("category/{}", attribution.category.name()));
        }
        if attribution.outcome == Outcome::Ambiguous && self.mass(attribution) >= expected_mass {
            return expected("candidates".to_owned());
        }
        let name = listed(&self.stacks, attribution.stack.as_ref())?;
        Some((Verdict::ExpectedStack, format!("stack/{name}")))
    }

    /// Share of the confidence of the best candidates that is expected (dimensionless).
    fn mass(&self, attribution: &Attribution) -> f64 {
        let lists =
            |list: &[String], name: &str| list.iter().any(|entry| entry.eq_ignore_ascii_case(name));
        let (mut expected, mut all) = (0.0, 0.0);
        let best = attribution.candidates.iter().filter(|candidate| !candidate.hint);
        for candidate in best.filter(|other| other.level.rank() == attribution.level.rank()) {
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
pub(super) struct Never {
    application: Option<String>,
    family: Option<String>,
    stack: Option<String>,
    category: Option<Category>,
    team: Option<String>,
    path: Option<PathGlob>,
}

impl Never {
    pub(super) fn fits(&self, attribution: &Attribution, program: &Program<'_>) -> bool {
        let same = |wanted: &Option<String>, name: Option<&str>| {
            wanted
                .as_ref()
                .is_none_or(|wanted| name.is_some_and(|name| wanted.eq_ignore_ascii_case(name)))
        };
        let in_path = |glob: &PathGlob| program.path.is_some_and(|path| glob.fits(path));
        self.asks()
            && same(&self.application, Some(&attribution.application))
            && same(&self.family, attribution.family.as_deref())
            && same(&self.stack, attribution.stack.as_deref())
            && same(&self.team, program.team)
            && self.path.as_ref().is_none_or(in_path)
            && self.category.is_none_or(|wanted| wanted == attribution.category)
    }

    fn asks(&self) -> bool {
        self.application.is_some()
            || self.family.is_some()
            || self.stack.is_some()
            || self.category.is_some()
            || self.team.is_some()
            || self.path.is_some()
    }

    pub(super) fn text(&self) -> String {
        let category = self.category.map(|category| category.name().to_owned());
        let path = self.path.as_ref().map(|glob| glob.text.clone());
        [&self.application, &self.family, &self.stack, &category, &self.team, &path]
            .into_iter()
            .flatten()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join("+")
    }
}

/// A pattern for the path of an executable.
#[derive(Clone, Debug)]
struct PathGlob {
    text: String,
    set: GlobSet,
}

impl PathGlob {
    fn fits(&self, path: &str) -> bool {
        self.set.is_match(path)
    }
}

impl<'de> Deserialize<'de> for PathGlob {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let glob = Glob::new(&text).map_err(D::Error::custom)?;
        let set = GlobSetBuilder::new().add(glob).build().map_err(D::Error::custom)?;
        Ok(Self { text, set })
    }
}
