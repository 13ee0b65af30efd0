//! Records as JSON lines in the shape of Suricata's EVE, with one `dwell` object beside
//! (`record schema`, version 1). Decides nothing about what is recorded.

mod alert;
mod common;
mod flow;
mod handshake;
mod stats;

use std::io::{self, Write};

use dwell_engine::Record;
use serde::Serialize;

/// Version of the `dwell` object in every line.
pub const SCHEMA_VERSION: u32 = 1;

/// What every line says of its source.
#[derive(Clone, Debug, Default)]
pub struct EveContext {
    /// The sensor's name (`host`).
    pub sensor: String,
    /// The capture file being replayed, if one is.
    pub pcap_filename: Option<String>,
}

/// Writes `record` as one line.
///
/// # Errors
/// What `out` fails with.
pub fn write_record(out: &mut impl Write, context: &EveContext, record: &Record) -> io::Result<()> {
    match record {
        Record::Handshake(record) => line(out, &handshake::tls_line(context, record)),
        Record::Http(record) => line(out, &handshake::http_line(context, record)),
        Record::Flow(record) => line(out, &flow::line(context, record)),
        Record::Finding(record) => line(out, &alert::line(context, record)),
        Record::Session(record) => line(out, &alert::session_line(context, record)),
        Record::Stats(record) => line(out, &stats::line(context, record)),
        _ => Ok(()),
    }
}

fn line(out: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, value).map_err(io::Error::from)?;
    out.write_all(b"\n")
}
