//! Why an interface cannot be read. Knows names and system errors.

use std::io;

use dwell_packet::LinkType;

use crate::FilterError;

/// Why an interface cannot be opened, or cannot be read any further.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LiveError {
    /// There is no interface of that name.
    #[error("{interface}: no such interface")]
    NoSuchInterface {
        /// The name.
        interface: String,
    },
    /// The right to capture is missing.
    #[error("{interface}: not permitted: capturing needs root or the capability CAP_NET_RAW")]
    NotPermitted {
        /// The interface.
        interface: String,
    },
    /// The frames of the interface cannot be decoded.
    #[error("{interface}: {link_type} is not supported")]
    LinkType {
        /// The interface.
        interface: String,
        /// How its frames begin.
        link_type: LinkType,
    },
    /// The operating system refused a step.
    #[error("{interface}: cannot {step}")]
    System {
        /// The interface.
        interface: String,
        /// What was tried.
        step: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// libpcap refused.
    #[error("{interface}: libpcap")]
    Libpcap {
        /// The interface.
        interface: String,
        /// What it says.
        source: pcap::Error,
    },
    /// The filter cannot be used.
    #[error(transparent)]
    Filter(#[from] FilterError),
}

impl LiveError {
    /// What the system said to `step`, told apart where a person can do something about it.
    pub(super) fn system(interface: &str, step: &'static str, source: io::Error) -> Self {
        let interface = interface.to_owned();
        match source.kind() {
            io::ErrorKind::PermissionDenied => Self::NotPermitted { interface },
            _ => Self::System { interface, step, source },
        }
    }
}
