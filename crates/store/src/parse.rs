//! Names in columns to values and back. A name that is not known gives nothing: its row is left out.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use dwell_attribution::{Category, Outcome};
use dwell_detect::{Analytic, Level, NameLookup, Visibility};
use dwell_packet::Timestamp;

pub(crate) fn outcome(name: &str) -> Option<Outcome> {
    [Outcome::Application, Outcome::Ambiguous, Outcome::Unknown, Outcome::Unattributed]
        .into_iter()
        .find(|outcome| outcome.name() == name)
}

pub(crate) fn category(name: &str) -> Option<Category> {
    use Category::{Browser, Library, Product, System, Unknown};
    [Browser, Library, Product, System, Unknown].into_iter().find(|kind| kind.name() == name)
}

pub(crate) fn lookup(name: &str) -> Option<NameLookup> {
    [NameLookup::Seen, NameLookup::Absent, NameLookup::Unknown]
        .into_iter()
        .find(|lookup| lookup.name() == name)
}

pub(crate) fn level(name: &str) -> Option<Level> {
    [Level::Watch, Level::Alert, Level::High].into_iter().find(|level| level.name() == name)
}

pub(crate) fn analytic(id: &str) -> Option<Analytic> {
    Analytic::ALL.into_iter().find(|analytic| analytic.id() == id)
}

pub(crate) fn visibility(names: &str) -> Visibility {
    let has = |wanted| names.split(' ').any(|name| name == wanted);
    Visibility {
        midstream: has("midstream"),
        one_sided: has("one_sided"),
        gaps: has("gaps"),
        ech: has("ech"),
        proxied: has("proxied"),
        no_hello: has("no_hello"),
        no_sni: has("no_sni"),
        shared_fingerprint: has("shared_fingerprint"),
        no_telemetry: has("no_telemetry"),
        several_systems: has("several_systems"),
        capture_loss: has("capture_loss"),
    }
}

pub(crate) fn class(name: &str) -> Option<&'static str> {
    ["rare", "uncommon", "common", "several_rare"].into_iter().find(|&known| known == name)
}

pub(crate) fn kind(name: &str) -> Option<&'static str> {
    ["browser", "library", "known", "unknown", "unattributed"]
        .into_iter()
        .find(|&known| known == name)
}

pub(crate) fn address(text: &str) -> Option<IpAddr> {
    text.parse().ok()
}

pub(crate) fn text(text: &str) -> Arc<str> {
    Arc::from(text)
}

/// A time as a column holds it.
pub(crate) fn nanos(at: Timestamp) -> i64 {
    i64::try_from(at.as_nanos()).unwrap_or(i64::MAX)
}

pub(crate) fn time(nanos: i64) -> Timestamp {
    Timestamp::from_nanos(u64::try_from(nanos).unwrap_or(0))
}

pub(crate) fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

pub(crate) fn count(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

pub(crate) fn figures(text: &str) -> Option<[f64; 7]> {
    serde_json::from_str(text).ok()
}
