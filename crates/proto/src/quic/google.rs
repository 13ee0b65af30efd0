//! Google QUIC's own handshake: the tags of a CHLO, and where old versions put it.
//!
//! Knows the public header of Q024 to Q043, the long header of Q044 to Q049 and the layout of
//! handshake messages ("QUIC Crypto", section "Handshake message"). It opens nothing encrypted and
//! joins no CHLO over several datagrams: clients pad theirs to fit one.

use crate::bytes::Reader;

/// What a CHLO says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Chlo {
    /// The `SNI` tag.
    pub(crate) server_name: Option<Vec<u8>>,
    /// The `UAID` tag.
    pub(crate) user_agent: Option<Vec<u8>>,
}

/// The version of a client's unencrypted Google QUIC datagram, `Q043`; `None` for anything else.
pub(crate) fn version(datagram: &[u8]) -> Option<[u8; 4]> {
    let mut reader = Reader::new(datagram);
    let first = reader.u8()?;
    if first & LONG_HEADER == 0 {
        if first & HAS_VERSION == 0 {
            return None;
        }
        reader.take(match first & CONNECTION_ID {
            0x00 => 0,
            0x04 => 1,
            0x08 | 0x0c => 8,
            _ => return None,
        })?;
    }
    let version = reader.array::<4>()?;
    let [b'Q', b'0', tens @ b'2'..=b'4', ones @ b'0'..=b'9'] = version else {
        return None;
    };
    ((tens, ones) >= (b'2', b'4')).then_some(version)
}

/// The CHLO in an unencrypted datagram: it follows a hash and frames that differ by version, so it
/// is looked for by its tag.
pub(crate) fn find(datagram: &[u8]) -> Option<Chlo> {
    let searched = datagram.get(..MAX_SEARCH).unwrap_or(datagram);
    let at = searched.windows(TAG).position(|tag| tag == b"CHLO")?;
    parse(datagram.get(at..)?)
}

/// The CHLO that `bytes` begin with, once all of it is there.
pub(crate) fn parse(bytes: &[u8]) -> Option<Chlo> {
    let mut reader = Reader::new(bytes);
    if &reader.array::<TAG>()? != b"CHLO" {
        return None;
    }
    let entries = u16::from_le_bytes(reader.array()?);
    let _padding = reader.u16()?;
    if entries > MAX_ENTRIES {
        return None;
    }
    let mut index = Reader::new(reader.take(usize::from(entries).checked_mul(ENTRY)?)?);
    let values = reader.rest();
    let mut chlo = Chlo::default();
    let mut start = 0;
    while let (Some(tag), Some(end)) = (index.array::<TAG>(), index.array()) {
        let end = usize::try_from(u32::from_le_bytes(end)).ok()?;
        let value = values.get(start..end)?;
        start = end;
        let field = match &tag {
            b"SNI\0" => &mut chlo.server_name,
            b"UAID" => &mut chlo.user_agent,
            _ => continue,
        };
        *field = Some(value.iter().copied().take(MAX_VALUE).collect());
    }
    Some(chlo)
}

/// Set in the first byte of Q044 and later.
const LONG_HEADER: u8 = 0x80;
/// Public flags of Q043 and earlier: a version follows the connection ID.
const HAS_VERSION: u8 = 0x01;
/// Public flags: length of the connection ID. Versions after Q033 use the lower bit otherwise.
const CONNECTION_ID: u8 = 0x0c;
/// Length of a tag.
const TAG: usize = 4;
/// An index entry: a tag and the end of its value.
const ENTRY: usize = 8;
/// Most entries of a message (Chromium, `crypto_protocol.h`, `kMaxEntries`).
const MAX_ENTRIES: u16 = 128;
/// Where a CHLO can begin: after 19 bytes of header, a 12-byte hash and an acknowledgement.
const MAX_SEARCH: usize = 512;
/// Kept bytes of a value; real user agents have some sixty.
const MAX_VALUE: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn chlo(entries: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
        let mut message = b"CHLO".to_vec();
        message.extend(u16::try_from(entries.len()).unwrap().to_le_bytes());
        message.extend([0, 0]);
        let mut end = 0;
        for (tag, value) in entries {
            end += u32::try_from(value.len()).unwrap();
            message.extend(*tag);
            message.extend(end.to_le_bytes());
        }
        message.extend(entries.iter().flat_map(|(_, value)| *value));
        message
    }

    #[test]
    fn a_chlo_yields_name_and_user_agent() {
        let message = chlo(&[
            (b"PAD\0", &[b'-'; 300]),
            (b"SNI\0", b"www.example.org"),
            (b"VER\0", b"Q043"),
            (b"UAID", b"Chrome/60.0 Linux x86_64"),
        ]);
        let found = parse(&message).unwrap();
        assert_eq!(found.server_name.as_deref(), Some(&b"www.example.org"[..]));
        assert_eq!(found.user_agent.as_deref(), Some(&b"Chrome/60.0 Linux x86_64"[..]));
        for end in 0..message.len() {
            assert_eq!(parse(&message[..end]), None, "cut at {end}");
        }
    }

    #[test]
    fn ends_that_go_back_are_refused() {
        let mut message = chlo(&[(b"PAD\0", b"abcd"), (b"SNI\0", b"name")]);
        message[20..24].copy_from_slice(&2_u32.to_le_bytes());
        assert_eq!(parse(&message), None);
    }

    #[test]
    fn versions_stand_after_the_connection_id() {
        let check = |datagram: &[u8], expected: Option<&[u8; 4]>| {
            assert_eq!(version(datagram).as_ref(), expected, "{datagram:02x?}");
        };
        check(b"\x09\x01\x02\x03\x04\x05\x06\x07\x08Q043\x01", Some(b"Q043"));
        check(b"\x0d\x01\x02\x03\x04\x05\x06\x07\x08Q024\x01", Some(b"Q024"));
        check(b"\x05\x01Q025\x01", Some(b"Q025"));
        check(b"\xc3Q046\x50", Some(b"Q046"));
        check(b"\x09\x01\x02\x03\x04\x05\x06\x07\x08Q023\x01", None);
        check(b"\xc3Q050\x08", None);
        check(b"\x08\x01\x02\x03\x04\x05\x06\x07\x08Q043\x01", None);
    }
}
