//! IPFIX messages: templates, data records, headers (RFC 7011, section 3). Sends nothing.

use std::net::IpAddr;

use dwell_engine::{FlowRecord, Moment, Record};
use dwell_flow::EndReason;
use dwell_packet::{Endpoint, Timestamp, Transport};

/// The longest message, in bytes: 1,280 (IPv6's least MTU) without IPv6 and UDP headers.
pub(super) const MAX_MESSAGE: usize = 1232;

/// Templates of IPv4 and IPv6 flows.
const IPV4: u16 = 256;
const IPV6: u16 = 257;

/// Information elements (IANA's IPFIX registry): number and length.
const COMMON: [(u16, u16); 9] = [
    (152, 8), // flowStartMilliseconds
    (153, 8), // flowEndMilliseconds
    (7, 2),   // sourceTransportPort
    (11, 2),  // destinationTransportPort
    (1, 8),   // octetDeltaCount
    (2, 8),   // packetDeltaCount
    (4, 1),   // protocolIdentifier
    (136, 1), // flowEndReason
    (148, 8), // flowId
];
const ADDRESSES_V4: [(u16, u16); 2] = [(8, 4), (12, 4)];
const ADDRESSES_V6: [(u16, u16); 2] = [(27, 16), (28, 16)];

/// Data records of a flow's record, each behind the number of its template and its length; `None`
/// for other records and for flows that carried nothing since their last record.
pub(crate) fn encode(flow_base: u64, record: &Record) -> Option<Vec<u8>> {
    let Record::Flow(flow) = record else { return None };
    let tuple = flow.identity.tuple;
    let delta = &flow.delta;
    let mut bytes = Vec::with_capacity(160);
    for (from, to, octets, packets) in [
        (tuple.src, tuple.dst, delta.bytes_out, delta.packets_out),
        (tuple.dst, tuple.src, delta.bytes_in, delta.packets_in),
    ] {
        if packets > 0 {
            data_record(&mut bytes, flow, flow_base, (from, to), (octets, packets));
        }
    }
    (!bytes.is_empty()).then_some(bytes)
}

fn data_record(
    out: &mut Vec<u8>,
    flow: &FlowRecord,
    flow_base: u64,
    (from, to): (Endpoint, Endpoint),
    (octets, packets): (u64, u64),
) {
    let milliseconds = |ts: Timestamp| ts.as_nanos() / 1_000_000;
    let snapshot = &flow.snapshot;
    let mut fields = Vec::with_capacity(80);
    fields.extend_from_slice(&milliseconds(snapshot.first).to_be_bytes());
    fields.extend_from_slice(&milliseconds(snapshot.last).to_be_bytes());
    fields.extend_from_slice(&from.port.to_be_bytes());
    fields.extend_from_slice(&to.port.to_be_bytes());
    fields.extend_from_slice(&octets.to_be_bytes());
    fields.extend_from_slice(&packets.to_be_bytes());
    fields.push(match flow.identity.tuple.transport {
        Transport::Tcp => 6,
        Transport::Udp => 17,
    });
    fields.push(end_reason(flow.moment));
    fields.extend_from_slice(&flow_base.saturating_add(flow.identity.flow).to_be_bytes());
    let template = match (from.addr.to_canonical(), to.addr.to_canonical()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            fields.extend_from_slice(&from.octets());
            fields.extend_from_slice(&to.octets());
            IPV4
        }
        (from, to) => {
            for address in [from, to] {
                let octets = match address {
                    IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
                    IpAddr::V6(address) => address.octets(),
                };
                fields.extend_from_slice(&octets);
            }
            IPV6
        }
    };
    let len = u16::try_from(fields.len()).unwrap_or(0);
    out.extend_from_slice(&template.to_be_bytes());
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(&fields);
}

/// flowEndReason (IANA): idle 1, active 2, end detected 3, forced 4, lack of resources 5.
const fn end_reason(moment: Moment) -> u8 {
    match moment {
        Moment::Start | Moment::Update => 2,
        Moment::End(EndReason::Idle) => 1,
        Moment::End(EndReason::Fin | EndReason::Rst) => 3,
        Moment::End(EndReason::Replaced | EndReason::EndOfCapture) => 4,
        Moment::End(EndReason::Evicted) => 5,
    }
}

