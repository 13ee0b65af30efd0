//! The application mapping: all rules, read from files and indexed.
//!
//! Knows files and rules; it knows no hosts, no sessions and no policy.

use std::path::PathBuf;
use std::sync::Arc;

use hashbrown::{HashMap, HashSet};
use toml::Spanned;
use toml::de::DeValue;

use crate::answer::MAX_LABEL_BYTES;
use crate::config::{LoadError, MappingError, Source, read_files};
use crate::index::Index;
use crate::rule::{Rule, Stack};
use crate::search::{Hot, Known, KnownStack};
use crate::{Attribution, Category, Outcome, printable};

/// Mapping rules from evidence to application, ready to be searched.
///
/// The most specific match wins ([`crate::EvidenceLevel::rank`]); equals are told apart by the
/// longer name, then by more conditions met, then by confidence; what is not clear by then is
/// ambiguous. The order of rules and files never matters.
#[derive(Debug, Default)]
pub struct AppRules {
    pub(crate) rules: Vec<Known>,
    /// By the numbers of `rules`.
    pub(crate) hot: Vec<Hot>,
    /// Numbers of applications; and their names, which all rules for one share.
    applications: HashMap<Arc<str>, u32, foldhash::fast::RandomState>,
    /// Families and vendors, each once.
    labels: HashSet<Arc<str>, foldhash::fast::RandomState>,
    pub(crate) stacks: Vec<KnownStack>,
    pub(crate) index: Index,
    ids: HashSet<String, foldhash::fast::RandomState>,
}

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

    /// An answer that names `application` with what the rules know of it, as if it were certain.
    #[must_use]
    pub fn describe(&self, application: &str) -> Attribution {
        let name = Arc::from(printable(application.as_bytes(), MAX_LABEL_BYTES));
        let same = |known: &&Known| known.application.eq_ignore_ascii_case(application);
        let rules = || self.rules.iter().filter(same);
        let stack = rules().find_map(|known| known.rule.stack.first());
        let first = rules().next();
        Attribution {
            family: rules().find_map(|known| known.family.clone()),
            vendor: rules().find_map(|known| known.vendor.clone()),
            stack: stack.map(|stack| Arc::from(stack.as_str())),
            category: first.map_or(Category::Unknown, |known| known.rule.category),
            long_lived_normal: rules().find_map(|known| known.rule.long_lived_normal),
            ..Attribution::bare(Outcome::Application, name)
        }
    }

    fn add_stack(&mut self, stack: Stack) {
        let shared = |text: &str| Arc::from(printable(text.as_bytes(), MAX_LABEL_BYTES));
        let (name, label) = (shared(&stack.name), shared(&stack.label));
        self.stacks.retain(|known| known.stack.name != stack.name);
        self.stacks.push(KnownStack { stack, name, label });
    }

    fn add_rule(&mut self, mut rule: Rule) -> Result<(), (&'static str, String)> {
        if self.rules.len() >= MAX_RULES {
            return Err(("id", format!("more than {MAX_RULES} rules")));
        }
        if let Some(fault) = rule.fault() {
            return Err(fault);
        }
        let stack_of = |name: &String| self.stacks.iter().position(|s| s.stack.name == *name);
        if let Some(stack) = rule.stack.iter().find(|name| stack_of(name).is_none()) {
            return Err(("stack", format!("no [[stack]] is named `{stack}`")));
        }
        let stack = rule.stack.first().and_then(stack_of);
        if !self.ids.insert(rule.id.clone()) {
            return Err(("id", format!("`{}` stands for another rule already", rule.id)));
        }
        let number = u32::try_from(self.rules.len()).unwrap_or(u32::MAX);
        self.index.add(number, &rule, stack);
        let has_fingerprint = rule.has_fingerprint();
        if rule.user_agent.is_empty() {
            // The index has them; of ten thousands of rules they would be most of the memory.
            rule.forget_keys();
        }
        let text = |text: &String| Arc::<str>::from(printable(text.as_bytes(), MAX_LABEL_BYTES));
        let mut application = text(&rule.application);
        let next = u32::try_from(self.applications.len()).unwrap_or(u32::MAX);
        let place = match self.applications.get_key_value(&application) {
            Some((known, &place)) => {
                application = Arc::clone(known);
                place
            }
            None => {
                self.applications.insert(Arc::clone(&application), next);
                next
            }
        };
        let mut shared = |label: &Option<String>| {
            let label = text(label.as_ref()?);
            Some(Arc::clone(self.labels.get_or_insert_with(&label, Arc::clone)))
        };
        let (family, vendor) = (shared(&rule.family), shared(&rule.vendor));
        let id = text(&rule.id);
        self.hot.push(Hot::of(&rule, place));
        self.rules.push(Known { id, application, family, vendor, has_fingerprint, rule });
        Ok(())
    }

    pub(crate) fn rule(&self, number: u32) -> Option<&Known> {
        self.rules.get(usize::try_from(number).ok()?)
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

/// Most rules loaded: twice what 40,000 labelled tuples of a fleet gave, and about 200 MB.
const MAX_RULES: usize = 100_000;

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
