//! Labelled flows as JSON lines: our own form, and dwell's own records with a process joined to
//! them. Knows no files.

use serde::Deserialize;
use serde_json::Value;

use super::Observation;

/// One labelled flow of a JSON line.
///
/// The form: `{"application": "Slack", "ja4": "t13d…", "ja4_stable": "t13d…", "ja3": "…",
/// "server_name": "wss.slack.com", "flows": 12}`. `application` is needed, and one of the
/// fingerprints or the name; `flows` is 1 where it is absent; other keys are refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelledFlow {
    /// The application.
    pub application: String,
    /// JA4.
    pub ja4: Option<String>,
    /// JA4 without the extensions that come and go with resumption.
    pub ja4_stable: Option<String>,
    /// JA3.
    pub ja3: Option<String>,
    /// Where it went.
    pub server_name: Option<String>,
    /// How many flows like it.
    #[serde(default = "one")]
    pub flows: u64,
}

/// Why a line cannot be learned from.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FlowLineError {
    /// It is not a labelled flow.
    #[error("{0}")]
    Form(String),
    /// It is longer than a line of a flow can be.
    #[error("line of {0} bytes, more than {MAX_LINE_BYTES}")]
    Long(usize),
}

impl LabelledFlow {
    /// The flow as an observation.
    #[must_use]
    pub fn observation(&self) -> Observation<'_> {
        Observation {
            application: &self.application,
            ja4: self.ja4.as_deref(),
            stable: self.ja4_stable.as_deref(),
            ja3: self.ja3.as_deref(),
            server_name: self.server_name.as_deref(),
            flows: self.flows,
        }
    }
}

/// The labelled flow of one line: our own form, or a `tls` or `quic` record of dwell that names
/// the process or application by endpoint telemetry. `None` for other records, and for flows that
/// no telemetry was joined to.
///
/// # Errors
/// A line that is no JSON object, or one in our own form with a key that is unknown, missing or of
/// the wrong type.
pub fn read_flow_line(line: &str) -> Result<Option<LabelledFlow>, FlowLineError> {
    if line.len() > MAX_LINE_BYTES {
        return Err(FlowLineError::Long(line.len()));
    }
    let form = |error: serde_json::Error| FlowLineError::Form(error.to_string());
    let value: Value = serde_json::from_str(line).map_err(form)?;
    if value.get("event_type").is_some() {
        return Ok(of_record(&value));
    }
    serde_json::from_value(value).map(Some).map_err(form)
}

/// The flow of a `tls` or `quic` record.
fn of_record(record: &Value) -> Option<LabelledFlow> {
    let text = |pointer: &str| record.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let kind = text("/event_type")?;
    record.pointer("/dwell/process")?;
    let by_endpoint = text("/dwell/app/source").as_deref() == Some("endpoint");
    let application = by_endpoint.then(|| text("/dwell/app/name")).flatten();
    let application = application.or_else(|| LABELS.iter().find_map(|pointer| text(pointer)))?;
    let field = |name: &str| text(&format!("/{kind}/{name}"));
    Some(LabelledFlow {
        application,
        ja4: field("ja4"),
        ja4_stable: text("/dwell/ja4_stable"),
        ja3: field("ja3/hash"),
        server_name: field("sni"),
        flows: 1,
    })
    .filter(|flow| flow.ja4.is_some() || flow.ja3.is_some())
}

/// Where telemetry's word on the program stands in a record, the best first: on whose behalf a
/// helper acts is what counts.
const LABELS: [&str; 2] = ["/dwell/process/effective/name", "/dwell/process/name"];

const fn one() -> u64 {
    1
}

/// Longest line read: a record with every field filled is under 8 KiB.
const MAX_LINE_BYTES: usize = 64 * 1024;
