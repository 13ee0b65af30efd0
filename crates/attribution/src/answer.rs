//! The answer to one flow's evidence: the best match, what rivals it, what contradicts it.
//! Knows no files.

use std::cell::Cell;
use std::sync::Arc;

use crate::destination::{host_name, is_under};
use crate::index::{Hit, Places};
use crate::rule::RuleScope;
use crate::search::{Hot, Known, KnownStack, MIN_CONFIDENCE, Match, Search, decay};
use crate::{
    AppRules, Attribution, Candidate, Category, Contradiction, Date, Evidence, EvidenceLevel,
    Opening, Outcome, printable, user_agent,
};

impl AppRules {
    /// The application that the evidence shows. Call it once a fact: it allocates.
    #[must_use]
    pub fn attribute(&self, evidence: &Evidence<'_>) -> Attribution {
        if evidence.opening == Opening::Unseen {
            return Attribution::unattributed();
        }
        let view = View::new(self, evidence);
        let search = view.search();
        let mut matches = Vec::with_capacity(USUAL_MATCHES);
        self.hits(&view, |known, hot, hit| {
            if let Ok(found) = search.try_rule(known, hot, hit) {
                keep_best(&mut matches, found);
            }
        });
        sort(&mut matches);
        let mut attribution = self.answer(&matches, view.stack, evidence);
        attribution.native_os = view.stack.and_then(|known| known.stack.native_os());
        attribution.candidates = candidates(&matches);
        attribution.contradictions = self.contradictions(evidence, view.stack);
        attribution.contradictions.extend(astray(&attribution, &matches, view.name.as_deref()));
        attribution
    }

