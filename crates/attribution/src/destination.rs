//! Where a flow goes, as one word: the destination group. Knows no hosts and no applications.

use std::net::IpAddr;
use std::sync::Arc;

use psl::Type;

use crate::text::{MAX_NAME_BYTES, printable};

/// Where a flow goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// What flows to one owner have in common: a registrable domain, a full name under a shared
    /// suffix, or `ip:` and the address. Printable, lower case.
    pub group: Arc<str>,
    /// The full name, if one is known. Printable, lower case.
    pub name: Option<Arc<str>>,
    /// Address.
    pub addr: IpAddr,
    /// Port.
    pub port: u16,
    /// Where the name is from.
    pub source: NameSource,
}

impl Destination {
    /// A destination by the name as it was on the wire (`None` or empty: no name) and its address.
    #[must_use]
    pub fn new(name: Option<(&[u8], NameSource)>, addr: IpAddr, port: u16) -> Self {
        let addr = addr.to_canonical();
        let named = name.and_then(|(bytes, source)| Some((host_name(bytes)?, source)));
        match named {
            Some((name, source)) => {
                Self { group: group_of(&name).into(), name: Some(name.into()), addr, port, source }
            }
            None => Self {
                group: format!("ip:{addr}").into(),
                name: None,
                addr,
                port,
                source: NameSource::None,
            },
        }
    }
}

/// Where a destination's name is from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NameSource {
    /// `server_name` of a ClientHello.
    Sni,
    /// HTTP `Host`.
    HttpHost,
    /// An HTTP CONNECT or SOCKS request before the handshake.
    Proxy,
    /// A DNS answer that the host got.
    Dns,
    /// The server's certificate.
    Certificate,
    /// There is no name.
    #[default]
    None,
}

impl NameSource {
    /// The name in records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sni => "sni",
            Self::HttpHost => "http_host",
            Self::Proxy => "proxy",
            Self::Dns => "dns",
            Self::Certificate => "certificate",
            Self::None => "none",
        }
    }
}

/// The destination group of a host name: its registrable domain by the Public Suffix List, or the
/// name itself where one suffix serves many owners (the list's private section, and
/// `SHARED_SUFFIXES`).
#[must_use]
pub fn group_of(name: &str) -> String {
    let bytes = name.as_bytes();
    if SHARED_SUFFIXES.iter().any(|suffix| is_under(name, suffix)) {
        return name.to_owned();
    }
    match psl::domain(bytes) {
        Some(domain) if domain.suffix().typ() != Some(Type::Private) => {
            String::from_utf8_lossy(domain.as_bytes()).into_owned()
        }
        Some(_) | None => name.to_owned(),
    }
}

/// The bytes as they are, if they already are a name as most hosts send it: what would come out of
/// [`host_name`] without any of its care.
fn plain_name(bytes: &[u8]) -> Option<&str> {
    let plain =
        |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.' | b'_');
    let bounded = bytes.len() <= MAX_NAME_BYTES && bytes.iter().all(plain);
    // A name that ends in a letter is no address.
    let named = bytes.last().is_some_and(u8::is_ascii_lowercase) && !bytes.starts_with(b".");
    if bounded && named { std::str::from_utf8(bytes).ok() } else { None }
}

/// Whether `name` is a public suffix itself: everybody's names lie under it.
pub(crate) fn is_public_suffix(name: &str) -> bool {
    psl::suffix(name.as_bytes())
        .is_some_and(|suffix| suffix.is_known() && suffix.as_bytes().len() == name.len())
}

/// A host name from the wire: lower case, without port, final dot or anything unprintable; `None`
/// when it is empty or an address.
#[must_use]
pub fn host_name(bytes: &[u8]) -> Option<String> {
    if let Some(name) = plain_name(bytes) {
        return Some(name.to_owned());
    }
    let text = printable(bytes, MAX_NAME_BYTES).to_ascii_lowercase();
    let text = match text.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        Some(_) | None => text.as_str(),
    };
    let name = text.trim_matches('.');
    let address = name.trim_start_matches('[').trim_end_matches(']');
    if name.is_empty() || address.parse::<IpAddr>().is_ok() {
        return None;
    }
    Some(name.to_owned())
}

/// Whether `name` is `suffix` or lies under it.
pub(crate) fn is_under(name: &str, suffix: &str) -> bool {
    name.strip_suffix(suffix).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// Names under which many owners live, beyond the private section of the Public Suffix List:
/// content networks that give each customer or purpose a name, and the names that RFC 2606
/// reserves for examples, which stand for many owners in captures.
const SHARED_SUFFIXES: [&str; 20] = [
    "akadns.net",
    "akamai.net",
    "akamaiedge.net",
    "akamaized.net",
    "amazonaws.com",
    "apple-dns.net",
    "azure-api.net",
    "cdn77.org",
    "cloudfront.net",
    "edgekey.net",
    "edgesuite.net",
    "example.com",
    "example.net",
    "example.org",
    "fastly.net",
    "fastlylb.net",
    "googleapis.com",
    "icloud.com",
    "windows.net",
    "workers.dev",
];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(name: &str, group: &str) {
        let destination = Destination::new(
            Some((name.as_bytes(), NameSource::Sni)),
            "192.0.2.1".parse().unwrap(),
            443,
        );
        assert_eq!(&*destination.group, group, "{name}");
    }

    /// Expected values by publicsuffix.org's list: `co.uk` is public, `github.io`,
    /// `azureedge.net` and `blogspot.com` are private entries.
    #[test]
    fn names_of_one_owner_share_a_group() {
        check("www.bbc.co.uk", "bbc.co.uk");
        check("wss-primary.SLACK.com", "slack.com");
        check("cdn-20400.xyz.", "cdn-20400.xyz");
        check("localhost", "localhost");
    }

    #[test]
    fn shared_suffixes_keep_the_full_name() {
        check("d111.cloudfront.net", "d111.cloudfront.net");
        check("a.b.azureedge.net", "a.b.azureedge.net");
        check("team.github.io", "team.github.io");
        check("x.y.workers.dev", "x.y.workers.dev");
        check("eks.us-east-1.amazonaws.com", "eks.us-east-1.amazonaws.com");
        check("gateway.icloud.com", "gateway.icloud.com");
    }

    #[test]
    fn a_flow_without_a_name_goes_to_its_address() {
        check("", "ip:192.0.2.1");
        check("192.0.2.1", "ip:192.0.2.1");
        check("[2001:db8::1]:443", "ip:192.0.2.1");
    }

    #[test]
    fn a_port_is_no_part_of_a_name() {
        assert_eq!(host_name(b"api.example.com:8443").as_deref(), Some("api.example.com"));
    }

    #[test]
    fn attackers_bytes_stay_printable() {
        assert_eq!(host_name(b"a\x1b.b\xff").as_deref(), Some("a\\x1b.b\\xff"));
    }

    proptest! {
        #[test]
        fn the_short_way_gives_the_same_name(name in "[a-z0-9._-]{0,40}[a-z]") {
            let long = printable(name.as_bytes(), MAX_NAME_BYTES);
            let long = Some(long.trim_matches('.').to_owned()).filter(|name| !name.is_empty());
            prop_assert_eq!(host_name(name.as_bytes()), long);
        }

        #[test]
        fn any_bytes_give_a_printable_group(bytes: Vec<u8>) {
            let addr = "192.0.2.1".parse().unwrap();
            let destination = Destination::new(Some((&bytes, NameSource::Sni)), addr, 1);
            prop_assert!(!destination.group.is_empty());
            prop_assert!(destination.group.bytes().all(|b| b.is_ascii_graphic() || b == b' '));
        }
    }
}
