//! Where to look rules up: parts of fingerprints by hash, names by a trie of labels from the right,
//! pairs of both by number. Knows no confidence and no order of rules.

use hashbrown::{Equivalent, HashMap};
use std::hash::{Hash, Hasher};

use crate::rule::Rule;
use crate::search::{cipher_of, extensions_of, prefix_of};
use crate::{Date, Evidence};

/// The part of a fingerprint that a key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Part {
    /// The whole JA4.
    Ja4,
    /// Our normalised variant.
    Stable,
    /// JA3.
    Ja3,
    /// The first two parts of JA4.
    Prefix,
    /// The second part of JA4.
    Cipher,
    /// The third part of JA4.
    Extensions,
}

/// All parts, the most telling first.
pub(crate) const PARTS: [Part; 6] =
    [Part::Ja4, Part::Stable, Part::Ja3, Part::Prefix, Part::Cipher, Part::Extensions];

impl Part {
    /// The key that the evidence has for this part.
    pub(crate) fn of<'e>(self, evidence: &Evidence<'e>) -> Option<&'e str> {
        match self {
            Self::Ja4 => evidence.ja4,
            Self::Stable => evidence.stable,
            Self::Ja3 => evidence.ja3,
            Self::Prefix => evidence.ja4.and_then(prefix_of),
            Self::Cipher => evidence.ja4.and_then(cipher_of),
            Self::Extensions => evidence.ja4.and_then(extensions_of),
        }
    }

    /// The name in explanations, and the rule's key.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Ja4 => "ja4",
            Self::Stable => "stable",
            Self::Ja3 => "ja3",
            Self::Prefix => "prefix",
            Self::Cipher => "cipher",
            Self::Extensions => "extensions",
        }
    }

    /// The keys of a rule for this part.
    pub(crate) fn keys(self, rule: &Rule) -> impl Iterator<Item = &str> {
        let list = match self {
            Self::Ja4 | Self::Prefix => &rule.ja4,
            Self::Stable => &rule.stable,
            Self::Ja3 => &rule.ja3,
            Self::Cipher => &rule.cipher,
            Self::Extensions => &rule.extensions,
        };
        list.iter().filter_map(move |key| match (self, key.strip_suffix("_*")) {
            (Self::Prefix, prefix) => prefix,
            (Self::Ja4, Some(_)) => None,
            (_, _) => Some(key.as_str()),
        })
    }
}

/// What a key of a fingerprint is known for.
#[derive(Debug, Default)]
struct PartEntry {
    /// Rules with this key that ask for no name.
    rules: Vec<u32>,
    /// How much rules speak for each stack, by the date of the fact.
    votes: Vec<Vote>,
}

/// How much the rules of one date speak for one stack, before age.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Vote {
    /// Number of the stack.
    pub(crate) stack: usize,
    pub(crate) date: Option<Date>,
    pub(crate) weight: f64,
}

/// A node of the name trie: a suffix.
#[derive(Debug, Default)]
struct NameEntry {
    /// Labels of the suffix.
    labels: usize,
    /// Whether any rule has this suffix.
    named: bool,
    /// Rules that fit by the name without their fingerprint.
    rules: Vec<u32>,
}

/// The index of all rules. Lookups never allocate.
#[derive(Debug, Default)]
pub(crate) struct Index {
    parts: Map<PartKey, u32>,
    part_entries: Vec<PartEntry>,
    edges: Map<Edge, u32>,
    /// Names that stand for themselves alone.
    exact: Map<String, u32>,
    name_entries: Vec<NameEntry>,
    pairs: Map<(u32, u32), Vec<u32>>,
    products: Map<String, Vec<u32>>,
}

/// The numbers of the evidence's parts, by [`PARTS`].
pub(crate) type Places = [Option<u32>; PARTS.len()];

type Map<K, V> = HashMap<K, V, foldhash::fast::RandomState>;

/// A rule that the evidence leads to, and by what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hit {
    /// Number of the rule.
    pub(crate) rule: u32,
    /// The part of the fingerprint that is the rule's; none if only the name or the product is.
    pub(crate) part: Option<Part>,
    /// Labels of the rule's suffix; 0 if the rule was not reached by a name.
    pub(crate) labels: usize,
    /// Whether it was reached by the `User-Agent` product.
    pub(crate) by_product: bool,
}

