//! Why an answer is what it is: every key looked up, every rule tried and what became of it.
//! Decides nothing: the search is the one that answers.

use std::sync::Arc;

use crate::answer::{CLEAR_LEAD, View, sort};
use crate::index::{Hit, PARTS, Part};
use crate::rule::RuleScope;
use crate::search::{MIN_CONFIDENCE, Match, Miss};
use crate::{AppRules, Attribution, Evidence, EvidenceLevel};

/// An answer with the chain of lookups behind it.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// The answer, as [`AppRules::attribute`] gives it.
    pub answer: Attribution,
    /// What was looked up, in the order in which rules win.
    pub steps: Vec<Step>,
}

/// One key that was looked up.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The key: its kind and value, `ja4 t13d… + slack.com`.
    pub key: String,
    /// The rules that have it, the strongest first; empty: no rule has it.
    pub tried: Vec<Tried>,
}

/// One rule that was tried.
#[derive(Clone, Debug, PartialEq)]
pub struct Tried {
    /// Its identifier.
    pub rule: Arc<str>,
    /// The application that it names.
    pub application: Arc<str>,
    /// The level at which it matched, if it did.
    pub level: Option<EvidenceLevel>,
    /// Its confidence here, with level and age (dimensionless); 0 if it did not match.
    pub confidence: f64,
    /// What became of it.
    pub fate: Fate,
}

/// What became of a rule that was tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fate {
    /// It is the answer.
    Answers,
    /// It is as specific and nearly as sure, for another application: the answer is ambiguous.
    Rivals,
    /// It names the same application as the answer.
    Agrees,
    /// A more specific or surer rule won.
    Outranked,
    /// It only warns.
    Hint,
    /// Too little confidence is left of it.
    TooUnsure,
    /// It asks for another protocol, port or system.
    Condition,
    /// It asks for a name or a fingerprint that the flow does not have.
    Key,
    /// Its stack is not the flow's.
    Stack,
    /// The flow's stack is a browser's, which visits any name.
    Browser,
}

impl Fate {
    /// The reason as text for people.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Answers => "answers",
            Self::Rivals => "as specific, for another application",
            Self::Agrees => "agrees",
            Self::Outranked => "outranked",
            Self::Hint => "only warns",
            Self::TooUnsure => "too little confidence left",
            Self::Condition => "asks for another protocol, port or system",
            Self::Key => "asks for a name or fingerprint that is not there",
            Self::Stack => "belongs to another TLS stack",
            Self::Browser => "a browser visits any name",
        }
    }
}

impl From<Miss> for Fate {
    fn from(miss: Miss) -> Self {
        match miss {
            Miss::Condition => Self::Condition,
            Miss::Key => Self::Key,
            Miss::Stack => Self::Stack,
            Miss::Browser => Self::Browser,
        }
    }
}

impl AppRules {
    /// The answer of [`AppRules::attribute`], with the chain of rules tried.
    #[must_use]
    pub fn explain(&self, evidence: &Evidence<'_>) -> Explanation {
        let answer = self.attribute(evidence);
        let view = View::new(self, evidence);
        let search = view.search();
        let mut matches: Vec<Match<'_>> = Vec::new();
        let mut steps = self.lookups(&view);
        self.hits(&view, |known, hot, hit| {
            let outcome = search.try_rule(known, hot, hit);
            matches.extend(outcome);
            let (level, confidence, fate) = match outcome {
                Ok(found) => (Some(found.level), found.confidence, Fate::Outranked),
                Err(miss) => (None, 0.0, miss.into()),
            };
            let tried = Tried {
                rule: Arc::clone(&known.id),
                application: Arc::clone(&known.application),
                level,
                confidence,
                fate,
            };
            if let Some((_, step)) = steps.iter_mut().find(|(key, _)| *key == Lookup::of(hit)) {
                step.tried.push(tried);
            }
        });
        sort(&mut matches);
        let mut steps: Vec<Step> = steps.into_iter().map(|(_, step)| step).collect();
        for tried in steps.iter_mut().flat_map(|step| &mut step.tried) {
            if let Some(level) = tried.level {
                tried.fate = fate(&matches, &answer, (&tried.rule, level));
            }
        }
        for step in &mut steps {
            step.tried
                .sort_by(|a, b| b.confidence.total_cmp(&a.confidence).then(a.rule.cmp(&b.rule)));
            step.tried.truncate(MAX_TRIED);
        }
        Explanation { answer, steps }
    }

    /// Every key of the evidence, whether rules have it or not.
    fn lookups(&self, view: &View<'_>) -> Vec<(Lookup, Step)> {
        let mut steps = Vec::new();
        let mut add = |part, labels, by_product, key: String| {
            steps.push((Lookup { part, labels, by_product }, Step { key, tried: Vec::new() }));
        };
        let suffixes = self.index.suffixes(view.name.as_deref().unwrap_or_default());
        let parts = || PARTS.into_iter().filter_map(|part| Some((part, part.of(view.evidence)?)));
        for (part, key) in parts().filter(|(part, _)| *part != Part::Extensions) {
            for (labels, suffix) in &suffixes {
                let key = format!("{} {key} + {suffix}", part.name());
                add(Some(part), *labels, false, key);
            }
        }
        if let Some(product) = &view.product {
            add(None, 0, true, format!("user_agent {product}"));
        }
        for (part, key) in parts().filter(|(part, _)| *part != Part::Extensions) {
            add(Some(part), 0, false, format!("{} {key}", part.name()));
        }
        for (part, key) in parts().filter(|(part, _)| *part == Part::Extensions) {
            for (labels, suffix) in &suffixes {
                let key = format!("{} {key} + {suffix}", part.name());
                add(Some(part), *labels, false, key);
            }
            add(Some(part), 0, false, format!("{} {key}", part.name()));
        }
        for (labels, suffix) in &suffixes {
            add(None, *labels, false, format!("destination {suffix}"));
        }
        if let Some(name) = view.name.as_deref().filter(|_| suffixes.is_empty()) {
            add(None, usize::MAX, false, format!("destination {name}"));
        }
        steps
    }
}

/// Which lookup led to a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Lookup {
    part: Option<Part>,
    labels: usize,
    by_product: bool,
}

impl Lookup {
    const fn of(hit: Hit) -> Self {
        Self { part: hit.part, labels: hit.labels, by_product: hit.by_product }
    }
}

/// What became of the rule `(id, level)`, one of the sorted `matches` behind `answer`.
fn fate(
    matches: &[Match<'_>],
    answer: &Attribution,
    (id, level): (&Arc<str>, EvidenceLevel),
) -> Fate {
    let is_it = |found: &&Match<'_>| found.known.id == *id && found.level == level;
    let Some(found) = matches.iter().find(is_it) else { return Fate::Outranked };
    if found.known.rule.scope == RuleScope::Hint {
        return Fate::Hint;
    }
    if found.confidence < MIN_CONFIDENCE {
        return Fate::TooUnsure;
    }
    let won = |other: &&Match<'_>| answer.rule.as_ref() == Some(&other.known.id);
    let Some(best) = matches.iter().find(won) else { return Fate::Outranked };
    if best.known.id == *id && best.level == level {
        Fate::Answers
    } else if found.known.application == best.known.application {
        Fate::Agrees
    } else if found.order() == best.order() && found.confidence * CLEAR_LEAD > best.confidence {
        Fate::Rivals
    } else {
        Fate::Outranked
    }
}

/// Most rules shown of one lookup: a shared fingerprint has hundreds.
const MAX_TRIED: usize = 12;
