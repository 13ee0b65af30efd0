//! The sensor's figures as Prometheus metrics.
//!
//! Knows names, labels and units. The data path counts in plain integers; what it counted is folded
//! in here once a second or at a scrape, so that no packet waits for a counter. Label values are
//! names of ours (reasons, stages, levels), interfaces and sinks of the configuration: never
//! anything that came from the wire.

mod capture;
mod engine;
mod evidence;
mod family;
mod records;
mod sinks;
mod state;

use prometheus::process_collector::ProcessCollector;
use prometheus::{Encoder as _, Registry, TextEncoder};

pub use capture::{CaptureFigures, InterfaceChange};
pub use engine::EngineFigures;
pub use evidence::EvidenceFigures;
pub use records::RecordTally;
pub use sinks::{SinkDrop, SinkError, SinkFigures, SinkMetrics};
pub use state::StateMetrics;

use family::Family;

/// The content type of what [`Metrics::render`] gives (Prometheus text format 0.0.4).
pub const METRICS_CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

/// What the binary is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BuildInfo {
    /// Version of the package.
    pub version: &'static str,
    /// Commit it was built from.
    pub revision: &'static str,
    /// Compiler it was built with.
    pub rustc: &'static str,
}

/// All metrics of one sensor.
pub struct Metrics {
    registry: Registry,
    capture: capture::Capture,
    engine: engine::Engine,
    records: records::Records,
    sinks: sinks::Sinks,
    state: StateMetrics,
    evidence: evidence::Evidence,
    reload: Reload,
}

struct Reload {
    successful: prometheus::IntGauge,
    success_time: prometheus::Gauge,
}

impl Metrics {
    /// Metrics at zero, with every label value that is known beforehand.
    ///
    /// # Errors
    /// A name that is registered twice, which is a mistake of ours.
    pub fn new(build: BuildInfo) -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let family = Family { registry: &registry };
        let labels = ["version", "revision", "rustc"];
        let info = family.gauges("dwell_build_info", "What this binary is.", &labels)?;
        info.with_label_values(&[build.version, build.revision, build.rustc]).set(1.0);
        registry.register(Box::new(ProcessCollector::for_self()))?;
        let reload = Reload {
            successful: family.int_gauge(
                "dwell_config_last_reload_successful",
                "Whether the last reload of the configuration took effect (1) or not (0).",
            )?,
            success_time: family.gauge(
                "dwell_config_last_reload_success_timestamp_seconds",
                "When the configuration last took effect, in seconds since 1970.",
            )?,
        };
        let capture = capture::Capture::new(&family)?;
        let engine = engine::Engine::new(&family)?;
        let records = records::Records::new(&family)?;
        let sinks = sinks::Sinks::new(&family)?;
        let state = StateMetrics::new(&family)?;
        let evidence = evidence::Evidence::new(&family)?;
        Ok(Self { capture, engine, records, sinks, state, evidence, reload, registry })
    }

    /// Sets what was counted on the interfaces.
    pub fn set_capture(&self, figures: &[CaptureFigures]) {
        for figures in figures {
            self.capture.set(figures);
        }
    }

    /// Sets what the engine counted.
    pub fn set_engine(&self, figures: &EngineFigures) {
        self.engine.set(figures);
    }

    /// Adds what records told since the tally was taken last.
    pub fn add_records(&self, tally: &RecordTally) {
        self.records.add(tally);
    }

    /// Takes note of something that happened to an interface.
    pub fn note_interface(&self, interface: &str, change: InterfaceChange) {
        self.capture.note(interface, change);
    }

    /// Takes note of records that found the way to the sinks full.
    pub fn note_unqueued(&self, records: u64) {
        self.sinks.note_unqueued(records);
    }

    /// The counters of one sink, all at zero if the name is new.
    #[must_use]
    pub fn sink(&self, name: &str) -> SinkMetrics {
        self.sinks.of(name)
    }

    /// Sets what became of evidence.
    pub fn set_evidence(&self, figures: &EvidenceFigures) {
        self.evidence.set(figures);
    }

    /// The counters of what outlives a restart.
    #[must_use]
    pub fn state(&self) -> StateMetrics {
        self.state.clone()
    }

    /// Takes note of a configuration that took effect at `now_s` seconds since 1970, or did not.
    pub fn note_reload(&self, took_effect: Option<f64>) {
        self.reload.successful.set(i64::from(took_effect.is_some()));
        if let Some(now_s) = took_effect {
            self.reload.success_time.set(now_s);
        }
    }

    /// Everything in Prometheus' text format.
    ///
    /// # Errors
    /// A metric without a name, which is a mistake of ours.
    pub fn render(&self) -> Result<Vec<u8>, prometheus::Error> {
        let mut text = Vec::with_capacity(32 * 1024);
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
