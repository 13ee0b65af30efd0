//! The configuration file: TOML with units, unknown keys refused.
//!
//! Knows what may be written and what it means to the crates below. Opens no interface, no socket
//! and no sink.

mod detect;
mod outputs;
mod values;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use dwell_attribution::telemetry::TelemetryConfig;
use dwell_capture::{Backend, LiveConfig, Outgoing, Promiscuous, TimestampSource};
use dwell_detect::DetectConfig;
use dwell_evidence::{FolderLimits, KeeperLimits};
use dwell_flow::{FlowConfig, FlowScope, OverlapPolicy};
use dwell_packet::DecodeConfig;
use serde::{Deserialize, Serialize};

use crate::telemetry::TelemetrySpec;
use crate::telemetry::listen::TelemetryListener;

use detect::DetectLimits;
pub(crate) use outputs::{OutputConfig, OutputKind};
pub(crate) use values::{Bytes, Period};

/// Where the configuration is looked for when none is named.
pub(crate) const DEFAULT_PATH: &str = "/etc/dwell/dwell.toml";

/// The whole configuration.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    pub(crate) sensor: SensorConfig,
    pub(crate) capture: Vec<CaptureConfig>,
    pub(crate) decode: DecodePorts,
    pub(crate) flow: FlowLimits,
    pub(crate) attribution: AttributionConfig,
    pub(crate) detect: DetectLimits,
    pub(crate) output: Vec<OutputConfig>,
    pub(crate) state: StateConfig,
    pub(crate) evidence: EvidenceConfig,
    pub(crate) http: HttpConfig,
    pub(crate) privileges: PrivilegesConfig,
}

/// `[sensor]`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SensorConfig {
    /// What records call the sensor; the machine's name where it is empty.
    pub(crate) name: String,
    /// How often counters go into the records.
    pub(crate) stats_every: Period,
}

impl Default for SensorConfig {
    fn default() -> Self {
        Self { name: String::new(), stats_every: Period(Duration::from_secs(60)) }
    }
}

/// `[[capture]]`: one interface.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CaptureConfig {
    /// The interface.
    pub(crate) interface: String,
    /// Rings on it, among which the kernel spreads flows; `"auto"` is one a core.
    #[serde(default)]
    pub(crate) rings: Rings,
    /// Most bytes kept of each frame; without it all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) snaplen: Option<Bytes>,
    /// Memory of each ring.
    #[serde(default = "default_buffer")]
    pub(crate) buffer: Bytes,
    /// Only frames that this expression (pcap-filter(7)) matches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) filter: Option<String>,
    /// Whether frames for other machines are asked for.
    #[serde(default = "yes")]
    pub(crate) promiscuous: bool,
    /// `"both"`, or `"in"` to leave out what this machine sends.
    #[serde(default)]
    pub(crate) direction: DirectionChoice,
    /// `"host"`, or `"adapter"` for the adapter's clock.
    #[serde(default)]
    pub(crate) timestamps: TimestampChoice,
    /// `"auto"`, `"ring"` (TPACKET_V3) or `"libpcap"`.
    #[serde(default)]
    pub(crate) backend: BackendChoice,
}

fn default_buffer() -> Bytes {
    Bytes(LiveConfig::new("").ring_bytes)
}

const fn yes() -> bool {
    true
}

/// How many rings an interface has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(untagged)]
pub(crate) enum Rings {
    /// So many.
    Count(u16),
    /// As many as cores.
    Auto(AutoWord),
}

impl Default for Rings {
    /// One: a single thread reads all rings, so that more of them only spread the kernel's work.
    fn default() -> Self {
        Self::Count(1)
    }
}

