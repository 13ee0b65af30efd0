//! Where packets come from.
//!
//! Knows capture files: pcap and pcapng, plain or compressed. It does not look into frames: what
//! is in them is `dwell-packet`'s business.

mod compression;
mod error;
mod file;
mod filter;
mod pcap;
mod pcapng;
mod record;
mod window;

pub use compression::Compression;
pub use error::{CaptureError, Place};
pub use file::{FileKind, FileSource};
pub use filter::{Filter, FilterError};
