//! SOCKS versions 4, 4a and 5 (RFC 1928, RFC 1929): where a client wants to be connected to.

use std::net::IpAddr;

use super::super::conversation::Socks;
use super::{Meaning, Opening, endpoint, message, named};
use crate::bytes::Reader;
use crate::facts::{Preamble, Sender};

/// SOCKS 4, 4a (the protocol's own memo) and 5 (RFC 1928, RFC 1929), both sides.
pub(super) fn opening(input: &[u8], from: Sender, so_far: Socks) -> Option<Opening> {
    match so_far {
        Socks::None => match input.first()? {
            4 => v4_request(input),
            5 => v5_greeting(input, from),
            _ => None,
        },
        Socks::Greeted { client, .. } if client == from => match input.first()? {
            1 => v5_password(input),
            5 => v5_request(input),
            _ => None,
        },
        Socks::Greeted { client, replies } => v5_reply(input, client, replies),
        Socks::Requested { client } if client != from => match (input.first()?, input.get(1)) {
            (0, None) => Some(Opening::Unclear),
            (0, Some(0x5a..=0x5d)) => message(8, Meaning::Nothing),
            _ => None,
        },
        Socks::Requested { .. } => None,
    }
}

fn v4_request(input: &[u8]) -> Option<Opening> {
    let input = input.get(..MAX_REQUEST).unwrap_or(input);
    let unclear = (input.len() < MAX_REQUEST).then_some(Opening::Unclear);
    let mut reader = Reader::new(input);
    reader.u8()?;
    match reader.u8() {
        None => return unclear,
        Some(1 | 2) => {}
        Some(_) => return None,
    }
    let (Some(port), Some(address)) = (reader.u16(), reader.array::<4>()) else { return unclear };
    let mut text = || {
        let end = reader.rest().iter().position(|byte| *byte == 0)?;
        let text = reader.take(end)?;
        reader.u8()?;
        Some(text)
    };
    let Some(_user) = text() else { return unclear };
    let target = match u32::from_be_bytes(address) {
        // Version 4a: 0.0.0.x stands for the name that follows.
        1..=0xff => {
            let Some(host) = text() else { return unclear };
            named(host, port)
        }
        0..=0x00ff_ffff => return None,
        _ => endpoint(IpAddr::from(address), port),
    };
    let length = input.len() - reader.rest().len();
    message(length, Meaning::SocksRequest(Preamble::Socks { version: 4, target }))
}

/// Version, number of methods, methods (0 none, 1 GSSAPI, 2 password, 3 to 9 assigned, 80 on private).
fn v5_greeting(input: &[u8], from: Sender) -> Option<Opening> {
    let Some(count) = input.get(1) else { return Some(Opening::Unclear) };
    let methods = input.get(2..)?.iter().take(usize::from(*count));
    let are_plausible = methods.clone().all(|method| matches!(method, 0..=9 | 0x80..=0xfe));
    if *count == 0 || *count > MAX_METHODS || !are_plausible {
        return None;
    }
    if methods.count() < usize::from(*count) {
        return Some(Opening::Unclear);
    }
    let greeted = Socks::Greeted { client: from, replies: 0 };
    message(2 + usize::from(*count), Meaning::Socks(greeted))
}

fn v5_password(input: &[u8]) -> Option<Opening> {
    let mut reader = Reader::new(input);
    reader.u8()?;
    let user = reader.vector8().filter(|user| user.whole);
    let password = user.and_then(|_| reader.vector8()).filter(|password| password.whole);
    if password.is_none() {
        return (input.len() < MAX_REQUEST).then_some(Opening::Unclear);
    }
    message(input.len() - reader.rest().len(), Meaning::Nothing)
}

fn v5_request(input: &[u8]) -> Option<Opening> {
    let (length, target) = match v5_address(input) {
        Ok(found) => found,
        Err(opening) => return opening,
    };
    match input.get(1) {
        Some(1..=3) => message(length, Meaning::Preamble(Preamble::Socks { version: 5, target })),
        _ => None,
    }
}

/// The method chosen, perhaps the answer to a password, then the answer to the request.
fn v5_reply(input: &[u8], client: Sender, replies: u8) -> Option<Opening> {
    let next = Meaning::Socks(Socks::Greeted { client, replies: replies.saturating_add(1) });
    match (input.first()?, replies) {
        (5, 0) | (1, 1) => message(2, next),
        (5, 1..=2) => match v5_address(input) {
            Ok((length, _)) => message(length, next),
            Err(opening) => opening,
        },
        _ => None,
    }
}

/// Length of a request or reply, and the address in it.
fn v5_address(input: &[u8]) -> Result<(usize, Vec<u8>), Option<Opening>> {
    let unclear = Err((input.len() < MAX_REQUEST).then_some(Opening::Unclear));
    let mut reader = Reader::new(input);
    let (Some([_, _, reserved]), Some(kind)) = (reader.array::<3>(), reader.u8()) else {
        return unclear;
    };
    if reserved != 0 {
        return Err(None);
    }
    let host = match kind {
        1 => reader.array::<4>().map(|octets| Host::Address(IpAddr::from(octets))),
        4 => reader.array::<16>().map(|octets| Host::Address(IpAddr::from(octets))),
        3 => reader.vector8().filter(|name| name.whole).map(|name| Host::Name(name.bytes)),
        _ => return Err(None),
    };
    let (Some(host), Some(port)) = (host, reader.u16()) else { return unclear };
    let target = match host {
        Host::Address(address) => endpoint(address, port),
        Host::Name(name) => named(name, port),
    };
    Ok((input.len() - reader.rest().len(), target))
}

enum Host<'a> {
    Address(IpAddr),
    Name(&'a [u8]),
}

/// Longest SOCKS request: two strings of 255 bytes and what is around them.
const MAX_REQUEST: usize = 600;
/// SOCKS 5 methods offered: clients offer up to four.
const MAX_METHODS: u8 = 16;
