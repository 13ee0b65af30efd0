//! What one line of telemetry says. Joins nothing.

use std::sync::Arc;

use dwell_packet::{Endpoint, Timestamp, Transport};

use super::process::{ProcessFacts, TelemetrySource};

/// One thing that a host told of its processes.
#[derive(Clone, Debug, PartialEq)]
pub struct Observation {
    /// The host by the name it goes by in its tool, normalised; `None` where the tool has none.
    pub machine: Option<Arc<str>>,
    /// When, by the host's clock.
    pub at: When,
    /// Who tells.
    pub source: TelemetrySource,
    /// What.
    pub seen: Seen,
}

/// When something was seen, as far as the line tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// At this time.
    At(Timestamp),
    /// At this time of some day, in nanoseconds since midnight.
    TimeOfDay(u64),
    /// At some time.
    Unknown,
}

/// What was seen.
#[derive(Clone, Debug, PartialEq)]
pub enum Seen {
    /// A process holds a socket.
    Socket(Box<SocketSighting>),
    /// A process exists.
    Process(Box<ProcessFacts>),
}

/// A process holds a socket.
#[derive(Clone, Debug, PartialEq)]
pub struct SocketSighting {
    /// Which socket.
    pub socket: SocketName,
    /// TCP or UDP, where the source tells.
    pub transport: Option<Transport>,
    /// Since when, where the source tells.
    pub since: Option<Timestamp>,
    /// The process.
    pub process: ProcessFacts,
}

/// What names a socket.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SocketName {
    /// The host's and the other end.
    Endpoints {
        /// The host's.
        local: Endpoint,
        /// The other.
        remote: Endpoint,
    },
    /// The flow's Community ID, version 1.
    CommunityId(Arc<str>),
    /// Ports, where the source hides the addresses.
    Ports {
        /// The host's.
        local: u16,
        /// The other's.
        remote: u16,
    },
}

impl SocketName {
    /// A socket by its two ends, addresses in their plain form; `None` if one end is open.
    #[must_use]
    pub fn of_ends(local: Endpoint, remote: Endpoint) -> Option<Self> {
        let plain = |end: Endpoint| Endpoint { addr: end.addr.to_canonical(), port: end.port };
        let (local, remote) = (plain(local), plain(remote));
        let open = |end: Endpoint| end.addr.is_unspecified() || end.port == 0;
        (!open(local) && !open(remote)).then_some(Self::Endpoints { local, remote })
    }
}

/// A machine's name as all its tools can agree on: the first label, lower case, letters and digits.
#[must_use]
pub(crate) fn machine(name: &str) -> Option<Arc<str>> {
    let first = name.split('.').next().unwrap_or_default();
    let plain: String = first
        .bytes()
        .filter(u8::is_ascii_alphanumeric)
        .take(MAX_MACHINE)
        .map(|byte| char::from(byte.to_ascii_lowercase()))
        .collect();
    (!plain.is_empty()).then(|| plain.into())
}

/// Longest machine name kept (RFC 1035: a label), in bytes.
const MAX_MACHINE: usize = 63;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tools_that_write_a_name_differently_mean_one_machine() {
        let names = ["mac-042", "mac-042.local", "mac042", "MAC-042.corp.example"];
        for name in names {
            assert_eq!(machine(name).as_deref(), Some("mac042"));
        }
        assert_eq!(machine("..."), None);
    }

    #[test]
    fn a_mapped_address_is_its_plain_form_and_an_open_end_is_no_socket() {
        let end = |addr: &str, port| Endpoint { addr: addr.parse().unwrap(), port };
        let plain = SocketName::of_ends(end("10.0.0.2", 5), end("10.0.0.1", 443));
        assert_eq!(SocketName::of_ends(end("::ffff:10.0.0.2", 5), end("10.0.0.1", 443)), plain);
        assert_eq!(SocketName::of_ends(end("0.0.0.0", 5), end("10.0.0.1", 443)), None);
        assert_eq!(SocketName::of_ends(end("10.0.0.2", 0), end("10.0.0.1", 443)), None);
    }
}
