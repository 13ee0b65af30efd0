//! The sensor, sans I/O: frames in, records out. The one place that knows the order of stages.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use dwell_attribution::telemetry::{Observation, TelemetryConfig, TelemetryInput};
use dwell_attribution::{AppRules, HostsConfig, Policy, SharedHosts};
use dwell_detect::{DetectConfig, Detector, Saved};
use dwell_flow::{FlowConfig, FlowHasher, FlowId};
use dwell_packet::{DecodeConfig, DecodeCounters, Frame, Timestamp};

use crate::analytics::Analytics;
use crate::batch::Batch;
use crate::duplicates::Duplicates;
use crate::event::Event;
use crate::intake::{Intake, Second, Taken};
use crate::keep::Changes;
use crate::record::{FlowStats, Record, StatsRecord};
use crate::shard::{Shard, ShardCounters};

/// Flows are spread over this many shards whatever the number of workers, so that results do not
/// depend on it.
const SHARDS: usize = 8;

/// A router takes less to forward a packet, and no sender repeats one so soon.
const DUPLICATE_WINDOW: Duration = Duration::from_millis(2);

/// Flows that end at once when the capture does: what they leave is handed out before more end.
const ENDS_AT_ONCE: usize = 4096;

/// What an engine is made with.
#[derive(Debug)]
pub struct EngineConfig {
    /// Decoding.
    pub decode: DecodeConfig,
    /// Flow table of each shard.
    pub flow: FlowConfig,
    /// Sessions and findings.
    pub detect: DetectConfig,
    /// Application rules.
    pub rules: AppRules,
    /// What is expected where.
    pub policy: Arc<Policy>,
    /// Hosts and what the site says of them.
    pub hosts: HostsConfig,
    /// Windows and bounds of endpoint telemetry.
    pub telemetry: TelemetryConfig,
    /// How far apart copies of one packet may be, which mirror ports make; zero takes every packet
    /// for itself.
    pub duplicate_window: Duration,
    /// Keys the flow tables' hash: random for live traffic, fixed for a replay.
    pub seed: u64,
}

impl Default for EngineConfig {
    /// Built-in rules and policy, default bounds, a fixed seed.
    fn default() -> Self {
        Self::with(AppRules::builtin(), Arc::new(Policy::builtin()))
    }
}

impl EngineConfig {
    /// These rules and this policy, default bounds, a fixed seed. Reads no built-in rules.
    #[must_use]
    pub fn with(rules: AppRules, policy: Arc<Policy>) -> Self {
        Self {
            decode: DecodeConfig::default(),
            flow: FlowConfig::default(),
            detect: DetectConfig::default(),
            rules,
            policy,
            hosts: HostsConfig::default(),
            telemetry: TelemetryConfig::default(),
            duplicate_window: DUPLICATE_WINDOW,
            seed: 0,
        }
    }
}

/// Frames in, records out.
///
/// In one thread by [`Engine::handle`] or [`Engine::handle_chunk`]; in several by
/// [`Engine::lanes`]. All three give the same records.
#[derive(Debug)]
pub struct Engine {
    intake: Intake,
    shards: Vec<Shard>,
    analytics: Analytics,
    batch: Batch,
    /// Once the capture is over: flows that are still open, the oldest last, with their shards.
    ending: Option<Vec<(u64, usize, FlowId)>>,
}

/// The three stages of the data path, for threads of the caller's own.
///
/// Batches go through them in the order of the capture: the intake fills one, every shard runs its
/// part, the analytics applies what came of it. Each stage takes batches in order; different stages
/// and different shards may be at different batches.
#[derive(Debug)]
pub struct Lanes<'e> {
    /// Fills batches.
    pub intake: &'e mut Intake,
    /// Run the parts of a batch, each its own.
    pub shards: &'e mut [Shard],
    /// Applies what came of a batch, and makes records.
    pub analytics: &'e mut Analytics,
}

