//! Records as text, the sinks that take them, and the sensor's metrics.
//!
//! Knows the domain types and changes none of them to suit a format.

mod coverage;
mod ecs;
mod escape;
mod eve;
mod fingerprint;
mod json;
mod metrics;
mod ocsf;
mod sink;

pub use coverage::{Coverage, HostCoverage, Seen};
pub use escape::{MAX_TEXT, clipped, printable};
pub(crate) use eve::eve_time;
pub use eve::{EveContext, EveLines, SCHEMA_VERSION, append_record, write_record};
pub use fingerprint::{FingerprintRow, transport};
pub use metrics::{
    BuildInfo, CaptureFigures, EngineFigures, EvidenceFigures, InterfaceChange,
    METRICS_CONTENT_TYPE, Metrics, RecordTally, SinkDrop, SinkError, SinkFigures, SinkMetrics,
    StateMetrics,
};
pub use sink::{
    Again, Clock, Complain, Compress, Failure, FileConfig, FileSink, Format, IpfixConfig,
    IpfixSink, IpfixTransport, Item, Queue, Rotation, RunningSink, Sink, SinkLimits, StreamSink,
    SyslogConfig, SyslogSink, SyslogTransport, WebhookConfig, WebhookSink, encode, ends_with_line,
    kind_of,
};
