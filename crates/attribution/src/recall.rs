//! Answers that come again and again: destinations by name or address, applications by evidence.
//! Decides nothing by itself: what it gives is what [`Destination::new`] and
//! [`AppRules::attribute`] give.

use std::net::IpAddr;
use std::sync::Arc;

use dwell_packet::Timestamp;

use crate::destination::{group_of, host_name};
use crate::index::Part;
use crate::memo::Memo;
use crate::{AppRules, Attribution, Date, Destination, Evidence, NameSource, Opening};

/// What was worked out before, for one set of rules.
///
/// A flow's destination and application cost a search of the public suffix list and of the rules;
/// the next flow of the same program to the same place costs one look-up. Bounded: the oldest
/// answers are forgotten.
#[derive(Debug)]
pub struct Recall {
    names: Memo<Box<[u8]>, Option<Named>>,
    addresses: Memo<IpAddr, Arc<str>>,
    answers: Memo<Box<[u8]>, Arc<Attribution>>,
    unattributed: Arc<Attribution>,
    question: Vec<u8>,
}

/// A name of the wire as a destination has it.
#[derive(Clone, Debug)]
struct Named {
    name: Arc<str>,
    group: Arc<str>,
}

impl Default for Recall {
    fn default() -> Self {
        Self {
            names: Memo::new(MAX_NAMES),
            addresses: Memo::new(MAX_ADDRESSES),
            answers: Memo::new(MAX_ANSWERS),
            unattributed: Arc::new(Attribution::unattributed()),
            question: Vec::new(),
        }
    }
}

impl Recall {
    /// The same as [`Destination::new`]; texts of one name or address are shared.
    #[must_use]
    pub fn destination(
        &mut self,
        name: Option<(&[u8], NameSource)>,
        addr: IpAddr,
        port: u16,
    ) -> Destination {
        let addr = addr.to_canonical();
        let named = name.and_then(|(bytes, source)| Some((self.named(bytes)?, source)));
        match named {
            Some((Named { name, group }, source)) => {
                Destination { group, name: Some(name), addr, port, source }
            }
            None => {
                let group = self.addresses.recall(&addr, || format!("ip:{addr}").into());
                Destination { group, name: None, addr, port, source: NameSource::None }
            }
        }
    }

    /// The same as [`AppRules::attribute`]; equal answers are shared. `rules` must be the same for
    /// all calls.
    #[must_use]
    pub fn attribute(&mut self, rules: &AppRules, evidence: &Evidence<'_>) -> Arc<Attribution> {
        // Every field is named, so that a new one cannot be forgotten in the question.
        let Evidence { opening, ja4, stable, ja3, server_name, user_agent, alpn, port, os, at } =
            *evidence;
        if opening == Opening::Unseen {
            return Arc::clone(&self.unattributed);
        }
        let named = server_name.and_then(|bytes| self.named(bytes));
        let name = named.as_ref().map_or("", |named| &*named.name);
        // Names are without number, and Chromium's JA3 differs from hello to hello: only what rules
        // ask for tells one answer from another. Rules for products are not indexed by them.
        let mark = rules.index.name_mark(name);
        let by_product = user_agent.is_some();
        let name = by_product.then_some(name);
        let ja3 = ja3.filter(|ja3| {
            by_product || (stable.or(ja4).is_none()) || rules.index.knows(Part::Ja3, ja3)
        });
        let question = &mut self.question;
        question.clear();
        question.push(u8::from(opening == Opening::Hello));
        for node in mark {
            question.extend_from_slice(&node.map_or(u64::MAX, u64::from).to_be_bytes());
        }
        for text in [ja4, stable, ja3, name] {
            push(question, text.map(str::as_bytes));
        }
        push(question, user_agent);
        push(question, alpn);
        question.extend_from_slice(&port.to_be_bytes());
        for os in [os.map(|guess| guess.os), os.and_then(|guess| guess.or)] {
            push(question, os.map(|os| os.name().as_bytes()));
        }
        // Confidence decays by the day.
        question
            .extend_from_slice(&Date::of(at).days_since(Date::of(Timestamp::ZERO)).to_be_bytes());
        self.answers.recall(question.as_slice(), || Arc::new(rules.attribute(evidence)))
    }

    fn named(&mut self, bytes: &[u8]) -> Option<Named> {
        if bytes.len() > crate::MAX_NAME_BYTES {
            return named(bytes);
        }
        self.names.recall(bytes, || named(bytes))
    }
}

fn named(bytes: &[u8]) -> Option<Named> {
    let name = host_name(bytes)?;
    Some(Named { group: group_of(&name).into(), name: name.into() })
}

/// Appends one part of a question so that no two lists of parts read the same.
fn push(question: &mut Vec<u8>, part: Option<&[u8]>) {
    question.push(u8::from(part.is_some()));
    let part = part.unwrap_or_default();
    question.extend_from_slice(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
    question.extend_from_slice(part);
}

/// Names of two generations with their texts: about 30 MB.
const MAX_NAMES: usize = 1 << 16;

/// Addresses of two generations with their texts: about 12 MB.
const MAX_ADDRESSES: usize = 1 << 16;

/// Applications of two generations with their evidence: about 20 MB.
const MAX_ANSWERS: usize = 1 << 14;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Os, OsGuess};
    use proptest::prelude::*;
    use proptest::sample::select;

    const RULES: &str = r#"
