//! The decoder: one frame in, one PDU out. Keeps fragments and counters, no flows.

use std::net::IpAddr;

use crate::config::{DecodeConfig, UdpTunnels};
use crate::counters::DecodeCounters;
use crate::defragment::{Defragmenter, Whole};
use crate::discard::{Discard, NotIp, OtherTransport};
use crate::fragment::Fragment;
use crate::peek::peek;
use crate::span::Span;
use crate::walk::{Context, End, Next, Walk};
use crate::{Frame, Neighbour, Pdu, Process, Processes, neighbour};

/// Takes frames in and gives their TCP segments and UDP datagrams out.
#[derive(Debug)]
pub struct Decoder {
    tunnels: UdpTunnels,
    defragmenter: Defragmenter,
    /// The datagram that the last frame completed.
    whole: Option<Whole>,
    /// Owner and effective process of the last frame that had a PKTAP header.
    noted: [Process; 2],
    /// What frames without a PDU said of the segment.
    neighbours: Vec<Neighbour>,
    counters: DecodeCounters,
}

impl Decoder {
    /// A decoder that has seen nothing.
    #[must_use]
    pub fn new(config: DecodeConfig) -> Self {
        Self {
            tunnels: UdpTunnels::new(&config),
            defragmenter: Defragmenter::new(config.defragmentation),
            whole: None,
            noted: Default::default(),
            neighbours: Vec::new(),
            counters: DecodeCounters::default(),
        }
    }

    /// The PDU of a frame, or why there is none.
    ///
    /// Never allocates for unfragmented frames. A PDU put together from fragments comes with the
    /// one that completes it.
    ///
    /// # Errors
    /// The reason, which is counted.
    pub fn decode<'a>(&'a mut self, frame: Frame<'a>) -> Result<Pdu<'a>, Discard> {
        self.counters.frames += 1;
        if let Some(pdu) = peek(&frame, &self.tunnels) {
            self.counters.count(Ok(&pdu));
            return Ok(pdu);
        }
        self.walk(frame)
    }

    /// As [`Decoder::decode`], but every frame is walked header by header: what tests and benches
    /// compare the short way with.
    ///
    /// # Errors
    /// The reason, which is counted.
    pub fn decode_by_walk<'a>(&'a mut self, frame: Frame<'a>) -> Result<Pdu<'a>, Discard> {
        self.counters.frames += 1;
        self.walk(frame)
    }

    /// Takes what ARP and neighbour discovery said since the last call, the first thousand times.
    pub fn take_neighbours(&mut self) -> Vec<Neighbour> {
        std::mem::take(&mut self.neighbours)
    }

    /// What was counted so far.
    #[must_use]
    pub fn counters(&self) -> DecodeCounters {
        let mut counters = self.counters.clone();
        counters.fragments = self.defragmenter.counters();
        counters
    }

    fn walk<'a>(&'a mut self, frame: Frame<'a>) -> Result<Pdu<'a>, Discard> {
        let wire_len = usize::try_from(frame.wire_len).unwrap_or(usize::MAX);
        let span = Span::new(frame.bytes, wire_len);
        let mut walk = Walk::new(span, Context::of(&frame), &self.tunnels);
        let mut outcome = match walk.run(Next::Link(frame.link_type)) {
            Ok(End::Segment(segment)) => walk.pdu(segment),
            Ok(End::Fragment(part)) => {
                let fragment = walk.fragment(part);
                match defragment(&mut self.defragmenter, &self.tunnels, fragment) {
                    Ok(whole) => pdu_of(self.whole.insert(whole), &self.tunnels),
                    Err(discard) => Err(discard),
                }
            }
            Err(discard) => Err(discard),
        };
        if let Err(discard) = &outcome {
            let room = self.neighbours.len() < MAX_NEIGHBOURS;
            self.neighbours.extend(neighbour(*discard, &walk).filter(|_| room));
        }
        if let Ok(pdu) = &mut outcome {
            pdu.processes = processes(&mut self.noted, &walk, frame.processes);
        }
        self.counters.count(outcome.as_ref().map_err(|discard| *discard));
        outcome
    }
}

/// The processes that a PKTAP header noted, else those noted beside the frame.
fn processes<'a>(
    noted: &'a mut [Process; 2],
    walk: &Walk<'_, '_>,
    beside: Processes<'a>,
) -> Processes<'a> {
    let Some(found) = walk.processes else { return beside };
    for (kept, seen) in noted.iter_mut().zip([found.owner, found.effective]) {
        let (pid, name) = seen.unwrap_or_default();
        kept.set(pid, name);
    }
    let [owner, effective] = noted;
    Processes {
        owner: found.owner.is_some().then_some(owner),
        effective: found.effective.is_some().then_some(effective),
        heading: found.heading,
    }
}

/// What is kept of the segment between two looks: a flood of ARP says nothing new.
const MAX_NEIGHBOURS: usize = 1024;

/// What a frame without a PDU says of the segment: the walk stands at what was discarded.
fn neighbour(discard: Discard, walk: &Walk<'_, '_>) -> Option<Neighbour> {
    let (ts, message) = (walk.context.ts, walk.rest.bytes());
    match discard {
        Discard::NotIp(NotIp::Arp) => neighbour::of_arp(ts, message),
        Discard::OtherTransport(OtherTransport::Icmp) => {
            let src = walk.context.ip.map(|ip| ip.src).filter(IpAddr::is_ipv6)?;
            neighbour::of_icmpv6(ts, src, message)
        }
        _ => None,
    }
}

/// Takes a fragment in, and those that whole datagrams carry; each is one IP header deeper, so
/// this ends.
fn defragment(
    defragmenter: &mut Defragmenter,
    tunnels: &UdpTunnels,
    fragment: Result<Fragment<'_>, Discard>,
) -> Result<Whole, Discard> {
    let mut whole = defragmenter.insert(&fragment?)?;
    loop {
        let mut walk = walk_of(&whole, tunnels);
        let deeper = match walk.run(Next::Protocol(whole.next))? {
            End::Segment(_) => return Ok(whole),
            End::Fragment(part) => defragmenter.insert(&walk.fragment(part)?)?,
        };
        whole = deeper;
    }
}

fn walk_of<'a, 'c>(whole: &'a Whole, tunnels: &'c UdpTunnels) -> Walk<'a, 'c> {
    Walk::new(whole.span(), whole.context, tunnels)
}

/// The PDU of a datagram that is known to hold one.
fn pdu_of<'a>(whole: &'a Whole, tunnels: &UdpTunnels) -> Result<Pdu<'a>, Discard> {
    let mut walk = walk_of(whole, tunnels);
    match walk.run(Next::Protocol(whole.next))? {
        End::Segment(segment) => walk.pdu(segment),
        End::Fragment(_) => Err(Discard::FragmentHeld),
    }
}
