//! What all lines share: envelope, identity, time and number formats.

use std::collections::BTreeMap;
use std::net::IpAddr;

use dwell_attribution::{Attribution, Destination, HostRef};
use dwell_engine::FlowIdentity;
use dwell_flow::community_id;
use dwell_packet::{FiveTuple, Timestamp, Transport};
use serde::Serialize;

use super::{EveContext, SCHEMA_VERSION};

/// The envelope of every line.
#[derive(Debug, Serialize)]
pub(crate) struct Envelope<'a> {
    pub(crate) timestamp: String,
    pub(crate) event_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) flow_id: Option<u64>,
    #[serde(skip_serializing_if = "str::is_empty")]
    host: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pcap_filename: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pcap_cnt: Option<u64>,
    #[serde(flatten)]
    pub(crate) addresses: Option<Addresses>,
}

/// Addresses, ports and what derives from them.
#[derive(Debug, Serialize)]
pub(crate) struct Addresses {
    src_ip: IpAddr,
    src_port: u16,
    dest_ip: IpAddr,
    dest_port: u16,
    proto: &'static str,
    community_id: String,
    pkt_src: &'static str,
}

impl<'a> Envelope<'a> {
    pub(crate) fn new(context: &'a EveContext, event_type: &'static str, ts: Timestamp) -> Self {
        Self {
            timestamp: time(ts),
            event_type,
            flow_id: None,
            host: &context.sensor,
            pcap_filename: context.pcap_filename.as_deref(),
            pcap_cnt: None,
            addresses: None,
        }
    }

    pub(crate) fn of_flow(mut self, identity: &FlowIdentity) -> Self {
        self.flow_id = Some(identity.flow);
        self.addresses = Some(Addresses::new(&identity.tuple));
        self
    }
}

impl Addresses {
    pub(crate) fn new(tuple: &FiveTuple) -> Self {
        Self {
            src_ip: tuple.src.addr,
            src_port: tuple.src.port,
            dest_ip: tuple.dst.addr,
            dest_port: tuple.dst.port,
            proto: match tuple.transport {
                Transport::Tcp => "TCP",
                Transport::Udp => "UDP",
            },
            community_id: community_id(tuple),
            pkt_src: "wire/pcap",
        }
    }
}

/// The `dwell` object of a line about a flow; other members are flattened in.
#[derive(Debug, Serialize)]
pub(crate) struct Dwell<'a, T> {
    schema: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_id: Option<String>,
    host: Host,
    app: App<'a>,
    dest: Dest<'a>,
    #[serde(flatten)]
    more: T,
}

impl<'a, T> Dwell<'a, T> {
    pub(crate) fn new(identity: &'a FlowIdentity, more: T) -> Self {
        Self {
            schema: SCHEMA_VERSION,
            session_id: identity.session.map(|id| id.to_string()),
            host: Host::new(&identity.host),
            app: App::new(&identity.application),
            dest: Dest::new(&identity.destination),
            more,
        }
    }
}

/// A host.
#[derive(Debug, Serialize)]
pub(crate) struct Host {
    key: String,
    ip: IpAddr,
    #[serde(skip_serializing_if = "Option::is_none")]
    mac: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    os: Option<&'static str>,
}

impl Host {
    pub(crate) fn new(host: &HostRef) -> Self {
        Self {
            key: host.id.0.to_string(),
            ip: host.addr,
            mac: host.mac.map(|mac| mac.to_string()),
            name: host.name.as_ref().map(ToString::to_string),
            os: host.os.map(|guess| guess.os.label()),
        }
    }
}

/// An application.
#[derive(Debug, Serialize)]
pub(crate) struct App<'a> {
    name: &'a str,
    outcome: &'static str,
    category: &'static str,
    confidence: f64,
    source: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stack: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    candidates: Vec<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    contradictions: Vec<String>,
}

impl<'a> App<'a> {
    pub(crate) fn new(app: &'a Attribution) -> Self {
        Self {
            name: &app.application,
            outcome: app.outcome.name(),
            category: app.category.name(),
            confidence: six(app.confidence),
            source: app.level.name(),
            rule: app.rule.as_deref(),
            stack: app.stack.as_deref(),
            candidates: app.candidates.iter().map(|candidate| &*candidate.application).collect(),
            contradictions: app.contradictions.iter().map(ToString::to_string).collect(),
        }
    }
}

/// A destination.
#[derive(Debug, Serialize)]
pub(crate) struct Dest<'a> {
    group: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    name_source: &'static str,
}

impl<'a> Dest<'a> {
    pub(crate) fn new(destination: &'a Destination) -> Self {
        Self {
            group: &destination.group,
            name: destination.name.as_deref(),
            name_source: destination.source.name(),
        }
    }
}

/// RFC 3339 with microseconds and EVE's `+0000`.
pub(crate) fn time(ts: Timestamp) -> String {
    let nanos = i128::from(ts.as_nanos());
    match jiff::Timestamp::from_nanosecond(nanos) {
        Ok(time) => time.strftime("%Y-%m-%dT%H:%M:%S.%6f+0000").to_string(),
        Err(_) => format!("{ts}"),
    }
}

/// Six decimals, so that no line reads 3.5864000000000003.
pub(crate) fn six(value: f64) -> f64 {
    if value.is_finite() { (value * 1e6).round() / 1e6 } else { 0.0 }
}

/// Metadata as EVE writes it: each value a list.
pub(crate) type Metadata = BTreeMap<&'static str, Vec<String>>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_utc_with_microseconds() {
        assert_eq!(time(Timestamp::from_parts(0, 1_999)), "1970-01-01T00:00:00.000001+0000");
        let day = Timestamp::from_parts(1_793_608_200, 0);
        assert_eq!(time(day), "2026-11-02T08:30:00.000000+0000");
        assert!(time(Timestamp::MAX).starts_with("2554-07-21T"));
    }

    #[test]
    fn numbers_have_at_most_six_decimals() {
        assert_eq!(serde_json::to_string(&six(3.586_400_000_000_000_3)).unwrap(), "3.5864");
        assert_eq!(six(f64::NAN), 0.0);
    }
}
