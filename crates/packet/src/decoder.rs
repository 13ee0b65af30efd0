//! The decoder: one frame in, one PDU out. Keeps fragments and counters, no flows.

use crate::config::{DecodeConfig, UdpTunnels};
use crate::counters::DecodeCounters;
use crate::defragment::{Defragmenter, Whole};
use crate::discard::Discard;
use crate::fragment::Fragment;
use crate::peek::peek;
use crate::span::Span;
use crate::walk::{Context, Found, Next, walk};
use crate::{Frame, Pdu};

/// Takes frames in and gives their TCP segments and UDP datagrams out.
#[derive(Debug)]
pub struct Decoder {
    tunnels: UdpTunnels,
    defragmenter: Defragmenter,
    /// The datagram that the last frame completed.
    whole: Option<Whole>,
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

    /// What was counted so far.
    #[must_use]
    pub fn counters(&self) -> DecodeCounters {
        let mut counters = self.counters.clone();
        counters.fragments = self.defragmenter.counters();
        counters
    }

    fn walk<'a>(&'a mut self, frame: Frame<'a>) -> Result<Pdu<'a>, Discard> {
        let outcome = match walk_frame(&frame, &self.tunnels) {
            Ok(Found::Pdu(pdu)) => Ok(pdu),
            Ok(Found::Fragment(fragment)) => {
                match defragment(&mut self.defragmenter, &self.tunnels, &fragment) {
                    Ok(whole) => pdu_of(self.whole.insert(whole), &self.tunnels),
                    Err(discard) => Err(discard),
                }
            }
            Err(discard) => Err(discard),
        };
        self.counters.count(outcome.as_ref().map_err(|discard| *discard));
        outcome
    }
}

/// Walks a whole frame, header by header.
pub(crate) fn walk_frame<'a>(
    frame: &Frame<'a>,
    tunnels: &UdpTunnels,
) -> Result<Found<'a>, Discard> {
    let wire_len = usize::try_from(frame.wire_len).unwrap_or(usize::MAX);
    let span = Span::new(frame.bytes, wire_len);
    walk(span, Context::of(frame), tunnels, Next::Link(frame.link_type))
}

/// Takes a fragment in, and those that whole datagrams carry; each is one IP header deeper, so
/// this ends.
fn defragment(
    defragmenter: &mut Defragmenter,
    tunnels: &UdpTunnels,
    fragment: &Fragment<'_>,
) -> Result<Whole, Discard> {
    let mut whole = defragmenter.insert(fragment)?;
    loop {
        let deeper = match walk_whole(&whole, tunnels)? {
            Found::Pdu(_) => return Ok(whole),
            Found::Fragment(inner) => defragmenter.insert(&inner)?,
        };
        whole = deeper;
    }
}

fn walk_whole<'a>(whole: &'a Whole, tunnels: &UdpTunnels) -> Result<Found<'a>, Discard> {
    walk(whole.span(), whole.context, tunnels, Next::Protocol(whole.next))
}

/// The PDU of a datagram that is known to hold one.
fn pdu_of<'a>(whole: &'a Whole, tunnels: &UdpTunnels) -> Result<Pdu<'a>, Discard> {
    match walk_whole(whole, tunnels)? {
        Found::Pdu(pdu) => Ok(pdu),
        Found::Fragment(_) => Err(Discard::FragmentHeld),
    }
}
