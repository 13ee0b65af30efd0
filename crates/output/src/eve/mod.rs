//! Records as JSON lines in the shape of Suricata's EVE, with one `dwell` object beside
//! (`record schema`, version 1). Decides nothing about what is recorded.

mod alert;
mod common;
mod flow;
mod handshake;
mod lines;
mod process;
mod stats;
mod value;

use std::io::{self, Write};

use dwell_engine::Record;
use dwell_packet::Timestamp;
use serde::Serialize;

use crate::json;
use crate::{CaptureFigures, SinkFigures};

use common::Known;
pub use lines::EveLines;

/// Version of the `dwell` object in every line.
pub const SCHEMA_VERSION: u32 = 1;

/// A time as EVE writes it: RFC 3339 with microseconds and `+0000`.
pub(crate) fn eve_time(ts: Timestamp) -> String {
    let text = serde_json::to_value(value::Time(ts)).ok();
    text.and_then(|text| Some(text.as_str()?.to_owned())).unwrap_or_default()
}

/// What every line says of its source.
#[derive(Clone, Debug, Default)]
pub struct EveContext {
    /// The sensor's name (`host`).
    pub sensor: String,
    /// The capture file being replayed, if one is.
    pub pcap_filename: Option<String>,
    /// The interface that is captured, if it is one.
    pub in_iface: Option<String>,
    /// What is added to a flow's number: live, the start in microseconds since 1970, so that
    /// `flow_id` is not given twice over restarts.
    pub flow_base: u64,
    /// What the interfaces gave and lost, for `stats` lines of a live sensor.
    pub capture: Vec<CaptureFigures>,
    /// What became of records at the sinks, for the same lines.
    pub sinks: Vec<SinkFigures>,
    /// Records that reached no sink since the sensor started, because the packet thread never waits.
    pub unqueued: u64,
    /// Where the evidence of findings is kept, if it is.
    pub evidence: Option<std::path::PathBuf>,
}

/// Appends `record` as one line to `lines`. [`EveLines`] does the same for many at less cost.
///
/// # Errors
/// When a record has no JSON text, which none of ours does; `lines` is as before then.
pub fn append_record(lines: &mut Vec<u8>, context: &EveContext, record: &Record) -> io::Result<()> {
    append(lines, context, record, None)
}

fn append(
    lines: &mut Vec<u8>,
    context: &EveContext,
    record: &Record,
    known: Option<Known<'_>>,
) -> io::Result<()> {
    match record {
        Record::Handshake(record) => line(lines, &handshake::tls_line(context, record, known)),
        Record::Http(record) => line(lines, &handshake::http_line(context, record, known)),
        Record::Flow(record) => line(lines, &flow::line(context, record, known)),
        Record::Finding(record) => line(lines, &alert::line(context, record)),
        Record::Session(record) => line(lines, &alert::session_line(context, record)),
        Record::Stats(record) => line(lines, &stats::line(context, record)),
        _ => Ok(()),
    }
}

/// Writes `record` as one line.
///
/// # Errors
/// What `out` fails with.
pub fn write_record(out: &mut impl Write, context: &EveContext, record: &Record) -> io::Result<()> {
    let mut line = Vec::with_capacity(ORDINARY_LINE);
    append_record(&mut line, context, record)?;
    out.write_all(&line)
}

fn line(lines: &mut Vec<u8>, value: &impl Serialize) -> io::Result<()> {
    let start = lines.len();
    if let Err(error) = json::append(lines, value) {
        lines.truncate(start);
        return Err(error.into());
    }
    lines.push(b'\n');
    Ok(())
}

/// Most lines are shorter than 2 KiB.
const ORDINARY_LINE: usize = 2048;

#[cfg(test)]
mod tests;
