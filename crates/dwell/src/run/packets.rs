//! The packet thread: rings in, engine, records out. Waits for frames and for nothing else.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{SendError, SendTimeoutError, Sender};
use dwell_capture::{LiveSet, RETIRE, Run};
use dwell_detect::Saved;
use dwell_engine::{Engine, Record, StatsRecord};
use dwell_output::{CaptureFigures, EngineFigures, RecordTally};
use dwell_packet::Timestamp;

use super::evidence::Recorder;
use super::shared::{Figures, Orders, Shared};
use super::state::Checkpoints;
use crate::clock;
use crate::config::Config;
use crate::paced::{Gave, Paced};

/// Frames between two looks at the clock.
const LOOK_EVERY: usize = 1024;

/// So many frames of a run are taken in as a chunk; fewer cost less one by one.
const WORTH_A_CHUNK: usize = 16;

/// The longest wait for frames: what timers, metrics and the end of the sensor wait at most.
const WAIT: Duration = Duration::from_millis(50);

/// How far the engine's clock stays behind the machine's on an idle link: a frame that came before
/// is out of the ring by then.
const BEHIND: Duration = RETIRE.saturating_mul(5);

/// How often figures are published.
const PUBLISH: Duration = Duration::from_secs(1);

/// Findings kept while the channel to the thread of records is full.
const MAX_KEPT: usize = 65_536;

/// Most records in one message: with the bound of the channel, what records may wait, 150 MB.
const MAX_MESSAGE: usize = 128;

/// What the packet thread hands to the thread of records.
#[derive(Debug)]
pub(super) enum Message {
    /// Records in their order.
    Records(Vec<Record>),
    /// Counters, when they are due.
    Stats(Box<Counted>),
}

/// What the packet thread counted.
#[derive(Debug)]
pub(super) struct Counted {
    pub(super) stats: StatsRecord,
    pub(super) capture: Vec<CaptureFigures>,
    /// Records that reached no sink.
    pub(super) unqueued: u64,
}

/// The packet thread's belongings.
pub(super) struct Packets {
    set: LiveSet,
    engine: Engine,
    shared: Arc<Shared>,
    records: Sender<Message>,
    /// Where state is stored, if anywhere.
    state: Option<Checkpoints>,
    /// What keeps frames for findings, if any does.
    recorder: Option<Recorder>,
    /// Captures in the place of interfaces.
    paced: Option<Paced>,
    /// Interfaces in the order of the configuration, with the sources of each.
    interfaces: Vec<Interface>,
    /// The interface of each source.
    interface_of: Vec<usize>,
    kept: Vec<Record>,
    tally: RecordTally,
    /// Records that reached no sink: all, and those that were not published yet.
    unqueued: (u64, u64),
    /// Dropped packets that the engine knows of.
    drops_noted: u64,
    flow_capacity: u64,
    stats_every: Duration,
    stats_due: Timestamp,
    published: Instant,
    waited: Duration,
}

/// What is known of an interface.
#[derive(Debug, Default)]
struct Interface {
    name: String,
    last: Option<Timestamp>,
    oversized: u64,
    /// Frames that the adapter dropped, as the watch last said.
    adapter_drops: u64,
    /// The longest frame that its MTU allows; 0 while that is not known.
    longest: u32,
}

impl Interface {
    /// Takes note of frames that came.
    fn see(&mut self, run: Run<'_>) {
        for frame in run.frames() {
            self.last = Some(frame.ts);
            let long = frame.wire_len > self.longest && self.longest > 0;
            self.oversized += u64::from(long);
        }
    }
}

