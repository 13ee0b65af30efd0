//! Endpoint telemetry: which process on a host holds which socket, told by the host itself.
//!
//! Readers turn lines of a dozen tools into [`Observation`]s; [`Telemetry`] joins them with flows.
//! It reads no file, no socket and no clock: lines come in as bytes, time is the packets'.

mod agreement;
mod clock;
mod eslogger;
mod feed;
mod json;
mod lsof;
mod machines;
mod nettop;
mod notes;
mod observation;
mod osquery;
mod plain;
mod process;
mod reader;
mod santa;
mod sightings;
mod sockets;
mod table;
mod unified_log;
mod zeek_agent;

pub use agreement::{Agreement, WireView, with_process};
pub use clock::date_time;
pub use feed::{FeedCounters, Give, TelemetryFeed, TelemetryInput};
pub use observation::{Observation, Seen, SocketName, SocketSighting, When};
pub use process::{Join, ProcessFacts, ProcessIdentity, TelemetrySource};
pub use reader::{TelemetryError, TelemetryKind, TelemetryReader};
pub use table::{FlowView, Found, Telemetry, TelemetryConfig, TelemetryCounters};
