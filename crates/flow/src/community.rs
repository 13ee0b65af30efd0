//! Community ID: the flow identifier that other tools share. Knows nothing of the table.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dwell_packet::FiveTuple;
use sha1::{Digest, Sha1};

/// The Community ID, version 1, of a five-tuple with seed 0: `1:` and a base64 SHA-1.
///
/// Source: Community ID flow hashing specification (Corelight), version 1.
#[must_use]
pub fn community_id(tuple: &FiveTuple) -> String {
    let forward =
        (octets(tuple.src.addr), tuple.src.port) <= (octets(tuple.dst.addr), tuple.dst.port);
    let (first, second) = if forward { (tuple.src, tuple.dst) } else { (tuple.dst, tuple.src) };
    let mut hash = Sha1::new();
    hash.update([0, 0]);
    hash.update(octets(first.addr));
    hash.update(octets(second.addr));
    hash.update([tuple.transport.number(), 0]);
    hash.update(first.port.to_be_bytes());
    hash.update(second.port.to_be_bytes());
    format!("1:{}", STANDARD.encode(hash.finalize()))
}

fn octets(addr: IpAddr) -> Vec<u8> {
    match addr {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dwell_packet::{Endpoint, Transport};

    fn check(src: (&str, u16), dst: (&str, u16), transport: Transport, expected: &str) {
        let end = |(addr, port): (&str, u16)| Endpoint { addr: addr.parse().unwrap(), port };
        let tuple = FiveTuple { src: end(src), dst: end(dst), transport };
        assert_eq!(community_id(&tuple), expected);
        assert_eq!(community_id(&tuple.reversed()), expected);
    }

    /// Values of the specification's own baseline files for `tcp.pcap`, `udp.pcap` and
    /// `ipv6.pcap`, seed 0.
    #[test]
    fn matches_the_published_baselines() {
        check(
            ("128.232.110.120", 34855),
            ("66.35.250.204", 80),
            Transport::Tcp,
            "1:LQU9qZlK+B5F3KDmev6m5PMibrg=",
        );
        check(
            ("192.168.1.52", 54585),
            ("8.8.8.8", 53),
            Transport::Udp,
            "1:d/FP5EW3wiY1vCndhwleRRKHowQ=",
        );
    }
}
