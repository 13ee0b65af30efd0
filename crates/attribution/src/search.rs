//! One search: which rules fit the evidence of one flow, and how well. Knows no answers.

use std::cell::Cell;
use std::cmp::Reverse;
use std::sync::Arc;

use crate::index::{Hit, Part};
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
    /// Whether the rule's key has a part of a fingerprint.
    pub(crate) has_fingerprint: bool,
}

/// What a search needs of every rule that it tries, apart from the rest: twenty thousand rules'
/// stay in a second-level cache.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hot {
    confidence: f64,
    date: Option<Date>,
    /// The application, by number: rules for one application have one.
    pub(crate) application: u32,
    pub(crate) scope: RuleScope,
    /// Whether the rule asks for no protocol, port or system.
    plain: bool,
    /// Whether the confidence was measured at the rule's own level.
    measured: bool,
}

impl Hot {
    pub(crate) fn of(rule: &Rule, application: u32) -> Self {
        Self {
            confidence: rule.confidence,
            date: rule.date,
            application,
            scope: rule.scope,
            plain: rule.alpn.is_empty() && rule.port.is_empty() && rule.os.is_empty(),
            measured: rule.flows.is_some(),
        }
    }
}

/// A stack with its texts as they are handed out.
#[derive(Debug)]
pub(crate) struct KnownStack {
    pub(crate) stack: Stack,
    pub(crate) name: Arc<str>,
    pub(crate) label: Arc<str>,
}

/// A rule that fits the evidence.
#[derive(Clone, Copy)]
pub(crate) struct Match<'r> {
    pub(crate) known: &'r Known,
    /// The application, by number.
    pub(crate) application: u32,
    pub(crate) scope: RuleScope,
    pub(crate) level: EvidenceLevel,
    /// Labels of the name matched.
    labels: usize,
    /// Conditions on ALPN, port and system met.
    conditions: usize,
    pub(crate) confidence: f64,
}

impl Match<'_> {
    /// Smaller is better: level, then longer name, then more conditions.
    pub(crate) fn order(&self) -> (u8, Reverse<usize>, Reverse<usize>) {
        (self.level.rank(), Reverse(self.labels), Reverse(self.conditions))
    }
}

/// Why a rule that the evidence leads to does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Miss {
    /// It asks for another protocol, port or system.
    Condition,
    /// It asks for a name or a fingerprint that the flow does not have.
    Key,
    /// Its stack is not the flow's.
    Stack,
    /// The flow's stack is a browser's, which visits any name.
    Browser,
}

/// What one search looks for.
pub(crate) struct Search<'s> {
    pub(crate) evidence: &'s Evidence<'s>,
    pub(crate) stack: Option<&'s Stack>,
    pub(crate) name: Option<&'s str>,
    pub(crate) product: Option<&'s str>,
    /// The day on which the flow opened.
    pub(crate) today: Date,
    /// The last date that a rule had, with what is left of its confidence: rules that were learned
    /// together share it.
    pub(crate) aged: Cell<(Option<Date>, f64)>,
}

