//! What is what in a capture: the truth that a detector must not read. Knows plans, not packets.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::Ipv4Addr;

use dwell_packet::{MacAddress, Timestamp};

use super::cast::{END, IMPLANT, Mac, START};
use super::plan::{Application, Flow};
use super::play::Outside;
use super::{Office, implant};

/// One host's use of one server by one application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelledSession {
    /// The host's name.
    pub host: String,
    /// The host's address.
    pub address: Ipv4Addr,
    /// The host's MAC address.
    pub mac: MacAddress,
    /// The application, by our own name for it.
    pub application: &'static str,
    /// The capture in `pcaps/` whose hello it sends.
    pub hello_of: &'static str,
    /// The server's name.
    pub server_name: String,
    /// The server's address.
    pub server: Ipv4Addr,
    /// The server's port.
    pub port: u16,
    /// When its first connection opens.
    pub first: Timestamp,
    /// When its last connection ends, or the capture.
    pub last: Timestamp,
    /// The client ports of its connections, in the order in which they open.
    pub client_ports: Vec<u16>,
    /// Whether it is the one that does not belong.
    pub unexpected: bool,
}

/// Sessions being gathered from flows.
#[derive(Default)]
pub(super) struct Labels {
    sessions: BTreeMap<(String, String, Application), LabelledSession>,
}

impl Labels {
    pub(super) fn add(&mut self, mac: &Mac, flow: &Flow, client_port: Option<u16>) {
        let key = (mac.name.clone(), flow.server_name.clone(), flow.application);
        let session = self.sessions.entry(key).or_insert_with(|| LabelledSession {
            host: mac.name.clone(),
            address: mac.address,
            mac: mac.mac,
            application: flow.application.name,
            hello_of: flow.application.client.capture_name(),
            server_name: flow.server_name.clone(),
            server: Ipv4Addr::UNSPECIFIED,
            port: flow.port,
            first: flow.opens,
            last: flow.opens,
            client_ports: Vec::new(),
            unexpected: flow.application == IMPLANT,
        });
        session.last = session.last.max(flow.ends.min(END));
        session.client_ports.extend(client_port);
    }

    pub(super) fn into_sessions(self, outside: &mut Outside) -> Vec<LabelledSession> {
        let mut sessions: Vec<LabelledSession> = self.sessions.into_values().collect();
        for session in &mut sessions {
            session.server = outside.address(&session.server_name);
        }
        sessions
    }
}

impl Office {
    /// The labels as JSON: times in seconds since the epoch, one session a line.
    ///
    /// Every string is one of our own names, which need no escaping.
    #[must_use]
    pub fn labels_json(&self) -> String {
        let mut json = format!(
            "{{\n \"format\": \"dwell-office/1\",\n \"seed\": {},\n \"start\": {},\n \"end\": {},\n \
             \"note\": \"the session with unexpected = true is to be found, and no other\",\n \
             \"unexpected_server_name\": \"{}\",\n \"sessions\": [",
            self.seed,
            seconds_of(START),
            seconds_of(END),
            implant::SERVER_NAME,
        );
        for (session, separator) in
            self.sessions.iter().zip([""].into_iter().chain(std::iter::repeat(",")))
        {
            // Writing to a string cannot fail.
            let _ = write!(json, "{separator}\n  {}", session.json());
        }
        json.push_str("\n ]\n}\n");
        json
    }
}

impl LabelledSession {
    fn json(&self) -> String {
        let ports: Vec<String> = self.client_ports.iter().map(u16::to_string).collect();
        format!(
            "{{\"host\": \"{}\", \"ip\": \"{}\", \"mac\": \"{}\", \"application\": \"{}\", \
             \"hello_of\": \"{}\", \"server_name\": \"{}\", \"server_ip\": \"{}\", \"port\": {}, \
             \"first\": {}, \"last\": {}, \"unexpected\": {}, \"client_ports\": [{}]}}",
            self.host,
            self.address,
            self.mac,
            self.application,
            self.hello_of,
            self.server_name,
            self.server,
            self.port,
            seconds_of(self.first),
            seconds_of(self.last),
            self.unexpected,
            ports.join(", "),
        )
    }
}

/// Whole seconds since the epoch.
fn seconds_of(at: Timestamp) -> u64 {
    at.as_nanos() / 1_000_000_000
}
