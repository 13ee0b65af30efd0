//! What all lines share: envelope and identity.

use std::collections::BTreeMap;
use std::fmt::Display;

use dwell_attribution::{Attribution, Candidate, Contradiction, Destination, HostRef};
use dwell_engine::FlowIdentity;
use dwell_flow::CommunityId;
use dwell_packet::{FiveTuple, Timestamp, Transport};
use serde::{Serialize, Serializer};

use super::process::{Process, User};
use super::value::{Hex64, Ip, Mac, Six, Time};
use super::{EveContext, SCHEMA_VERSION};
use crate::json::{Shown, verbatim};

/// The envelope of every line.
#[derive(Debug, Serialize)]
pub(crate) struct Envelope<'a> {
    timestamp: Time,
    event_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) flow_id: Option<u64>,
    #[serde(skip_serializing_if = "str::is_empty")]
    host: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    in_iface: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pcap_filename: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pcap_cnt: Option<u64>,
    #[serde(skip)]
    flow_base: u64,
    #[serde(rename = "+addresses")]
    addresses: Option<Shown<'a, Addresses>>,
}

/// Addresses, ports and what derives from them.
#[derive(Debug, Serialize)]
pub(crate) struct Addresses {
    src_ip: Ip,
    src_port: u16,
    dest_ip: Ip,
    dest_port: u16,
    proto: &'static str,
    community_id: Community,
    pkt_src: &'static str,
}

impl<'a> Envelope<'a> {
    pub(crate) fn new(context: &'a EveContext, event_type: &'static str, ts: Timestamp) -> Self {
        Self {
            timestamp: Time(ts),
            event_type,
            flow_id: None,
            host: &context.sensor,
            in_iface: context.in_iface.as_deref(),
            pcap_filename: context.pcap_filename.as_deref(),
            pcap_cnt: None,
            flow_base: context.flow_base,
            addresses: None,
        }
    }

    pub(crate) fn of_flow(mut self, identity: &FlowIdentity, known: Option<Known<'a>>) -> Self {
        self.flow_id = Some(self.flow_base.saturating_add(identity.flow));
        self.addresses = Some(match known {
            Some(known) => Shown::Ready(known.addresses),
            None => Shown::Listed(Addresses::new(&identity.tuple, identity.community)),
        });
        self
    }

    /// With addresses that are no one flow's.
    pub(crate) fn of_addresses(mut self, addresses: Addresses) -> Self {
        self.addresses = Some(Shown::Listed(addresses));
        self
    }

    /// With the number of the frame within its capture file, if it is from one.
    pub(crate) fn at_frame(mut self, frame: u64) -> Self {
        self.pcap_cnt = self.pcap_filename.is_some().then_some(frame);
        self
    }
}

impl Addresses {
    pub(crate) fn new(tuple: &FiveTuple, community: CommunityId) -> Self {
        Self {
            src_ip: Ip(tuple.src.addr),
            src_port: tuple.src.port,
            dest_ip: Ip(tuple.dst.addr),
            dest_port: tuple.dst.port,
            proto: match tuple.transport {
                Transport::Tcp => "TCP",
                Transport::Udp => "UDP",
            },
            community_id: Community(community),
            pkt_src: "wire/pcap",
        }
    }
}

/// A Community ID as text.
#[derive(Debug)]
struct Community(CommunityId);

impl Serialize for Community {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut quoted = [b'"'; CommunityId::LEN + 2];
        if let Some(inner) = quoted.get_mut(1..=CommunityId::LEN) {
            inner.copy_from_slice(self.0.as_bytes());
        }
        verbatim(&quoted, serializer)
    }
}

/// What lines of one flow have in common, as text: members of objects, with commas between.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known<'t> {
    /// Those of [`Addresses`].
    pub(crate) addresses: &'t [u8],
    /// Those of [`Who`].
    pub(crate) who: &'t [u8],
}

