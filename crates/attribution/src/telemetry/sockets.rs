//! Sockets as tools write them: `10.0.0.2:5000->10.0.0.1:443`, `fe80::1.5000<->…`. Knows no tool.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use dwell_packet::{Endpoint, Transport};

use super::observation::SocketName;

/// One end of a socket; the address may be hidden (`<private>`, `IPv4#3f2a`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) addr: Option<IpAddr>,
    pub(crate) port: u16,
}

/// Both ends of `LOCAL<->REMOTE` or `LOCAL->REMOTE`; `None` if there is no such thing in `text`.
pub(crate) fn pair(text: &str) -> Option<(End, End)> {
    let (local, remote) = text.split_once("<->").or_else(|| text.split_once("->"))?;
    Some((end(local)?, end(remote)?))
}

/// The name of a socket between two ends: by ports where an address is hidden.
pub(crate) fn name((local, remote): (End, End)) -> Option<SocketName> {
    match (local.addr, remote.addr) {
        (Some(from), Some(to)) => SocketName::of_ends(
            Endpoint { addr: from, port: local.port },
            Endpoint { addr: to, port: remote.port },
        ),
        _ if local.port == 0 || remote.port == 0 => None,
        _ => Some(SocketName::Ports { local: local.port, remote: remote.port }),
    }
}

/// One end: `ADDR:PORT`, `[ADDR]:PORT`, or Apple's `ADDR.PORT`, with or without a zone.
pub(crate) fn end(text: &str) -> Option<End> {
    let text = text.trim();
    if let Some(rest) = text.strip_prefix('[') {
        let (addr, port) = rest.split_once("]:")?;
        return Some(End { addr: Some(v6(addr)?), port: port.parse().ok()? });
    }
    if let Some((addr, port)) = text.rsplit_once(':')
        && let Ok(port) = port.parse()
        && !addr.contains(':')
    {
        return Some(End { addr: v4(addr), port }).filter(|end| is_known_or_hidden(end, addr));
    }
    let (addr, port) = text.rsplit_once('.')?;
    let port = port.parse().ok()?;
    let known = v4(addr).or_else(|| v6(addr));
    Some(End { addr: known, port }).filter(|end| is_known_or_hidden(end, addr))
}

/// An address in its plain form.
pub(crate) fn addr(text: &str) -> Option<IpAddr> {
    v4(text).or_else(|| v6(text)).map(|addr| addr.to_canonical())
}

/// `6`, `tcp`, `TCP`, `tcp4`: a transport protocol.
pub(crate) fn transport(text: &str) -> Option<Transport> {
    let text = text.trim_end_matches(['4', '6']);
    if text.eq_ignore_ascii_case("tcp") || text.is_empty() {
        // `6` alone was trimmed to nothing: it is TCP's number.
        return Some(Transport::Tcp);
    }
    (text.eq_ignore_ascii_case("udp") || text == "17").then_some(Transport::Udp)
}

fn v4(text: &str) -> Option<IpAddr> {
    text.parse::<Ipv4Addr>().ok().map(IpAddr::V4)
}

/// An IPv6 address without its zone.
fn v6(text: &str) -> Option<IpAddr> {
    let plain = text.split('%').next().unwrap_or(text);
    plain.parse::<Ipv6Addr>().ok().map(IpAddr::V6)
}

/// Whether the address is known, or hidden on purpose rather than broken.
fn is_known_or_hidden(end: &End, addr: &str) -> bool {
    end.addr.is_some() || addr.starts_with('<') || addr.contains('#')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(text: &str, local: (&str, u16), remote: (Option<&str>, u16)) {
        let end = |addr: Option<&str>, port| End { addr: addr.map(|a| a.parse().unwrap()), port };
        let expected = (end(Some(local.0), local.1), end(remote.0, remote.1));
        assert_eq!(pair(text), Some(expected), "{text}");
    }

    #[test]
    fn sockets_as_tools_write_them() {
        check("10.9.0.2:5000->10.9.0.1:443", ("10.9.0.2", 5000), (Some("10.9.0.1"), 443));
        check("10.9.0.2.5000<->10.9.0.1:443", ("10.9.0.2", 5000), (Some("10.9.0.1"), 443));
        check("[fe80::2]:5000->[2001:db8::1]:443", ("fe80::2", 5000), (Some("2001:db8::1"), 443));
        check("fe80::2%en0.5000<->2001:db8::1.443", ("fe80::2", 5000), (Some("2001:db8::1"), 443));
        check("10.9.0.2.5000<->IPv4#3f2a:443", ("10.9.0.2", 5000), (None, 443));
    }

    #[test]
    fn what_is_no_socket_is_none() {
        for text in ["*:5353", "", "->", "10.9.0.2->10.9.0.1", "x:1->y:2", "*:*<->*:*"] {
            assert_eq!(pair(text), None, "{text}");
        }
    }

    #[test]
    fn protocols_by_name_and_number() {
        assert_eq!(transport("6"), Some(Transport::Tcp));
        assert_eq!(transport("tcp6"), Some(Transport::Tcp));
        assert_eq!(transport("17"), Some(Transport::Udp));
        assert_eq!(transport("UDP"), Some(Transport::Udp));
        assert_eq!(transport("1"), None);
    }

    proptest! {
        #[test]
        fn any_text_is_a_socket_or_none(text: String) {
            let _ = pair(&text).and_then(name);
        }
    }
}
