//! IEEE 802.11 frames and the radio headers that capture tools put before them. Knows data
//! frames; what manages the network is only named.

use crate::discard::{Discard, Layer, NotIp};
use crate::link::{SNAP, llc};
use crate::walk::{Step, Walk};
use crate::{LinkAddresses, MacAddress};

/// Whether the header of a data frame is padded to four bytes, as some cards do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Padding {
    None,
    ToFour,
}

/// Frame control flags, second byte (IEEE 802.11, section 9.2.4.1).
mod flag {
    pub(super) const TO_DS: u8 = 0x01;
    pub(super) const FROM_DS: u8 = 0x02;
    pub(super) const PROTECTED: u8 = 0x40;
    pub(super) const HT_CONTROL: u8 = 0x80;
}

/// An 802.11 frame.
pub(crate) fn ieee802_11(walk: &mut Walk<'_, '_>) -> Result<Step, Discard> {
    frame(walk, Padding::None)
}

/// A radiotap header (radiotap.org): version, padding, length, presence bits, fields.
pub(crate) fn radiotap(walk: &mut Walk<'_, '_>) -> Result<Step, Discard> {
    let Some(&[version, _, len0, len1]) = walk.rest.peek::<4>() else {
        return Err(walk.rest.missing(8, Layer::Link));
    };
    if version != 0 {
        return Err(Discard::Malformed(Layer::Link));
    }
    let len = usize::from(u16::from_le_bytes([len0, len1]));
    let header = walk.rest.take(len, Layer::Link)?;
    frame(walk, radiotap_padding(header))
}

/// A Prism header, or the AVS header that later drivers sent under the same number.
pub(crate) fn prism(walk: &mut Walk<'_, '_>) -> Result<Step, Discard> {
    let Some(&[m0, m1, m2, m3, l0, l1, l2, l3]) = walk.rest.peek::<8>() else {
        return Err(walk.rest.missing(8, Layer::Link));
    };
    if [m0, m1, m2] == AVS_MAGIC {
        return avs(walk);
    }
    // The byte order is the capturing host's.
    let little = u32::from_le_bytes([m0, m1, m2, m3]) <= 0xffff;
    let len = [l0, l1, l2, l3];
    let len = if little { u32::from_le_bytes(len) } else { u32::from_be_bytes(len) };
    walk.rest.take(usize::try_from(len).unwrap_or(usize::MAX), Layer::Link)?;
    ieee802_11(walk)
}

/// An AVS header: magic, length, fields.
pub(crate) fn avs(walk: &mut Walk<'_, '_>) -> Result<Step, Discard> {
    let Some(&[_, _, _, _, l0, l1, l2, l3]) = walk.rest.peek::<8>() else {
        return Err(walk.rest.missing(8, Layer::Link));
    };
    let len = u32::from_be_bytes([l0, l1, l2, l3]);
    walk.rest.take(usize::try_from(len).unwrap_or(usize::MAX), Layer::Link)?;
    ieee802_11(walk)
}

fn frame(walk: &mut Walk<'_, '_>, padding: Padding) -> Result<Step, Discard> {
    let Some(&[kind, flags]) = walk.rest.peek::<2>() else {
        return Err(walk.rest.missing(2, Layer::Link));
    };
    let has_no_data = kind & 0x40 != 0;
    match (kind & 0x03, kind >> 2 & 0x03) {
        (0, 2) if !has_no_data => {}
        (0, _) => return Err(Discard::NotIp(NotIp::Control)),
        _ => return Err(Discard::Malformed(Layer::Link)),
    }
    let [_, _, _, _, rest @ ..] = *walk.rest.header::<24>(Layer::Link)?;
    let [a, b, c] = addresses(rest);
    let fourth = match flags & (flag::TO_DS | flag::FROM_DS) {
        BETWEEN_ACCESS_POINTS => Some(MacAddress(*walk.rest.header(Layer::Link)?)),
        _ => None,
    };
    let (dst, src) = match (flags & flag::TO_DS != 0, flags & flag::FROM_DS != 0) {
        (false, false) => (a, b),
        (false, true) => (a, c),
        (true, false) => (c, b),
        (true, true) => (c, fourth.unwrap_or(b)),
    };
    walk.context.link = Some(LinkAddresses { src, dst });
    let is_later_part = rest[18] & 0x0f != 0;
    if is_later_part {
        return Err(Discard::NotIp(NotIp::Other));
    }
    let aggregated = quality_of_service(walk, kind, flags)?;
    if padding == Padding::ToFour {
        let header_len = 24 + if fourth.is_some() { 6 } else { 0 } + quality_len(kind, flags);
        walk.rest.take(header_len.next_multiple_of(4) - header_len, Layer::Link)?;
    }
    if flags & flag::PROTECTED != 0 {
        clear_payload(walk)?;
    }
    if aggregated {
        first_of_aggregate(walk)?;
    }
    llc(walk)
}

