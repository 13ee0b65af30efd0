//! Packets on their way from the intake to the shards, each shard's in a list of its own, and the
//! shards' events on their way to the analytics. Looks into neither.

use dwell_flow::Lookup;
use dwell_packet::{
    Encapsulation, FiveTuple, Heading, IpFacts, LinkAddresses, Pdu, Process, Processes, TcpHeader,
    Timestamp, TransportHeader,
};

use crate::event::Event;
use crate::intake::{Second, Taken};

/// Some consecutive packets of a capture, and what came of them.
#[derive(Debug)]
pub struct Batch {
    /// One for each shard.
    pub parts: Vec<Part>,
    /// What all parts refer to.
    pub shared: Shared,
}

/// One shard's packets of a batch, and its events.
#[derive(Debug, Default)]
pub struct Part {
    pub(crate) parcels: Vec<Parcel>,
    /// How many of the packets came before the end of each of the batch's seconds.
    pub(crate) cuts: Vec<usize>,
    /// The events of each second that ended in the batch.
    pub(crate) events: Vec<Vec<Event>>,
}

/// What the parts of a batch have in common.
#[derive(Debug, Default)]
pub struct Shared {
    pub(crate) seconds: Vec<Second>,
    /// Bytes that stand nowhere in the chunk: of reassembled datagrams and of frames that waited.
    extra: Vec<u8>,
    /// Length of the chunk, behind which `extra` begins.
    chunk_len: usize,
    rare: Vec<Rare>,
}

/// What few packets have.
#[derive(Debug)]
struct Rare {
    encapsulation: Encapsulation,
    owner: Option<Process>,
    effective: Option<Process>,
    heading: Option<Heading>,
}

/// One PDU without its bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parcel {
    pub(crate) lookup: Lookup,
    pub(crate) ordinal: u64,
    ts: Timestamp,
    frame: u64,
    tuple: FiveTuple,
    header: Header,
    /// Where the segment starts in the chunk, or in what follows it.
    start: usize,
    segment_len: u32,
    captured: u32,
    pub(crate) payload_len: u32,
    wire_len: u32,
    ip: IpFacts,
    link: Option<LinkAddresses>,
    /// Its place among the rare, plus one; zero for none.
    rare: u32,
    /// A copy of another packet, to be counted only.
    pub(crate) copy: bool,
}

#[derive(Clone, Copy, Debug)]
enum Header {
    /// Without its options, of which the length is kept.
    Tcp(TcpHeader<'static>, u8),
    Udp {
        checksum: u16,
    },
}

/// Length of a TCP header without options, in bytes.
const TCP_HEADER: usize = 20;

impl Batch {
    /// An empty batch for so many shards.
    #[must_use]
    pub fn new(shards: usize) -> Self {
        Self { parts: (0..shards).map(|_| Part::default()).collect(), shared: Shared::default() }
    }

    pub(crate) fn clear(&mut self, chunk_len: usize) {
        for part in &mut self.parts {
            part.parcels.clear();
            part.cuts.clear();
            part.events.clear();
        }
        let shared = &mut self.shared;
        shared.seconds.clear();
        shared.extra.clear();
        shared.rare.clear();
        shared.chunk_len = chunk_len;
    }

    /// Takes a packet in, whose bytes stand in `chunk` as a rule.
    #[inline]
    pub(crate) fn put(&mut self, taken: &Taken<'_>, chunk: &[u8]) {
        if let Some(second) = &taken.second {
            self.end_second(second.clone());
        }
        let Some((pdu, lookup)) = &taken.packet else { return };
        let mut parcel = self.shared.parcel(pdu, lookup, taken.ordinal, chunk);
        parcel.copy = taken.copy;
        let number = lookup.share(self.parts.len());
        if let Some(part) = self.parts.get_mut(number) {
            part.parcels.push(parcel);
        }
    }

