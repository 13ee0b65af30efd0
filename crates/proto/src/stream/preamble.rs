//! Messages of fixed form that stand in front of another protocol on the same connection.
//!
//! Knows the PROXY protocol, SOCKS, and how binary protocols ask for TLS. Whether TLS really follows
//! is for the caller to see.

use std::net::{IpAddr, SocketAddr};

use super::conversation::{Conversation, Socks};
use super::dialect::Dialect;
use crate::bytes::Reader;
use crate::facts::{Preamble, Sender};

/// What the first bytes of a direction are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Opening {
    /// None of these protocols.
    Other,
    /// The beginning of one of them, perhaps.
    Unclear,
    /// A message of `length` bytes, of which not all need be there.
    Message { length: usize, meaning: Meaning },
}

/// What a message in front means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// Nothing that matters here.
    Nothing,
    /// To be reported.
    Preamble(Preamble),
    /// This protocol is spoken.
    Speaks(Dialect),
    /// TLS was asked for in this protocol.
    AsksForTls(Dialect),
    /// How far SOCKS got.
    Socks(Socks),
    /// A SOCKS version 4 request.
    SocksRequest(Preamble),
}

/// Reads the first bytes of a direction; `None` if they are none of its protocol.
type Recogniser = fn(&[u8]) -> Option<Opening>;

/// What `input` begins with.
pub(crate) fn opening(input: &[u8], from: Sender, conversation: &Conversation) -> Opening {
    let recognisers: [Recogniser; 9] =
        [proxy_v1, proxy_v2, postgres, mysql, rdp, ldap, adb, tds, short_forms];
    let socks = socks(input, from, conversation.socks);
    let from_postgres = (conversation.dialect() == Some(Dialect::Postgres))
        .then(|| postgres_answer(input))
        .flatten();
    let mut unclear = false;
    for opening in [socks, from_postgres].into_iter().chain(recognisers.map(|read| read(input))) {
        match opening {
            Some(Opening::Message { length, meaning }) => {
                return Opening::Message { length, meaning };
            }
            Some(Opening::Unclear) => unclear = true,
            Some(Opening::Other) | None => {}
        }
    }
    if unclear { Opening::Unclear } else { Opening::Other }
}

/// Compares `input` with a fixed beginning: `None` if it differs, unclear if it is too short.
fn begins(input: &[u8], expected: &[u8]) -> Option<Opening> {
    let there = expected.len().min(input.len());
    if input.get(..there) != expected.get(..there) {
        return None;
    }
    Some(if there < expected.len() { Opening::Unclear } else { Opening::Other })
}

fn message(length: usize, meaning: Meaning) -> Option<Opening> {
    Some(Opening::Message { length, meaning })
}