/// The word `auto`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum AutoWord {
    Auto,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum DirectionChoice {
    #[default]
    Both,
    In,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum TimestampChoice {
    #[default]
    Host,
    Adapter,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum BackendChoice {
    #[default]
    Auto,
    Ring,
    Libpcap,
}

impl CaptureConfig {
    /// An interface with the defaults.
    pub(crate) fn of(interface: &str) -> Self {
        Self {
            interface: interface.to_owned(),
            rings: Rings::default(),
            snaplen: None,
            buffer: default_buffer(),
            filter: None,
            promiscuous: true,
            direction: DirectionChoice::default(),
            timestamps: TimestampChoice::default(),
            backend: BackendChoice::default(),
        }
    }

    /// How many rings it gets on a machine of `cores`.
    pub(crate) fn ring_count(&self, cores: usize) -> usize {
        match self.rings {
            Rings::Count(count) => usize::from(count),
            Rings::Auto(_) => cores,
        }
    }

    /// What the capture crate opens.
    pub(crate) fn live(&self) -> LiveConfig {
        LiveConfig {
            interface: self.interface.clone(),
            snaplen: self.snaplen.map_or(0, |bytes| u32::try_from(bytes.0).unwrap_or(u32::MAX)),
            ring_bytes: self.buffer.0,
            promiscuous: if self.promiscuous { Promiscuous::Yes } else { Promiscuous::No },
            outgoing: match self.direction {
                DirectionChoice::Both => Outgoing::Taken,
                DirectionChoice::In => Outgoing::Ignored,
            },
            timestamps: match self.timestamps {
                TimestampChoice::Host => TimestampSource::Host,
                TimestampChoice::Adapter => TimestampSource::Adapter,
            },
            filter: self.filter.clone(),
            fanout: None,
            backend: match self.backend {
                BackendChoice::Auto => Backend::Auto,
                BackendChoice::Ring => Backend::Ring,
                BackendChoice::Libpcap => Backend::Libpcap,
            },
        }
    }

    fn check(&self) -> anyhow::Result<()> {
        let name = &self.interface;
        anyhow::ensure!(!name.is_empty(), "capture: interface is empty");
        let rings = self.ring_count(1);
        anyhow::ensure!(
            (1..=MAX_RINGS).contains(&rings),
            "capture {name:?}: 1 to {MAX_RINGS} rings"
        );
        anyhow::ensure!(
            self.buffer.0 >= dwell_capture::MIN_RING_BYTES,
            "capture {name:?}: buffer of at least 2MiB"
        );
        let short = self.snaplen.is_some_and(|snaplen| snaplen.0 < MIN_SNAPLEN);
        anyhow::ensure!(!short, "capture {name:?}: snaplen of at least {MIN_SNAPLEN}B");
        if let Some(filter) = &self.filter {
            dwell_capture::Filter::new(filter).with_context(|| format!("capture {name:?}"))?;
        }
        Ok(())
    }
}

/// The most rings on one interface: more than any machine's cores that would read them.
const MAX_RINGS: usize = 64;

/// The shortest snap length: link, IP and TCP headers with options.
const MIN_SNAPLEN: usize = 128;

/// `[decode]`: ports of tunnels.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct DecodePorts {
    pub(crate) vxlan_ports: Vec<u16>,
    pub(crate) geneve_ports: Vec<u16>,
    pub(crate) gtpu_ports: Vec<u16>,
    pub(crate) l2tp_ports: Vec<u16>,
    pub(crate) teredo_ports: Vec<u16>,
    pub(crate) tzsp_ports: Vec<u16>,
}

impl Default for DecodePorts {
    fn default() -> Self {
        let defaults = DecodeConfig::default();
        Self {
            vxlan_ports: defaults.vxlan_ports,
            geneve_ports: defaults.geneve_ports,
            gtpu_ports: defaults.gtpu_ports,
            l2tp_ports: defaults.l2tp_ports,
            teredo_ports: defaults.teredo_ports,
            tzsp_ports: defaults.tzsp_ports,
        }
    }
}

/// `[flow]`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct FlowLimits {
    /// Most flows kept.
    pub(crate) max_flows: usize,
    /// Most bytes held for reassembly.
    pub(crate) max_reassembly: Bytes,
    /// What besides the five-tuple keeps flows apart.
    pub(crate) key: KeyChoice,
    /// Whose bytes win where early TCP segments overlap.
    pub(crate) tcp_overlap: OverlapChoice,
    /// How long an established TCP connection may be silent.
    pub(crate) tcp_idle: Period,
    /// How long a UDP flow may be silent.
    pub(crate) udp_idle: Period,
    /// How long a QUIC connection may be silent.
    pub(crate) quic_idle: Period,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum KeyChoice {
    #[default]
    Plain,
    Vlan,
    Encapsulation,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum OverlapChoice {
    #[default]
    First,
    Last,
    Bsd,
}

impl Default for FlowLimits {
    fn default() -> Self {
        let defaults = FlowConfig::default();
        Self {
            max_flows: defaults.max_flows,
            max_reassembly: Bytes(defaults.max_reassembly_bytes),
            key: KeyChoice::Plain,
            tcp_overlap: OverlapChoice::First,
            tcp_idle: Period(defaults.timeouts.tcp_established),
            udp_idle: Period(defaults.timeouts.udp),
            quic_idle: Period(defaults.timeouts.quic),
        }
    }
}

/// `[attribution]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct AttributionConfig {
    /// Application rules (files or folders) in place of the built-in ones.
    pub(crate) rules: Vec<PathBuf>,
    /// Policy in place of the built-in one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) policy: Option<PathBuf>,
    /// What the site says of its hosts (CSV or JSON files).
    pub(crate) inventory: Vec<PathBuf>,
    /// `[attribution.telemetry]`.
    pub(crate) telemetry: TelemetrySources,
}

/// `[attribution.telemetry]`: what hosts tell of their processes. Each source is a path, or
/// `KIND@ADDRESS:PATH` to say whose lines they are and which hosts they may speak for.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct TelemetrySources {
    /// Files that are read as they grow.
    pub(crate) follow: Vec<TelemetrySpec>,
    /// Unix datagram sockets to listen on.
    pub(crate) datagrams: Vec<TelemetrySpec>,
    /// Unix stream sockets to listen on.
    pub(crate) streams: Vec<TelemetrySpec>,
    /// How long after a flow's last packet a sighting of its socket still counts.
    pub(crate) window: Period,
    /// How much hosts' clocks may differ from the sensor's.
    pub(crate) max_skew: Period,
}

