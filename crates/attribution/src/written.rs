//! A mapping rule to be written into a file. Knows no origin of rules.

use std::io::{self, Write};

use serde::Serialize;

use crate::{AppRules, Category, Os};
use hashbrown::HashMap;

/// A rule that was made by machine, as [`AppRules`] reads it back from a file.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct WrittenRule {
    /// Identifier.
    pub id: String,
    /// The application.
    pub application: String,
    /// Applications of one maker and purpose.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub family: Option<String>,
    /// Maker.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vendor: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) category: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) scope: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) ja4: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) stable: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) cipher: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) extensions: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) ja3: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) sni: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) os: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) long_lived_normal: Option<bool>,
    /// Precision, 0 to 1 (dimensionless).
    pub confidence: f64,
    /// Labelled flows behind it, if it was measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flows: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) date: Option<String>,
    pub(crate) source: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) licence: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) note: Option<String>,
}

impl WrittenRule {
    /// The rule as a table of a mapping file.
    ///
    /// # Errors
    /// When `out` cannot be written.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        #[derive(Serialize)]
        struct One<'r> {
            rule: [&'r WrittenRule; 1],
        }
        let text = toml::to_string(&One { rule: [self] }).map_err(io::Error::other)?;
        write!(out, "\n{text}")
    }

    pub(crate) fn allow(&mut self, os: Os) {
        self.os = vec![os.name()];
    }
}

/// What rules that are there say of applications, to be lent to new ones.
pub(crate) struct Facts<'k> {
    by_name: HashMap<String, &'k crate::search::Known, foldhash::fast::RandomState>,
}

impl<'k> Facts<'k> {
    pub(crate) fn new(known: &'k AppRules) -> Self {
        let mut by_name = HashMap::default();
        for rule in &known.rules {
            by_name.entry(rule.application.to_ascii_lowercase()).or_insert(rule);
        }
        Self { by_name }
    }

    /// Fills in what the rule leaves open of its application.
    pub(crate) fn lend(&self, rule: &mut WrittenRule) {
        let Some(known) = self.by_name.get(&rule.application.to_ascii_lowercase()) else { return };
        let text = |text: &Option<std::sync::Arc<str>>| text.as_ref().map(ToString::to_string);
        rule.family = rule.family.take().or_else(|| text(&known.family));
        rule.vendor = rule.vendor.take().or_else(|| text(&known.vendor));
        rule.long_lived_normal = rule.long_lived_normal.or(known.rule.long_lived_normal);
        let category = known.rule.category;
        let lent = (category != Category::Unknown).then(|| category.name());
        rule.category = rule.category.or(lent);
    }
}
