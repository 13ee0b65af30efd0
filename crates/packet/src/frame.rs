//! A captured frame and its link type, as a capture file or an interface delivers them.

use std::fmt;

use crate::{Processes, Timestamp};

/// One captured frame, borrowed from its source.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// When the frame was seen.
    pub ts: Timestamp,
    /// How `bytes` starts.
    pub link_type: LinkType,
    /// The captured bytes; fewer than `wire_len` when a snap length cut the frame.
    pub bytes: &'a [u8],
    /// Length on the wire, in bytes.
    pub wire_len: u32,
    /// Position in its source, from 1 (Wireshark's frame number).
    pub number: u64,
    /// The processes behind it, where the capture file notes them beside the frame.
    pub processes: Processes<'a>,
}

/// A link-layer header type (<https://www.tcpdump.org/linktypes.html>), kept as its number so
/// that unknown values survive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LinkType(pub u32);

impl LinkType {
    /// BSD loopback, host byte order.
    pub const NULL: Self = Self(0);
    /// Ethernet.
    pub const ETHERNET: Self = Self(1);
    /// Raw IP by some BSDs' own number.
    pub const RAW_BSD: Self = Self(12);
    /// Raw IP by OpenBSD's number.
    pub const RAW_OPENBSD: Self = Self(14);
    /// PPP.
    pub const PPP: Self = Self(9);
    /// PPP in HDLC-like framing (RFC 1662) or Cisco HDLC.
    pub const PPP_HDLC: Self = Self(50);
    /// PPPoE session header.
    pub const PPP_ETHER: Self = Self(51);
    /// Raw IP, version by the first nibble.
    pub const RAW: Self = Self(101);
    /// Cisco HDLC.
    pub const C_HDLC: Self = Self(104);
    /// IEEE 802.11.
    pub const IEEE802_11: Self = Self(105);
    /// OpenBSD loopback, network byte order.
    pub const LOOP: Self = Self(108);
    /// Linux cooked capture.
    pub const LINUX_SLL: Self = Self(113);
    /// 802.11 with a Prism header.
    pub const IEEE802_11_PRISM: Self = Self(119);
    /// 802.11 with radiotap.
    pub const IEEE802_11_RADIOTAP: Self = Self(127);
    /// 802.11 with an AVS header.
    pub const IEEE802_11_AVS: Self = Self(163);
    /// Apple PKTAP by its old private number (USER2).
    pub const USER2: Self = Self(149);
    /// PPP with a direction byte.
    pub const PPP_WITH_DIR: Self = Self(204);
    /// PPI: per-packet information.
    pub const PPI: Self = Self(192);
    /// Raw IPv4.
    pub const IPV4: Self = Self(228);
    /// Raw IPv6.
    pub const IPV6: Self = Self(229);
    /// Linux netfilter log.
    pub const NFLOG: Self = Self(239);
    /// Apple PKTAP.
    pub const PKTAP: Self = Self(258);
    /// Linux cooked capture, version 2.
    pub const LINUX_SLL2: Self = Self(276);

    /// Whether frames of this type can be decoded.
    #[must_use]
    pub const fn is_supported(self) -> bool {
        matches!(
            self,
            Self::NULL
                | Self::ETHERNET
                | Self::PPP
                | Self::RAW_BSD
                | Self::RAW_OPENBSD
                | Self::PPP_HDLC
                | Self::PPP_ETHER
                | Self::RAW
                | Self::C_HDLC
                | Self::IEEE802_11
                | Self::LOOP
                | Self::LINUX_SLL
                | Self::IEEE802_11_PRISM
                | Self::IEEE802_11_RADIOTAP
                | Self::USER2
                | Self::IEEE802_11_AVS
                | Self::PPI
                | Self::PPP_WITH_DIR
                | Self::IPV4
                | Self::IPV6
                | Self::NFLOG
                | Self::PKTAP
                | Self::LINUX_SLL2
        )
    }
}

impl fmt::Display for LinkType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "link type {}", self.0)
    }
}
