//! Telemetry of a live sensor: a thread that reads, and the engine's end of its channel. A flood
//! fills the channel and is counted; packets never wait.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use dwell_attribution::telemetry::{FeedCounters, Give, Observation, TelemetryInput, When};
use dwell_packet::Timestamp;

use super::listen::TelemetryListener;
use crate::{clock, log};

/// Observations that may wait for the engine: what a large site tells in a second.
const WAITING: usize = 16_384;

/// How often sources are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// An observation, and the addresses that its teller is bound to.
type Told = (Observation, Option<Arc<[IpAddr]>>);

/// The engine's end.
#[derive(Debug)]
pub(crate) struct LiveTelemetry {
    told: Receiver<Told>,
    counted: Arc<Counted>,
    /// What the thread will read, until it is started.
    reader: Option<Reader>,
    /// The thread ends when this goes.
    _alive: Sender<()>,
}

/// What the thread needs.
#[derive(Debug)]
struct Reader {
    listener: TelemetryListener,
    told: Sender<Told>,
    counted: Arc<Counted>,
    stop: Receiver<()>,
}

/// What the thread counts.
#[derive(Debug, Default)]
struct Counted {
    lines: AtomicU64,
    malformed: AtomicU64,
    observations: AtomicU64,
    dropped: AtomicU64,
}

impl LiveTelemetry {
    /// Telemetry from `listener`. The thread that reads starts when the engine first asks: by then
    /// the sensor has given its rights up.
    pub(crate) fn new(listener: TelemetryListener) -> Self {
        let (sender, told) = crossbeam_channel::bounded(WAITING);
        let (alive, stop) = crossbeam_channel::bounded(0);
        let counted = Arc::new(Counted::default());
        let reader = Reader { listener, told: sender, counted: Arc::clone(&counted), stop };
        Self { told, counted, reader: Some(reader), _alive: alive }
    }
}

impl Reader {
    fn start(mut self) {
        let thread = std::thread::Builder::new().name("telemetry".to_owned());
        let started = thread.spawn(move || {
            while self.stop.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
                look(&mut self.listener, &self.told, &self.counted);
            }
        });
        if let Err(error) = started {
            log::error(&format!("telemetry: cannot start a thread: {error}"));
        }
    }
}

/// Takes what has come since the last look.
fn look(listener: &mut TelemetryListener, sender: &Sender<Told>, counted: &Counted) {
    let now = clock::wall();
    let mut dropped = 0;
    listener.collect(|mut observation, hosts| {
        // A line without a time is of now.
        if observation.at == When::Unknown {
            observation.at = When::At(now);
        }
        dropped += u64::from(sender.try_send((observation, hosts.cloned())).is_err());
    });
    for error in listener.take_errors() {
        log::warning(&format!("telemetry: {error}"));
    }
    let counters = listener.counters();
    counted.lines.store(counters.lines, Ordering::Relaxed);
    counted.malformed.store(counters.malformed, Ordering::Relaxed);
    counted.observations.store(counters.observations, Ordering::Relaxed);
    counted.dropped.fetch_add(dropped, Ordering::Relaxed);
}

impl TelemetryInput for LiveTelemetry {
    fn take_due(&mut self, _now: Timestamp, _until: Timestamp, give: &mut Give<'_>) {
        if let Some(reader) = self.reader.take() {
            reader.start();
        }
        for (observation, hosts) in self.told.try_iter().take(WAITING) {
            give(observation, hosts.as_ref());
        }
    }

    fn counters(&self) -> FeedCounters {
        FeedCounters {
            lines: self.counted.lines.load(Ordering::Relaxed),
            malformed: self.counted.malformed.load(Ordering::Relaxed),
            observations: self.counted.observations.load(Ordering::Relaxed),
            dropped: self.counted.dropped.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;

    use super::*;
    use crate::telemetry::TelemetrySpec;

    #[test]
    fn what_a_sender_tells_reaches_the_engine_and_a_flood_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t");
        let mut listener = TelemetryListener::default();
        let spec = TelemetrySpec { kind: None, hosts: None, path: path.clone() };
        listener.listen_datagrams(spec).unwrap();
        let (sender, told) = crossbeam_channel::bounded(1);
        let counted = Counted::default();
        let peer = UnixDatagram::unbound().unwrap();
        for pid in 1..=3 {
            peer.send_to(format!("{{\"pid\":{pid}}}").as_bytes(), &path).unwrap();
        }
        look(&mut listener, &sender, &counted);
        let (alive, _stop) = crossbeam_channel::bounded(0);
        let counted = Arc::new(counted);
        let mut live = LiveTelemetry { told, counted, reader: None, _alive: alive };
        let mut taken = 0;
        live.take_due(Timestamp::ZERO, Timestamp::ZERO, &mut |observation, _| {
            assert!(matches!(observation.at, When::At(_)), "a line without a time is of now");
            taken += 1;
        });
        let counters = live.counters();
        assert_eq!((taken, counters.lines, counters.dropped), (1, 3, 2));
    }
}
