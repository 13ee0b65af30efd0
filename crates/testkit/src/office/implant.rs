//! The one session that does not belong: a Go program on one Mac that takes commands for five
//! hours. Knows how such a channel behaves, and does nothing of what it would do.

use std::time::Duration;

use super::cast::{IMPLANT, Mac, at_clock};
use super::plan::{Ending, Flow, Interval};
use crate::conversation::Side;
use crate::random::{Random, seconds};
use crate::tls_session::Exchange;

/// The implant's connections, when `mac` is the one that has it.
///
/// The server speaks first in most exchanges (a command), and the client answers with more than it
/// was told (the output), at times with much more (a file). Commands come in bursts, with
/// log-normal pauses between them. The channel is re-dialled four times.
pub(super) fn plan(mac: &Mac, random: &mut Random) -> Vec<Flow> {
    if mac.number != INFECTED {
        return Vec::new();
    }
    let mut flows = Vec::new();
    let mut from = at_clock(9, 41);
    for (minutes, ending) in [
        (74.0, Ending::Reset(Side::Server)),
        (31.0, Ending::Close(Side::Client)),
        (96.0, Ending::Reset(Side::Client)),
        (52.0, Ending::Close(Side::Server)),
        (49.0, Ending::Close(Side::Client)),
    ] {
        let life = Interval { from, to: from.saturating_add(seconds(minutes * 60.0)) };
        if let Some(mut flow) =
            Flow::around(IMPLANT, SERVER_NAME, commands(life, random), Duration::ZERO)
        {
            flow.ends = life.to;
            flow.ending = ending;
            flow.keep_alive = Some(Duration::from_secs(120));
            flows.push(flow);
        }
        from = life.to.saturating_add(random.log_normal_seconds(25.0, 0.8));
    }
    flows
}

fn commands(life: Interval, random: &mut Random) -> Vec<Exchange> {
    let mut exchanges = vec![Exchange { at: life.from, first: Side::Client, up: 610, down: 340 }];
    let mut at = life.from;
    loop {
        at = at.saturating_add(pause(random));
        if at.saturating_add(LAST_ANSWER) > life.to {
            return exchanges;
        }
        exchanges.push(if random.chance(0.72) {
            let large = random.chance(0.07);
            let up = if large {
                random.log_normal_bytes(70_000.0, 0.6, 220_000)
            } else {
                random.log_normal_bytes(3_600.0, 1.1, 60_000)
            };
            let down = random.log_normal_bytes(if large { 900.0 } else { 260.0 }, 0.5, 2_000);
            Exchange { at, first: Side::Server, up, down }
        } else {
            // A sign of life, with padding of random length.
            let padding = random.log_normal_bytes(300.0, 0.9, 4_000);
            Exchange { at, first: Side::Client, up: padding, down: 90 }
        });
    }
}

/// One pause in three is between commands of one burst; the others are anything from half a
/// minute to a quarter of an hour.
fn pause(random: &mut Random) -> Duration {
    let pause = if random.chance(0.62) {
        random.log_normal(4.5, 0.8)
    } else {
        random.log_normal(125.0, 1.0)
    };
    seconds(pause.clamp(1.6, 900.0))
}

/// A name that nobody else asks for.
pub(super) const SERVER_NAME: &str = "edge.quietharbor.example";
/// The Mac that has it.
pub(super) const INFECTED: u8 = 5;
/// An exchange takes less than this.
const LAST_ANSWER: Duration = Duration::from_secs(3);