    /// Every rule that the evidence leads to, with what led there.
    pub(crate) fn hits<'r>(&'r self, view: &View<'_>, mut take: impl FnMut(&'r Known, &Hot, Hit)) {
        let (name, product) = (view.name.as_deref(), view.product.as_deref());
        self.index.hits(&view.places, name, product, |hit| {
            let at = usize::try_from(hit.rule).ok();
            if let Some(at) = at
                && let (Some(known), Some(hot)) = (self.rules.get(at), self.hot.get(at))
            {
                take(known, hot, hit);
            }
        });
    }

    /// The stack that the fingerprint shows, by the rules for exact keys before those for parts;
    /// none if too little confidence is left to speak for, or against, anything.
    fn stack_of(&self, places: &Places, today: Date) -> Option<&KnownStack> {
        self.index.votes(places).find_map(|votes| {
            let weight = |stack: usize| -> f64 {
                let own = votes.iter().filter(|vote| vote.stack == stack);
                own.map(|vote| vote.weight * decay(vote.date, today)).sum()
            };
            let known = |stack: usize| self.stacks.get(stack);
            let best = votes.iter().map(|vote| (vote.stack, weight(vote.stack))).max_by(|a, b| {
                let name = |stack| known(stack).map(|known| &known.name);
                a.1.total_cmp(&b.1).then_with(|| name(b.0).cmp(&name(a.0)))
            });
            best.filter(|(_, weight)| *weight >= MIN_STACK_WEIGHT)
                .and_then(|(stack, _)| known(stack))
        })
    }

    fn answer(
        &self,
        matches: &[Match<'_>],
        stack: Option<&KnownStack>,
        evidence: &Evidence<'_>,
    ) -> Attribution {
        let mut winners = matches
            .iter()
            .filter(|found| found.scope != RuleScope::Hint && found.confidence >= MIN_CONFIDENCE);
        let Some(best) = winners.next() else { return unknown(evidence, stack) };
        let equals: Vec<&Match<'_>> = winners
            .filter(|found| found.order() == best.order())
            .filter(|found| found.confidence * CLEAR_LEAD > best.confidence)
            .filter(|found| found.application != best.application)
            .collect();
        let known = best.known;
        let mut attribution = Attribution {
            outcome: Outcome::Application,
            family: known.family.clone(),
            vendor: known.vendor.clone(),
            category: known.rule.category,
            long_lived_normal: known.rule.long_lived_normal,
            level: best.level,
            confidence: best.confidence,
            rule: Some(Arc::clone(&known.id)),
            ..Attribution::bare(Outcome::Application, Arc::clone(&known.application))
        };
        attribution.stack = stack.map(|stack| Arc::clone(&stack.name)).or_else(|| {
            let first = known.rule.stack.first()?;
            let known = self.stacks.iter().find(|stack| stack.stack.name == *first)?;
            Some(Arc::clone(&known.name))
        });
        if !equals.is_empty() {
            self.make_ambiguous(&mut attribution, best, &equals, stack);
        }
        attribution
    }

    /// Turns an answer into one that names what the candidates share.
    fn make_ambiguous(
        &self,
        attribution: &mut Attribution,
        best: &Match<'_>,
        equals: &[&Match<'_>],
        stack: Option<&KnownStack>,
    ) {
        let same = |test: &dyn Fn(&Known) -> bool| equals.iter().all(|found| test(found.known));
        attribution.outcome = Outcome::Ambiguous;
        attribution.confidence = best.confidence
            / (best.confidence + equals.iter().map(|found| found.confidence).sum::<f64>())
            * best.confidence;
        if !same(&|known| known.vendor == best.known.vendor) {
            attribution.vendor = None;
        }
        if !same(&|known| known.rule.long_lived_normal == best.known.rule.long_lived_normal) {
            attribution.long_lived_normal = None;
        }
        let same_family = same(&|known| known.family == best.known.family);
        if !same_family {
            attribution.family = None;
        }
        if !same(&|known| known.rule.category == best.known.rule.category) {
            attribution.category = stack.map_or(Category::Unknown, |stack| stack.stack.category);
        }
        attribution.application = match (&best.known.family, stack) {
            (Some(family), _) if same_family => Arc::clone(family),
            (_, Some(stack)) => Arc::clone(&stack.label),
            (_, None) => {
                let mut names: Vec<&str> =
                    equals.iter().map(|found| &*found.known.application).collect();
                names.push(&best.known.application);
                names.sort_unstable();
                names.dedup();
                names.truncate(NAMES_IN_LABEL);
                names.join(" or ").into()
            }
        };
    }

    fn contradictions(
        &self,
        evidence: &Evidence<'_>,
        stack: Option<&KnownStack>,
    ) -> Vec<Contradiction> {
        let mut found = Vec::new();
        if let (Some(stack), Some(guess)) = (stack, evidence.os) {
            let systems = &stack.stack.os;
            let possible = systems.is_empty() || systems.iter().any(|&os| guess.allows(os));
            if !possible {
                let stack = Arc::clone(&stack.label);
                found.push(Contradiction::StackOs { stack, os: guess.os });
            }
        }
        let product = evidence.user_agent.and_then(user_agent::product);
        if let (Some(stack), Some(product)) = (stack, product) {
            let rules = self.index.product(&product.to_ascii_lowercase());
            let mut stacks = rules
                .iter()
                .filter_map(|&number| self.rule(number))
                .flat_map(|known| &known.rule.stack)
                .peekable();
            if stacks.peek().is_some() && stacks.all(|name| *name != stack.stack.name) {
                let product = printable(product.as_bytes(), MAX_LABEL_BYTES).into();
                let stack = Arc::clone(&stack.label);
                found.push(Contradiction::UserAgentStack { product, stack });
            }
        }
        let claimed = evidence.user_agent.and_then(user_agent::system);
        if let (Some(claimed), Some(guess)) = (claimed, evidence.os)
            && !guess.allows(claimed)
        {
            found.push(Contradiction::UserAgentOs { claimed, os: guess.os });
        }
        found
    }
}

/// One flow's evidence with what is derived from it once.
pub(crate) struct View<'v> {
    pub(crate) evidence: &'v Evidence<'v>,
    pub(crate) stack: Option<&'v KnownStack>,
    pub(crate) name: Option<String>,
    /// In lower case.
    pub(crate) product: Option<String>,
    places: Places,
    today: Date,
}

impl<'v> View<'v> {
    pub(crate) fn new(rules: &'v AppRules, evidence: &'v Evidence<'v>) -> Self {
        let today = Date::of(evidence.at);
        let product = evidence.user_agent.and_then(user_agent::product);
        let places = rules.index.places(evidence);
        Self {
            evidence,
            stack: rules.stack_of(&places, today),
            name: evidence.server_name.and_then(host_name),
            product: product.map(str::to_ascii_lowercase),
            places,
            today,
        }
    }

    pub(crate) fn search(&self) -> Search<'_> {
        Search {
            evidence: self.evidence,
            stack: self.stack.map(|known| &known.stack),
            name: self.name.as_deref(),
            product: self.product.as_deref(),
            today: self.today,
            aged: Cell::new((None, 1.0)),
        }
    }
}

