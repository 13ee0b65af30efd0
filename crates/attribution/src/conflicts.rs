//! Fingerprints that rules for several applications share. Judges nothing.

use std::collections::BTreeMap;

use crate::AppRules;
use crate::index::Part;
use crate::rule::RuleScope;

/// A fingerprint that rules give to several applications.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedKey {
    /// `ja4`, `stable` or `ja3`.
    pub part: &'static str,
    /// The fingerprint.
    pub key: String,
    /// The applications, each with how many rules name it, and the labelled flows behind those that
    /// were learned; the most rules first.
    pub applications: Vec<(String, usize, Option<u64>)>,
}

impl AppRules {
    /// The fingerprints that rules give to several applications, with whatever destination; those
    /// with the most applications first. Rules that only warn are left out.
    #[must_use]
    pub fn conflicts(&self) -> Vec<SharedKey> {
        let mut found = Vec::new();
        for part in [Part::Ja4, Part::Stable, Part::Ja3] {
            for (key, rules) in self.index.by_key(part) {
                let mut applications: BTreeMap<&str, (usize, Option<u64>)> = BTreeMap::new();
                let known = rules.iter().filter_map(|&number| self.rule(number));
                for rule in known.filter(|known| known.rule.scope != RuleScope::Hint) {
                    let entry = applications.entry(&rule.application).or_default();
                    entry.0 += 1;
                    if let Some(flows) = rule.rule.flows {
                        entry.1 = Some(entry.1.unwrap_or(0).saturating_add(flows));
                    }
                }
                if applications.len() < 2 {
                    continue;
                }
                let mut applications: Vec<_> = applications
                    .into_iter()
                    .map(|(name, (rules, flows))| (name.to_owned(), rules, flows))
                    .collect();
                applications.sort_by(|a, b| (b.1, b.2).cmp(&(a.1, a.2)).then(a.0.cmp(&b.0)));
                found.push(SharedKey { part: part.name(), key: key.to_owned(), applications });
            }
        }
        found.sort_by(|a, b| {
            let many = b.applications.len().cmp(&a.applications.len());
            many.then_with(|| (a.part, &a.key).cmp(&(b.part, &b.key)))
        });
        found
    }
}
