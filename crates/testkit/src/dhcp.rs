//! DHCP messages of a lease being confirmed (RFC 2131): where a sensor learns a host's name. Knows
//! no pool of addresses.

use std::net::Ipv4Addr;

use dwell_packet::MacAddress;

/// What both messages of one exchange share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease<'a> {
    /// The client.
    pub mac: MacAddress,
    /// Its address, asked for and granted.
    pub address: Ipv4Addr,
    /// The name it gives itself (option 12).
    pub host_name: &'a str,
    /// The server.
    pub server: Ipv4Addr,
    /// Transaction identifier.
    pub transaction: u32,
}

impl Lease<'_> {
    /// The client's request, as macOS sends it after waking up: without an address of its own.
    #[must_use]
    pub fn request(&self) -> Vec<u8> {
        let mut message = self.fixed(BOOT_REQUEST, Ipv4Addr::UNSPECIFIED);
        push_option(&mut message, 53, &[DHCP_REQUEST]);
        push_option(&mut message, 55, &MACOS_PARAMETERS);
        push_option(&mut message, 61, &[&[ETHERNET][..], &self.mac.0].concat());
        push_option(&mut message, 50, &self.address.octets());
        push_option(&mut message, 51, &LEASE_S.to_be_bytes());
        push_option(&mut message, 12, self.host_name.as_bytes());
        message.push(END);
        message
    }

    /// The server's acknowledgement.
    #[must_use]
    pub fn acknowledgement(&self) -> Vec<u8> {
        let mut message = self.fixed(BOOT_REPLY, self.address);
        push_option(&mut message, 53, &[DHCP_ACK]);
        push_option(&mut message, 54, &self.server.octets());
        push_option(&mut message, 51, &LEASE_S.to_be_bytes());
        message.push(END);
        message
    }

    /// The fields before the options (RFC 2131, section 2), and the magic cookie.
    fn fixed(&self, operation: u8, yours: Ipv4Addr) -> Vec<u8> {
        let mut message = vec![operation, ETHERNET, 6, 0];
        message.extend_from_slice(&self.transaction.to_be_bytes());
        message.extend_from_slice(&[0; 8]);
        message.extend_from_slice(&yours.octets());
        message.extend_from_slice(&[0; 8]);
        message.extend_from_slice(&self.mac.0);
        message.resize(FIXED, 0);
        message.extend_from_slice(&MAGIC_COOKIE);
        message
    }
}

fn push_option(message: &mut Vec<u8>, code: u8, body: &[u8]) {
    let body = body.get(..usize::from(u8::MAX)).unwrap_or(body);
    message.extend_from_slice(&[code, u8::try_from(body.len()).unwrap_or_default()]);
    message.extend_from_slice(body);
}

const BOOT_REQUEST: u8 = 1;
const BOOT_REPLY: u8 = 2;
const DHCP_REQUEST: u8 = 3;
const DHCP_ACK: u8 = 5;
/// Hardware type (RFC 2131, section 2).
const ETHERNET: u8 = 1;
/// Everything up to the boot file name.
const FIXED: usize = 236;
/// RFC 2131, section 3.
const MAGIC_COOKIE: [u8; 4] = [99, 130, 83, 99];
/// The options that macOS asks for, in its order (fingerbank's signature of macOS).
const MACOS_PARAMETERS: [u8; 12] = [1, 121, 3, 6, 15, 108, 114, 119, 252, 95, 44, 46];
/// End option (RFC 2132, section 3.2).
const END: u8 = 255;
/// A working day.
const LEASE_S: u32 = 28_800;

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Lease<'_> = Lease {
        mac: MacAddress([0x3c, 0x22, 0xfb, 0, 0, 9]),
        address: Ipv4Addr::new(10, 20, 1, 9),
        host_name: "mac-09",
        server: Ipv4Addr::new(10, 20, 0, 67),
        transaction: 0x0102_0304,
    };

    /// Options of a message, by code (RFC 2132, section 2).
    fn option(message: &[u8], wanted: u8) -> Option<&[u8]> {
        let mut rest = &message[240..];
        while let [code, length, after @ ..] = rest {
            let (body, others) = after.split_at(usize::from(*length));
            if *code == wanted {
                return Some(body);
            }
            rest = others;
        }
        None
    }

    #[test]
    fn the_request_names_the_host_and_its_address() {
        let request = LEASE.request();
        assert_eq!(request[..8], [1, 1, 6, 0, 1, 2, 3, 4]);
        assert_eq!(request[28..34], LEASE.mac.0);
        assert_eq!(request[236..240], [0x63, 0x82, 0x53, 0x63]);
        assert_eq!(option(&request, 12), Some(&b"mac-09"[..]));
        assert_eq!(option(&request, 50), Some(&[10, 20, 1, 9][..]));
        assert_eq!(option(&request, 53), Some(&[3][..]));
    }

    #[test]
    fn the_acknowledgement_grants_the_address() {
        let reply = LEASE.acknowledgement();
        assert_eq!(reply[16..20], [10, 20, 1, 9]);
        assert_eq!(option(&reply, 53), Some(&[5][..]));
        assert_eq!(option(&reply, 54), Some(&[10, 20, 0, 67][..]));
    }
}