impl Search<'_> {
    /// The rule as a match, if every part of its key fits.
    pub(crate) fn try_rule<'r>(
        &self,
        known: &'r Known,
        hot: &Hot,
        hit: Hit,
    ) -> Result<Match<'r>, Miss> {
        let conditions =
            if hot.plain { 0 } else { self.conditions_met(&known.rule).ok_or(Miss::Condition)? };
        let (level, labels) = if hit.by_product {
            (EvidenceLevel::UserAgent, self.listed(&known.rule).ok_or(Miss::Key)?)
        } else {
            (self.level(known, hot, hit)?, hit.labels)
        };
        let trust = if hot.measured { 1.0 } else { level.trust() };
        let confidence = hot.confidence * trust * self.decay(hot.date);
        let Hot { application, scope, .. } = *hot;
        Ok(Match { known, application, scope, level, labels, conditions, confidence })
    }

    /// [`decay`] as of the day of the flow.
    fn decay(&self, date: Option<Date>) -> f64 {
        let (last, left) = self.aged.get();
        if last == date {
            return left;
        }
        let left = decay(date, self.today);
        self.aged.set((date, left));
        left
    }

    /// How many labels of the name a rule for a product has, if its name and fingerprint fit.
    fn listed(&self, rule: &Rule) -> Option<usize> {
        let wanted =
            |product: &str| rule.user_agent.iter().any(|p| p.eq_ignore_ascii_case(product));
        if !self.product.is_some_and(wanted) {
            return None;
        }
        let has = |part: Part| {
            part.of(self.evidence).is_some_and(|key| part.keys(rule).any(|k| k == key))
        };
        if rule.has_fingerprint() && !crate::index::PARTS.into_iter().any(has) {
            return None;
        }
        if rule.sni.is_empty() {
            return Some(0);
        }
        let name = self.name?;
        let fitting = rule.sni.iter().filter(|suffix| match suffix.strip_prefix('=') {
            Some(exact) => exact == name,
            None => crate::destination::is_under(name, suffix),
        });
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

    fn level(&self, known: &Known, hot: &Hot, hit: Hit) -> Result<EvidenceLevel, Miss> {
        use EvidenceLevel as Level;
        let shared = hot.scope == RuleScope::Stack;
        Ok(match (hit.part, hit.labels > 0) {
            (Some(Part::Ja4), true) => Level::Ja4Destination,
            (Some(Part::Stable), true) => Level::StableDestination,
            (Some(Part::Ja3), true) => Level::Ja3Destination,
            (Some(Part::Prefix), true) => Level::PrefixDestination,
            (Some(Part::Cipher), true) => Level::CipherDestination,
            (Some(Part::Extensions), true) => Level::ExtensionsDestination,
            (Some(Part::Prefix | Part::Cipher | Part::Extensions), false) if shared => {
                Level::StackCipher
            }
            (Some(_), false) if shared => Level::Stack,
            (Some(Part::Ja4), false) => Level::Ja4,
            (Some(Part::Stable), false) => Level::Stable,
            (Some(Part::Ja3), false) => Level::Ja3,
            (Some(Part::Prefix), false) => Level::Prefix,
            (Some(Part::Cipher), false) => Level::Cipher,
            (Some(Part::Extensions), false) => Level::Extensions,
            (None, _) => self.level_by_name(known)?,
        })
    }

    /// The level of a rule with a name whose fingerprints, if any, are not the flow's.
    ///
    /// A browser visits any site: there a name alone says nothing of the program.
    fn level_by_name(&self, known: &Known) -> Result<EvidenceLevel, Miss> {
        let rule = &known.rule;
        match self.stack {
            Some(stack) if rule.stack.contains(&stack.name) => Ok(EvidenceLevel::StackDestination),
            Some(stack) if stack.category == Category::Browser => Err(Miss::Browser),
            Some(_) if !rule.stack.is_empty() => Err(Miss::Stack),
            _ if known.has_fingerprint && rule.stack.is_empty() => Err(Miss::Key),
            _ => Ok(EvidenceLevel::Destination),
        }
    }
}

/// What is left of a rule's confidence when the flow opened `today`.
pub(crate) fn decay(date: Option<Date>, today: Date) -> f64 {
    let Some(date) = date else { return 1.0 };
    let age_days = u32::try_from(today.days_since(date)).unwrap_or(u32::MAX);
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

/// The third part of a JA4: its sorted extensions and its signature algorithms.
pub(crate) fn extensions_of(ja4: &str) -> Option<&str> {
    ja4.split('_').nth(2)
}

/// Confidence halves in this time: measured precision at confidence .8 fell from .965 to about .75
/// in ten months, which is a half-life of 2.3 years.
const HALF_LIFE_DAYS: f64 = 840.0;

/// A rule less sure than this answers nothing: it stays a candidate.
pub(crate) const MIN_CONFIDENCE: f64 = 0.05;
