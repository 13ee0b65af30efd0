//! Protocols that carry DTLS datagrams inside their own.
//!
//! Knows TURN's ChannelData and Send/Data indications (RFC 8656, sections 11 and 12) and the
//! preamble of CAPWAP (RFC 5415, section 4.1). It looks no deeper than one layer.

use crate::bytes::Reader;

/// The datagram inside `datagram`, if one of the carriers wraps one.
pub(crate) fn payload(datagram: &[u8]) -> Option<&[u8]> {
    match *datagram.first()? {
        CAPWAP => datagram.strip_prefix(&[CAPWAP, 0, 0, 0]),
        CHANNEL..=CHANNEL_LAST => {
            let mut reader = Reader::new(datagram);
            let _channel = reader.u16()?;
            let length = usize::from(reader.u16()?);
            reader.take(length)
        }
        _ => indication(datagram),
    }
}

/// Whether `datagram` is a STUN message, which may come before DTLS on the same flow (RFC 8489,
/// section 5).
pub(crate) fn is_stun(datagram: &[u8]) -> bool {
    let cookie = datagram.get(4..8);
    datagram.first().is_some_and(|first| *first < 4) && cookie == Some(&STUN_COOKIE)
}

/// The DATA attribute of a Send or Data indication.
fn indication(datagram: &[u8]) -> Option<&[u8]> {
    if !is_stun(datagram) {
        return None;
    }
    let mut reader = Reader::new(datagram);
    let kind = reader.u16()?;
    reader.take(STUN_HEADER - 2)?;
    if !INDICATIONS.contains(&kind) {
        return None;
    }
    loop {
        let kind = reader.u16()?;
        let length = usize::from(reader.u16()?);
        let value = reader.take(length)?;
        if kind == DATA {
            return Some(value);
        }
        reader.take(length.next_multiple_of(4) - length)?;
    }
}

/// Preamble of a CAPWAP datagram that holds DTLS; three reserved bytes follow.
const CAPWAP: u8 = 0x01;
/// First bytes of the channel numbers (RFC 8656, section 12).
const CHANNEL: u8 = 0x40;
const CHANNEL_LAST: u8 = 0x4f;
/// RFC 8489, section 5.
const STUN_COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
const STUN_HEADER: usize = 20;
/// Send and Data indications (RFC 8656, section 17).
const INDICATIONS: [u16; 2] = [0x0016, 0x0017];
/// The DATA attribute (RFC 8656, section 18.4).
const DATA: u16 = 0x0013;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_send_indication_yields_its_data() {
        let mut message = vec![0x00, 0x16, 0, 20, 0x21, 0x12, 0xa4, 0x42];
        message.extend([9; 12]);
        message.extend([0x00, 0x12, 0, 5, 1, 2, 3, 4, 5, 0, 0, 0]);
        message.extend([0x00, 0x13, 0, 3, 7, 8, 9, 0]);
        assert_eq!(payload(&message), Some(&[7, 8, 9][..]));
        message[1] = 0x01;
        assert_eq!(payload(&message), None, "a binding request carries none");
    }

    #[test]
    fn channel_data_yields_what_its_length_says() {
        assert_eq!(payload(&[0x40, 0x01, 0, 2, 7, 8, 0, 0]), Some(&[7, 8][..]));
        assert_eq!(payload(&[0x40, 0x01, 0, 9, 7, 8]), None);
    }

    #[test]
    fn a_capwap_preamble_is_taken_off() {
        assert_eq!(payload(&[1, 0, 0, 0, 22]), Some(&[22][..]));
        assert_eq!(payload(&[1, 0, 1, 0, 22]), None);
    }
}
