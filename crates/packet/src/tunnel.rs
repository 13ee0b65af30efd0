//! Tunnels by the header that announces them. Knows tunnel headers, not what routes them.

mod gre;
mod guess;
mod l2tp;
mod mpls;
mod udp;

use crate::TunnelKind;
use crate::discard::{Discard, Layer};
use crate::walk::{Next, Step, Walk};

pub(crate) use gre::gre;
pub(crate) use l2tp::l2tp_over_ip;
pub(crate) use mpls::mpls;
pub(crate) use udp::over_udp;

/// An IP packet in an IP packet.
pub(crate) fn ip_in_ip(walk: &mut Walk<'_, '_>, next: Next) -> Result<Step, Discard> {
    walk.context.enter_tunnel(TunnelKind::IpInIp, 0);
    Ok(Step::Next(next))
}

/// An EtherIP header (RFC 3378): version 3, twelve zero bits. The first implementation wrote the
/// version into the wrong half of its byte (RFC 3378, appendix A).
pub(crate) fn ether_ip(walk: &mut Walk<'_, '_>) -> Result<Step, Discard> {
    match *walk.rest.header(Layer::Tunnel)? {
        [0x30 | 0x03, 0x00] => {
            walk.context.enter_tunnel(TunnelKind::EtherIp, 0);
            Ok(Step::Next(Next::Ethernet))
        }
        _ => Err(Discard::Malformed(Layer::Tunnel)),
    }
}