/// HAProxy PROXY protocol, section 2.1: one line of text.
fn proxy_v1(input: &[u8]) -> Option<Opening> {
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
fn proxy_v2(input: &[u8]) -> Option<Opening> {
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

fn endpoint(address: IpAddr, port: u16) -> Vec<u8> {
    SocketAddr::new(address, port).to_string().into_bytes()
}

/// `host:port` of a name.
fn named(host: &[u8], port: u16) -> Vec<u8> {
    [host, b":", port.to_string().as_bytes()].concat()
}

/// SOCKS 4, 4a (the protocol's own memo) and 5 (RFC 1928, RFC 1929), both sides.
fn socks(input: &[u8], from: Sender, so_far: Socks) -> Option<Opening> {
    match so_far {
        Socks::None => match input.first()? {
            4 => socks4_request(input),
            5 => socks5_greeting(input, from),
            _ => None,
        },
        Socks::Greeted { client, .. } if client == from => match input.first()? {
            1 => socks5_password(input),
            5 => socks5_request(input),
            _ => None,
        },
        Socks::Greeted { client, replies } => socks5_reply(input, client, replies),
        Socks::Requested { client } if client != from => match (input.first()?, input.get(1)) {
            (0, None) => Some(Opening::Unclear),
            (0, Some(0x5a..=0x5d)) => message(8, Meaning::Nothing),
            _ => None,
        },
        Socks::Requested { .. } => None,
    }
}

fn socks4_request(input: &[u8]) -> Option<Opening> {
    let unclear = (input.len() < MAX_SOCKS_REQUEST).then_some(Opening::Unclear);
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
fn socks5_greeting(input: &[u8], from: Sender) -> Option<Opening> {
    let Some(count) = input.get(1) else { return Some(Opening::Unclear) };
    let methods = input.get(2..)?.iter().take(usize::from(*count));
    let are_plausible = methods.clone().all(|method| matches!(method, 0..=9 | 0x80..=0xfe));
    if *count == 0 || *count > MAX_SOCKS_METHODS || !are_plausible {
        return None;
    }
    if methods.count() < usize::from(*count) {
        return Some(Opening::Unclear);
    }
    let greeted = Socks::Greeted { client: from, replies: 0 };
    message(2 + usize::from(*count), Meaning::Socks(greeted))
}

fn socks5_password(input: &[u8]) -> Option<Opening> {
    let mut reader = Reader::new(input);
    reader.u8()?;
    let user = reader.vector8().filter(|user| user.whole);
    let password = user.and_then(|_| reader.vector8()).filter(|password| password.whole);
    if password.is_none() {
        return (input.len() < MAX_SOCKS_REQUEST).then_some(Opening::Unclear);
    }
    message(input.len() - reader.rest().len(), Meaning::Nothing)
}

fn socks5_request(input: &[u8]) -> Option<Opening> {
    let (length, target) = match socks5_address(input) {
        Ok(found) => found,
        Err(opening) => return opening,
    };
    match input.get(1) {
        Some(1..=3) => message(length, Meaning::Preamble(Preamble::Socks { version: 5, target })),
        _ => None,
    }
}

/// The method chosen, perhaps the answer to a password, then the answer to the request.
fn socks5_reply(input: &[u8], client: Sender, replies: u8) -> Option<Opening> {
    let next = Meaning::Socks(Socks::Greeted { client, replies: replies.saturating_add(1) });
    match (input.first()?, replies) {
        (5, 0) | (1, 1) => message(2, next),
        (5, 1..=2) => match socks5_address(input) {
            Ok((length, _)) => message(length, next),
            Err(opening) => opening,
        },
        _ => None,
    }
}

/// Length of a request or reply, and the address in it.
fn socks5_address(input: &[u8]) -> Result<(usize, Vec<u8>), Option<Opening>> {
    let unclear = Err((input.len() < MAX_SOCKS_REQUEST).then_some(Opening::Unclear));
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

/// PostgreSQL, "Message Formats": SSLRequest and GSSENCRequest.
fn postgres(input: &[u8]) -> Option<Opening> {
    let request = begins(input, &[0, 0, 0, 8, 0x04, 0xd2, 0x16])?;
    match (request, input.get(7)) {
        (_, None) => Some(Opening::Unclear),
        (_, Some(0x2f | 0x30)) => message(8, Meaning::AsksForTls(Dialect::Postgres)),
        _ => None,
    }
}

/// The one byte that answers: `S` or `G` yes, `N` no.
fn postgres_answer(input: &[u8]) -> Option<Opening> {
    match input.first()? {
        b'S' | b'G' | b'N' => message(1, Meaning::Nothing),
        _ => None,
    }
}

/// MySQL, "Protocol::Handshake" and "Protocol::SSLRequest": a length of three bytes, a number.
fn mysql(input: &[u8]) -> Option<Opening> {
    const CLIENT_SSL: u8 = 0x08;
    let Some([low, middle, high, number]) = input.first_chunk() else {
        let is_request = begins(input, &[32, 0, 0, 1]).is_some();
        let is_greeting = input.get(2).is_none_or(|byte| *byte == 0);
        return (is_request || is_greeting).then_some(Opening::Unclear);
    };
    let length = 4 + usize::from(u16::from_le_bytes([*low, *middle]));
    match (number, input.get(4)) {
        (0 | 1, _) if *high != 0 => None,
        (0 | 1, None) => Some(Opening::Unclear),
        (0, Some(10)) if (50..512).contains(&length) => {
            message(length, Meaning::Speaks(Dialect::MySql))
        }
        (1, Some(_)) if length == 36 => match input.get(5) {
            None => Some(Opening::Unclear),
            Some(flags) if flags & CLIENT_SSL != 0 => {
                message(length, Meaning::AsksForTls(Dialect::MySql))
            }
            Some(_) => None,
        },
        _ => None,
    }
}

/// TPKT (RFC 1006, section 6) with an X.224 connection request or confirm, as RDP begins.
fn rdp(input: &[u8]) -> Option<Opening> {
    match begins(input, &[3, 0])? {
        Opening::Unclear => return Some(Opening::Unclear),
        Opening::Other | Opening::Message { .. } => {}
    }
    let Some([_, _, high, low, _, kind]) = input.first_chunk() else {
        return Some(Opening::Unclear);
    };
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    match kind & 0xf0 {
        0xe0 | 0xd0 if (11..512).contains(&length) => {
            message(length, Meaning::AsksForTls(Dialect::Rdp))
        }
        _ => None,
    }
}

/// LDAP (RFC 4511, section 4.1.1): messages are passed one by one until StartTLS (section 4.14).
fn ldap(input: &[u8]) -> Option<Opening> {
    const SEQUENCE: u8 = 0x30;
    const EXTENDED_REQUEST: u8 = 0x77;
    const START_TLS: &[u8] = b"1.3.6.1.4.1.1466.20037";
    match begins(input, &[SEQUENCE])? {
        Opening::Unclear => return Some(Opening::Unclear),
        Opening::Other | Opening::Message { .. } => {}
    }
    let mut reader = Reader::new(input.get(1..)?);
    let unclear = (input.len() < 16).then_some(Opening::Unclear);
    let Some(contents) = ber_length(&mut reader) else { return unclear };
    let start = input.len() - reader.rest().len();
    let (Some(2), Some(number)) = (reader.u8(), reader.vector8()) else {
        let is_number = input.get(start).is_none_or(|byte| *byte == 2);
        return unclear.filter(|_| is_number);
    };
    let Some(operation) = reader.u8() else { return unclear };
    let is_ldap = (1..=4).contains(&number.bytes.len()) && matches!(operation, 0x40..=0x7f);
    if !is_ldap || contents > MAX_LDAP {
        return None;
    }
    let length = start + contents;
    if operation != EXTENDED_REQUEST || contents > MAX_SOCKS_REQUEST {
        return message(length, Meaning::Speaks(Dialect::Ldap));
    }
    let Some(whole) = input.get(..length) else { return Some(Opening::Unclear) };
    if whole.windows(START_TLS.len()).any(|window| window == START_TLS) {
        return message(length, Meaning::AsksForTls(Dialect::Ldap));
    }
    message(length, Meaning::Speaks(Dialect::Ldap))
}

/// A definite BER length (X.690, section 8.1.3) of at most four bytes.
fn ber_length(reader: &mut Reader<'_>) -> Option<usize> {
    let first = reader.u8()?;
    if first < 0x80 {
        return Some(usize::from(first));
    }
    let bytes = reader.take(usize::from(first & 0x7f).min(5))?;
    let length = bytes.iter().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
    usize::try_from(length).ok()
}

/// Android Debug Bridge, "protocol.txt": a header of six words, a payload; `STLS` asks for TLS.
fn adb(input: &[u8]) -> Option<Opening> {
    let commands: [&[u8]; 3] = [b"CNXN", b"AUTH", b"STLS"];
    let possible = commands.iter().find_map(|command| begins(input, command))?;
    let (Opening::Other, Some(header)) = (possible, input.first_chunk::<24>()) else {
        // Text that begins alike is no header.
        let is_text = input.get(4).is_some_and(|byte| byte.is_ascii_graphic() || *byte == b' ');
        return (!is_text && input.len() < 24).then_some(Opening::Unclear);
    };
    let word = |at: usize| {
        let bytes = header.get(at..)?.first_chunk()?;
        Some(u32::from_le_bytes(*bytes))
    };
    let (command, payload, magic) = (word(0)?, word(12)?, word(20)?);
    if magic != !command || payload > MAX_ADB_PAYLOAD {
        return None;
    }
    let length = 24 + usize::try_from(payload).ok()?;
    if header.starts_with(b"STLS") {
        return message(24, Meaning::AsksForTls(Dialect::Adb));
    }
    message(length, Meaning::Speaks(Dialect::Adb))
}

/// TDS (MS-TDS, section 2.2.3.1): a pre-login packet, or the packet around the TLS that it asked for.
fn tds(input: &[u8]) -> Option<Opening> {
    const HEADER: usize = 8;
    if !matches!(input.first()?, 0x12 | 0x04) || input.get(1).is_some_and(|status| *status > 1) {
        return None;
    }
    let Some([_, _, high, low, spid_high, spid_low, _, window]) = input.first_chunk::<HEADER>()
    else {
        return Some(Opening::Unclear);
    };
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    if [*spid_high, *spid_low, *window] != [0; 3] || length <= HEADER {
        return None;
    }
    match (input.get(HEADER), input.get(HEADER + 1)) {
        (Some(22), Some(3)) => message(HEADER, Meaning::AsksForTls(Dialect::Tds)),
        (Some(0), Some(_)) if length < 4096 => message(length, Meaning::Speaks(Dialect::Tds)),
        (Some(_), Some(_)) => None,
        _ => Some(Opening::Unclear),
    }
}

/// Protocols that are known by a few bytes: AMQP's TLS header (AMQP 1.0, section 5.2.1) and OpenVPN
/// over TCP, whose control channel carries TLS.
fn short_forms(input: &[u8]) -> Option<Opening> {
    const HARD_RESETS: [u8; 3] = [0x38, 0x40, 0x50];
    if let Some(opening) = begins(input, b"AMQP\x02") {
        return match opening {
            Opening::Unclear => Some(Opening::Unclear),
            Opening::Other | Opening::Message { .. } => {
                message(8, Meaning::AsksForTls(Dialect::Amqp))
            }
        };
    }
    match (input.first()?, input.get(1), input.get(2)) {
        (0, None, _) | (0, Some(14..=80), None) => Some(Opening::Unclear),
        (0, Some(length @ 14..=80), Some(opcode)) if HARD_RESETS.contains(opcode) => {
            message(2 + usize::from(*length), Meaning::Speaks(Dialect::OpenVpn))
        }
        _ => None,
    }
}

/// Longest PROXY line with its line end (PROXY protocol, section 2.1).
const MAX_PROXY_LINE: usize = 107;
/// Longest SOCKS request: two strings of 255 bytes and what is around them.
const MAX_SOCKS_REQUEST: usize = 600;
/// SOCKS 5 methods offered: clients offer up to four.
const MAX_SOCKS_METHODS: u8 = 16;
/// LDAP messages that are passed over; StartTLS comes before anything is looked up.
const MAX_LDAP: usize = 16 * 1024;
/// Largest payload of Android Debug Bridge, 1 MiB; what comes before TLS has a few hundred bytes.
const MAX_ADB_PAYLOAD: u32 = 4096;

#[cfg(test)]
mod tests;
