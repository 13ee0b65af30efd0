//! Address ranges, and which of them are local. Knows no hosts.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::Deserialize;
use serde::de::Error as _;

/// An address range in CIDR notation (RFC 4632, RFC 4291).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cidr {
    addr: IpAddr,
    prefix_bits: u8,
}

/// Why a text is not an address range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CidrError {
    /// The part before the slash is no address.
    #[error("`{0}` is not an IP address or an address range")]
    Address(String),
    /// The part after the slash is no prefix length of that address family.
    #[error("`{0}` has no valid prefix length")]
    Prefix(String),
}

impl Cidr {
    /// Whether `addr` lies in the range; an IPv4-mapped IPv6 address counts as IPv4.
    #[must_use]
    pub fn contains(&self, addr: IpAddr) -> bool {
        match (self.addr, addr.to_canonical()) {
            (IpAddr::V4(range), IpAddr::V4(addr)) => {
                let shift = 32_u32.saturating_sub(u32::from(self.prefix_bits));
                (range.to_bits() ^ addr.to_bits()).checked_shr(shift).unwrap_or(0) == 0
            }
            (IpAddr::V6(range), IpAddr::V6(addr)) => {
                let shift = 128_u32.saturating_sub(u32::from(self.prefix_bits));
                (range.to_bits() ^ addr.to_bits()).checked_shr(shift).unwrap_or(0) == 0
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

impl FromStr for Cidr {
    type Err = CidrError;

    /// Reads `10.0.0.0/8`, `fd00::/8` or one address.
    fn from_str(text: &str) -> Result<Self, CidrError> {
        let (addr, prefix) = text.split_once('/').map_or((text, None), |(a, p)| (a, Some(p)));
        let addr: IpAddr = addr.parse().map_err(|_| CidrError::Address(text.to_owned()))?;
        let longest = if addr.is_ipv4() { 32 } else { 128 };
        let prefix_bits = match prefix {
            None => longest,
            Some(prefix) => prefix
                .parse()
                .ok()
                .filter(|&bits| bits <= longest)
                .ok_or_else(|| CidrError::Prefix(text.to_owned()))?,
        };
        Ok(Self { addr, prefix_bits })
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.addr, self.prefix_bits)
    }
}

impl<'de> Deserialize<'de> for Cidr {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

/// The address ranges that belong to the watched site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalNetworks {
    ranges: Vec<Cidr>,
}

impl LocalNetworks {
    /// Local networks as listed.
    #[must_use]
    pub fn new(ranges: Vec<Cidr>) -> Self {
        Self { ranges }
    }

    /// Whether `addr` lies in one of the ranges.
    #[must_use]
    pub fn contains(&self, addr: IpAddr) -> bool {
        self.ranges.iter().any(|range| range.contains(addr))
    }
}

impl Default for LocalNetworks {
    /// Private, unique local, link-local and loopback addresses (RFC 1918, 4193, 3927, 4291, 1122).
    fn default() -> Self {
        let ranges = DEFAULT_RANGES.iter().filter_map(|range| range.parse().ok()).collect();
        Self { ranges }
    }
}

const DEFAULT_RANGES: [&str; 8] = [
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "169.254.0.0/16",
    "127.0.0.0/8",
    "fc00::/7",
    "fe80::/10",
    "::1/128",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn check(range: &str, addr: &str, inside: bool) {
        let range: Cidr = range.parse().unwrap();
        assert_eq!(range.contains(addr.parse().unwrap()), inside, "{range} {addr}");
    }

    #[test]
    fn ranges_contain_their_addresses_and_no_others() {
        check("10.20.0.0/16", "10.20.255.1", true);
        check("10.20.0.0/16", "10.21.0.1", false);
        check("0.0.0.0/0", "203.0.113.9", true);
        check("0.0.0.0/0", "2001:db8::1", false);
        check("2001:db8::/32", "2001:db8:1::9", true);
        check("2001:db8::/32", "2001:db9::", false);
        check("192.0.2.7", "192.0.2.7", true);
        check("192.0.2.7", "192.0.2.6", false);
        check("10.0.0.0/8", "::ffff:10.1.2.3", true);
    }

    #[test]
    fn the_default_holds_private_addresses_of_both_families() {
        let local = LocalNetworks::default();
        assert_eq!(local.ranges.len(), DEFAULT_RANGES.len());
        for addr in ["10.1.1.1", "172.31.0.1", "192.168.9.9", "fd12::1", "fe80::1"] {
            assert!(local.contains(addr.parse().unwrap()), "{addr}");
        }
        for addr in ["172.32.0.1", "8.8.8.8", "2001:db8::1"] {
            assert!(!local.contains(addr.parse().unwrap()), "{addr}");
        }
    }

    #[test]
    fn texts_that_are_no_ranges_are_refused() {
        assert!(matches!("10.0.0/8".parse::<Cidr>(), Err(CidrError::Address(_))));
        assert!(matches!("10.0.0.0/33".parse::<Cidr>(), Err(CidrError::Prefix(_))));
        assert!(matches!("::/129".parse::<Cidr>(), Err(CidrError::Prefix(_))));
    }
}