impl Packets {
    pub(super) fn new(
        mut set: LiveSet,
        engine: Engine,
        config: &Config,
        shared: Arc<Shared>,
        records: Sender<Message>,
    ) -> Self {
        let interfaces: Vec<Interface> = config
            .capture
            .iter()
            .map(|capture| Interface { name: capture.interface.clone(), ..Interface::default() })
            .collect();
        let place = |name: &str| interfaces.iter().position(|known| known.name == name);
        let interface_of =
            set.sources().iter().map(|source| place(source.interface()).unwrap_or(0)).collect();
        let stats_every = config.sensor.stats_every.0;
        Self {
            interface_of,
            interfaces,
            set,
            engine,
            shared,
            records,
            state: None,
            recorder: None,
            paced: None,
            kept: Vec::new(),
            tally: RecordTally::default(),
            unqueued: (0, 0),
            drops_noted: 0,
            flow_capacity: u64::try_from(config.flow.max_flows).unwrap_or(u64::MAX),
            stats_due: clock::wall().saturating_add(stats_every),
            stats_every,
            published: clock::moment(),
            waited: Duration::ZERO,
        }
    }

    /// Goes on from what was stored, and has state stored from here on.
    pub(super) fn go_on(&mut self, (rows, until): (&Saved, Timestamp), state: Checkpoints) {
        self.engine.restore(rows);
        if let Some(paced) = &mut self.paced {
            paced.go_on_after(until);
        }
        self.state = Some(state);
    }

    /// Takes frames from captures in the place of interfaces, and stops at their end.
    pub(super) fn feed_from(&mut self, paced: Paced) {
        self.paced = Some(paced);
        self.stats_due = Timestamp::ZERO;
    }

    /// Has frames kept for findings.
    pub(super) fn record_with(&mut self, recorder: Recorder) {
        self.recorder = Some(recorder);
    }

    /// Runs until the sensor stops; then ends every flow and hands the last records over.
    pub(super) fn run(mut self) {
        while !self.shared.is_stopping() {
            let now = clock::wall();
            self.shared.beat(now);
            let found = match &self.paced {
                None => self.take_frames(now),
                Some(_) => match self.take_paced() {
                    Gave::All => true,
                    Gave::NotDue => false,
                    Gave::Over => break,
                },
            };
            let now = self.paced.as_ref().map_or(now, |_| self.engine.now());
            if let Some(orders) = self.shared.orders() {
                self.obey(orders);
            }
            if let Some(paced) = self.paced.as_ref().filter(|_| !found) {
                let pause = paced.pause(WAIT);
                self.engine.advance(paced.now().saturating_sub(BEHIND));
                self.waited += pause;
                std::thread::park_timeout(pause);
            } else if !found {
                self.engine.advance(now.saturating_sub(BEHIND));
                let before = clock::moment();
                let errors = self.set.wait(WAIT);
                self.waited += before.elapsed();
                for (source, error) in errors {
                    self.complain(source, &error.to_string());
                }
            }
            self.hand_over(Duration::ZERO);
            if let Some(state) = &mut self.state {
                state.take_if_due(&mut self.engine);
            }
            if let Some(recorder) = &mut self.recorder {
                recorder.turn(&self.engine);
            }
            self.publish_if_due(now);
        }
        self.finish();
    }

    /// Takes up to [`LOOK_EVERY`] frames; gives whether there may be more.
    fn take_frames(&mut self, now: Timestamp) -> bool {
        let mut left = LOOK_EVERY;
        while left > 0 {
            let (source, run) = match self.set.next(now, left) {
                Ok(Some(found)) => found,
                Ok(None) => return false,
                Err(error) => {
                    let text = format!("{:#}", anyhow::Error::new(error));
                    self.shared.publish(|published| published.errors.push(text));
                    return false;
                }
            };
            left -= run.len();
            let number = self.interface_of.get(source).copied().unwrap_or(0);
            if let Some(interface) = self.interfaces.get_mut(number) {
                interface.see(run);
            }
            if run.len() < WORTH_A_CHUNK {
                run.frames().for_each(|frame| self.engine.handle(frame));
            } else {
                self.engine.handle_chunk(run.frames(), run.bytes());
            }
            if let Some(recorder) = &mut self.recorder {
                run.frames().for_each(|frame| recorder.keep(frame));
            }
        }
        true
    }