/// The three addresses that every data frame has.
fn addresses(rest: [u8; 20]) -> [MacAddress; 3] {
    let [a0, a1, a2, a3, a4, a5, b0, b1, b2, b3, b4, b5, c0, c1, c2, c3, c4, c5, ..] = rest;
    [
        MacAddress([a0, a1, a2, a3, a4, a5]),
        MacAddress([b0, b1, b2, b3, b4, b5]),
        MacAddress([c0, c1, c2, c3, c4, c5]),
    ]
}

/// Takes the QoS and HT control fields; tells whether the payload is an aggregate (A-MSDU).
fn quality_of_service(walk: &mut Walk<'_, '_>, kind: u8, flags: u8) -> Result<bool, Discard> {
    if quality_len(kind, flags) == 0 {
        return Ok(false);
    }
    let [control, _] = *walk.rest.header(Layer::Link)?;
    walk.rest.take(quality_len(kind, flags) - 2, Layer::Link)?;
    Ok(control & 0x80 != 0)
}

/// Length of the QoS and HT control fields, in bytes.
const fn quality_len(kind: u8, flags: u8) -> usize {
    match (kind & 0x80 != 0, flags & flag::HT_CONTROL != 0) {
        (false, _) => 0,
        (true, false) => 2,
        (true, true) => 6,
    }
}

/// A frame that was decrypted by the card keeps its protected bit, and maybe its eight bytes of
/// CCMP or TKIP header.
fn clear_payload(walk: &mut Walk<'_, '_>) -> Result<(), Discard> {
    if walk.rest.peek() == Some(&SNAP) {
        return Ok(());
    }
    match walk.rest.peek::<11>() {
        Some([.., a, b, c]) if [*a, *b, *c] == SNAP => {
            walk.rest.header::<8>(Layer::Link)?;
            Ok(())
        }
        _ => Err(Discard::Encrypted),
    }
}

/// The header of the first frame of an aggregate; the others are left.
fn first_of_aggregate(walk: &mut Walk<'_, '_>) -> Result<(), Discard> {
    let [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, len0, len1] =
        *walk.rest.header(Layer::Link)?;
    walk.context.link = Some(LinkAddresses {
        src: MacAddress([s0, s1, s2, s3, s4, s5]),
        dst: MacAddress([d0, d1, d2, d3, d4, d5]),
    });
    walk.rest.trim(usize::from(u16::from_be_bytes([len0, len1])));
    Ok(())
}

/// Whether the flags field says that the 802.11 header is padded.
fn radiotap_padding(header: &[u8]) -> Padding {
    let mut words = header.get(4..).unwrap_or_default().chunks_exact(4);
    let Some(&[present, ..]) = words.next() else { return Padding::None };
    let has_flags = present & 0x02 != 0;
    // A set top bit announces another word of presence bits.
    let mut fields = 8;
    let mut last = header.get(7).copied().unwrap_or_default();
    while last & 0x80 != 0 {
        last = header.get(fields + 3).copied().unwrap_or_default();
        fields += 4;
    }
    let has_time = present & 0x01 != 0;
    let flags_at = if has_time { fields.next_multiple_of(8) + 8 } else { fields };
    match header.get(flags_at) {
        Some(flags) if has_flags && flags & 0x20 != 0 => Padding::ToFour,
        _ => Padding::None,
    }
}

/// Both distribution system flags: a frame that one access point sends another.
const BETWEEN_ACCESS_POINTS: u8 = flag::TO_DS | flag::FROM_DS;

/// How an AVS header starts; the fourth byte is its version.
const AVS_MAGIC: [u8; 3] = [0x80, 0x21, 0x10];
