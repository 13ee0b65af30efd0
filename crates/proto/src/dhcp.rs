//! DHCP messages (RFC 2131): which machine asks for, and gets, which address, and how it calls
//! itself. Keeps no leases and believes nobody.

use std::net::Ipv4Addr;

use crate::bytes::Reader;

/// What one message says, as far as it could be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Who sends: a client or a server.
    pub kind: Kind,
    /// Transaction number.
    pub transaction: u32,
    /// The client's hardware address.
    pub client: [u8; 6],
    /// The address that the client has and uses; unspecified if none.
    pub client_addr: Ipv4Addr,
    /// The address that the server gives; unspecified if none.
    pub your_addr: Ipv4Addr,
    /// The address that the client asks for (option 50).
    pub requested: Option<Ipv4Addr>,
    /// The client's name for itself (option 12, else the name of option 81), as sent.
    pub host_name: Option<Vec<u8>>,
    /// The options that the client asks for, in its order (option 55): its fingerprint.
    pub parameters: Vec<u8>,
    /// What kind of client it is, by its maker (option 60), as sent.
    pub vendor_class: Option<Vec<u8>>,
}

/// Message types (RFC 2132, section 9.6), as far as they matter here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Looks for a server.
    Discover,
    /// Offers an address.
    Offer,
    /// Asks for an address.
    Request,
    /// Gives an address.
    Acknowledgement,
    /// Gives an address back.
    Release,
    /// Asks for settings only; has an address.
    Inform,
    /// Another one.
    Other(u8),
}

impl Kind {
    const fn of(number: u8) -> Self {
        match number {
            1 => Self::Discover,
            2 => Self::Offer,
            3 => Self::Request,
            5 => Self::Acknowledgement,
            7 => Self::Release,
            8 => Self::Inform,
            other => Self::Other(other),
        }
    }
}

/// The message that a datagram is; `None` if it is no DHCP message of an Ethernet client.
///
/// Options that break off end the list; what came before counts.
#[must_use]
pub fn parse(datagram: &[u8]) -> Option<Message> {
    let mut reader = Reader::new(datagram);
    let [operation, hardware, hardware_len, _hops] = reader.array()?;
    if !matches!(operation, 1 | 2) || hardware != ETHERNET || hardware_len != 6 {
        return None;
    }
    let transaction = reader.u32()?;
    let _seconds_and_flags = reader.u32()?;
    let client_addr = Ipv4Addr::from(reader.array::<4>()?);
    let your_addr = Ipv4Addr::from(reader.array::<4>()?);
    let _server_and_relay = reader.array::<8>()?;
    let client = reader.array::<6>()?;
    let _padding_and_names = reader.take(10 + 64 + 128)?;
    if reader.array::<4>()? != MAGIC_COOKIE {
        return None;
    }
    let mut message = Message {
        kind: Kind::Other(0),
        transaction,
        client,
        client_addr,
        your_addr,
        requested: None,
        host_name: None,
        parameters: Vec::new(),
        vendor_class: None,
    };
    let mut typed = false;
    while let Some((code, body)) = option(&mut reader) {
        typed |= code == 53 && !body.is_empty();
        message.take(code, body);
    }
    typed.then_some(message)
}

impl Message {
    fn take(&mut self, code: u8, body: &[u8]) {
        let text = |body: &[u8]| {
            let text = body.split(|&byte| byte == 0).next().unwrap_or_default();
            (!text.is_empty()).then(|| text.to_vec())
        };
        match code {
            12 => self.host_name = text(body).or(self.host_name.take()),
            50 => self.requested = body.first_chunk::<4>().copied().map(Ipv4Addr::from),
            53 => self.kind = body.first().copied().map_or(self.kind, Kind::of),
            55 => self.parameters = body.to_vec(),
            60 => self.vendor_class = text(body),
            // Flags and two result bytes come first; bit 2 says that labels follow, which few send.
            81 if self.host_name.is_none() && body.first().is_some_and(|flags| flags & 4 == 0) => {
                self.host_name = text(body.get(3..).unwrap_or_default());
            }
            _ => {}
        }
    }
}

/// The next option: its code and body (RFC 2132, section 2).
fn option<'a>(reader: &mut Reader<'a>) -> Option<(u8, &'a [u8])> {
    loop {
        match reader.u8()? {
            PAD => {}
            END => return None,
            code => {
                let len = usize::from(reader.u8()?);
                return Some((code, reader.take(len)?));
            }
        }
    }
}

/// Hardware type (RFC 2131, section 2).
const ETHERNET: u8 = 1;
/// RFC 2131, section 3.
const MAGIC_COOKIE: [u8; 4] = [99, 130, 83, 99];
const PAD: u8 = 0;
const END: u8 = 255;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A request of RFC 2131's layout with these options.
    fn request(options: &[u8]) -> Vec<u8> {
        let mut message = vec![1, 1, 6, 0, 0, 0, 0, 7, 0, 0, 0, 0];
        message.extend_from_slice(&[0; 16]);
        message.extend_from_slice(&[0x3c, 0x22, 0xfb, 0, 0, 9]);
        message.extend_from_slice(&[0; 10 + 192]);
        message.extend_from_slice(&MAGIC_COOKIE);
        message.extend_from_slice(options);
        message
    }

    #[test]
    fn a_request_names_the_host_and_its_wishes() {
        let options =
            [53, 1, 3, 0, 50, 4, 10, 0, 0, 5, 12, 3, b'm', b'a', b'c', 55, 2, 1, 121, 255, 9];
        let message = parse(&request(&options)).unwrap();
        assert_eq!(message.kind, Kind::Request);
        assert_eq!(message.client, [0x3c, 0x22, 0xfb, 0, 0, 9]);
        assert_eq!(message.requested, Some(Ipv4Addr::new(10, 0, 0, 5)));
        assert_eq!(message.host_name.as_deref(), Some(&b"mac"[..]));
        assert_eq!(message.parameters, [1, 121]);
    }

    #[test]
    fn options_that_break_off_end_the_list() {
        let message = parse(&request(&[53, 1, 5, 12, 200, b'x'])).unwrap();
        assert_eq!((message.kind, message.host_name), (Kind::Acknowledgement, None));
    }

    #[test]
    fn bootp_without_type_and_other_bytes_are_no_dhcp() {
        assert_eq!(parse(&request(&[12, 1, b'x', 255])), None);
        assert_eq!(parse(&[0; 300]), None);
    }

    #[test]
    fn a_full_name_stands_in_for_a_missing_host_name() {
        let message = parse(&request(&[53, 1, 3, 81, 6, 0, 0, 0, b'p', b'c', b'1'])).unwrap();
        assert_eq!(message.host_name.as_deref(), Some(&b"pc1"[..]));
    }

    proptest! {
        #[test]
        fn any_bytes_never_panic(options: Vec<u8>, cut in 0..400usize) {
            let message = request(&options);
            let _ = parse(message.get(..cut).unwrap_or(&message));
        }
    }
}
