//! Where packets come from.
//!
//! Knows capture files (pcap and pcapng, plain or compressed) and interfaces. It does not look into frames: what
//! is in them is `dwell-packet`'s business.

mod chunk;
mod compression;
mod error;
mod file;
mod filter;
mod live;
mod mapping;
mod pcap;
mod pcapng;
mod record;
mod stripes;
mod window;

pub use chunk::Chunk;
pub use compression::Compression;
pub use error::{CaptureError, Place};
pub use file::{FileKind, FileSource};
pub use filter::{Filter, FilterError};
pub use live::{
    Backend, Fanout, Interface, InterfaceState, KernelCounters, LiveConfig, LiveError, LiveSet,
    LiveSource, MIN_RING_BYTES, NicCounters, Offloads, Outgoing, Promiscuous, RETIRE, Run,
    TimestampSource, interface_name, interface_state, interfaces, nic_counters, offloads,
};