    fn end_second(&mut self, second: Second) {
        self.shared.seconds.push(second);
        for part in &mut self.parts {
            part.cuts.push(part.parcels.len());
        }
    }
}

impl Shared {
    #[inline]
    fn parcel(&mut self, pdu: &Pdu<'_>, lookup: &Lookup, ordinal: u64, chunk: &[u8]) -> Parcel {
        let start = match place(chunk, pdu.segment) {
            Some(start) => start,
            None => {
                let start = self.chunk_len + self.extra.len();
                self.extra.extend_from_slice(pdu.segment);
                start
            }
        };
        let short = |len: usize| u32::try_from(len).unwrap_or(u32::MAX);
        Parcel {
            lookup: *lookup,
            ordinal,
            ts: pdu.ts,
            frame: pdu.frame,
            tuple: pdu.tuple,
            header: match pdu.header {
                TransportHeader::Tcp(tcp) => {
                    let options = u8::try_from(tcp.options.len()).unwrap_or(u8::MAX);
                    Header::Tcp(TcpHeader { options: &[], ..tcp }, options)
                }
                TransportHeader::Udp { checksum } => Header::Udp { checksum },
            },
            start,
            segment_len: short(pdu.segment.len()),
            captured: short(pdu.payload.len()),
            payload_len: pdu.payload_len,
            wire_len: pdu.wire_len,
            ip: pdu.ip,
            link: pdu.link,
            rare: self.rare(pdu),
            copy: false,
        }
    }

    fn rare(&mut self, pdu: &Pdu<'_>) -> u32 {
        if pdu.encapsulation.is_plain() && pdu.processes.is_empty() {
            return 0;
        }
        self.rare.push(Rare {
            encapsulation: pdu.encapsulation,
            owner: pdu.processes.owner.cloned(),
            effective: pdu.processes.effective.cloned(),
            heading: pdu.processes.heading,
        });
        u32::try_from(self.rare.len()).unwrap_or(0)
    }

    /// A parcel's PDU, with its bytes from `chunk`.
    #[inline]
    pub(crate) fn pdu<'b>(&'b self, parcel: &Parcel, chunk: &'b [u8]) -> Pdu<'b> {
        let len = usize::try_from(parcel.segment_len).unwrap_or(0);
        let segment = match parcel.start.checked_sub(self.chunk_len) {
            Some(start) => self.extra.get(start..start + len),
            None => chunk.get(parcel.start..parcel.start + len),
        }
        .unwrap_or_default();
        let captured = usize::try_from(parcel.captured).unwrap_or(0);
        let rare = usize::try_from(parcel.rare).unwrap_or(0);
        let rare = rare.checked_sub(1).and_then(|place| self.rare.get(place));
        Pdu {
            ts: parcel.ts,
            frame: parcel.frame,
            tuple: parcel.tuple,
            header: match parcel.header {
                Header::Tcp(tcp, options) => {
                    let end = TCP_HEADER + usize::from(options);
                    let options = segment.get(TCP_HEADER..end).unwrap_or_default();
                    TransportHeader::Tcp(TcpHeader { options, ..tcp })
                }
                Header::Udp { checksum } => TransportHeader::Udp { checksum },
            },
            segment,
            payload: segment.get(segment.len() - captured.min(segment.len())..).unwrap_or_default(),
            payload_len: parcel.payload_len,
            wire_len: parcel.wire_len,
            ip: parcel.ip,
            link: parcel.link,
            encapsulation: rare.map(|rare| rare.encapsulation).unwrap_or_default(),
            processes: rare.map(Rare::processes).unwrap_or_default(),
        }
    }
}

impl Rare {
    fn processes(&self) -> Processes<'_> {
        Processes {
            owner: self.owner.as_ref(),
            effective: self.effective.as_ref(),
            heading: self.heading,
        }
    }
}

/// Where in `chunk` the bytes of `part` stand, if they do: by their address, not their values.
#[inline]
fn place(chunk: &[u8], part: &[u8]) -> Option<usize> {
    let start = part.as_ptr().addr().checked_sub(chunk.as_ptr().addr())?;
    (start.checked_add(part.len())? <= chunk.len()).then_some(start)
}