/// A message under construction.
#[derive(Debug, Default)]
pub(super) struct Message {
    sets: Vec<u8>,
    /// Template of the set that is open, and where its length stands.
    open: Option<(u16, usize)>,
    records: u32,
}

impl Message {
    /// The message that says how data records are laid out.
    pub(super) fn templates() -> Self {
        let mut set = Vec::new();
        for (template, addresses) in [(IPV4, ADDRESSES_V4), (IPV6, ADDRESSES_V6)] {
            let fields = COMMON.iter().chain(&addresses);
            set.extend_from_slice(&template.to_be_bytes());
            let count = u16::try_from(COMMON.len() + addresses.len()).unwrap_or(0);
            set.extend_from_slice(&count.to_be_bytes());
            for (element, len) in fields {
                set.extend_from_slice(&element.to_be_bytes());
                set.extend_from_slice(&len.to_be_bytes());
            }
        }
        let mut sets = Vec::new();
        // Set 2: templates.
        sets.extend_from_slice(&2u16.to_be_bytes());
        let len = u16::try_from(set.len() + SET_HEADER).unwrap_or(0);
        sets.extend_from_slice(&len.to_be_bytes());
        sets.extend_from_slice(&set);
        Self { sets, open: None, records: 0 }
    }

    /// Takes the data records of one flow in; `false` when they do not fit any more.
    pub(super) fn add(&mut self, item: &[u8]) -> bool {
        let most = MESSAGE_HEADER + self.sets.len() + item.len() + 2 * SET_HEADER;
        if most > MAX_MESSAGE {
            return false;
        }
        let mut rest = item;
        while let Some((head, after)) = rest.split_first_chunk::<4>() {
            let [a, b, c, d] = *head;
            let template = u16::from_be_bytes([a, b]);
            let len = usize::from(u16::from_be_bytes([c, d]));
            let Some((fields, more)) = after.split_at_checked(len) else { return false };
            self.add_record(template, fields);
            rest = more;
        }
        rest.is_empty()
    }

    fn add_record(&mut self, template: u16, fields: &[u8]) {
        let at = match self.open {
            Some((open, at)) if open == template => at,
            _ => {
                self.sets.extend_from_slice(&template.to_be_bytes());
                let at = self.sets.len();
                self.sets.extend_from_slice(&[0, 0]);
                self.open = Some((template, at));
                at
            }
        };
        self.sets.extend_from_slice(fields);
        self.records += 1;
        let len = u16::try_from(self.sets.len() + 2 - at).unwrap_or(0);
        if let Some(place) = self.sets.get_mut(at..at + 2) {
            place.copy_from_slice(&len.to_be_bytes());
        }
    }

    /// Data records in it: what the sequence number counts.
    pub(super) const fn records(&self) -> u32 {
        self.records
    }

    /// The message with its header.
    pub(super) fn finish(self, now: Timestamp, sequence: u32, domain: u32) -> Vec<u8> {
        let seconds = u32::try_from(now.as_nanos() / 1_000_000_000).unwrap_or(u32::MAX);
        let len = u16::try_from(self.sets.len() + MESSAGE_HEADER).unwrap_or(0);
        let mut bytes = Vec::with_capacity(self.sets.len() + MESSAGE_HEADER);
        bytes.extend_from_slice(&10u16.to_be_bytes());
        bytes.extend_from_slice(&len.to_be_bytes());
        bytes.extend_from_slice(&seconds.to_be_bytes());
        bytes.extend_from_slice(&sequence.to_be_bytes());
        bytes.extend_from_slice(&domain.to_be_bytes());
        bytes.extend_from_slice(&self.sets);
        bytes
    }
}

/// Header of a message and of a set, in bytes (RFC 7011, sections 3.1 and 3.3.2).
const MESSAGE_HEADER: usize = 16;
const SET_HEADER: usize = 4;
