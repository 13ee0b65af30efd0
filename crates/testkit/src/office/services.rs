//! Programs that run by themselves: chat, push, mail, system daemons, updater, agent, sync. Long
//! connections and regular ones, none of them unexpected.

use std::time::Duration;

use dwell_packet::Timestamp;

use super::cast::{AGENT, CHAT, END, MAIL, Mac, PUSH, SYNC, SYSTEM, UPDATER};
use super::plan::{Application, Ending, Flow, Interval, exchanges_at};
use crate::conversation::Side;
use crate::random::{Random, seconds};
use crate::tls_session::Exchange;

/// What the programs of `mac` do all day.
pub(super) fn plan(mac: &Mac, random: &mut Random) -> Vec<Flow> {
    let mut flows = push(mac, random);
    flows.append(&mut agent(mac, random));
    flows.append(&mut polls(mac, (MAIL, "imap.postbureau.example", 900.0), random));
    flows.append(&mut polls(mac, (SYSTEM, "gateway.orchardcloud.example", 1_500.0), random));
    flows.append(&mut polls(mac, (SYSTEM, "time.orchardcloud.example", 5_400.0), random));
    flows.append(&mut updater(mac, random));
    if mac.uses_chat {
        flows.append(&mut chat(mac, random));
    }
    if mac.uses_sync {
        flows.append(&mut sync(mac, random));
    }
    flows
}

/// One connection for hours: a ping every 55 s, and conversations while somebody is there.
fn chat(mac: &Mac, random: &mut Random) -> Vec<Flow> {
    let mut flows = Vec::new();
    for life in lives(mac.awake, 9_000.0, random) {
        let mut exchanges =
            vec![Exchange { at: life.from, first: Side::Client, up: 900, down: 4_000 }];
        let pings = life.times(|| random.seconds_between(54.0, 56.0));
        exchanges.append(&mut exchanges_at(&pings, Side::Client, (38.0, 38.0, 0.02), random));
        for talk in life.times(|| random.log_normal_seconds(900.0, 0.8)) {
            if !mac.is_active(talk) {
                continue;
            }
            let to = talk.saturating_add(random.log_normal_seconds(150.0, 0.6));
            let times = Interval { from: talk, to }.times(|| random.log_normal_seconds(14.0, 0.8));
            for at in times {
                let heard = random.chance(0.55);
                let said = random.log_normal_bytes(240.0, 0.6, 4_000);
                exchanges.push(if heard {
                    Exchange { at, first: Side::Server, up: 46, down: said }
                } else {
                    Exchange { at, first: Side::Client, up: said, down: 180 }
                });
            }
        }
        flows.extend(long_flow(CHAT, "wss.tidewire.example", exchanges, life));
    }
    flows
}

/// A connection that the server uses, and the client hardly ever.
fn push(mac: &Mac, random: &mut Random) -> Vec<Flow> {
    let life = mac.awake;
    let mut exchanges = vec![Exchange { at: life.from, first: Side::Client, up: 600, down: 300 }];
    let beats = life.times(|| random.seconds_between(880.0, 920.0));
    exchanges.append(&mut exchanges_at(&beats, Side::Client, (40.0, 40.0, 0.02), random));
    let news = life.times(|| random.log_normal_seconds(500.0, 0.9));
    exchanges.append(&mut exchanges_at(&news, Side::Server, (60.0, 700.0, 0.5), random));
    let mut flow = long_flow(PUSH, "courier.orchardpush.example", exchanges, life);
    if let Some(flow) = &mut flow {
        flow.port = 5_223;
    }
    flow.into_iter().collect()
}

/// A heart-beat every two minutes, on every Mac.
fn agent(mac: &Mac, random: &mut Random) -> Vec<Flow> {
    let mut flows = Vec::new();
    for life in lives(mac.awake, 14_000.0, random) {
        let beats = life.times(|| random.seconds_between(118.0, 122.0));
        let exchanges = exchanges_at(&beats, Side::Client, (760.0, 210.0, 0.05), random);
        flows.extend(long_flow(AGENT, "collector.watchtower.example", exchanges, life));
    }
    flows
}