    /// Takes frames of captures that are due.
    fn take_paced(&mut self) -> Gave {
        let Some(paced) = &mut self.paced else { return Gave::Over };
        let most = NonZeroUsize::new(1024).unwrap_or(NonZeroUsize::MIN);
        paced.give(most, |frame| {
            self.engine.handle(frame);
            if let Some(recorder) = &mut self.recorder {
                recorder.keep(frame);
            }
        })
    }

    fn obey(&mut self, orders: Orders) {
        for name in orders.reattach {
            let number = self.interfaces.iter().position(|known| known.name == name);
            let sources: Vec<usize> = (0..self.interface_of.len())
                .filter(|source| self.interface_of.get(*source).copied() == number)
                .collect();
            let mut failed = None;
            for source in sources {
                if let Err(error) = self.set.reattach(source) {
                    failed = Some(format!("{:#}", anyhow::Error::new(error)));
                }
            }
            self.shared.publish(|published| published.reattached.push((name, failed)));
        }
        for (name, longest) in orders.limits {
            let known = self.interfaces.iter_mut().find(|known| known.name == name);
            if let Some(interface) = known {
                interface.longest = longest;
            }
        }
        for (name, drops) in orders.adapter_drops {
            let known = self.interfaces.iter_mut().find(|known| known.name == name);
            if let Some(interface) = known {
                interface.adapter_drops = drops;
            }
        }
        if let Some(new) = orders.reconfigure {
            self.engine.reconfigure(new.rules, new.policy, new.detect);
        }
    }

    fn complain(&self, source: usize, text: &str) {
        let number = self.interface_of.get(source).copied().unwrap_or(0);
        let name = self.interfaces.get(number).map_or("?", |interface| &interface.name);
        let text = format!("{name}: {text}");
        self.shared.publish(|published| published.errors.push(text));
    }

    /// Hands records over, some at a time, and waits for room no longer than `limit` each time. While
    /// there is none, findings are kept and other records are counted as dropped.
    fn hand_over(&mut self, limit: Duration) {
        let new = self.engine.take_records();
        for record in &new {
            self.tally.take(record);
        }
        // Few as a rule, and in one message.
        let mut records = std::mem::take(&mut self.kept);
        records.extend(new);
        while !records.is_empty() {
            let rest = records.split_off(records.len().min(MAX_MESSAGE));
            let some = std::mem::replace(&mut records, rest);
            if let Some(lost) = self.send(some, limit) {
                self.keep_findings(lost);
            }
        }
    }

    /// Sends records; gives back those for which there was no room.
    fn send(&self, records: Vec<Record>, limit: Duration) -> Option<Vec<Record>> {
        let message = Message::Records(records);
        // Files wait, as no interface would.
        let refused = match self.paced {
            Some(_) => self.records.send(message).err().map(|SendError(message)| message),
            None => {
                self.records.send_timeout(message, limit).err().map(SendTimeoutError::into_inner)
            }
        };
        match refused {
            Some(Message::Records(records)) => Some(records),
            Some(Message::Stats(_)) | None => None,
        }
    }

    /// Keeps the findings of `lost` for the next time; the others are counted as dropped.
    fn keep_findings(&mut self, lost: Vec<Record>) {
        let all = lost.len() + self.kept.len();
        let room = MAX_KEPT.saturating_sub(self.kept.len());
        let findings = lost.into_iter().filter(|record| matches!(record, Record::Finding(_)));
        self.kept.extend(findings.take(room));
        let dropped = u64::try_from(all - self.kept.len()).unwrap_or(0);
        self.unqueued.0 += dropped;
        self.unqueued.1 += dropped;
    }

