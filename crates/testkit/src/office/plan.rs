//! What an application does, before it becomes packets: connections with the times and sizes of
//! their exchanges. Knows no addresses and no bytes.

use std::time::Duration;

use dwell_packet::Timestamp;

use crate::conversation::Side;
use crate::random::Random;
use crate::templates::Client;
use crate::tls_session::Exchange;

/// An application as the labels name it, and the TLS library it speaks through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Application {
    pub name: &'static str,
    pub client: Client,
}

/// One TLS connection.
#[derive(Clone, Debug)]
pub(super) struct Flow {
    pub application: Application,
    pub server_name: String,
    pub port: u16,
    pub opens: Timestamp,
    /// In time order, after `opens`.
    pub exchanges: Vec<Exchange>,
    pub ends: Timestamp,
    pub ending: Ending,
    /// Silence after which the client's TCP sends keep-alives.
    pub keep_alive: Option<Duration>,
}

impl Flow {
    /// A connection to port 443 that opens shortly before the first exchange and closes
    /// `linger` after the last.
    pub(super) fn around(
        application: Application,
        server_name: &str,
        exchanges: Vec<Exchange>,
        linger: Duration,
    ) -> Option<Self> {
        let first = exchanges.first()?.at;
        let last = exchanges.last()?.at;
        Some(Self {
            application,
            server_name: server_name.to_owned(),
            port: 443,
            opens: first.saturating_sub(SETUP),
            exchanges,
            ends: last.saturating_add(linger),
            ending: Ending::Close(Side::Client),
            keep_alive: None,
        })
    }
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// By FIN from this side.
    Close(Side),
    /// By a reset from this side.
    Reset(Side),
}

/// A period during which something runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Interval {
    pub from: Timestamp,
    pub to: Timestamp,
}

impl Interval {
    /// The times from `from` on, each a gap of `gap` after the one before, within the interval.
    pub(super) fn times(self, mut gap: impl FnMut() -> Duration) -> Vec<Timestamp> {
        let mut times = Vec::new();
        let mut at = self.from.saturating_add(gap());
        while at < self.to && times.len() < MAX_TIMES {
            times.push(at);
            at = at.saturating_add(gap().max(SHORTEST_GAP));
        }
        times
    }

    pub(super) fn contains(self, at: Timestamp) -> bool {
        self.from <= at && at < self.to
    }
}

/// Exchanges at `times`, all from one side first, with log-normal sizes around the medians.
pub(super) fn exchanges_at(
    times: &[Timestamp],
    first: Side,
    (up, down, sigma): (f64, f64, f64),
    random: &mut Random,
) -> Vec<Exchange> {
    let size = |median: f64, random: &mut Random| match median {
        0.0 => 0,
        median => random.log_normal_bytes(median, sigma, MAX_BYTES),
    };
    let exchange = |at: &Timestamp| {
        let up = size(up, random);
        Exchange { at: *at, first, up, down: size(down, random) }
    };
    times.iter().map(exchange).collect()
}

/// DNS, TCP and TLS take less than this before the first exchange.
const SETUP: Duration = Duration::from_millis(900);
/// Guards the loop of [`Interval::times`] against gaps of nothing.
const SHORTEST_GAP: Duration = Duration::from_millis(50);
/// Beyond any plan of seven hours; guards the same loop.
const MAX_TIMES: usize = 20_000;
/// Largest amount of one exchange and direction: keeps the capture small.
const MAX_BYTES: u32 = 260_000;
