//! One search: which rules fit the evidence of one flow, and how well. Knows no index.

use std::cmp::Reverse;
use std::sync::Arc;

use crate::rule::{Rule, RuleScope, Stack};
use crate::{Category, Date, Evidence, EvidenceLevel};

/// A rule with its texts as they are handed out.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) rule: Rule,
    pub(crate) id: Arc<str>,
    pub(crate) application: Arc<str>,
    pub(crate) family: Option<Arc<str>>,
    pub(crate) vendor: Option<Arc<str>>,
}

/// A rule that fits the evidence.
#[derive(Clone, Copy)]
pub(crate) struct Match<'r> {
    pub(crate) known: &'r Known,
    pub(crate) level: EvidenceLevel,
    /// Labels of the name matched.
    labels: usize,
    /// Conditions on ALPN, port and system met.
    conditions: usize,
    pub(crate) confidence: f64,
}

impl Match<'_> {
    /// Smaller is better: level, then longer name, then more conditions.
    pub(crate) fn order(&self) -> (EvidenceLevel, Reverse<usize>, Reverse<usize>) {
        (self.level, Reverse(self.labels), Reverse(self.conditions))
    }
}

/// What one search looks for.
pub(crate) struct Search<'s> {
    pub(crate) evidence: &'s Evidence<'s>,
    pub(crate) stack: Option<&'s Stack>,
    pub(crate) name: Option<&'s str>,
    pub(crate) product: Option<&'s str>,
}

impl Search<'_> {
    /// The rule as a match, if every part of its key fits.
    pub(crate) fn try_rule<'r>(&self, known: &'r Known) -> Option<Match<'r>> {
        let rule = &known.rule;
        let labels = self.labels_matched(rule)?;
        let conditions = self.conditions_met(rule)?;
        if !rule.user_agent.is_empty() {
            let product = self.product?;
            if !rule.user_agent.iter().any(|wanted| wanted.eq_ignore_ascii_case(product)) {
                return None;
            }
        }
        let level = self.level(rule, labels > 0)?;
        let confidence = rule.confidence * level.trust() * decay(rule.date, self.evidence);
        Some(Match { known, level, labels, conditions, confidence })
    }

    /// How many labels of the name the rule's longest fitting suffix has; `None` if it fits not.
    fn labels_matched(&self, rule: &Rule) -> Option<usize> {
        if rule.sni.is_empty() {
            return Some(0);
        }
        let name = self.name?;
        let fitting = rule.sni.iter().filter(|suffix| crate::destination::is_under(name, suffix));
        fitting.map(|suffix| suffix.split('.').count()).max()
    }

    fn conditions_met(&self, rule: &Rule) -> Option<usize> {
        let alpn = self.evidence.alpn.unwrap_or_default();
        let fits = [
            (rule.alpn.is_empty(), rule.alpn.iter().any(|wanted| wanted.as_bytes() == alpn)),
            (rule.port.is_empty(), rule.port.contains(&self.evidence.port)),
            (
                rule.os.is_empty() || self.evidence.os.is_none(),
                self.evidence.os.is_some_and(|os| rule.os.iter().any(|&wanted| os.allows(wanted))),
            ),
        ];
        let all = fits.iter().all(|&(unasked, met)| unasked || met);
        all.then(|| fits.iter().filter(|&&(unasked, _)| !unasked).count())
    }

    fn level(&self, rule: &Rule, by_name: bool) -> Option<EvidenceLevel> {
        use EvidenceLevel as Level;
        let fingerprint = self.fingerprint_level(rule);
        if !rule.user_agent.is_empty() {
            let fits = fingerprint.is_some() || !rule.has_fingerprint();
            return fits.then_some(Level::UserAgent);
        }
        match (fingerprint, by_name) {
            (Some(Level::Ja4), true) => Some(Level::Ja4Destination),
            (Some(Level::Stable), true) => Some(Level::StableDestination),
            (Some(Level::Ja3), true) => Some(Level::Ja3Destination),
            (Some(_), true) => Some(Level::CipherDestination),
            (Some(Level::Cipher), false) if rule.scope == RuleScope::Stack => {
                Some(Level::StackCipher)
            }
            (Some(_), false) if rule.scope == RuleScope::Stack => Some(Level::Stack),
            (Some(level), false) => Some(level),
            (None, true) => self.level_by_name(rule),
            (None, false) => None,
        }
    }

    /// The level of a rule with a name whose fingerprints, if any, are not the flow's.
    ///
    /// A browser visits any site: there a name alone says nothing of the program.
    fn level_by_name(&self, rule: &Rule) -> Option<EvidenceLevel> {
        match self.stack {
            Some(stack) if rule.stack.contains(&stack.name) => {
                Some(EvidenceLevel::StackDestination)
            }
            Some(stack) if stack.category == Category::Browser => None,
            Some(_) if !rule.stack.is_empty() => None,
            _ if rule.has_fingerprint() && rule.stack.is_empty() => None,
            _ => Some(EvidenceLevel::Destination),
        }
    }

    fn fingerprint_level(&self, rule: &Rule) -> Option<EvidenceLevel> {
        let has = |list: &[String], wanted: Option<&str>| {
            wanted.is_some_and(|wanted| list.iter().any(|key| key == wanted))
        };
        let prefix = self.evidence.ja4.and_then(prefix_of);
        let in_prefixes = |prefix: &str| {
            rule.ja4.iter().any(|key| key.strip_suffix("_*").is_some_and(|known| known == prefix))
        };
        if has(&rule.ja4, self.evidence.ja4) {
            Some(EvidenceLevel::Ja4)
        } else if has(&rule.stable, self.evidence.stable) {
            Some(EvidenceLevel::Stable)
        } else if has(&rule.ja3, self.evidence.ja3) {
            Some(EvidenceLevel::Ja3)
        } else if prefix.is_some_and(in_prefixes)
            || has(&rule.cipher, self.evidence.ja4.and_then(cipher_of))
        {
            Some(EvidenceLevel::Cipher)
        } else {
            None
        }
    }
}

/// What is left of a rule's confidence when it was observed `age` before the flow opened.
pub(crate) fn decay(date: Option<Date>, evidence: &Evidence<'_>) -> f64 {
    let Some(date) = date else { return 1.0 };
    let age_days = u32::try_from(Date::of(evidence.at).days_since(date)).unwrap_or(u32::MAX);
    (-f64::from(age_days) / HALF_LIFE_DAYS).exp2()
}

/// The first two parts of a JA4.
pub(crate) fn prefix_of(ja4: &str) -> Option<&str> {
    ja4.rsplit_once('_').map(|(prefix, _)| prefix)
}

/// The second part of a JA4: its sorted cipher suites.
pub(crate) fn cipher_of(ja4: &str) -> Option<&str> {
    ja4.split('_').nth(1)
}

/// Confidence halves in this time: measured precision at confidence .8 fell from .965 to about .75
/// in ten months, which is a half-life of 2.3 years.
const HALF_LIFE_DAYS: f64 = 840.0;

/// A rule less sure than this answers nothing: it stays a candidate.
pub(crate) const MIN_CONFIDENCE: f64 = 0.05;