impl Default for TelemetrySources {
    fn default() -> Self {
        let defaults = TelemetryConfig::default();
        Self {
            follow: Vec::new(),
            datagrams: Vec::new(),
            streams: Vec::new(),
            window: Period(defaults.window),
            max_skew: Period(defaults.max_skew),
        }
    }
}

impl TelemetrySources {
    /// Windows for the engine.
    pub(crate) fn windows(&self) -> TelemetryConfig {
        TelemetryConfig {
            window: self.window.0,
            max_skew: self.max_skew.0,
            ..TelemetryConfig::default()
        }
    }

    /// Opens every source; `None` if there is none.
    ///
    /// # Errors
    /// When a socket cannot be made.
    pub(crate) fn open(&self) -> anyhow::Result<Option<TelemetryListener>> {
        let mut listener = TelemetryListener::default();
        for spec in &self.follow {
            listener.follow(spec.clone());
        }
        for spec in &self.datagrams {
            listener.listen_datagrams(spec.clone())?;
        }
        for spec in &self.streams {
            listener.listen_streams(spec.clone())?;
        }
        let any = [&self.follow, &self.datagrams, &self.streams].into_iter().any(|l| !l.is_empty());
        Ok(any.then_some(listener))
    }
}

/// `[state]`: what outlives a restart.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct StateConfig {
    /// The database of baselines, open sessions and findings; without it a restart forgets them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) database: Option<PathBuf>,
    /// How often what changed is stored: what a killed sensor loses at most.
    pub(crate) every: Period,
}

impl Default for StateConfig {
    fn default() -> Self {
        Self { database: None, every: Period(Duration::from_secs(5)) }
    }
}

impl StateConfig {
    fn check(&self) -> anyhow::Result<()> {
        let every = self.every.0;
        let bounds = Duration::from_secs(1)..=Duration::from_secs(60);
        anyhow::ensure!(bounds.contains(&every), "state: every of 1s to 1m");
        if let Some(folder) = self.database.as_deref().map(folder_of) {
            let there = folder.is_dir();
            anyhow::ensure!(there, "state: database: there is no folder {}", folder.display());
        }
        Ok(())
    }
}

