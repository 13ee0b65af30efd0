//! `dwell coverage`: what could not be seen, host by host. Reads and prints; judges nothing.

use std::io::{self, Write as _};
use std::num::NonZeroUsize;
use std::sync::Arc;

use comfy_table::{Cell, CellAlignment};
use dwell_detect::Detector;
use dwell_engine::{Engine, EngineConfig, Record};
use dwell_output::{Coverage, Seen, clipped};

use crate::Exit;
use crate::cli::{Color, CoverageArgs, CoverageFormat};
use crate::inputs::{Inputs, in_time_order};
use crate::telemetry::TelemetryFiles;
use crate::units::bytes;
use crate::workers::{self, Output};
use crate::{inventory, terminal};

/// Limits shown as columns: the name in records, and the head.
const LIMITS: [(&str, &str); 10] = [
    ("midstream", "MIDSTREAM"),
    ("one_sided", "ONE SIDE"),
    ("gaps", "GAPS"),
    ("no_hello", "NO HELLO"),
    ("no_sni", "NO SNI"),
    ("ech", "ECH"),
    ("proxied", "PROXIED"),
    ("shared_fingerprint", "SHARED"),
    ("no_telemetry", "NO TELEMETRY"),
    ("several_systems", "NAT?"),
];

/// Widest host name shown, in characters.
const NAME_WIDTH: usize = 30;

/// Runs the command.
///
/// # Errors
/// When inventory or telemetry cannot be read, or output cannot be written.
pub(crate) fn run(args: &CoverageArgs, color: Color) -> anyhow::Result<Exit> {
    let mut config = EngineConfig::default();
    config.hosts.inventory = Arc::new(inventory::load(&args.inventory)?);
    let mut engine = Engine::new(config);
    if !args.telemetry.is_empty() {
        engine.listen_to(Box::new(TelemetryFiles::open(&args.telemetry)?));
    }
    let mut inputs = Inputs::new(!args.no_progress)?;
    let files = in_time_order(&mut inputs, &args.files);
    if files.is_empty() {
        return Ok(inputs.exit());
    }
    let mut counted = Counted(Coverage::new());
    workers::run(&mut engine, NonZeroUsize::MIN, &mut inputs.chunks(&files, None), &mut counted)?;
    loop {
        let more = engine.finish_some();
        let records = engine.take_records();
        counted.take(0, engine.detector(), records)?;
        if !more {
            break;
        }
    }
    match args.format {
        CoverageFormat::Table => write_table(&counted.0, terminal::colour(color))?,
        CoverageFormat::Jsonl => write_lines(&counted.0)?,
    }
    Ok(inputs.exit())
}

/// Records on their way into the count.
struct Counted(Coverage);

impl Output for Counted {
    fn take(&mut self, _: usize, _: &Detector, records: Vec<Record>) -> anyhow::Result<()> {
        for record in &records {
            self.0.take(record);
        }
        Ok(())
    }
}

fn write_lines(coverage: &Coverage) -> anyhow::Result<()> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    for host in coverage.hosts() {
        serde_json::to_writer(&mut out, host)?;
        out.write_all(b"\n")?;
    }
    let mut total = serde_json::to_value(coverage.total())?;
    if let Some(total) = total.as_object_mut() {
        total.insert("total".to_owned(), true.into());
        total.insert("hosts".to_owned(), coverage.hosts().len().into());
    }
    writeln!(out, "{total}")?;
    out.flush()?;
    Ok(())
}

fn write_table(coverage: &Coverage, colour: bool) -> anyhow::Result<()> {
    let mut header = vec!["HOST", "OS", "FLOWS", "BYTES", "NAMED"];
    header.extend(LIMITS.map(|(_, head)| head));
    let mut table = terminal::table(&header, colour);
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    for host in coverage.hosts() {
        let name = host.name.clone().unwrap_or_else(|| host.host.to_string());
        table.add_row(row(&name, host.os.unwrap_or("-"), &host.seen));
    }
    if coverage.others().flows > 0 {
        table.add_row(row("further hosts", "-", coverage.others()));
    }
    table.add_row(row("all", "-", coverage.total()));
    let mut out = io::stdout().lock();
    writeln!(out, "{}", table.trim_fmt())?;
    Ok(())
}

fn row(name: &str, os: &str, seen: &Seen) -> Vec<Cell> {
    let share = |count: u64| {
        if count == 0 { "-".to_owned() } else { format!("{} %", percent(count, seen.flows)) }
    };
    let mut cells = vec![
        clipped(name, NAME_WIDTH),
        os.to_owned(),
        seen.flows.to_string(),
        bytes(seen.bytes),
        share(seen.attributed),
    ];
    cells.extend(LIMITS.map(|(limit, _)| share(seen.limited_by(limit))));
    cells.into_iter().map(Cell::new).collect()
}

/// A share in whole percent, at least one where there is any.
fn percent(part: u64, whole: u64) -> u64 {
    (part.saturating_mul(100) / whole.max(1)).max(1)
}
