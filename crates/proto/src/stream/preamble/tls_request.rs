//! How protocols with binary messages ask for TLS, and the messages that may come before.

use super::super::dialect::Dialect;
use super::{Meaning, Opening, begins, message};
use crate::bytes::Reader;

/// PostgreSQL, "Message Formats": SSLRequest and GSSENCRequest.
pub(super) fn postgres(input: &[u8]) -> Option<Opening> {
    let request = begins(input, &[0, 0, 0, 8, 0x04, 0xd2, 0x16])?;
    match (request, input.get(7)) {
        (_, None) => Some(Opening::Unclear),
        (_, Some(0x2f | 0x30)) => message(8, Meaning::AsksForTls(Dialect::Postgres)),
        _ => None,
    }
}

/// The one byte that answers: `S` or `G` yes, `N` no.
pub(super) fn postgres_answer(input: &[u8]) -> Option<Opening> {
    match input.first()? {
        b'S' | b'G' | b'N' => message(1, Meaning::Nothing),
        _ => None,
    }
}

/// MySQL, "Protocol::Handshake" and "Protocol::SSLRequest": a length of three bytes, a number.
pub(super) fn mysql(input: &[u8]) -> Option<Opening> {
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
pub(super) fn rdp(input: &[u8]) -> Option<Opening> {
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
pub(super) fn ldap(input: &[u8]) -> Option<Opening> {
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
    if operation != EXTENDED_REQUEST || contents > MAX_EXTENDED_REQUEST {
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
pub(super) fn adb(input: &[u8]) -> Option<Opening> {
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
pub(super) fn tds(input: &[u8]) -> Option<Opening> {
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
pub(super) fn short_forms(input: &[u8]) -> Option<Opening> {
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

/// LDAP messages that are passed over; StartTLS comes before anything is looked up.
const MAX_LDAP: usize = 16 * 1024;
/// LDAP extended requests that are looked into: StartTLS has 31 bytes.
const MAX_EXTENDED_REQUEST: usize = 512;
/// Largest payload of Android Debug Bridge, 1 MiB; what comes before TLS has a few hundred bytes.
const MAX_ADB_PAYLOAD: u32 = 4096;