/// The contradiction of an application at a name that is none of its destinations.
fn astray(
    answer: &Attribution,
    matches: &[Match<'_>],
    name: Option<&str>,
) -> Option<Contradiction> {
    let name = name.filter(|_| answer.outcome == Outcome::Application)?;
    let rule = matches.iter().find(|found| answer.rule.as_ref() == Some(&found.known.id))?;
    let destinations = &rule.known.rule.destinations;
    let known = destinations.iter().any(|suffix| is_under(name, suffix));
    (!destinations.is_empty() && !known).then(|| Contradiction::Destination {
        application: Arc::clone(&answer.application),
        destination: printable(name.as_bytes(), MAX_LABEL_BYTES).into(),
    })
}

/// Puts matches in order, the best first, whatever order they came in.
pub(crate) fn sort(matches: &mut [Match<'_>]) {
    matches.sort_by(better);
}

/// Adds a match, unless one for the same application is better: most rules that evidence leads to
/// are weaker words for what a stronger one names. Those that cannot answer are kept apart.
fn keep_best<'r>(matches: &mut Vec<Match<'r>>, found: Match<'r>) {
    let can_answer =
        |other: &Match<'_>| other.scope != RuleScope::Hint && other.confidence >= MIN_CONFIDENCE;
    let same = |other: &&mut Match<'_>| {
        other.application == found.application && can_answer(other) == can_answer(&found)
    };
    match matches.iter_mut().find(same) {
        Some(kept) if better(&found, kept).is_lt() => *kept = found,
        Some(_) => {}
        None => matches.push(found),
    }
}

/// Less is better: level, longer name, more conditions, confidence; then by what tells rules apart.
fn better(a: &Match<'_>, b: &Match<'_>) -> std::cmp::Ordering {
    let sure = b.confidence.total_cmp(&a.confidence);
    let level = a.level.cmp(&b.level);
    a.order().cmp(&b.order()).then(sure).then(level).then_with(|| a.known.id.cmp(&b.known.id))
}

/// The applications of all matches, the best first, each once.
fn candidates(matches: &[Match<'_>]) -> Vec<Candidate> {
    let mut candidates: Vec<Candidate> =
        Vec::with_capacity(matches.len().min(Attribution::MAX_CANDIDATES));
    let mut named = [None; Attribution::MAX_CANDIDATES];
    for found in matches {
        if named.contains(&Some(found.application)) {
            continue;
        }
        let Some(place) = named.get_mut(candidates.len()) else { break };
        *place = Some(found.application);
        let known = found.known;
        candidates.push(Candidate {
            application: Arc::clone(&known.application),
            family: known.family.clone(),
            rule: Arc::clone(&known.id),
            level: found.level,
            confidence: found.confidence,
            hint: found.scope == RuleScope::Hint,
        });
    }
    candidates
}

/// The answer when no rule names an application: the stack if that is known, else the fingerprint.
fn unknown(evidence: &Evidence<'_>, stack: Option<&KnownStack>) -> Attribution {
    if let Some(stack) = stack {
        let label = Arc::clone(&stack.label);
        return Attribution {
            stack: Some(Arc::clone(&stack.name)),
            category: stack.stack.category,
            level: EvidenceLevel::Stack,
            confidence: MIN_STACK_WEIGHT,
            ..Attribution::bare(Outcome::Ambiguous, label)
        };
    }
    let mark = evidence.stable.or(evidence.ja4).or(evidence.ja3);
    let product = evidence.user_agent.and_then(user_agent::product);
    let mark = mark.or(product).unwrap_or_default();
    Attribution::unknown(&printable(mark.as_bytes(), MAX_LABEL_BYTES))
}

/// A rule this many times as sure as its equals is not ambiguous with them.
pub(crate) const CLEAR_LEAD: f64 = 2.0;

/// A stack that rules speak for with less confidence is not known: it rules nothing out.
const MIN_STACK_WEIGHT: f64 = 0.2;

/// Names in the label of an ambiguous answer without a shared family or stack.
const NAMES_IN_LABEL: usize = 3;

/// Longest name of an application or fingerprint kept, in bytes.
pub(crate) const MAX_LABEL_BYTES: usize = 96;

/// Room for the matches of nearly every flow, so that they are one allocation.
const USUAL_MATCHES: usize = 16;
