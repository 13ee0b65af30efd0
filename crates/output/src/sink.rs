//! Where records go: files, syslog, webhooks, collectors.
//!
//! Each sink has a thread, a bounded queue in front of it and counters of what it wrote and dropped.
//! Nobody who hands a record over ever waits. When a queue is full, findings outlive updates.

mod file;
mod ipfix;
mod queue;
mod stream;
mod syslog;
mod webhook;
mod worker;

use std::sync::Arc;
use std::time::Duration;

use dwell_engine::Record;
use dwell_packet::Timestamp;

use crate::{EveContext, SinkError};

pub use file::{Compress, FileConfig, FileSink, Rotation, ends_with_line};
pub use ipfix::{IpfixConfig, IpfixSink, IpfixTransport};
pub use queue::{Item, Queue};
pub use stream::StreamSink;
pub use syslog::{SyslogConfig, SyslogSink, SyslogTransport};
pub use webhook::{WebhookConfig, WebhookSink};
pub use worker::{Complain, RunningSink, SinkLimits};

/// The machine's clock: sinks rotate and stamp by it, whatever time the packets are from.
pub type Clock = fn() -> Timestamp;

/// The form in which a sink writes records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Format {
    /// JSON lines in the shape of Suricata's EVE.
    #[default]
    Eve,
    /// JSON lines of the Elastic Common Schema.
    Ecs,
    /// JSON lines of the Open Cybersecurity Schema Framework.
    Ocsf,
    /// IPFIX data records.
    Ipfix,
}

impl Format {
    /// Every form.
    pub const ALL: [Self; 4] = [Self::Eve, Self::Ecs, Self::Ocsf, Self::Ipfix];

    /// The name in configurations and databases.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Eve => "eve",
            Self::Ecs => "ecs",
            Self::Ocsf => "ocsf",
            Self::Ipfix => "ipfix",
        }
    }
}

/// A record in the form of a sink, without a line end; `None` where the form has no room for it.
#[must_use]
pub fn encode(format: Format, context: &EveContext, record: &Record) -> Option<Vec<u8>> {
    match format {
        Format::Ecs => serde_json::to_vec(&crate::ecs::document(context, record)?).ok(),
        Format::Ocsf => serde_json::to_vec(&crate::ocsf::event(context, record)?).ok(),
        Format::Ipfix => ipfix::encode(context.flow_base, record),
        Format::Eve => {
            let mut line = Vec::with_capacity(LINE_BYTES);
            crate::write_record(&mut line, context, record).ok()?;
            line.pop();
            (!line.is_empty()).then_some(line)
        }
    }
}

/// What an ordinary line takes, in bytes.
const LINE_BYTES: usize = 1024;

/// The kind of a record: EVE's `event_type`.
#[must_use]
pub fn kind_of(record: &Record) -> &'static str {
    match record {
        Record::Handshake(record) => match record.hello.handshake {
            dwell_proto::Handshake::Quic => "quic",
            dwell_proto::Handshake::Tls | dwell_proto::Handshake::Dtls => "tls",
        },
        Record::Http(_) => "http",
        Record::Flow(_) => "flow",
        Record::Session(_) => "session",
        Record::Finding(_) => "alert",
        Record::Stats(_) => "stats",
        _ => "other",
    }
}

/// Why a sink could not write.
#[derive(Debug)]
pub struct Failure {
    /// Which kind of error.
    pub error: SinkError,
    /// What happened, for the log.
    pub message: String,
    /// Whether to try the same records again.
    pub again: Again,
    /// How many of the records were written before it happened.
    pub written: usize,
}

/// Whether a sink that failed should try the same records again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// After the usual pause.
    Soon,
    /// Not before this time is over: the far side asked for it.
    After(Duration),
    /// Never: the record that comes next is refused for good.
    Never,
}

impl Failure {
    /// A failure of the system, to be tried again.
    #[must_use]
    pub fn of_io(error: &std::io::Error, what: &str) -> Self {
        use std::io::ErrorKind as Kind;
        let kind = match error.kind() {
            Kind::StorageFull | Kind::QuotaExceeded | Kind::FileTooLarge => SinkError::DiskFull,
            Kind::TimedOut | Kind::WouldBlock => SinkError::Timeout,
            Kind::ConnectionRefused
            | Kind::ConnectionReset
            | Kind::ConnectionAborted
            | Kind::NotConnected
            | Kind::BrokenPipe
            | Kind::HostUnreachable
            | Kind::NetworkUnreachable
            | Kind::AddrNotAvailable
            | Kind::UnexpectedEof => SinkError::Unreachable,
            Kind::InvalidData => SinkError::Rejected,
            _ => SinkError::Other,
        };
        let message = format!("{what}: {error}");
        Self { error: kind, message, again: Again::Soon, written: 0 }
    }
}

/// What writes records somewhere. Called by one thread.
pub trait Sink: Send {
    /// Writes records in their order.
    ///
    /// # Errors
    /// Says how many were written before the failure, and whether to try again.
    fn write(&mut self, items: &[Arc<Item>]) -> Result<(), Failure>;

    /// Does what is due by time: rotation, flushing. Called at least once a second.
    ///
    /// # Errors
    /// As for `write`.
    fn tick(&mut self) -> Result<(), Failure> {
        Ok(())
    }

    /// Opens its file again, if it has one: somebody moved it.
    ///
    /// # Errors
    /// As for `write`.
    fn reopen(&mut self) -> Result<(), Failure> {
        Ok(())
    }
}