impl Index {
    /// Takes a rule in under all its keys.
    pub(crate) fn add(&mut self, number: u32, rule: &Rule, stack: Option<usize>) {
        if !rule.user_agent.is_empty() {
            for product in &rule.user_agent {
                self.products.entry(product.to_ascii_lowercase()).or_default().push(number);
            }
            self.vote(rule, stack);
            return;
        }
        let names: Vec<u32> = rule.sni.iter().map(|name| self.node(name)).collect();
        for part in PARTS {
            for key in part.keys(rule) {
                let place = self.part(part, key);
                if rule.sni.is_empty() {
                    push(&mut self.part_entries, place, |entry| &mut entry.rules, number);
                }
                for &name in &names {
                    let list = self.pairs.entry((place, name)).or_default();
                    if list.last() != Some(&number) {
                        list.push(number);
                    }
                }
            }
        }
        if !rule.has_fingerprint() || !rule.stack.is_empty() {
            for &name in &names {
                push(&mut self.name_entries, name, |entry| &mut entry.rules, number);
            }
        }
        self.vote(rule, stack);
    }

    /// Gives every rule that the evidence leads to, by the most telling keys first.
    pub(crate) fn hits(
        &self,
        places: &Places,
        name: Option<&str>,
        product: Option<&str>,
        mut take: impl FnMut(Hit),
    ) {
        let mut give = |rules: &[u32], part, labels, by_product| {
            for &rule in rules {
                take(Hit { rule, part, labels, by_product });
            }
        };
        self.walk(name.unwrap_or_default(), |node, entry| {
            for (part, place) in PARTS.into_iter().zip(places) {
                let Some(place) = *place else { continue };
                if let Some(rules) = self.pairs.get(&(place, node)) {
                    give(rules, Some(part), entry.labels, false);
                }
            }
            give(&entry.rules, None, entry.labels, false);
        });
        for (part, place) in PARTS.into_iter().zip(places) {
            let entry = (*place).and_then(|place| self.part_entry(place));
            give(entry.map_or(&[], |entry| &entry.rules), Some(part), 0, false);
        }
        let rules = product.and_then(|product| self.products.get(product));
        give(rules.map_or(&[], Vec::as_slice), None, 0, true);
    }

    /// The votes for stacks of each known part, the most telling first; the extension part has
    /// none, since libraries of one kind share it.
    pub(crate) fn votes(&self, places: &Places) -> impl Iterator<Item = &[Vote]> {
        PARTS
            .into_iter()
            .zip(*places)
            .filter(|(part, _)| *part != Part::Extensions)
            .filter_map(|(_, place)| self.part_entry(place?))
            .map(|entry| entry.votes.as_slice())
    }

    /// The rules for a `User-Agent` product in lower case.
    pub(crate) fn product(&self, product: &str) -> &[u32] {
        self.products.get(product).map_or(&[], Vec::as_slice)
    }