/// The `dwell` object of a line about a flow; other members are flattened in.
#[derive(Debug, Serialize)]
pub(crate) struct Dwell<'a, T> {
    schema: u32,
    #[serde(rename = "+who")]
    who: Shown<'a, Who<'a>>,
    #[serde(rename = "+more")]
    more: T,
}

/// Who talks, and where to.
#[derive(Debug, Serialize)]
pub(crate) struct Who<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    session_id: Option<Hex64>,
    host: Host<'a>,
    app: App<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<User<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    process: Option<Process<'a>>,
    dest: Dest<'a>,
}

impl<'a, T> Dwell<'a, T> {
    pub(crate) fn new(identity: &'a FlowIdentity, known: Option<Known<'a>>, more: T) -> Self {
        let who = match known {
            Some(known) => Shown::Ready(known.who),
            None => Shown::Listed(Who::new(identity)),
        };
        Self { schema: SCHEMA_VERSION, who, more }
    }
}

impl<'a> Who<'a> {
    pub(crate) fn new(identity: &'a FlowIdentity) -> Self {
        Self {
            session_id: identity.session.map(|id| Hex64(id.0)),
            host: Host::new(&identity.host),
            app: App::new(&identity.application),
            user: User::of(&identity.application),
            process: Process::of(&identity.application),
            dest: Dest::new(&identity.destination),
        }
    }
}

/// A host.
#[derive(Debug, Serialize)]
pub(crate) struct Host<'a> {
    key: Ip,
    ip: Ip,
    #[serde(skip_serializing_if = "Option::is_none")]
    mac: Option<Mac>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    os: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    os_source: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name_source: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<&'a str>,
    #[serde(skip_serializing_if = "<[std::sync::Arc<str>]>::is_empty", serialize_with = "texts")]
    tags: &'a [std::sync::Arc<str>],
    #[serde(skip_serializing_if = "Option::is_none")]
    suspected: Option<&'static str>,
}

/// Texts as a list.
fn texts<S: Serializer>(texts: &[std::sync::Arc<str>], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(texts.iter().map(|text| &**text))
}

impl<'a> Host<'a> {
    pub(crate) fn new(host: &'a HostRef) -> Self {
        Self {
            key: Ip(host.id.0),
            ip: Ip(host.addr),
            mac: host.mac.map(Mac),
            name: host.name.as_deref(),
            os: host.os.map(|guess| guess.os.label()),
            os_source: host.os_source.map(dwell_attribution::OsSource::name),
            name_source: host.name_source.map(dwell_attribution::HostNameSource::name),
            owner: host.user.as_deref(),
            tags: &host.tags,
            suspected: host.suspected.map(dwell_attribution::Suspicion::name),
        }
    }
}

/// An application.
#[derive(Debug, Serialize)]
pub(crate) struct App<'a> {
    name: &'a str,
    outcome: &'static str,
    category: &'static str,
    confidence: Six,
    source: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stack: Option<&'a str>,
    #[serde(skip_serializing_if = "<[Candidate]>::is_empty", serialize_with = "names")]
    candidates: &'a [Candidate],
    #[serde(skip_serializing_if = "<[Contradiction]>::is_empty", serialize_with = "sentences")]
    contradictions: &'a [Contradiction],
}

impl<'a> App<'a> {
    pub(crate) fn new(app: &'a Attribution) -> Self {
        Self {
            name: &app.application,
            outcome: app.outcome.name(),
            category: app.category.name(),
            confidence: Six(app.confidence),
            source: app.level.name(),
            rule: app.rule.as_deref(),
            stack: app.stack.as_deref(),
            candidates: &app.candidates,
            contradictions: &app.contradictions,
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

/// Serialises candidates as a list of their names.
fn names<S: Serializer>(candidates: &[Candidate], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(candidates.iter().map(|candidate| &*candidate.application))
}

/// Serialises what has a text as a list of texts.
fn sentences<S: Serializer, T: Display>(items: &[T], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(items.iter().map(ToString::to_string))
}

/// Metadata as EVE writes it: each value a list.
pub(crate) type Metadata = BTreeMap<&'static str, Vec<String>>;
