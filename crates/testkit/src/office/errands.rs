//! What happens once: a developer's tools, a script that polls for ten minutes, a video call.
//! Near misses of the analytic: the right library for too short a time.

use std::time::Duration;

use super::cast::{CURL, GIT, Mac, SCRIPT, at_clock};
use super::plan::{Application, Flow, Interval, exchanges_at};
use crate::conversation::Side;
use crate::random::{Random, seconds};
use crate::templates::Client;
use crate::tls_session::Exchange;

/// What `mac` does besides.
pub(super) fn plan(mac: &Mac, random: &mut Random) -> Vec<Flow> {
    let mut flows = Vec::new();
    if mac.number == DEVELOPER {
        flows.append(&mut fetches(random));
        flows.append(&mut script(random));
    }
    if CALLERS.contains(&mac.number) {
        flows.append(&mut call(random));
    }
    flows
}

/// When the video call has media, and between whom, for the player: media is no TLS.
pub(super) fn media(mac: &Mac) -> Option<Interval> {
    let during = Interval { from: at_clock(11, 2), to: at_clock(11, 44) };
    CALLERS.contains(&mac.number).then_some(during)
}

/// git before and after lunch, and curl when something is looked up.
fn fetches(random: &mut Random) -> Vec<Flow> {
    let mut flows = Vec::new();
    for (hour, minute) in [(9, 21), (10, 48), (12, 33), (14, 9), (15, 2)] {
        let at = at_clock(hour, minute).saturating_add(random.seconds_between(0.0, 240.0));
        let fetch = vec![
            Exchange { at, first: Side::Client, up: 420, down: 2_600 },
            Exchange {
                at: at.saturating_add(seconds(1.4)),
                first: Side::Client,
                up: random.log_normal_bytes(2_500.0, 0.8, 40_000),
                down: random.log_normal_bytes(40_000.0, 1.0, 200_000),
            },
        ];
        flows.extend(Flow::around(GIT, "git.forgeline.example", fetch, seconds(0.3)));
    }
    for (hour, minute) in [(9, 55), (13, 40)] {
        let at = at_clock(hour, minute).saturating_add(random.seconds_between(0.0, 240.0));
        let fetch = exchanges_at(&[at], Side::Client, (180.0, 14_000.0, 0.5), random);
        flows.extend(Flow::around(CURL, "releases.forgeline.example", fetch, seconds(0.1)));
    }
    flows
}

/// A script that asks an interface nobody else uses, every five seconds for ten minutes.
fn script(random: &mut Random) -> Vec<Flow> {
    let run = Interval { from: at_clock(10, 7), to: at_clock(10, 17) };
    let times = run.times(|| random.log_normal_seconds(5.0, 0.15));
    let exchanges = exchanges_at(&times, Side::Client, (310.0, 2_200.0, 0.3), random);
    Flow::around(SCRIPT, "api.cartograph.example", exchanges, seconds(0.2)).into_iter().collect()
}

/// The signalling of a call of forty-two minutes.
fn call(random: &mut Random) -> Vec<Flow> {
    let during = Interval { from: at_clock(11, 1), to: at_clock(11, 44) };
    let times = during.times(|| random.log_normal_seconds(9.0, 0.5));
    let mut exchanges = exchanges_at(&times, Side::Client, (420.0, 650.0, 0.7), random);
    exchanges.dedup_by(|later, earlier| {
        later.at.saturating_since(earlier.at) < Duration::from_millis(400)
    });
    Flow::around(MEETING, "meet.hallway.example", exchanges, seconds(1.0)).into_iter().collect()
}

/// The meeting program: Electron again.
const MEETING: Application = Application { name: "meeting", client: Client::Chromium };
/// Whose tools these are.
const DEVELOPER: u8 = 4;
/// Who takes part in the call.
const CALLERS: [u8; 3] = [1, 3, 6];
