//! The PROXY protocol, versions 1 and 2 (HAProxy, "The PROXY protocol"): who a proxy's client is.

use std::net::IpAddr;

use super::{Meaning, Opening, begins, endpoint, message};
use crate::bytes::Reader;
use crate::facts::Preamble;

/// HAProxy PROXY protocol, section 2.1: one line of text.
pub(super) fn v1(input: &[u8]) -> Option<Opening> {
    match begins(input, b"PROXY ")? {
        Opening::Unclear => return Some(Opening::Unclear),
        Opening::Other | Opening::Message { .. } => {}
    }
    let line = input.get(..MAX_PROXY_LINE).unwrap_or(input);
    let Some(end) = line.iter().position(|byte| *byte == b'\n') else {
        return (input.len() < MAX_PROXY_LINE).then_some(Opening::Unclear);
    };
    let text = line.get(..end).unwrap_or_default().trim_ascii_end();
    let words: Vec<&str> =
        text.split(|byte| *byte == b' ').map_while(|word| str::from_utf8(word).ok()).collect();
    let client = match words.as_slice() {
        [_, "TCP4" | "TCP6", address, _, port, _] => address
            .parse::<IpAddr>()
            .ok()
            .zip(port.parse().ok())
            .map(|(address, port)| endpoint(address, port)),
        _ => None,
    };
    message(end + 1, Meaning::Preamble(Preamble::Proxy { version: 1, client }))
}

/// HAProxy PROXY protocol, section 2.2.
pub(super) fn v2(input: &[u8]) -> Option<Opening> {
    const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
    const PROXIED: u8 = 0x21;
    match begins(input, SIGNATURE)? {
        Opening::Unclear => return Some(Opening::Unclear),
        Opening::Other | Opening::Message { .. } => {}
    }
    let mut reader = Reader::new(input.get(SIGNATURE.len()..)?);
    let (Some(command), Some(family), Some(length)) = (reader.u8(), reader.u8(), reader.u16())
    else {
        return Some(Opening::Unclear);
    };
    let length = usize::from(length);
    let needed = match family >> 4 {
        1 => 12,
        2 => 36,
        _ => 0,
    };
    if reader.rest().len() < needed.min(length) {
        return Some(Opening::Unclear);
    }
    let client = match (command, family >> 4) {
        (PROXIED, 1) => proxied::<4>(&mut reader),
        (PROXIED, 2) => proxied::<16>(&mut reader),
        _ => None,
    };
    let client = client.filter(|_| needed <= length);
    let preamble = Preamble::Proxy { version: 2, client };
    message(SIGNATURE.len() + 4 + length, Meaning::Preamble(preamble))
}

/// Source address and port of a version 2 address block.
fn proxied<const N: usize>(reader: &mut Reader<'_>) -> Option<Vec<u8>>
where
    IpAddr: From<[u8; N]>,
{
    let source: [u8; N] = reader.array()?;
    reader.array::<N>()?;
    Some(endpoint(IpAddr::from(source), reader.u16()?))
}

/// Longest PROXY line with its line end (PROXY protocol, section 2.1).
const MAX_PROXY_LINE: usize = 107;
