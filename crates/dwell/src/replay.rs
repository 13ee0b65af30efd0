//! `dwell replay`: captures in, findings and sessions out. Reads and prints; judges nothing.

mod evidence;

use std::io::{self, BufWriter, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use dwell_attribution::telemetry::TelemetryConfig;
use dwell_attribution::{AppRules, Policy};
use dwell_capture::Filter;
use dwell_detect::{DetectConfig, Detector, Level};
use dwell_engine::{Engine, EngineConfig, Record};
use dwell_flow::{FlowConfig, FlowScope, OverlapPolicy};
use dwell_output::{EveContext, EveLines, Format};
use dwell_store::Store;

use crate::Exit;
use crate::baseline::open_or_make;
use crate::cli::{Color, FailLevel, FlowKeyScope, ReplayArgs, ReplayFormat, Speed, TcpOverlap};
use crate::inputs::{Inputs, in_time_order};
use crate::paced::{Gave, Paced};
use crate::report::Report;
use crate::summary::Summary;
use crate::telemetry::TelemetryFiles;
use crate::workers::{self, Output};
use crate::{inventory, terminal};

use self::evidence::ReplayEvidence;

/// Lines are written once there are this many bytes of them: what a pipe takes at once.
const WRITE_AT: usize = 1 << 16;

/// Runs the command.
///
/// # Errors
/// When rules, policy or filter cannot be read, or output cannot be written.
pub(crate) fn run(args: &ReplayArgs, color: Color) -> anyhow::Result<Exit> {
    let Some((mut engine, configured)) = engine(args)? else { return Ok(Exit::Configuration) };
    let mut inputs = Inputs::new(!args.no_progress)?;
    let files = in_time_order(&mut inputs, &args.files);
    if files.is_empty() {
        return Ok(inputs.exit());
    }
    let filter = match args.filter.as_deref().map(Filter::new).transpose() {
        Ok(filter) => filter,
        Err(error) => {
            eprintln!("dwell: {:#}", anyhow::Error::new(error));
            return Ok(Exit::Configuration);
        }
    };
    if !args.telemetry.is_empty() {
        engine.listen_to(Box::new(TelemetryFiles::open(&args.telemetry)?));
    }
    let store = args.baseline.as_deref().map(open_or_make).transpose()?;
    if let Some(store) = &store {
        engine.detector_mut().learn_from(&store.load()?);
    }
    let store = store.filter(|_| !args.frozen);
    let mut output = RecordOutput {
        sink: Sink::new(args, color),
        store,
        report: args.report.as_deref().map(Report::new),
        evidence_root: args.evidence.as_deref(),
        evidence: args
            .evidence
            .as_deref()
            .map(|root| ReplayEvidence::open(root, &files))
            .transpose()?,
        files: &files,
        highest: None,
    };
    let workers = args.workers.unwrap_or_else(default_workers);
    match args.speed {
        Speed::Max => {
            workers::run(&mut engine, workers, &mut inputs.chunks(&files, filter), &mut output)?;
        }
        Speed::Times(_) => {
            let sources = files.iter().filter_map(|file| inputs.open(file)).collect();
            let mut paced = Paced::new(sources, filter, args.speed);
            pace(&mut engine, &mut paced, &inputs, &mut output)?;
        }
    }
    let last = files.len().saturating_sub(1);
    loop {
        let more = engine.finish_some();
        let records = engine.take_records();
        output.take(last, engine.detector(), records)?;
        if !more {
            break;
        }
    }
    let RecordOutput { sink, report, highest, mut store, evidence, .. } = output;
    if let Some(report) = report {
        report.write(&files)?;
    }
    sink.finish(&files, &engine)?;
    if let Some(evidence) = evidence {
        evidence.finish(&files);
    }
    if let Some(store) = &mut store {
        store.save(&engine.detector().snapshot())?;
    }
    Ok(exit(args, &inputs, highest).max(configured))
}

/// Takes frames in as they come, and writes what they give at once.
fn pace(
    engine: &mut Engine,
    paced: &mut Paced,
    inputs: &Inputs,
    output: &mut RecordOutput<'_>,
) -> anyhow::Result<()> {
    let most = NonZeroUsize::new(1024).unwrap_or(NonZeroUsize::MIN);
    let mut gave = Gave::All;
    while gave != Gave::Over && !inputs.is_interrupted() {
        let file = output.files.len().saturating_sub(paced.left());
        gave = paced.give(most, |frame| engine.handle(frame));
        let records = engine.take_records();
        output.take(file, engine.detector(), records)?;
        if gave == Gave::NotDue {
            output.sink.flush()?;
            std::thread::park_timeout(paced.pause(LONGEST_PAUSE));
        }
    }
    Ok(())
}

/// How long an interrupt waits for at most.
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// As many as there are processors, at most [`MAX_DEFAULT_WORKERS`].
fn default_workers() -> NonZeroUsize {
    let processors = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    processors.min(MAX_DEFAULT_WORKERS)
}

/// More threads than this wait for the one that judges and writes.
const MAX_DEFAULT_WORKERS: NonZeroUsize = NonZeroUsize::new(4).unwrap();

/// Records on their way to the sink.
struct RecordOutput<'f> {
    sink: Sink,
    report: Option<Report>,
    /// Where findings and judged sessions are remembered.
    store: Option<Store>,
    evidence: Option<ReplayEvidence>,
    evidence_root: Option<&'f Path>,
    files: &'f [PathBuf],
    highest: Option<Level>,
}

