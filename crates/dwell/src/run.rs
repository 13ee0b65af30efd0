//! `dwell run`: the live sensor. Opens everything, gives rights up, starts threads, minds signals.
//!
//! Three kinds of threads: one of packets (rings, engine), one of records (formats, queues), one for
//! each sink, and one of the console. Packets never wait for any other.

mod console;
mod evidence;
mod oddities;
mod outputs;
mod packets;
pub(crate) mod privileges;
mod records;
mod reload;
mod shared;
mod state;
mod supervise;
mod watch;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use anyhow::Context as _;
use dwell_attribution::HostsConfig;
use dwell_capture::{Fanout, FileSource, LiveSet, LiveSource};
use dwell_engine::{Engine, EngineConfig};
use dwell_output::{BuildInfo, EveContext, Format, Item, Metrics};

pub(crate) use reload::Materials;

use crate::cli::{ReplayArgs, RunArgs};
use crate::config::{CaptureConfig, Config, DEFAULT_PATH, OutputConfig};
use crate::inputs::{Inputs, in_time_order};
use crate::paced::Paced;
use crate::telemetry::live::LiveTelemetry;
use crate::{Exit, clock, log};

/// Batches of records that may wait for the thread of records.
const RECORD_BATCHES: usize = 1024;

/// Runs the command.
///
/// # Errors
/// When something cannot be opened or started; wrong configuration is an exit code.
pub(crate) fn run(args: &RunArgs) -> anyhow::Result<Exit> {
    log::set_format(args.log_format);
    let config = match configuration(args) {
        Ok(config) => config,
        Err(error) => {
            log::error(&format!("{error:#}"));
            return Ok(Exit::Configuration);
        }
    };
    let materials = match Materials::load(&config) {
        Ok(materials) => materials,
        Err(error) => {
            log::error(&format!("{error:#}"));
            return Ok(Exit::Configuration);
        }
    };
    let sources = match open_sources(&config) {
        Ok(sources) => sources,
        Err(error) => {
            log::error(&format!("{error:#}"));
            return Ok(Exit::CannotOpen);
        }
    };
    Sensor::open(config_path(args.config.as_deref()), config, materials, sources)?.run()
}

/// Runs the sensor of a configuration on captures in the place of its interfaces.
///
/// # Errors
/// When something cannot be opened or started; wrong configuration is an exit code.
pub(crate) fn replay(args: &ReplayArgs, path: &Path) -> anyhow::Result<Exit> {
    let loaded = Config::load(path).and_then(|mut config| {
        config.capture.clear();
        if let Some(listen) = &args.http {
            config.http.listen.clone_from(listen);
        }
        if config.output.is_empty() {
            config.output.push(OutputConfig::stdout());
        }
        config.check()?;
        let materials = Materials::load(&config)?;
        Ok((config, materials))
    });
    let (config, materials) = match loaded {
        Ok(loaded) => loaded,
        Err(error) => {
            log::error(&format!("{error:#}"));
            return Ok(Exit::Configuration);
        }
    };
    let mut inputs = Inputs::new(false)?;
    let files = in_time_order(&mut inputs, &args.files);
    let sources: Vec<FileSource> = files.iter().filter_map(|file| inputs.open(file)).collect();
    if sources.is_empty() {
        return Ok(inputs.exit());
    }
    let opened = inputs.exit();
    let mut sensor = Sensor::open(Some(path.to_owned()), config, materials, Vec::new())?;
    sensor.packets.feed_from(Paced::new(sources, None, args.speed));
    let exit = sensor.run()?;
    Ok(exit.max(opened))
}

/// The configuration that a reload reads again.
fn config_path(named: Option<&Path>) -> Option<PathBuf> {
    let default = Path::new(DEFAULT_PATH);
    named.or_else(|| default.exists().then_some(default)).map(Path::to_owned)
}