impl Engine {
    /// An engine that has seen nothing.
    #[must_use]
    pub fn new(config: EngineConfig) -> Self {
        let mut flow = config.flow;
        flow.max_flows = flow.max_flows.div_ceil(SHARDS);
        flow.max_reassembly_bytes = flow.max_reassembly_bytes.div_ceil(SHARDS);
        let hasher = FlowHasher::new(config.seed);
        let duplicates = Duplicates::new(config.duplicate_window, config.seed);
        let shard = || Shard::new(flow.clone(), hasher.clone());
        Self {
            shards: (0..SHARDS).map(|_| shard()).collect(),
            intake: Intake::new(config.decode, &flow, hasher.clone(), duplicates),
            analytics: Analytics::new(
                (config.rules, config.policy),
                config.detect,
                config.hosts,
                config.telemetry,
            ),
            batch: Batch::new(SHARDS),
            ending: None,
        }
    }

    /// Takes one frame in: decode, flow table, reassembly and inspection; once a second of packet
    /// time also hosts, applications, sessions and findings.
    ///
    /// Frames of established flows that were inspected cost no allocation.
    pub fn handle(&mut self, frame: Frame<'_>) {
        let (waited, this) = self.intake.admit(frame);
        if let Some(waited) = waited {
            self.process(waited.frame());
        }
        if let Some(frame) = this {
            self.process(frame);
        }
    }