impl Output for RecordOutput<'_> {
    fn take(
        &mut self,
        file: usize,
        detector: &Detector,
        records: Vec<Record>,
    ) -> anyhow::Result<()> {
        let path = self.files.get(file).map_or(Path::new(""), PathBuf::as_path);
        if let Some(report) = &mut self.report {
            records.iter().for_each(|record| report.take(record));
        }
        for record in &records {
            if let Some(evidence) = &mut self.evidence {
                evidence.take(path, detector, record);
            }
            match (&self.store, record) {
                (Some(store), Record::Finding(finding)) => {
                    store.tell(finding)?;
                    if let Some(root) = &self.evidence_root {
                        let path = root.join(finding.id.as_str());
                        store.note_evidence(finding.id.as_str(), &path.to_string_lossy())?;
                    }
                }
                (Some(store), Record::Session(session)) => store.note_session(&session.summary)?,
                _ => {}
            }
        }
        self.sink.take_all(path, records, &mut self.highest)
    }
}

/// An engine with the rules and policy asked for, and how the command must end if entries of them
/// were refused; `None` after an error that was printed.
fn engine(args: &ReplayArgs) -> anyhow::Result<Option<(Engine, Exit)>> {
    let (rules, errors) = if args.apps.is_empty() {
        (AppRules::builtin(), Vec::new())
    } else {
        AppRules::load(&args.apps).context("application rules")?
    };
    crate::apps::report(&errors);
    let policy = match &args.policy {
        None => Policy::builtin(),
        Some(path) => match Policy::load(path) {
            Ok(policy) => {
                crate::apps::report(policy.refused());
                policy
            }
            Err(error) => {
                eprintln!("dwell: {:#}", anyhow::Error::new(error));
                return Ok(None);
            }
        },
    };
    let mut detect = DetectConfig::default();
    if let Some(duration) = args.session_duration {
        detect.session_duration = duration;
    }
    let flow = FlowConfig {
        scope: match args.flow_key {
            FlowKeyScope::Plain => FlowScope::Plain,
            FlowKeyScope::Vlan => FlowScope::Vlan,
            FlowKeyScope::Encapsulation => FlowScope::Encapsulation,
        },
        overlap: match args.tcp_overlap {
            TcpOverlap::First => OverlapPolicy::First,
            TcpOverlap::Last => OverlapPolicy::Last,
            TcpOverlap::Bsd => OverlapPolicy::Bsd,
        },
        ..FlowConfig::default()
    };
    let whole = errors.is_empty() && policy.refused().is_empty();
    let configured = if whole { Exit::Success } else { Exit::Configuration };
    let policy = Arc::new(policy);
    let telemetry = TelemetryConfig {
        window: args.telemetry_window,
        clocks_ahead: args.telemetry_skew.ahead,
        clocks_behind: args.telemetry_skew.behind,
        ..TelemetryConfig::default()
    };
    let mut config = EngineConfig { detect, telemetry, flow, ..EngineConfig::with(rules, policy) };
    if args.keep_duplicates {
        config.duplicate_window = Duration::ZERO;
    }
    config.hosts.inventory = Arc::new(inventory::load(&args.inventory)?);
    Ok(Some((Engine::new(config), configured)))
}

