//! One mapping rule as it stands in a file. Knows nothing of how rules are searched.

use serde::Deserialize;

use crate::{Category, Date, Os, OsGuess};

/// A mapping rule: a key of evidence and the application it stands for.
///
/// Each list of the key is an "any of"; an empty list asks for nothing.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rule {
    /// Unique name of the rule.
    pub(crate) id: String,
    /// The application it names.
    pub(crate) application: String,
    pub(crate) family: Option<String>,
    pub(crate) vendor: Option<String>,
    #[serde(default)]
    pub(crate) category: Category,
    /// Whether the key stands for one program, for a stack that many share, or only warns.
    #[serde(default)]
    pub(crate) scope: RuleScope,
    /// JA4 values; `a_b_*` stands for any with these first two parts.
    #[serde(default)]
    pub(crate) ja4: Vec<String>,
    /// JA4 values without the extensions that come and go with resumption.
    #[serde(default)]
    pub(crate) stable: Vec<String>,
    /// Cipher parts of JA4 (its second part).
    #[serde(default)]
    pub(crate) cipher: Vec<String>,
    /// Extension parts of JA4 (its third part).
    #[serde(default)]
    pub(crate) extensions: Vec<String>,
    /// JA3 values.
    #[serde(default)]
    pub(crate) ja3: Vec<String>,
    /// Names, each with everything under it; with `=` before it, that name alone.
    #[serde(default)]
    pub(crate) sni: Vec<String>,
    /// `User-Agent` products.
    #[serde(default)]
    pub(crate) user_agent: Vec<String>,
    /// First application protocol offered.
    #[serde(default)]
    pub(crate) alpn: Vec<String>,
    /// Destination ports.
    #[serde(default)]
    pub(crate) port: Vec<u16>,
    /// Operating systems by the SYN; a host whose system is not known fits.
    #[serde(default)]
    pub(crate) os: Vec<Os>,
    /// Stacks that the application uses, by their names in `[[stack]]`.
    #[serde(default)]
    pub(crate) stack: Vec<String>,
    pub(crate) long_lived_normal: Option<bool>,
    /// Everywhere that the application goes, where that is known: names, each with everything under
    /// it. A flow elsewhere that is taken for it contradicts itself.
    #[serde(default)]
    pub(crate) destinations: Vec<String>,
    /// Precision of the rule when it was made, 0 to 1.
    pub(crate) confidence: f64,
    /// Labelled flows that it was learned from. With it the confidence is the precision measured at
    /// the rule's own evidence level; without it, a judgement.
    pub(crate) flows: Option<u64>,
    /// When the fact was observed; without it the confidence does not age.
    pub(crate) date: Option<Date>,
    /// Where the fact is from.
    #[serde(rename = "source")]
    pub(crate) _source: String,
    /// Licence of that source.
    #[serde(rename = "licence")]
    pub(crate) _licence: Option<String>,
    #[serde(rename = "note")]
    pub(crate) _note: Option<String>,
}

/// What a rule's key stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RuleScope {
    /// One program.
    #[default]
    Program,
    /// A stack that many programs share.
    Stack,
    /// A program that imitates another or is built on a shared stack: never the answer.
    Hint,
}

/// A TLS stack, and what is known of everything built on it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Stack {
    /// Name in `stack` lists.
    pub(crate) name: String,
    /// What an answer is called that knows the stack alone.
    pub(crate) label: String,
    /// Category of such an answer.
    #[serde(default)]
    pub(crate) category: Category,
    /// Operating systems that it exists on; empty: any.
    #[serde(default)]
    pub(crate) os: Vec<Os>,
}

impl Stack {
    /// The system that the stack is part of, or two whose programs cannot be told apart.
    pub(crate) fn native_os(&self) -> Option<OsGuess> {
        match *self.os.as_slice() {
            [os] => Some(OsGuess { os, or: None }),
            [os, or] => Some(OsGuess { os, or: Some(or) }),
            _ => None,
        }
    }
}

impl Rule {
    /// What makes the rule unusable, if anything: the key and the reason.
    pub(crate) fn fault(&self) -> Option<(&'static str, String)> {
        let no_key = !self.has_fingerprint() && self.sni.is_empty() && self.user_agent.is_empty();
        if no_key {
            let wanted = "one of ja4, stable, cipher, extensions, ja3, sni, user_agent is needed";
            return Some(("id", wanted.to_owned()));
        }
        if !(self.confidence > 0.0 && self.confidence <= 1.0) {
            return Some(("confidence", format!("0 < x <= 1 is needed, not {}", self.confidence)));
        }
        let ja4 = self.ja4.iter().find(|ja4| !is_ja4(ja4)).map(|bad| ("ja4", bad));
        let stable = self.stable.iter().find(|ja4| !is_ja4(ja4)).map(|bad| ("stable", bad));
        let cipher = self.cipher.iter().find(|hash| !is_hex(hash, 12)).map(|bad| ("cipher", bad));
        let parts = self.extensions.iter().find(|hash| !is_hex(hash, 12));
        let extensions = parts.map(|bad| ("extensions", bad));
        let ja3 = self.ja3.iter().find(|hash| !is_hex(hash, 32)).map(|bad| ("ja3", bad));
        let sni = self.sni.iter().find(|name| !is_suffix(name)).map(|bad| ("sni", bad));
        let odd = self.destinations.iter().find(|name| !is_suffix(name));
        let destinations = odd.map(|bad| ("destinations", bad));
        let bad = ja4.or(stable).or(cipher).or(extensions).or(ja3).or(sni).or(destinations);
        bad.map(|(key, bad)| (key, format!("`{bad}` is not of the right form")))
    }

    /// Drops the keys, once an index has them.
    pub(crate) fn forget_keys(&mut self) {
        for list in [&mut self.ja4, &mut self.stable, &mut self.cipher] {
            *list = Vec::new();
        }
        for list in [&mut self.extensions, &mut self.ja3, &mut self.sni] {
            *list = Vec::new();
        }
    }

    /// Whether the key has a part of a fingerprint.
    pub(crate) fn has_fingerprint(&self) -> bool {
        [&self.ja4, &self.stable, &self.cipher, &self.extensions, &self.ja3]
            .iter()
            .any(|list| !list.is_empty())
    }
}

/// `t13d1516h2_8daaf6152771_02713d6af862`, or with `*` as the last part.
pub(crate) fn is_ja4(text: &str) -> bool {
    let mut parts = text.split('_');
    let (Some(a), Some(b), Some(c), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    a.len() == 10 && a.is_ascii() && is_hex(b, 12) && (c == "*" || is_hex(c, 12))
}

pub(crate) fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

pub(crate) fn is_suffix(text: &str) -> bool {
    let plain =
        |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.' | b'_');
    let text = text.strip_prefix('=').unwrap_or(text);
    !text.is_empty() && text.bytes().all(plain) && !text.starts_with('.') && !text.ends_with('.')
}