    fn publish_if_due(&mut self, now: Timestamp) {
        let since = self.published.elapsed();
        if since < PUBLISH {
            return;
        }
        self.published = clock::moment();
        let busy = 1.0 - self.waited.as_secs_f64() / since.as_secs_f64().max(1e-9);
        self.waited = Duration::ZERO;
        let stats = self.engine.stats();
        let capture = self.capture_figures();
        let dropped: u64 = capture.iter().map(|of| of.kernel_dropped + of.nic_dropped).sum();
        self.engine.note_drops(dropped.saturating_sub(self.drops_noted));
        self.drops_noted = self.drops_noted.max(dropped);
        if now >= self.stats_due {
            self.stats_due = now.saturating_add(self.stats_every);
            let mut stats = stats.clone();
            stats.ts = stats.ts.max(now.saturating_sub(BEHIND));
            let counted = Counted { stats, capture: capture.clone(), unqueued: self.unqueued.0 };
            // A full channel has its own counter; the next minute brings the sums again.
            let _ = self.records.try_send(Message::Stats(Box::new(counted)));
        }
        let lag = now.saturating_since(stats.ts);
        let seen = stats.ts > Timestamp::ZERO;
        let (open_sessions, _) = self.engine.detector().len();
        let engine = EngineFigures {
            detect: self.engine.detector().counters(),
            open_sessions: u64::try_from(open_sessions).unwrap_or(u64::MAX),
            flow_capacity: self.flow_capacity,
            lag: if seen { lag } else { Duration::ZERO },
            busy: busy.clamp(0.0, 1.0),
            stats,
        };
        let figures = Box::new(Figures { engine, capture });
        let (tally, unqueued) = (&mut self.tally, &mut self.unqueued.1);
        self.shared.publish(|published| {
            published.figures = Some(figures);
            published.tally.add(std::mem::take(tally));
            published.unqueued += std::mem::take(unqueued);
        });
    }

    fn capture_figures(&mut self) -> Vec<CaptureFigures> {
        let mut figures: Vec<CaptureFigures> = self
            .interfaces
            .iter()
            .map(|interface| CaptureFigures {
                interface: interface.name.clone(),
                oversized: interface.oversized,
                nic_dropped: interface.adapter_drops,
                last: interface.last,
                ..CaptureFigures::default()
            })
            .collect();
        for (number, source) in self.interface_of.iter().zip(self.set.sources()) {
            let Some(of) = figures.get_mut(*number) else { continue };
            let kernel = source.kernel_counters();
            of.frames += source.frames();
            of.bytes += source.bytes();
            of.kernel_dropped += kernel.dropped;
            of.ring_freezes += kernel.freezes;
            of.nic_dropped += kernel.interface_dropped;
            of.ring_fill = of.ring_fill.max(source.fill());
        }
        figures
    }

    fn finish(mut self) {
        // What the kernel handed over already is part of what was seen; what comes later is not.
        let begun = clock::wall();
        while self.paced.is_none()
            && self.take_frames(clock::wall())
            && clock::wall().saturating_since(begun) < LAST_FRAMES
        {}
        // Before and after flows end: the next start shall know them again.
        for end in [false, true] {
            // Some at a time: records of a million open flows are written while others are made.
            let mut more = end;
            while more {
                more = self.engine.finish_some();
                let patient = clock::wall().saturating_since(begun) < LAST_WORK;
                self.hand_over(if patient { LAST_RECORDS } else { Duration::ZERO });
            }
            if let Some(state) = &mut self.state {
                state.take_last(&mut self.engine);
            }
        }
        self.published = self.published.checked_sub(PUBLISH).unwrap_or(self.published);
        let (stats, capture) = (self.engine.stats(), self.capture_figures());
        self.publish_if_due(begun);
        let counted = Counted { stats, capture, unqueued: self.unqueued.0 };
        let mut last = vec![Message::Stats(Box::new(counted))];
        if !self.kept.is_empty() {
            last.insert(0, Message::Records(std::mem::take(&mut self.kept)));
        }
        for message in last {
            let _ = self.records.send_timeout(message, LAST_RECORDS);
        }
        drop(self.records);
        if let Some(recorder) = self.recorder {
            recorder.finish(&self.engine);
        }
    }
}

/// How long frames that are in the ring are still taken when the sensor stops.
const LAST_FRAMES: Duration = Duration::from_millis(300);

/// How long records of the last flows wait at all: systemd ends what takes 30 s to stop.
const LAST_WORK: Duration = Duration::from_secs(15);

/// How long the last records wait for room when the sensor stops.
const LAST_RECORDS: Duration = Duration::from_secs(1);
