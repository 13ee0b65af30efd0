//! `dwell fingerprint`: one row a ClientHello. Prints; the finding of hellos is the engine's.

use std::io::{self, BufWriter, Write};

use dwell_engine::{HelloRow, Hellos};
use dwell_output::FingerprintRow;

use crate::Exit;
use crate::cli::{Color, FingerprintArgs, FingerprintFormat};
use crate::inputs::Inputs;
use crate::terminal;

/// Column heads of the table.
const HEADER: [&str; 8] = ["FRAME", "OVER", "CLIENT", "SERVER", "SNI", "ALPN", "JA4", "JA3"];

/// Runs the command.
///
/// # Errors
/// When output cannot be written.
pub(crate) fn run(args: &FingerprintArgs, color: Color) -> anyhow::Result<Exit> {
    let mut inputs = Inputs::new(true)?;
    let mut out = BufWriter::new(io::stdout().lock());
    for path in &args.files {
        if inputs.is_interrupted() {
            break;
        }
        let Some(mut source) = inputs.open(path) else { continue };
        let name = path.to_string_lossy();
        let mut sink = Sink::new(args.format, color);
        let mut hellos = Hellos::new();
        inputs.read(path, &mut source, |frame| {
            hellos.handle(frame);
            while let Some(row) = hellos.next_row() {
                sink.take(&mut out, &name, &row)?;
            }
            Ok(())
        })?;
        for row in hellos.finish() {
            sink.take(&mut out, &name, &row)?;
        }
        sink.finish(&mut out, &name, args.files.len())?;
    }
    out.flush()?;
    Ok(inputs.exit())
}

/// Where rows go: straight out as lines, or into a table that is printed at the end.
enum Sink {
    Lines,
    Table(Box<comfy_table::Table>),
}

impl Sink {
    fn new(format: FingerprintFormat, color: Color) -> Self {
        match format {
            FingerprintFormat::Jsonl => Self::Lines,
            FingerprintFormat::Table => {
                Self::Table(Box::new(terminal::table(&HEADER, terminal::colour(color))))
            }
        }
    }

    fn take(&mut self, out: &mut impl Write, pcap: &str, row: &HelloRow) -> anyhow::Result<()> {
        let row = FingerprintRow::new(pcap, row);
        match self {
            Self::Lines => {
                serde_json::to_writer(&mut *out, &row).map_err(io::Error::from)?;
                out.write_all(b"\n")?;
            }
            Self::Table(table) => {
                table.add_row(row.cells());
            }
        }
        Ok(())
    }

    fn finish(self, out: &mut impl Write, pcap: &str, files: usize) -> anyhow::Result<()> {
        let Self::Table(table) = self else { return Ok(()) };
        if files > 1 {
            writeln!(out, "{}", dwell_output::printable(pcap.as_bytes()))?;
        }
        if table.is_empty() {
            writeln!(out, "no ClientHello")?;
        } else {
            writeln!(out, "{}", table.trim_fmt())?;
        }
        Ok(())
    }
}
