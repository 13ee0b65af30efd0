//! The application mapping: all rules, indexed, and the search for the most specific match.
//!
//! Knows evidence and rules; it knows no hosts, no sessions and no policy.

use std::path::PathBuf;
use std::sync::Arc;

use hashbrown::{HashMap, HashSet};
use toml::Spanned;
use toml::de::DeValue;

use crate::config::{LoadError, MappingError, Source, read_files};
use crate::destination::host_name;
use crate::rule::{Rule, RuleScope, Stack};
use crate::search::{Known, MIN_CONFIDENCE, Match, Search, cipher_of, decay, prefix_of};
use crate::{
    Attribution, Candidate, Category, Contradiction, Evidence, EvidenceLevel, Opening, Outcome,
    printable, user_agent,
};

/// Mapping rules from evidence to application, ready to be searched.
///
/// The most specific match wins; equals are told apart by the longer name, then by more
/// conditions met, then by a confidence twice as high; what is left is ambiguous. The order of
/// rules and files never matters.
#[derive(Debug, Default)]
pub struct AppRules {
    rules: Vec<Known>,
    ids: HashSet<String, foldhash::fast::RandomState>,
    stacks: HashMap<String, Stack, foldhash::fast::RandomState>,
    ja4: Index,
    ja4_prefix: Index,
    stable: Index,
    cipher: Index,
    ja3: Index,
    names: Index,
    products: Index,
}

type Index = HashMap<String, Vec<usize>, foldhash::fast::RandomState>;

impl AppRules {
    /// The rules that ship with the sensor.
    #[must_use]
    pub fn builtin() -> Self {
        Self::from_texts(BUILTIN.iter().copied()).0
    }

    /// Rules from files, or the `.toml` files of directories, with what was refused in them.
    ///
    /// # Errors
    /// A path that cannot be read. A bad rule is no error: it is reported and left out.
    pub fn load(paths: &[PathBuf]) -> Result<(Self, Vec<MappingError>), LoadError> {
        let files = read_files(paths)?;
        Ok(Self::from_texts(files.iter().map(|(file, text)| (file.as_str(), text.as_str()))))
    }

    /// Rules from texts, each with the name it goes by in errors, with what was refused in them.
    pub fn from_texts<'a>(
        texts: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> (Self, Vec<MappingError>) {
        let mut rules = Self::default();
        let mut errors = Vec::new();
        let mut tables = Vec::new();
        for (file, text) in texts {
            tables.extend(tables_of(Source { file, text }, &mut errors));
        }
        // Stacks first: rules name them, from any file.
        let (stacks, others): (Vec<_>, Vec<_>) =
            tables.into_iter().partition(|table| table.kind == Kind::Stack);
        for Table { source, value, .. } in stacks {
            let added = source.read::<Stack>(value).map(|stack| rules.add_stack(stack));
            errors.extend(added.err());
        }
        for Table { source, value, .. } in others {
            let span = value.span();
            let added = source.read::<Rule>(value).and_then(|rule| {
                rules.add_rule(rule).map_err(|(key, message)| MappingError {
                    key: Some(key.to_owned()),
                    ..source.error(&span, message)
                })
            });
            errors.extend(added.err());
        }
        (rules, errors)
    }

    /// How many rules there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// Whether there are no rules.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The application that the evidence shows. Call it once a fact: it allocates.
    #[must_use]
    pub fn attribute(&self, evidence: &Evidence<'_>) -> Attribution {
        if evidence.opening == Opening::Unseen {
            return Attribution::unattributed();
        }
        let stack = self.stack_of(evidence);
        let name = evidence.server_name.and_then(host_name);
        let mut matches = self.matches(evidence, stack, name.as_deref());
        matches.sort_by(|a, b| {
            let sure = b.confidence.total_cmp(&a.confidence);
            a.order().cmp(&b.order()).then(sure).then_with(|| a.known.id.cmp(&b.known.id))
        });
        let mut attribution = self.answer(&matches, stack, evidence);
        attribution.candidates = candidates(&matches);
        attribution.contradictions = self.contradictions(evidence, stack);
        attribution
    }

    fn add_stack(&mut self, stack: Stack) {
        self.stacks.insert(stack.name.clone(), stack);
    }

    fn add_rule(&mut self, rule: Rule) -> Result<(), (&'static str, String)> {
        if self.rules.len() >= MAX_RULES {
            return Err(("id", format!("more than {MAX_RULES} rules")));
        }
        if let Some(fault) = rule.fault() {
            return Err(fault);
        }
        if let Some(stack) = rule.stack.iter().find(|name| !self.stacks.contains_key(*name)) {
            return Err(("stack", format!("no [[stack]] is named `{stack}`")));
        }
        if !self.ids.insert(rule.id.clone()) {
            return Err(("id", format!("`{}` stands for another rule already", rule.id)));
        }
        let number = self.rules.len();
        for ja4 in &rule.ja4 {
            match ja4.strip_suffix("_*") {
                Some(prefix) => insert(&mut self.ja4_prefix, prefix, number),
                None => insert(&mut self.ja4, ja4, number),
            }
        }
        for (index, keys) in [
            (&mut self.stable, &rule.stable),
            (&mut self.cipher, &rule.cipher),
            (&mut self.ja3, &rule.ja3),
            (&mut self.names, &rule.sni),
        ] {
            keys.iter().for_each(|key| insert(index, key, number));
        }
        for product in &rule.user_agent {
            insert(&mut self.products, &product.to_ascii_lowercase(), number);
        }
        let shared = |text: &String| Arc::from(printable(text.as_bytes(), MAX_LABEL_BYTES));
        self.rules.push(Known {
            id: shared(&rule.id),
            application: shared(&rule.application),
            family: rule.family.as_ref().map(shared),
            vendor: rule.vendor.as_ref().map(shared),
            rule,
        });
        Ok(())
    }