/// A connection on which changes are announced, and another for each transfer.
fn sync(mac: &Mac, random: &mut Random) -> Vec<Flow> {
    let mut flows = Vec::new();
    for life in lives(mac.awake, 10_000.0, random) {
        let polls = life.times(|| random.seconds_between(70.0, 90.0));
        let exchanges = exchanges_at(&polls, Side::Client, (520.0, 340.0, 0.1), random);
        flows.extend(long_flow(SYNC, "notify.satchel.example", exchanges, life));
    }
    for change in mac.awake.times(|| random.log_normal_seconds(1_500.0, 0.8)) {
        if !mac.is_active(change) {
            continue;
        }
        let to = change.saturating_add(seconds(40.0));
        let times = Interval { from: change, to }.times(|| random.log_normal_seconds(6.0, 0.6));
        let sizes =
            if random.chance(0.6) { (26_000.0, 700.0, 1.0) } else { (800.0, 30_000.0, 1.0) };
        let exchanges = exchanges_at(&times, Side::Client, sizes, random);
        flows.extend(Flow::around(SYNC, "blocks.satchel.example", exchanges, seconds(30.0)));
    }
    flows
}

/// Asks every hour, and fetches something one time in three.
fn updater(mac: &Mac, random: &mut Random) -> Vec<Flow> {
    let times = mac.awake.times(|| random.seconds_between(3_540.0, 3_660.0));
    let flows = times.into_iter().filter_map(|at| {
        let mut exchanges = vec![Exchange { at, first: Side::Client, up: 1_200, down: 5_200 }];
        if random.chance(0.33) {
            let at = at.saturating_add(seconds(1.6));
            let down = random.log_normal_bytes(90_000.0, 0.5, 240_000);
            exchanges.push(Exchange { at, first: Side::Client, up: 900, down });
        }
        Flow::around(UPDATER, "swscan.orchardupdate.example", exchanges, seconds(12.0))
    });
    flows.collect()
}

/// A new connection each time, about every `period_s` seconds.
fn polls(
    mac: &Mac,
    (application, name, period_s): (Application, &str, f64),
    random: &mut Random,
) -> Vec<Flow> {
    let times = mac.awake.times(|| random.seconds_between(period_s * 0.85, period_s * 1.15));
    let flows = times.into_iter().filter_map(|at| {
        let exchanges = exchanges_at(&[at], Side::Client, (700.0, 1_900.0, 0.5), random);
        Flow::around(application, name, exchanges, seconds(5.0))
    });
    flows.collect()
}

/// Cuts an interval into the lives of connections, about `median_s` seconds each.
fn lives(within: Interval, median_s: f64, random: &mut Random) -> Vec<Interval> {
    let mut lives = Vec::new();
    let mut from = within.from.saturating_add(random.seconds_between(3.0, 50.0));
    while from < within.to {
        let to = from.saturating_add(random.log_normal_seconds(median_s, 0.3)).min(within.to);
        lives.push(Interval { from, to });
        from = to.saturating_add(random.seconds_between(1.0, 9.0));
    }
    lives
}

fn long_flow(
    application: Application,
    name: &str,
    mut exchanges: Vec<Exchange>,
    life: Interval,
) -> Option<Flow> {
    exchanges.sort_by_key(|exchange| exchange.at);
    exchanges.dedup_by(|later, earlier| later.at.saturating_since(earlier.at) < MESSAGE_SPACING);
    let mut flow = Flow::around(application, name, exchanges, Duration::ZERO)?;
    flow.ends = life.to.max(flow.ends.saturating_add(MESSAGE_SPACING)).min(AFTER_END);
    flow.ending = Ending::Close(Side::Client);
    flow.keep_alive = Some(KEEP_ALIVE);
    Some(flow)
}

/// Two messages within this time are one.
const MESSAGE_SPACING: Duration = Duration::from_millis(400);
/// When TCP probes a silent connection; applications set it well below the default of two hours.
const KEEP_ALIVE: Duration = Duration::from_secs(300);
/// Connections that live on when the capture ends do not close in it.
const AFTER_END: Timestamp = Timestamp::from_nanos(END.as_nanos() + 60_000_000_000);
