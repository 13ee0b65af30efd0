//! What the decoder counted. Counts, and nothing else.

use crate::defragment::FragmentCounters;
use crate::discard::Discard;
use crate::{Pdu, Transport, TunnelKind};

/// What the decoder counted since it was made.
///
/// Frames = segments + datagrams + all discards, always.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodeCounters {
    /// Frames taken in.
    pub frames: u64,
    /// TCP segments given out.
    pub tcp_segments: u64,
    /// UDP datagrams given out.
    pub udp_datagrams: u64,
    /// What became of fragments.
    pub fragments: FragmentCounters,
    discards: [u64; Discard::COUNT],
    tunnels: [u64; TunnelKind::COUNT],
}

impl Default for DecodeCounters {
    fn default() -> Self {
        Self {
            frames: 0,
            tcp_segments: 0,
            udp_datagrams: 0,
            fragments: FragmentCounters::default(),
            discards: [0; Discard::COUNT],
            tunnels: [0; TunnelKind::COUNT],
        }
    }
}

impl DecodeCounters {
    /// How many frames gave no PDU for `reason`.
    #[must_use]
    pub fn discarded(&self, reason: Discard) -> u64 {
        self.discards.get(reason.index()).copied().unwrap_or_default()
    }

    /// Every reason with its count, also those that are zero.
    pub fn discards(&self) -> impl Iterator<Item = (Discard, u64)> {
        Discard::ALL.into_iter().zip(self.discards)
    }

    /// Every kind of tunnel with the PDUs whose innermost tunnel it was, also those that are zero.
    pub fn tunnels(&self) -> impl Iterator<Item = (TunnelKind, u64)> {
        TunnelKind::ALL.into_iter().zip(self.tunnels)
    }

    /// Frames that gave no PDU.
    #[must_use]
    pub fn discarded_frames(&self) -> u64 {
        self.discards.iter().sum()
    }

    #[inline]
    pub(crate) fn count(&mut self, outcome: Result<&Pdu<'_>, Discard>) {
        let counter = match outcome {
            Err(reason) => self.discards.get_mut(reason.index()),
            Ok(pdu) => {
                if let Some(tunnel) = pdu.encapsulation.tunnel
                    && let Some(counter) = self.tunnels.get_mut(tunnel.kind.index())
                {
                    *counter += 1;
                }
                Some(match pdu.tuple.transport {
                    Transport::Tcp => &mut self.tcp_segments,
                    Transport::Udp => &mut self.udp_datagrams,
                })
            }
        };
        if let Some(counter) = counter {
            *counter += 1;
        }
    }
}