/// `[evidence]`: what findings stand on.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct EvidenceConfig {
    /// Where a folder for each finding is made; without it no evidence is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) dir: Option<PathBuf>,
    /// Most bytes of one finding.
    pub(crate) per_finding: Bytes,
    /// Most bytes of all findings; the oldest go first.
    pub(crate) total: Bytes,
    /// Evidence that nothing was added to for this long is removed.
    pub(crate) keep: Period,
    /// Memory for the latest frames of all flows.
    pub(crate) recent: Bytes,
    /// What is kept of each of them.
    pub(crate) snaplen: Bytes,
    /// Memory for the first frames of each flow, whole.
    pub(crate) handshakes: Bytes,
    /// Memory for records of sessions that have no finding.
    pub(crate) records: Bytes,
}

impl Default for EvidenceConfig {
    fn default() -> Self {
        let folders = FolderLimits::default();
        let keeper = KeeperLimits::default();
        let bytes = |bytes: u64| Bytes(usize::try_from(bytes).unwrap_or(usize::MAX));
        Self {
            dir: None,
            per_finding: bytes(folders.per_finding),
            total: bytes(folders.total),
            keep: Period(folders.keep.unwrap_or_default()),
            recent: Bytes(keeper.recent_bytes),
            snaplen: Bytes(keeper.recent_cut),
            handshakes: Bytes(keeper.heads_bytes),
            records: Bytes(keeper.heads_bytes),
        }
    }
}

impl EvidenceConfig {
    /// Bounds on disk.
    pub(crate) fn folders(&self) -> FolderLimits {
        let bytes = |bytes: Bytes| u64::try_from(bytes.0).unwrap_or(u64::MAX);
        FolderLimits {
            per_finding: bytes(self.per_finding),
            total: bytes(self.total),
            keep: Some(self.keep.0),
        }
    }

    /// Bounds in memory.
    pub(crate) fn keeper(&self) -> KeeperLimits {
        KeeperLimits {
            recent_bytes: self.recent.0,
            recent_cut: self.snaplen.0,
            heads_bytes: self.handshakes.0,
            ..KeeperLimits::default()
        }
    }

    fn check(&self) -> anyhow::Result<()> {
        let Some(dir) = &self.dir else { return Ok(()) };
        let there = dir.is_dir() || folder_of(dir).is_dir();
        anyhow::ensure!(there, "evidence: dir: there is no folder {}", folder_of(dir).display());
        anyhow::ensure!(
            self.snaplen.0 >= MIN_SNAPLEN,
            "evidence: snaplen of at least {MIN_SNAPLEN}B"
        );
        anyhow::ensure!(self.recent.0 >= 1 << 20, "evidence: recent of at least 1MiB");
        anyhow::ensure!(self.per_finding.0 >= 64 << 10, "evidence: per_finding of at least 64KiB");
        anyhow::ensure!(self.total.0 >= self.per_finding.0, "evidence: total below per_finding");
        Ok(())
    }
}

/// The folder that a file is in.
pub(crate) fn folder_of(file: &Path) -> PathBuf {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// `[http]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct HttpConfig {
    /// Where metrics, health, API and page are served; `"off"` for nowhere.
    pub(crate) listen: String,
    /// A file with the token that requests must bring, where it is set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) token_file: Option<PathBuf>,
    /// Certificate chain (PEM), for TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tls_certificate: Option<PathBuf>,
    /// Its private key (PEM).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tls_key: Option<PathBuf>,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:10146".to_owned(),
            token_file: None,
            tls_certificate: None,
            tls_key: None,
        }
    }
}

impl HttpConfig {
    /// The address to listen at; `None` when it is switched off.
    pub(crate) fn address(&self) -> anyhow::Result<Option<std::net::SocketAddr>> {
        if self.listen == "off" {
            return Ok(None);
        }
        let address = self.listen.parse().with_context(|| {
            format!(
                "http: listen {:?} is no address with a port, such as 127.0.0.1:10146",
                self.listen
            )
        })?;
        Ok(Some(address))
    }

    fn check(&self) -> anyhow::Result<()> {
        anyhow::ensure!(
            self.tls_certificate.is_some() == self.tls_key.is_some(),
            "http: tls_certificate and tls_key go together"
        );
        let Some(address) = self.address()? else { return Ok(()) };
        let guarded = self.token_file.is_some() || self.tls_certificate.is_some();
        anyhow::ensure!(
            address.ip().is_loopback() || guarded,
            "http: listen {address} is open to others: set token_file or tls_certificate and tls_key"
        );
        Ok(())
    }
}