/// What was typed and what the file says, together and checked.
fn configuration(args: &RunArgs) -> anyhow::Result<Config> {
    let default = Path::new(DEFAULT_PATH);
    let path = args.config.as_deref().or_else(|| {
        // An interface on the command line is enough to run without a file.
        (args.interface.is_empty() || default.exists()).then_some(default)
    });
    let mut config = path.map(Config::load).transpose()?.unwrap_or_default();
    if !args.interface.is_empty() {
        let known = std::mem::take(&mut config.capture);
        config.capture = args
            .interface
            .iter()
            .map(|name| {
                let same = known.iter().find(|capture| capture.interface == *name);
                same.cloned().unwrap_or_else(|| CaptureConfig::of(name))
            })
            .collect();
    }
    if let Some(filter) = &args.filter {
        for capture in &mut config.capture {
            capture.filter = Some(filter.clone());
        }
    }
    if let Some(listen) = &args.http {
        config.http.listen.clone_from(listen);
    }
    if let Some(path) = &args.output {
        config.output = vec![OutputConfig::file(path.clone())];
    }
    if config.output.is_empty() {
        config.output.push(OutputConfig::stdout());
    }
    anyhow::ensure!(
        !config.capture.is_empty(),
        "no interface: give -i or [[capture]] in {DEFAULT_PATH}"
    );
    config.check()?;
    Ok(config)
}

/// Opens every ring of every interface.
fn open_sources(config: &Config) -> anyhow::Result<Vec<LiveSource>> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut sources = Vec::new();
    for (number, capture) in (0u32..).zip(&config.capture) {
        let rings = capture.ring_count(cores);
        for _ in 0..rings {
            let mut live = capture.live();
            if rings > 1 {
                // Unique in the network namespace: no other sensor has this process number.
                let group = (std::process::id() ^ (number << 11)) & 0xffff;
                live.fanout = Some(Fanout { group: u16::try_from(group).unwrap_or(0) });
            }
            sources.push(LiveSource::open(live)?);
        }
    }
    Ok(sources)
}

/// Everything that is open, before threads start.
struct Sensor {
    config: Config,
    path: Option<PathBuf>,
    metrics: Arc<Metrics>,
    shared: Arc<shared::Shared>,
    packets: packets::Packets,
    records: records::Records,
    router: outputs::Router,
    prepared: Vec<outputs::Prepared>,
    bound: Option<dwell_console::Bound>,
    view: Arc<console::View>,
}

impl Sensor {
    fn open(
        path: Option<PathBuf>,
        config: Config,
        materials: Materials,
        sources: Vec<LiveSource>,
    ) -> anyhow::Result<Self> {
        let metrics = Arc::new(Metrics::new(build_info()).context("metrics")?);
        let router = outputs::Router::default();
        let prepared = outputs::prepare(&config).context("output")?;
        let shared = Arc::new(shared::Shared::default());
        let mut engine = Engine::new(EngineConfig {
            decode: config.decode(),
            flow: config.flow(),
            detect: config.detect(),
            seed: random_seed(),
            telemetry: config.attribution.telemetry.windows(),
            hosts: HostsConfig {
                inventory: Arc::new(crate::inventory::load(&config.attribution.inventory)?),
                ..HostsConfig::default()
            },
            ..EngineConfig::with(materials.rules, materials.policy)
        });
        if let Some(listener) = config.attribution.telemetry.open()? {
            engine.listen_to(Box::new(LiveTelemetry::new(listener)));
        }
        let (sender, receiver) = crossbeam_channel::bounded(RECORD_BATCHES);
        let packets = packets::Packets::new(
            LiveSet::new(sources),
            engine,
            &config,
            Arc::clone(&shared),
            sender,
        );
        let context = EveContext {
            sensor: sensor_name(&config),
            in_iface: match config.capture.as_slice() {
                [one] => Some(one.interface.clone()),
                _ => None,
            },
            flow_base: clock::wall().as_nanos() / 1000,
            evidence: config.evidence.dir.clone(),
            ..EveContext::default()
        };
        let view = Arc::new(console::View::default());
        let records = records::Records::new(receiver, context, router.clone(), Arc::clone(&view));
        let bound = console::bind(&config).context("http")?;
        Ok(Self { config, path, metrics, shared, packets, records, router, prepared, bound, view })
    }

