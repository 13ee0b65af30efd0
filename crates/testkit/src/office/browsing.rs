//! People who read the web: visits with think time, and a tab that stays open. Knows sites by
//! name, not what is on them.

use std::collections::BTreeMap;
use std::time::Duration;

use dwell_packet::Timestamp;

use super::cast::{Mac, SITES, THIRD_PARTIES, at_clock};
use super::plan::{Flow, Interval, exchanges_at};
use crate::conversation::Side;
use crate::random::{Random, seconds};
use crate::tls_session::Exchange;

/// What the browser of `mac` does all day.
pub(super) fn plan(mac: &Mac, random: &mut Random) -> Vec<Flow> {
    let mut by_name: BTreeMap<String, Vec<Exchange>> = BTreeMap::new();
    let mut visits = Vec::new();
    for interval in &mac.active {
        visits.append(&mut interval.times(|| random.log_normal_seconds(190.0, 1.0)));
    }
    for visit in visits {
        let site = site(mac, random);
        read(&site, visit, (2, 7_000.0), &mut by_name, random);
        for _ in 0..random.below(3) {
            if let Some(name) = random.pick(&THIRD_PARTIES) {
                let later = visit.saturating_add(random.seconds_between(0.2, 1.4));
                read(name, later, (1, 3_500.0), &mut by_name, random);
            }
        }
    }
    let flows = by_name.into_iter().flat_map(|(name, mut exchanges)| {
        exchanges.sort_by_key(|exchange| exchange.at);
        connections(mac, &name, exchanges)
    });
    flows.collect()
}

/// A tab with live scores that one person leaves open for an hour and a half: long-lived, and of a
/// site that nobody else visits, but a browser's, and as regular as a clock.
pub(super) fn live_tab(mac: &Mac, random: &mut Random) -> Vec<Flow> {
    if mac.number != LIVE_TAB_ON {
        return Vec::new();
    }
    let open = Interval { from: at_clock(11, 52), to: at_clock(13, 24) };
    let times = open.times(|| random.seconds_between(19.0, 21.0));
    let scores = exchanges_at(&times, Side::Server, (0.0, 420.0, 0.4), random);
    Flow::around(mac.browser, "live.regatta-scores.example", scores, seconds(2.0))
        .into_iter()
        .collect()
}

/// Popular sites more often than others, and now and then one of the user's own.
fn site(mac: &Mac, random: &mut Random) -> String {
    if random.chance(0.12) {
        let own = random.pick(&["club", "school", "band", "garden"]).copied().unwrap_or_default();
        return format!("www.{own}-{}.example", mac.number);
    }
    let skewed = random.unit() * random.unit();
    let position = SITES.iter().zip(1_u32..).find(|(_, rank)| {
        skewed < f64::from(*rank) / f64::from(u32::try_from(SITES.len()).unwrap_or(u32::MAX))
    });
    position.map(|(name, _)| (*name).to_owned()).unwrap_or_default()
}

/// Adds the requests of one page.
fn read(
    name: &str,
    from: Timestamp,
    (most, down): (u64, f64),
    by_name: &mut BTreeMap<String, Vec<Exchange>>,
    random: &mut Random,
) {
    let mut at = from;
    for _ in 0..=random.below(most) {
        let up = random.log_normal_bytes(1_100.0, 0.6, 20_000);
        let down = random.log_normal_bytes(down, 1.1, 120_000);
        let exchange = Exchange { at, first: Side::Client, up, down };
        by_name.entry(name.to_owned()).or_default().push(exchange);
        at = at.saturating_add(Duration::from_millis(1_100) + random.log_normal_seconds(3.0, 0.9));
    }
}

/// Requests to one name share a connection until it was idle for too long.
fn connections(mac: &Mac, name: &str, exchanges: Vec<Exchange>) -> Vec<Flow> {
    let mut flows = Vec::new();
    let mut current: Vec<Exchange> = Vec::new();
    for mut exchange in exchanges {
        if let Some(last) = current.last() {
            let idle = exchange.at.saturating_since(last.at);
            if idle > IDLE_TIMEOUT {
                let done = std::mem::take(&mut current);
                flows.extend(Flow::around(mac.browser, name, done, IDLE_TIMEOUT));
            } else {
                // One request after the other: a page asks again once it has an answer.
                exchange.at = exchange.at.max(last.at.saturating_add(REQUEST_SPACING));
            }
        }
        current.push(exchange);
    }
    flows.extend(Flow::around(mac.browser, name, current, IDLE_TIMEOUT));
    flows
}

/// Browsers close connections that were idle for about this long.
const IDLE_TIMEOUT: Duration = Duration::from_secs(240);
/// Longer than the largest answer takes.
const REQUEST_SPACING: Duration = Duration::from_millis(400);
const LIVE_TAB_ON: u8 = 8;