/// `[privileges]`: what is given up once everything is open.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PrivilegesConfig {
    /// The user to become, when started as root; empty to stay.
    pub(crate) user: String,
    /// Whether files outside what the configuration names are out of reach (Landlock).
    pub(crate) landlock: bool,
    /// Whether system calls that a sensor never makes are refused (seccomp).
    pub(crate) seccomp: bool,
}

impl Default for PrivilegesConfig {
    fn default() -> Self {
        Self { user: String::new(), landlock: true, seccomp: true }
    }
}

impl Config {
    /// The configuration of a file, checked.
    ///
    /// # Errors
    /// Says what is wrong, where, and what was expected.
    pub(crate) fn load(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("{}: cannot read", path.display()))?;
        let config: Self = toml::from_str(&text).with_context(|| format!("{}", path.display()))?;
        config.check().with_context(|| format!("{}", path.display()))?;
        Ok(config)
    }

    /// Fails on the first value that makes no sense.
    ///
    /// # Errors
    /// Says which.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        for capture in &self.capture {
            capture.check()?;
        }
        let mut names: Vec<&str> = self.capture.iter().map(|c| c.interface.as_str()).collect();
        names.sort_unstable();
        let twice = names.windows(2).find(|pair| pair.first() == pair.last());
        if let Some([name, _]) = twice {
            anyhow::bail!("capture: interface {name:?} is there twice");
        }
        anyhow::ensure!(
            self.sensor.stats_every.0.as_secs() >= 1,
            "sensor: stats_every of at least 1s"
        );
        anyhow::ensure!(self.flow.max_flows >= 1024, "flow: max_flows of at least 1024");
        outputs::check(&self.output)?;
        self.state.check()?;
        self.evidence.check()?;
        self.http.check()
    }

    /// Settings of the decoder.
    pub(crate) fn decode(&self) -> DecodeConfig {
        let ports = self.decode.clone();
        DecodeConfig {
            vxlan_ports: ports.vxlan_ports,
            geneve_ports: ports.geneve_ports,
            gtpu_ports: ports.gtpu_ports,
            l2tp_ports: ports.l2tp_ports,
            teredo_ports: ports.teredo_ports,
            tzsp_ports: ports.tzsp_ports,
            ..DecodeConfig::default()
        }
    }

    /// Settings of the flow table.
    pub(crate) fn flow(&self) -> FlowConfig {
        let mut config = FlowConfig {
            max_flows: self.flow.max_flows,
            max_reassembly_bytes: self.flow.max_reassembly.0,
            scope: match self.flow.key {
                KeyChoice::Plain => FlowScope::Plain,
                KeyChoice::Vlan => FlowScope::Vlan,
                KeyChoice::Encapsulation => FlowScope::Encapsulation,
            },
            overlap: match self.flow.tcp_overlap {
                OverlapChoice::First => OverlapPolicy::First,
                OverlapChoice::Last => OverlapPolicy::Last,
                OverlapChoice::Bsd => OverlapPolicy::Bsd,
            },
            ..FlowConfig::default()
        };
        config.timeouts.tcp_established = self.flow.tcp_idle.0;
        config.timeouts.udp = self.flow.udp_idle.0;
        config.timeouts.quic = self.flow.quic_idle.0;
        config
    }

    /// Settings of the detector.
    pub(crate) fn detect(&self) -> DetectConfig {
        self.detect.settings()
    }

    /// What cannot be changed while the sensor runs, of what differs in `other`.
    pub(crate) fn fixed_differences(&self, other: &Self) -> Vec<&'static str> {
        [
            (self.sensor != other.sensor, "[sensor]"),
            (self.capture != other.capture, "[[capture]]"),
            (self.decode != other.decode, "[decode]"),
            (self.flow != other.flow, "[flow]"),
            (self.detect.max_sessions != other.detect.max_sessions, "[detect] max_sessions"),
            (self.state != other.state, "[state]"),
            (self.evidence != other.evidence, "[evidence]"),
            (self.http != other.http, "[http]"),
            (self.privileges != other.privileges, "[privileges]"),
        ]
        .into_iter()
        .filter_map(|(differs, name)| differs.then_some(name))
        .collect()
    }
}

#[cfg(test)]
mod tests;