    /// The stack that the fingerprint shows, by the rules for exact keys before those for parts.
    fn stack_of(&self, evidence: &Evidence<'_>) -> Option<&Stack> {
        let hits = [
            evidence.ja4.and_then(|ja4| self.ja4.get(ja4)),
            evidence.stable.and_then(|stable| self.stable.get(stable)),
            evidence.ja3.and_then(|ja3| self.ja3.get(ja3)),
            evidence.ja4.and_then(prefix_of).and_then(|prefix| self.ja4_prefix.get(prefix)),
            evidence.ja4.and_then(cipher_of).and_then(|cipher| self.cipher.get(cipher)),
        ];
        hits.into_iter().flatten().find_map(|numbers| self.consensus(numbers, evidence))
    }

    /// The stack that the rules of `numbers` name first, by weight of their confidence as it is
    /// left; none if too little is left to speak for, or against, anything.
    fn consensus(&self, numbers: &[usize], evidence: &Evidence<'_>) -> Option<&Stack> {
        let mut votes: Vec<(&str, f64)> = Vec::new();
        for known in numbers.iter().filter_map(|&number| self.rules.get(number)) {
            let Some(name) = known.rule.stack.first() else { continue };
            let confidence = known.rule.confidence * decay(known.rule.date, evidence);
            match votes.iter_mut().find(|(voted, _)| voted == name) {
                Some((_, weight)) => *weight += confidence,
                None => votes.push((name, confidence)),
            }
        }
        votes.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(b.0)));
        let (name, _) = votes.first().filter(|(_, weight)| *weight >= MIN_STACK_WEIGHT)?;
        self.stacks.get(*name)
    }

    fn matches<'r>(
        &'r self,
        evidence: &Evidence<'_>,
        stack: Option<&Stack>,
        name: Option<&str>,
    ) -> Vec<Match<'r>> {
        let product = evidence.user_agent.and_then(user_agent::product);
        let product = product.map(str::to_ascii_lowercase);
        let mut numbers: Vec<usize> = Vec::new();
        let mut add = |hit: Option<&Vec<usize>>| numbers.extend(hit.into_iter().flatten());
        add(evidence.ja4.and_then(|ja4| self.ja4.get(ja4)));
        add(evidence.stable.and_then(|stable| self.stable.get(stable)));
        add(evidence.ja3.and_then(|ja3| self.ja3.get(ja3)));
        add(evidence.ja4.and_then(prefix_of).and_then(|prefix| self.ja4_prefix.get(prefix)));
        add(evidence.ja4.and_then(cipher_of).and_then(|cipher| self.cipher.get(cipher)));
        add(product.as_ref().and_then(|product| self.products.get(product)));
        suffixes(name.unwrap_or_default()).for_each(|suffix| add(self.names.get(suffix)));
        numbers.sort_unstable();
        numbers.dedup();
        let search = Search { evidence, stack, name, product: product.as_deref() };
        numbers.into_iter().filter_map(|number| search.try_rule(self.rules.get(number)?)).collect()
    }

    fn answer(
        &self,
        matches: &[Match<'_>],
        stack: Option<&Stack>,
        evidence: &Evidence<'_>,
    ) -> Attribution {
        let mut winners = matches.iter().filter(|found| {
            found.known.rule.scope != RuleScope::Hint && found.confidence >= MIN_CONFIDENCE
        });
        let Some(best) = winners.next() else { return unknown(evidence, stack) };
        let equals: Vec<&Match<'_>> = winners
            .filter(|found| found.order() == best.order())
            .filter(|found| found.confidence * CLEAR_LEAD > best.confidence)
            .filter(|found| found.known.application != best.known.application)
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
        let stack_name = stack.map(|stack| &stack.name).or_else(|| known.rule.stack.first());
        attribution.stack = stack_name.map(|name| Arc::from(name.as_str()));
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
        stack: Option<&Stack>,
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
            attribution.category = stack.map_or(Category::Unknown, |stack| stack.category);
        }
        attribution.application = match (&best.known.family, stack) {
            (Some(family), _) if same_family => Arc::clone(family),
            (_, Some(stack)) => stack.label.as_str().into(),
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

    fn contradictions(&self, evidence: &Evidence<'_>, stack: Option<&Stack>) -> Vec<Contradiction> {
        let mut found = Vec::new();
        if let (Some(stack), Some(guess)) = (stack, evidence.os) {
            let possible = stack.os.is_empty() || stack.os.iter().any(|&os| guess.allows(os));
            if !possible {
                let stack = Arc::from(stack.label.as_str());
                found.push(Contradiction::StackOs { stack, os: guess.os });
            }
        }
        let product = evidence.user_agent.and_then(user_agent::product);
        if let (Some(stack), Some(product)) = (stack, product) {
            let rules = self.products.get(&product.to_ascii_lowercase());
            let mut stacks = rules
                .into_iter()
                .flatten()
                .filter_map(|&number| self.rules.get(number))
                .flat_map(|known| &known.rule.stack)
                .peekable();
            if stacks.peek().is_some() && stacks.all(|name| *name != stack.name) {
                let product = printable(product.as_bytes(), MAX_LABEL_BYTES).into();
                let stack = Arc::from(stack.label.as_str());
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

/// One `[[stack]]` or `[[rule]]` of a file, not read yet.
struct Table<'a> {
    kind: Kind,
    source: Source<'a>,
    value: Spanned<DeValue<'a>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Stack,
    Rule,
}

/// The tables of a file; what is none is reported.
fn tables_of<'a>(source: Source<'a>, errors: &mut Vec<MappingError>) -> Vec<Table<'a>> {
    let mut found = Vec::new();
    let entries = source.entries().unwrap_or_else(|error| {
        errors.push(error);
        Vec::new()
    });
    for (key, value) in entries {
        let span = value.span();
        let kind = match key.as_str() {
            "stack" => Kind::Stack,
            "rule" => Kind::Rule,
            _ => {
                let message = "unknown key, expected [[rule]] or [[stack]]".to_owned();
                errors.push(MappingError { key: Some(key), ..source.error(&span, message) });
                continue;
            }
        };
        match source.tables(&key, value) {
            Ok(tables) => {
                found.extend(tables.into_iter().map(|value| Table { kind, source, value }));
            }
            Err(error) => errors.push(error),
        }
    }
    found
}

fn candidates(matches: &[Match<'_>]) -> Vec<Candidate> {
    let mut candidates: Vec<Candidate> = Vec::new();
    for found in matches {
        let known = found.known;
        let named = candidates.iter().any(|other| other.application == known.application);
        if named || candidates.len() >= Attribution::MAX_CANDIDATES {
            continue;
        }
        candidates.push(Candidate {
            application: Arc::clone(&known.application),
            family: known.family.clone(),
            rule: Arc::clone(&known.id),
            level: found.level,
            confidence: found.confidence,
            hint: known.rule.scope == RuleScope::Hint,
        });
    }
    candidates
}

/// The answer when no rule names an application: the stack if that is known, else the fingerprint.
fn unknown(evidence: &Evidence<'_>, stack: Option<&Stack>) -> Attribution {
    if let Some(stack) = stack {
        let label = Arc::from(stack.label.as_str());
        return Attribution {
            stack: Some(stack.name.as_str().into()),
            category: stack.category,
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

fn insert(index: &mut Index, key: &str, number: usize) {
    index.entry_ref(key).or_default().push(number);
}

/// A name and its parents: `a.b.c`, `b.c`, `c`.
fn suffixes(name: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(name), |name| name.split_once('.').map(|(_, parent)| parent))
}

/// A rule this many times as sure as its equals is not ambiguous with them.
const CLEAR_LEAD: f64 = 2.0;

/// A stack that rules speak for with less confidence is not known: it rules nothing out.
const MIN_STACK_WEIGHT: f64 = 0.2;

/// Names in the label of an ambiguous answer without a shared family or stack.
const NAMES_IN_LABEL: usize = 3;

/// Longest name of an application or fingerprint kept, in bytes.
const MAX_LABEL_BYTES: usize = 96;

/// Most rules loaded: a hundred times what ships, and still under 100 MB.
const MAX_RULES: usize = 50_000;

/// The mapping files that ship with the sensor.
const BUILTIN: [(&str, &str); 11] = [
    ("apps/apple.toml", include_str!("../../../configs/apps/apple.toml")),
    ("apps/browsers.toml", include_str!("../../../configs/apps/browsers.toml")),
    ("apps/clients.toml", include_str!("../../../configs/apps/clients.toml")),
    ("apps/hints.toml", include_str!("../../../configs/apps/hints.toml")),
    ("apps/libraries.toml", include_str!("../../../configs/apps/libraries.toml")),
    ("apps/observed-2017.toml", include_str!("../../../configs/apps/observed-2017.toml")),
    ("apps/observed-2020.toml", include_str!("../../../configs/apps/observed-2020.toml")),
    ("apps/products.toml", include_str!("../../../configs/apps/products.toml")),
    ("apps/remote-access.toml", include_str!("../../../configs/apps/remote-access.toml")),
    ("apps/stacks.toml", include_str!("../../../configs/apps/stacks.toml")),
    ("apps/user-agents.toml", include_str!("../../../configs/apps/user-agents.toml")),
];
