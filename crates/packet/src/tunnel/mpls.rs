//! MPLS label stacks (RFC 3032). Labels do not say what they carry: that is guessed, as routers'
//! load balancers do.

use crate::TunnelKind;
use crate::discard::{Discard, Layer, NotIp};
use crate::tunnel::guess;
use crate::walk::{Next, Step, Walk};

/// A label stack: any number of labels, then IP, or an Ethernet pseudowire with a control word
/// (RFC 4448) or without. The tunnel's number is the last label.
pub(crate) fn mpls(walk: &mut Walk<'_, '_>) -> Result<Step, Discard> {
    let label = loop {
        let [l0, l1, l2, _] = *walk.rest.header(Layer::Tunnel)?;
        let is_last = l2 & 0x01 != 0;
        if is_last {
            break u32::from_be_bytes([0, l0, l1, l2]) >> 4;
        }
    };
    walk.context.enter_tunnel(TunnelKind::Mpls, label);
    let Some([first]) = walk.rest.peek() else {
        return Err(walk.rest.missing(1, Layer::Tunnel));
    };
    let is_ethernet = guess::is_ethernet(walk.rest);
    match first >> 4 {
        // A station whose address starts with 4 or 6 could stand here too.
        4 if guess::is_summed_ipv4(walk.rest) || !is_ethernet => Ok(Step::Next(Next::Ipv4)),
        6 if guess::is_filling_ipv6(walk.rest) || !is_ethernet => Ok(Step::Next(Next::Ipv6)),
        0 => pseudowire(walk),
        _ if is_ethernet => Ok(Step::Next(Next::Ethernet)),
        // The pseudowire's own channel (RFC 4385, section 5).
        1 => Err(Discard::NotIp(NotIp::Control)),
        _ => Err(Discard::NotIp(NotIp::Other)),
    }
}

/// What starts with a zero: a control word, or an Ethernet address.
fn pseudowire(walk: &mut Walk<'_, '_>) -> Result<Step, Discard> {
    let without_word = guess::is_ethernet(walk.rest);
    let mut behind_word = walk.rest;
    behind_word.header::<4>(Layer::Tunnel)?;
    if guess::is_ethernet(behind_word) {
        walk.rest = behind_word;
        return Ok(Step::Next(Next::Ethernet));
    }
    if without_word {
        return Ok(Step::Next(Next::Ethernet));
    }
    if guess::is_summed_ipv4(behind_word) || guess::is_ipv6(behind_word) {
        walk.rest = behind_word;
        return Ok(Step::Next(Next::Ip));
    }
    Err(Discard::NotIp(NotIp::Other))
}