    /// The suffixes of `name` that rules have, the longest first, each with the labels of its hits.
    pub(crate) fn suffixes<'n>(&self, name: &'n str) -> Vec<(usize, &'n str)> {
        let mut found = Vec::new();
        self.walk(name, |_, entry| {
            // An exact name counts one label more than it has.
            let labels = name.rsplit('.').take(entry.labels);
            let bytes = labels.map(|label| label.len().saturating_add(1)).sum::<usize>();
            let start = name.len().saturating_add(1).saturating_sub(bytes);
            found.extend(name.get(start..).map(|suffix| (entry.labels, suffix)));
        });
        found.sort_by_key(|(labels, _)| std::cmp::Reverse(*labels));
        found
    }

    /// Every key of `part` with all its rules, with whatever name.
    pub(crate) fn by_key(&self, part: Part) -> Vec<(&str, Vec<u32>)> {
        let mut lists: Map<u32, Vec<u32>> = Map::default();
        for ((place, _), rules) in &self.pairs {
            lists.entry(*place).or_default().extend(rules);
        }
        let of_part = self.parts.iter().filter(|(key, _)| key.part == part);
        of_part
            .map(|(key, place)| {
                let own = self.part_entry(*place).map_or(&[][..], |entry| &entry.rules);
                let mut rules = lists.get(place).cloned().unwrap_or_default();
                rules.extend(own);
                rules.sort_unstable();
                rules.dedup();
                (&*key.key, rules)
            })
            .collect()
    }

    /// What tells the rules that `name` leads to from those of other names: the name that stands
    /// for itself alone, and the longest of the suffixes, if rules have any.
    pub(crate) fn name_mark(&self, name: &str) -> [Option<u32>; 2] {
        let mut longest = None;
        // The suffixes come last, from the right.
        self.walk(name, |node, _| longest = Some(node));
        [self.exact.get(name).copied(), longest]
    }

    /// Whether a rule has `key` for this part of the fingerprint.
    pub(crate) fn knows(&self, part: Part, key: &str) -> bool {
        self.parts.contains_key(&PartRef { part, key })
    }

    /// Where the parts of the evidence's fingerprints stand, each looked up once.
    pub(crate) fn places(&self, evidence: &Evidence<'_>) -> Places {
        PARTS.map(|part| {
            let key = part.of(evidence)?;
            self.parts.get(&PartRef { part, key }).copied()
        })
    }

    fn part_entry(&self, place: u32) -> Option<&PartEntry> {
        self.part_entries.get(usize::try_from(place).ok()?)
    }

    /// Walks the trie along `name` from the right and gives each suffix that rules have.
    fn walk<'i>(&'i self, name: &str, mut take: impl FnMut(u32, &'i NameEntry)) {
        let entry = |node: u32| usize::try_from(node).ok().and_then(|at| self.name_entries.get(at));
        if let Some(&node) = self.exact.get(name)
            && let Some(entry) = entry(node)
        {
            take(node, entry);
        }
        let mut node = ROOT;
        for label in name.rsplit('.') {
            let Some(&next) = self.edges.get(&EdgeRef { parent: node, label }) else { return };
            node = next;
            if let Some(entry) = entry(node).filter(|entry| entry.named) {
                take(node, entry);
            }
        }
    }

    /// The number of `key`, new if need be.
    fn part(&mut self, part: Part, key: &str) -> u32 {
        if let Some(&place) = self.parts.get(&PartRef { part, key }) {
            return place;
        }
        let place = number(self.part_entries.len());
        self.part_entries.push(PartEntry::default());
        self.parts.insert(PartKey { part, key: key.into() }, place);
        place
    }

    /// The node of `name`, made with its parents if need be.
    fn node(&mut self, name: &str) -> u32 {
        let (mut node, mut labels) = (ROOT, 0);
        if let Some(exact) = name.strip_prefix('=') {
            if let Some(&place) = self.exact.get(exact) {
                return place;
            }
            let place = number(self.name_entries.len());
            // One more than its labels: more specific than the same name with all under it.
            let labels = exact.split('.').count().saturating_add(1);
            self.name_entries.push(NameEntry { labels, named: true, rules: Vec::new() });
            self.exact.insert(exact.to_owned(), place);
            return place;
        }
        for label in name.rsplit('.') {
            labels += 1;
            let next = self.edges.get(&EdgeRef { parent: node, label }).copied();
            node = next.unwrap_or_else(|| {
                let place = number(self.name_entries.len());
                self.name_entries.push(NameEntry { labels, ..NameEntry::default() });
                self.edges.insert(Edge { parent: node, label: label.into() }, place);
                place
            });
        }
        if let Some(entry) =
            usize::try_from(node).ok().and_then(|node| self.name_entries.get_mut(node))
        {
            entry.named = true;
        }
        node
    }

    /// Adds a rule's word for its first stack to each of its fingerprints.
    fn vote(&mut self, rule: &Rule, stack: Option<usize>) {
        let Some(stack) = stack else { return };
        for part in PARTS {
            for key in part.keys(rule) {
                let place = self.part(part, key);
                let Some(entry) =
                    usize::try_from(place).ok().and_then(|place| self.part_entries.get_mut(place))
                else {
                    continue;
                };
                let same = |vote: &&mut Vote| vote.stack == stack && vote.date == rule.date;
                match entry.votes.iter_mut().find(same) {
                    Some(vote) => vote.weight += rule.confidence,
                    None => {
                        let (date, weight) = (rule.date, rule.confidence);
                        entry.votes.push(Vote { stack, date, weight });
                    }
                }
            }
        }
    }
}

/// Appends a rule to a list of the entry at `place`.
fn push<T>(entries: &mut [T], place: u32, list: impl Fn(&mut T) -> &mut Vec<u32>, rule: u32) {
    if let Some(entry) = usize::try_from(place).ok().and_then(|place| entries.get_mut(place)) {
        list(entry).push(rule);
    }
}

/// A place in a table as a number; the rules' own bound keeps tables far below 2^32.
fn number(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(u32::MAX)
}

/// The trie's root, which no entry stands for.
const ROOT: u32 = u32::MAX;

#[derive(Debug, PartialEq, Eq, Hash)]
struct PartKey {
    part: Part,
    key: Box<str>,
}

/// A [`PartKey`] that is only borrowed.
struct PartRef<'k> {
    part: Part,
    key: &'k str,
}

impl Hash for PartRef<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.part.hash(state);
        self.key.hash(state);
    }
}

impl Equivalent<PartKey> for PartRef<'_> {
    fn equivalent(&self, key: &PartKey) -> bool {
        self.part == key.part && *self.key == *key.key
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Edge {
    parent: u32,
    label: Box<str>,
}

/// An [`Edge`] that is only borrowed.
struct EdgeRef<'k> {
    parent: u32,
    label: &'k str,
}

impl Hash for EdgeRef<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.parent.hash(state);
        self.label.hash(state);
    }
}

impl Equivalent<Edge> for EdgeRef<'_> {
    fn equivalent(&self, edge: &Edge) -> bool {
        self.parent == edge.parent && *self.label == *edge.label
    }
}