[[stack]]
name = "apple"
label = "an Apple program"
os = ["macos", "ios"]

[[rule]]
id = "safari"
application = "Safari"
stack = ["apple"]
stable = ["t13d2013h2_a09f3c656075_7f0f34a4126d"]
category = "browser"
scope = "stack"
confidence = 0.9
date = "2026-01-01"
source = "here"

[[rule]]
id = "icloud"
application = "iCloud"
stack = ["apple"]
stable = ["t13d2013h2_a09f3c656075_7f0f34a4126d"]
sni = ["gateway.icloud.com", "apple-dns.net"]
os = ["macos"]
confidence = 0.8
source = "here"

[[rule]]
id = "tool"
application = "tool"
ja3 = ["6618231821d2d40f8d1859f5a43a0307"]
port = [443]
alpn = ["h2"]
confidence = 0.7
source = "here"

[[rule]]
id = "exact"
application = "exact"
sni = ["=icloud.com"]
confidence = 0.8
source = "here"

[[rule]]
id = "curl"
application = "curl"
user_agent = ["curl"]
confidence = 0.9
source = "here"

[[rule]]
id = "curl-there"
application = "curl there"
user_agent = ["curl"]
sni = ["example"]
confidence = 0.9
source = "here"
"#;

    fn rules() -> AppRules {
        let (rules, errors) = AppRules::from_texts([("rules.toml", RULES)]);
        assert!(errors.is_empty(), "{errors:?}");
        rules
    }

    fn some<T: Clone + std::fmt::Debug + 'static>(
        values: &'static [T],
    ) -> impl Strategy<Value = Option<T>> {
        proptest::option::of(select(values))
    }

    prop_compose! {
        fn evidence()(
            opening in select(&[Opening::Unseen, Opening::Hello, Opening::HttpRequest]),
            ja4 in some(&["t13d2014h2_a09f3c656075_d0a99439f9b1", "t12d0000h1_000000000000_0"]),
            stable in some(&["t13d2013h2_a09f3c656075_7f0f34a4126d"]),
            ja3 in some(&["6618231821d2d40f8d1859f5a43a0307", "00000000000000000000000000000000"]),
            server_name in some(&[
                "gateway.icloud.com", "P1.Gateway.iCloud.com:443", "icloud.com", "",
                "x.icloud.com", "x.apple-dns.net", "192.0.2.1", "a.example",
            ]),
            user_agent in some(&["curl/8.5.0", "Mozilla/5.0 (Macintosh) Safari/605"]),
            alpn in some(&["h2", "http/1.1"]),
            port in select(&[443_u16, 8443]),
            os in some(&[
                OsGuess { os: Os::Macos, or: Some(Os::Ios) },
                OsGuess { os: Os::Linux, or: Some(Os::Android) },
            ]),
            day in 20_000_u64..20_800,
        ) -> Evidence<'static> {
            let at = Timestamp::from_parts(day * 86_400, 0);
            Evidence {
                opening, ja4, stable, ja3, port, os, at,
                server_name: server_name.map(str::as_bytes),
                user_agent: user_agent.map(str::as_bytes),
                alpn: alpn.map(str::as_bytes),
            }
        }
    }

    #[test]
    fn a_fingerprint_that_no_rule_knows_and_a_new_name_share_an_answer() {
        let (rules, mut recall) = (rules(), Recall::default());
        let of = |ja3, server_name| Evidence {
            opening: Opening::Hello,
            stable: Some("t13d2013h2_a09f3c656075_7f0f34a4126d"),
            ja3: Some(ja3),
            server_name: Some(server_name),
            ..Evidence::default()
        };
        let one = recall.attribute(&rules, &of("1", b"a.example"));
        let other = recall.attribute(&rules, &of("2", b"b.example"));
        assert!(Arc::ptr_eq(&one, &other));
        assert_eq!(&*one.application, "Safari");
    }

    proptest! {
        #[test]
        fn what_is_recalled_is_what_is_worked_out(
            asked in proptest::collection::vec(evidence(), 1..40),
        ) {
            let (rules, mut recall) = (rules(), Recall::default());
            for evidence in asked.iter().chain(&asked) {
                let recalled = recall.attribute(&rules, evidence);
                prop_assert_eq!(&*recalled, &rules.attribute(evidence));
            }
        }

        #[test]
        fn destinations_are_those_without_a_memory(
            names in proptest::collection::vec(
                proptest::option::of("[a-c]{1,2}\\.(co\\.uk|github\\.io|example|EXAMPLE\\.)"), 1..20,
            ),
            octets: [u8; 4],
        ) {
            let mut recall = Recall::default();
            for name in names.iter().chain(&names) {
                let name = name.as_ref().map(|name| (name.as_bytes(), NameSource::Sni));
                let worked_out = Destination::new(name, octets.into(), 443);
                prop_assert_eq!(recall.destination(name, octets.into(), 443), worked_out);
            }
        }
    }
}
