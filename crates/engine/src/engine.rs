//! The sensor, sans I/O: frames in, records out. The one place that knows the order of stages.

use std::sync::Arc;

use dwell_attribution::{AppRules, Policy};
use dwell_detect::{DetectConfig, Detector};
use dwell_flow::FlowConfig;
use dwell_packet::{DecodeConfig, DecodeCounters, Decoder, Frame, Timestamp};

use crate::analytics::Analytics;
use crate::clock::Clock;
use crate::record::{FlowStats, Record, StatsRecord};
use crate::shard::{Shard, ShardCounters};

/// Flows are spread over this many shards whatever the number of workers, so that results do not
/// depend on it.
const SHARDS: usize = 16;

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
    /// Keys the flow tables' hash: random for live traffic, fixed for a replay.
    pub seed: u64,
}

impl Default for EngineConfig {
    /// Built-in rules and policy, default bounds, a fixed seed.
    fn default() -> Self {
        Self {
            decode: DecodeConfig::default(),
            flow: FlowConfig::default(),
            detect: DetectConfig::default(),
            rules: AppRules::builtin(),
            policy: Arc::new(Policy::builtin()),
            seed: 0,
        }
    }
}

/// Frames in, records out, in one thread.
#[derive(Debug)]
pub struct Engine {
    decoder: Decoder,
    shards: Vec<Shard>,
    analytics: Analytics,
    clock: Clock,
    second: u64,
    ordinal: u64,
}

impl Engine {
    /// An engine that has seen nothing.
    #[must_use]
    pub fn new(config: EngineConfig) -> Self {
        let mut flow = config.flow;
        flow.max_flows = flow.max_flows.div_ceil(SHARDS);
        flow.max_reassembly_bytes = flow.max_reassembly_bytes.div_ceil(SHARDS);
        Self {
            decoder: Decoder::new(config.decode),
            shards: (0..SHARDS).map(|_| Shard::new(flow.clone(), config.seed)).collect(),
            analytics: Analytics::new(config.rules, config.policy, config.detect),
            clock: Clock::default(),
            second: 0,
            ordinal: 0,
        }
    }

    /// Takes one frame in: decode, flow table, reassembly and inspection; once a second of packet
    /// time also hosts, applications, sessions and findings.
    ///
    /// Frames of established flows that were inspected cost no allocation.
    pub fn handle(&mut self, frame: Frame<'_>) {
        let (waited, this) = self.clock.admit(frame);
        if let Some(waited) = waited {
            self.process(waited.frame());
        }
        if let Some(frame) = this {
            self.process(frame);
        }
    }

    /// Moves packet time on without a frame, as a live sensor does while its link is silent.
    ///
    /// Time-outs, updates of silent flows and judgements come due; time never goes back.
    pub fn advance(&mut self, now: Timestamp) {
        if let Some(waited) = self.clock.advance(now) {
            self.process(waited.frame());
        }
        let second = self.clock.now().as_nanos() / 1_000_000_000;
        if second != self.second {
            self.second = second;
            self.close_epoch();
        }
    }

    /// Goes on with other rules, policy and settings of the detector. Open sessions and findings
    /// stay; flows that were named keep their names.
    pub fn reconfigure(&mut self, rules: AppRules, policy: Arc<Policy>, detect: DetectConfig) {
        self.analytics.reconfigure(rules, policy, detect);
    }

    /// Takes the records made since the last call.
    pub fn take_records(&mut self) -> Vec<Record> {
        self.analytics.take_records()
    }

    /// Ends every flow and judges what is left; records follow from `take_records`.
    pub fn finish(&mut self) {
        if let Some(waited) = self.clock.finish() {
            self.process(waited.frame());
        }
        self.close_epoch();
        let now = self.clock.now();
        self.ordinal += 1;
        for shard in &mut self.shards {
            shard.finish(now, self.ordinal);
        }
        self.merge_events();
        self.analytics.finish(now);
    }

    /// Sessions and findings, for a summary at the end of a replay.
    #[must_use]
    pub fn detector(&self) -> &Detector {
        self.analytics.detector()
    }

    /// What was counted so far.
    #[must_use]
    pub fn stats(&self) -> StatsRecord {
        let mut shards = ShardCounters::default();
        let mut flows = FlowStats::default();
        for shard in &self.shards {
            shards.add(&shard.counters());
            flows.add(&shard.flow_counters(), shard.open_flows());
        }
        StatsRecord {
            ts: self.clock.now(),
            decode: self.decode_counters(),
            shards,
            flows,
            clock_steps: self.clock.steps_ahead,
        }
    }

    /// What decoding counted so far.
    #[must_use]
    pub fn decode_counters(&self) -> DecodeCounters {
        self.decoder.counters()
    }

    /// Takes one frame in whose time stamp can be trusted.
    fn process(&mut self, frame: Frame<'_>) {
        self.ordinal += 1;
        let second = self.clock.now().as_nanos() / 1_000_000_000;
        if second != self.second {
            self.second = second;
            self.close_epoch();
        }
        // What is discarded is counted by the decoder, by reason.
        let Ok(pdu) = self.decoder.decode(frame) else { return };
        let number = shard_of(&pdu.tuple);
        if let Some(shard) = self.shards.get_mut(number) {
            shard.handle(&pdu, self.ordinal);
        }
    }

    /// Ends a second of packet time: every shard sees the same clock, and their events go to the
    /// analytics in one order.
    fn close_epoch(&mut self) {
        let now = self.clock.now();
        for shard in &mut self.shards {
            shard.advance(now, self.ordinal);
        }
        self.merge_events();
        self.analytics.advance(now);
    }

    fn merge_events(&mut self) {
        let mut events: Vec<_> = self.shards.iter_mut().flat_map(Shard::take_events).collect();
        // Packets have one place in the capture; what timers bring up at one moment is ordered by
        // flow. The sort is stable, so that events of one packet keep their order.
        events.sort_by_key(|event| (event.ordinal, event.flow));
        for event in events {
            self.analytics.apply(event);
        }
    }
}

/// The shard of a flow: the same for both directions and for any seed.
fn shard_of(tuple: &dwell_packet::FiveTuple) -> usize {
    let (key, _) = tuple.flow_key(dwell_packet::Scope::default());
    usize::try_from(key.spread()).unwrap_or(0) % SHARDS
}
