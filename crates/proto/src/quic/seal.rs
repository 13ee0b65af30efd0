//! Initial packets made for the tests; checked against the published ones.

use super::protection::{Keys, Role};
use super::version::Version;

/// An Initial packet to be sealed.
#[derive(Clone, Debug)]
pub(crate) struct Initial<'a> {
    pub(crate) version: u32,
    pub(crate) destination: &'a [u8],
    pub(crate) source: &'a [u8],
    pub(crate) token: &'a [u8],
    /// The connection ID that gives the keys, where it is not `destination`.
    pub(crate) keys_of: Option<&'a [u8]>,
    pub(crate) is_server: bool,
    pub(crate) number: u32,
    pub(crate) frames: Vec<u8>,
}

impl<'a> Initial<'a> {
    /// A client's Initial of version 1, packet number 0.
    pub(crate) fn client(destination: &'a [u8], frames: Vec<u8>) -> Self {
        Self {
            version: 1,
            destination,
            source: b"clnt",
            token: b"",
            keys_of: None,
            is_server: false,
            number: 0,
            frames,
        }
    }

    /// A server's answer to such an Initial.
    pub(crate) fn server(keys_of: &'a [u8], frames: Vec<u8>) -> Self {
        Self {
            destination: b"clnt",
            source: b"server",
            keys_of: Some(keys_of),
            is_server: true,
            ..Self::client(b"", frames)
        }
    }

    /// The packet as it stands in a datagram, with a packet number of four bytes.
    pub(crate) fn seal(&self) -> Vec<u8> {
        self.seal_with_number_of(4)
    }

    /// The same with a packet number of `length` bytes.
    pub(crate) fn seal_with_number_of(&self, length: usize) -> Vec<u8> {
        let role = if self.is_server { Role::Server } else { Role::Client };
        let id = self.keys_of.unwrap_or(self.destination);
        let keys = Keys::derive(Version(self.version), id, role).unwrap();
        let initial_type = if Version(self.version) == Version::V2 { 1 } else { 0 };
        let first = 0xc0 | initial_type << 4 | u8::try_from(length - 1).unwrap();
        let mut header = vec![first];
        header.extend(self.version.to_be_bytes());
        for id in [self.destination, self.source] {
            header.push(u8::try_from(id.len()).unwrap());
            header.extend(id);
        }
        header.extend(varint(self.token.len()));
        header.extend(self.token);
        header.extend(varint(length + self.frames.len() + 16));
        header.extend(&self.number.to_be_bytes()[4 - length..]);
        keys.seal(&header, length, self.number, &self.frames)
    }
}

/// A CRYPTO frame (RFC 9000, section 19.6).
pub(crate) fn crypto(offset: usize, bytes: &[u8]) -> Vec<u8> {
    [&[6][..], &varint(offset), &varint(bytes.len()), bytes].concat()
}

/// A variable-length integer (RFC 9000, section 16) of at most four bytes.
pub(crate) fn varint(value: usize) -> Vec<u8> {
    match u32::try_from(value).unwrap() {
        value @ 0..0x40 => vec![u8::try_from(value).unwrap()],
        value @ 0x40..0x4000 => (u16::try_from(value).unwrap() | 0x4000).to_be_bytes().to_vec(),
        value => (value | 0x8000_0000).to_be_bytes().to_vec(),
    }
}

/// RFC 9001, appendix A.2, and RFC 9369, appendix A.2.
#[test]
fn sealing_gives_the_published_packets() {
    let mut frames = super::vectors::bytes(include_str!("../../vectors/rfc9001-client-frames.hex"));
    frames.resize(1162, 0);
    let client = Initial::client(&super::vectors::DESTINATION, frames);
    let mut packet = Initial { source: b"", number: 2, ..client };
    assert_eq!(packet.seal(), super::vectors::client_initial_1());
    packet.version = Version::V2.0;
    assert_eq!(packet.seal(), super::vectors::client_initial_2());
}