    fn run(mut self) -> anyhow::Result<Exit> {
        if let Some(folder) = &self.config.evidence.dir {
            privileges::make_folder(&self.config, folder)?;
        }
        privileges::give_up(&self.config, self.path.as_deref()).context("privileges")?;
        let signals = supervise::Signals::catch()?;
        let prepared = std::mem::take(&mut self.prepared);
        self.router.replace(outputs::start(prepared, &self.metrics)?);
        let state = self.take_up_state()?;
        let evidence = self.keep_evidence()?;
        let packets = spawn("packets", {
            let packets = self.packets;
            move || packets.run()
        })?;
        let records = spawn("records", {
            let records = self.records;
            move || records.run()
        })?;
        let status = Arc::new(dwell_console::Status::default());
        let _console = match self.bound {
            None => None,
            Some(bound) => {
                let (metrics, status) = (Arc::clone(&self.metrics), Arc::clone(&status));
                Some(console::start(bound, metrics, self.view, status)?)
            }
        };
        let supervisor = supervise::Supervisor {
            status,
            config: self.config,
            path: self.path,
            metrics: self.metrics,
            shared: self.shared,
            router: self.router,
            state,
            evidence,
        };
        supervisor.run(&signals, packets, records)
    }
}

impl Sensor {
    /// Goes on with what an earlier run stored, if state is kept. With its rights given up, so that
    /// the files are those of the user that the sensor runs as.
    fn take_up_state(&mut self) -> anyhow::Result<Option<state::Keeping>> {
        let Some(path) = &self.config.state.database else { return Ok(None) };
        let state::Opened { store, rows, unsent, clock } = state::open(path)?;
        let metrics = self.metrics.state();
        metrics.set_restored(rows.sessions.len());
        let again = unsent.into_iter().filter_map(|row| {
            let format = Format::ALL.into_iter().find(|format| format.name() == row.form)?;
            let item = Arc::new(Item { kind: "alert", bytes: row.bytes });
            self.router.route_again(format, &item);
            Some((row.number, item))
        });
        let settings = state::Settings {
            unsent: again.collect(),
            every: self.config.state.every.0,
            evidence: self.config.evidence.dir.clone(),
        };
        let (checkpoints, tellings, keeping) = state::start(store, settings, metrics)?;
        self.packets.go_on((&rows, clock), checkpoints);
        self.records.store_with(tellings);
        Ok(Some(keeping))
    }

    /// Keeps what findings stand on, if a folder for it is configured.
    fn keep_evidence(&mut self) -> anyhow::Result<Option<evidence::Running>> {
        let Some(folder) = &self.config.evidence.dir else { return Ok(None) };
        let (recorder, witness, running) = evidence::start(
            (folder, &self.config.evidence),
            self.config.decode(),
            Arc::clone(&self.metrics),
        )
        .context("evidence")?;
        self.packets.record_with(recorder);
        self.records.witness_with(witness);
        Ok(Some(running))
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> anyhow::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name.to_owned()).spawn(work).context("cannot start a thread")
}

fn build_info() -> BuildInfo {
    BuildInfo {
        version: env!("CARGO_PKG_VERSION"),
        revision: env!("DWELL_REVISION"),
        rustc: env!("DWELL_RUSTC"),
    }
}

fn sensor_name(config: &Config) -> String {
    if !config.sensor.name.is_empty() {
        return config.sensor.name.clone();
    }
    nix::unistd::gethostname().map_or_else(|_| String::new(), |name| name.to_string_lossy().into())
}

/// A key for the flow table that nobody outside knows: it decides which flows meet in a bucket.
fn random_seed() -> u64 {
    use std::hash::{BuildHasher as _, Hasher as _};
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}