fn exit(args: &ReplayArgs, inputs: &Inputs, highest: Option<Level>) -> Exit {
    let wanted = args.fail_on.map(|level| match level {
        FailLevel::Watch => Level::Watch,
        FailLevel::Alert => Level::Alert,
        FailLevel::High => Level::High,
    });
    let found = wanted.is_some_and(|wanted| highest.is_some_and(|highest| highest >= wanted));
    match inputs.exit() {
        Exit::Success if found => Exit::Findings,
        exit => exit,
    }
}

/// Appends a record as one line in the form asked for.
fn append(
    (lines, eve): (&mut Vec<u8>, &mut EveLines),
    format: Format,
    context: &EveContext,
    record: &Record,
) -> io::Result<()> {
    if format == Format::Eve {
        return eve.append(lines, context, record);
    }
    if let Some(line) = dwell_output::encode(format, context, record) {
        lines.extend_from_slice(&line);
        lines.push(b'\n');
    }
    Ok(())
}

/// Where records go.
enum Sink {
    Lines {
        format: Format,
        out: io::Stdout,
        eve: Box<EveLines>,
        lines: Vec<u8>,
        context: EveContext,
    },
    Table(Box<Summary>),
}

impl Sink {
    fn new(args: &ReplayArgs, color: Color) -> Self {
        match args.format {
            ReplayFormat::Eve | ReplayFormat::Ecs | ReplayFormat::Ocsf => Self::Lines {
                format: match args.format {
                    ReplayFormat::Ecs => Format::Ecs,
                    ReplayFormat::Ocsf => Format::Ocsf,
                    ReplayFormat::Eve | ReplayFormat::Table => Format::Eve,
                },
                out: io::stdout(),
                eve: Box::default(),
                lines: Vec::with_capacity(2 * WRITE_AT),
                context: EveContext { evidence: args.evidence.clone(), ..EveContext::default() },
            },
            ReplayFormat::Table => {
                Self::Table(Box::new(Summary::new(args.sessions, terminal::colour(color))))
            }
        }
    }

    /// Takes the records that `path` gave, in their order.
    fn take_all(
        &mut self,
        path: &Path,
        records: Vec<Record>,
        highest: &mut Option<Level>,
    ) -> anyhow::Result<()> {
        if let Self::Lines { context, .. } = self {
            let name = path.to_string_lossy();
            if context.pcap_filename.as_deref() != Some(&*name) {
                context.pcap_filename = Some(name.into_owned());
            }
        }
        for record in records {
            if let Record::Finding(finding) = &record {
                *highest = (*highest).max(Some(finding.level));
            }
            match self {
                Self::Lines { format, out, eve, lines, context } => {
                    append((lines, eve), *format, context, &record)?;
                    if lines.len() >= WRITE_AT {
                        out.write_all(lines)?;
                        lines.clear();
                    }
                }
                Self::Table(summary) => summary.take(record),
            }
        }
        Ok(())
    }

    /// Writes what waits to be written together.
    fn flush(&mut self) -> anyhow::Result<()> {
        if let Self::Lines { out, lines, .. } = self {
            out.write_all(lines)?;
            out.flush()?;
            lines.clear();
        }
        Ok(())
    }

    fn finish(self, files: &[PathBuf], engine: &Engine) -> anyhow::Result<()> {
        let stats = engine.stats();
        match self {
            Self::Lines { format, mut out, mut eve, mut lines, context } => {
                let record = Record::Stats(Box::new(stats));
                append((&mut lines, &mut eve), format, &context, &record)?;
                out.write_all(&lines)?;
                out.flush()?;
            }
            Self::Table(summary) => {
                let mut out = BufWriter::new(io::stdout().lock());
                summary.write(&mut out, files, &stats)?;
                summary.write_telemetry(&mut out, &stats)?;
                out.flush()?;
            }
        }
        Ok(())
    }
}