    /// Takes frames in that stand in `bytes`, as [`Engine::handle`] would one by one. Faster, the
    /// more of them there are.
    pub fn handle_chunk<'f>(&mut self, frames: impl Iterator<Item = Frame<'f>>, bytes: &[u8]) {
        let batch = &mut self.batch;
        self.intake.fill(batch, frames, bytes);
        for (shard, part) in self.shards.iter_mut().zip(&mut batch.parts) {
            shard.run(part, &batch.shared, bytes);
        }
        self.analytics.run(batch);
    }

    /// The stages, for threads of the caller's own.
    pub fn lanes(&mut self) -> Lanes<'_> {
        Lanes { intake: &mut self.intake, shards: &mut self.shards, analytics: &mut self.analytics }
    }

    /// An empty batch for [`Engine::lanes`].
    #[must_use]
    pub fn new_batch(&self) -> Batch {
        Batch::new(self.shards.len())
    }

    /// Moves packet time on without a frame, as a live sensor does while its link is silent.
    ///
    /// Time-outs, updates of silent flows and judgements come due; time never goes back.
    pub fn advance(&mut self, now: Timestamp) {
        if let Some(waited) = self.intake.advance(now) {
            self.process(waited.frame());
        }
        if let Some(second) = self.intake.tick() {
            close_epoch(&mut self.shards, &mut self.analytics, &second);
        }
    }

    /// Packet time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.intake.now()
    }

    /// Notes packets that the kernel or the network card dropped: flows that are open now say so.
    pub fn note_drops(&mut self, packets: u64) {
        self.analytics.note_drops(self.intake.now(), packets);
    }

    /// Goes on with other rules, policy and settings of the detector. Open sessions and findings
    /// stay; flows that were named keep their names.
    pub fn reconfigure(&mut self, rules: AppRules, policy: Arc<Policy>, detect: DetectConfig) {
        self.analytics.reconfigure(rules, policy, detect);
    }

    /// Takes in what a host told of its processes, as it comes. `hosts` are the only addresses that
    /// the teller may speak for, where it is bound to some. Never blocks; bounded by the
    /// configuration.
    pub fn observe(&mut self, observation: Observation, hosts: Option<&Arc<[IpAddr]>>) {
        self.analytics.observe(observation, hosts);
    }

    /// The hosts by address, for other threads to read by key.
    #[must_use]
    pub fn hosts(&self) -> Arc<SharedHosts> {
        self.analytics.hosts()
    }

    /// Asks `input` at every second of packet time for the telemetry that is due, as a replay does.
    pub fn listen_to(&mut self, input: Box<dyn TelemetryInput>) {
        self.analytics.listen_to(input);
    }

    /// Takes the records made since the last call.
    pub fn take_records(&mut self) -> Vec<Record> {
        self.analytics.take_records()
    }

    /// Ends every flow and judges what is left; records follow from `take_records`.
    pub fn finish(&mut self) {
        while self.finish_some() {}
    }

    /// As [`Engine::finish`], some flows at a time: true while there are more. Take the records
    /// between two calls, so that a million open flows do not need room for a million records.
    pub fn finish_some(&mut self) -> bool {
        if self.ending.is_none() {
            self.begin_end();
        }
        let Some(ending) = &mut self.ending else { return false };
        let some = ending.split_off(ending.len().saturating_sub(ENDS_AT_ONCE));
        let more = !ending.is_empty();
        let Second { now, ordinal, .. } = self.intake.end();
        for &(_, number, id) in some.iter().rev() {
            if let Some(shard) = self.shards.get_mut(number) {
                shard.end(id, now, ordinal);
            }
        }
        self.analytics.apply_all(take_events(&mut self.shards));
        if !more {
            self.analytics.finish(now);
        }
        more
    }

    /// The last packets and the last second; afterwards no flow opens.
    fn begin_end(&mut self) {
        if let Some(waited) = self.intake.last_frame() {
            self.process(waited.frame());
        }
        let second = self.intake.moment();
        close_epoch(&mut self.shards, &mut self.analytics, &second);
        let mut open: Vec<(u64, usize, FlowId)> = Vec::new();
        for (number, shard) in self.shards.iter().enumerate() {
            open.extend(shard.open_flows().into_iter().map(|(flow, id)| (flow, number, id)));
        }
        open.sort_unstable_by(|a, b| b.cmp(a));
        self.ending = Some(open);
    }

    /// Sessions and findings, for a summary at the end of a replay.
    #[must_use]
    pub fn detector(&self) -> &Detector {
        self.analytics.detector()
    }

    /// The detector, to take up what was stored and to give what is to be stored.
    pub fn detector_mut(&mut self) -> &mut Detector {
        self.analytics.detector_mut()
    }

    /// Goes on from what was stored, before anything else; from here on [`Engine::take_changes`]
    /// has what is to be stored, and [`Engine::finish`] leaves sessions and findings open.
    pub fn restore(&mut self, rows: &Saved) {
        self.analytics.restore(rows);
    }

    /// What is to be stored since the last call. Call it every few seconds, and once before
    /// [`Engine::finish`] and once after: a restart then goes on with open sessions, knows open
    /// flows again and tells no finding twice. Costs what changed, and a look at each session.
    pub fn take_changes(&mut self) -> Changes {
        self.analytics.take_changes()
    }

    /// What was counted so far.
    #[must_use]
    pub fn stats(&self) -> StatsRecord {
        let mut shards = ShardCounters::default();
        let mut flows = FlowStats::default();
        for shard in &self.shards {
            shards.add(&shard.counters());
            flows.add(&shard.flow_counters(), shard.open_count());
        }
        StatsRecord {
            ts: self.intake.now(),
            decode: self.decode_counters(),
            shards,
            flows,
            telemetry: self.analytics.telemetry_counters(),
            feeds: self.analytics.feed_counters(),
            duplicates: self.intake.copies(),
            clock_steps: self.intake.clock_steps(),
        }
    }

    /// What decoding counted so far.
    #[must_use]
    pub fn decode_counters(&self) -> DecodeCounters {
        self.intake.decode_counters()
    }

    /// Takes one frame in whose time stamp can be trusted.
    fn process(&mut self, frame: Frame<'_>) {
        let Taken { second, packet, copy, ordinal } = self.intake.take(frame);
        if let Some(second) = second {
            close_epoch(&mut self.shards, &mut self.analytics, &second);
        }
        let Some((pdu, lookup)) = packet else { return };
        let number = lookup.share(self.shards.len());
        let Some(shard) = self.shards.get_mut(number) else { return };
        if copy {
            shard.count_copy(&lookup);
        } else {
            shard.handle(&pdu, &lookup, ordinal);
        }
    }
}

/// Ends a second of packet time: every shard sees the same clock, and their events go to the
/// analytics in one order.
fn close_epoch(shards: &mut [Shard], analytics: &mut Analytics, second: &Second) {
    for shard in &mut *shards {
        shard.advance(second.now, second.ordinal);
    }
    analytics.end_second(second, take_events(shards));
}

fn take_events(shards: &mut [Shard]) -> impl Iterator<Item = Vec<Event>> {
    shards.iter_mut().map(Shard::take_events)
}
