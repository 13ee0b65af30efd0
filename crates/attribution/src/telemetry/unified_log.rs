//! macOS unified log as ndjson (`log stream --style ndjson`): connection summaries of
//! `com.apple.network`, and the process that every line names.

use std::sync::Arc;

use serde_json::Value;

use super::clock;
use super::json::{Fault, name, needed, small, text};
use super::notes::Notes;
use super::observation::{SocketName, When};
use super::process::{ProcessFacts, label};
use super::sockets;
use dwell_packet::Transport;

/// Takes a line: its process, and the connection that it sums up, if it does.
pub(crate) fn read(line: &Value, notes: &mut Notes<'_>) -> Result<(), Fault> {
    if let Some(time) = text(line, "timestamp") {
        let time = clock::date_time(time)
            .ok_or_else(|| Fault::key("timestamp", "a date and time is needed"))?;
        notes.at = When::At(time);
    }
    if text(line, "eventType").is_some_and(|kind| kind != "logEvent") {
        return Ok(());
    }
    let mut process = ProcessFacts {
        path: name(line, "processImagePath"),
        uid: small(line, "userID").unwrap_or_default(),
        ..ProcessFacts::of_pid(needed(line, "processID")?)
    };
    if text(line, "subsystem") == Some("com.apple.network")
        && let Some(message) = text(line, "eventMessage")
        && let Some(summary) = Summary::of(message)
    {
        let owner = summary.pid.filter(|&pid| pid != process.pid);
        let bundle = summary.bundle.and_then(|bundle| label(bundle.as_bytes()));
        match owner {
            // A connection made for another process: that one counts.
            Some(pid) => {
                let effective = ProcessFacts { signing_id: bundle, ..ProcessFacts::of_pid(pid) };
                process.effective = Some(Arc::new(effective));
            }
            None => process.signing_id = bundle,
        }
        notes.socket((summary.socket, summary.transport), None, process.clone());
    }
    notes.process(process);
    Ok(())
}

/// A connection as libnetwork sums it up when it ends.
struct Summary<'m> {
    socket: SocketName,
    transport: Option<Transport>,
    bundle: Option<&'m str>,
    pid: Option<u32>,
}

impl<'m> Summary<'m> {
    /// From a message such as `[C1 … host:443 tcp, tls, bundle id: com.x, pid: 7, …] …
    /// [C1.1 … 10.0.0.2.5000<->10.0.0.1:443] …`.
    fn of(message: &'m str) -> Option<Self> {
        let pair =
            message.split([' ', '\n', '\t', ',', '[', ']']).find(|word| word.contains("<->"));
        let socket = sockets::name(sockets::pair(pair?)?)?;
        let head = message.split(']').next().unwrap_or(message);
        let after = |key: &str| {
            let value = head.split_once(key)?.1.split(',').next()?.trim();
            (!value.is_empty() && !value.starts_with('<')).then_some(value)
        };
        let words = || head.split([' ', ',']);
        let transport = if words().any(|word| word == "tcp") {
            Some(Transport::Tcp)
        } else if words().any(|word| word == "udp" || word == "quic") {
            Some(Transport::Udp)
        } else {
            None
        };
        let pid = after("pid: ").and_then(|pid| pid.parse().ok());
        Some(Self { socket, transport, bundle: after("bundle id: "), pid })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_with_hidden_addresses_goes_by_its_ports() {
        let message = "[C7 87A66EBD <private>:443 quic, bundle id: <private>, pid: 99] cancelled\n\
                       \t[C7.1 94D13C38 10.0.0.2.5000<->IPv4#3f2a1b:443]\n\tDuration: 1.8s";
        let summary = Summary::of(message).unwrap();
        assert_eq!(summary.socket, SocketName::Ports { local: 5000, remote: 443 });
        assert_eq!(summary.transport, Some(Transport::Udp));
        assert_eq!((summary.bundle, summary.pid), (None, Some(99)));
    }

    #[test]
    fn a_message_without_connection_sums_up_none() {
        assert!(Summary::of("[C7 host:443 tcp] start").is_none());
        assert!(Summary::of("a<->b").is_none());
    }
}
