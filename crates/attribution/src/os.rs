//! The operating system of a host by the shape of its SYN. Knows no hosts.

use dwell_packet::TcpFlags;
use serde::{Deserialize, Serialize};

/// An operating system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Os {
    /// macOS.
    Macos,
    /// iOS, iPadOS and their relatives.
    Ios,
    /// Windows.
    Windows,
    /// Linux.
    Linux,
    /// Android.
    Android,
}

impl Os {
    /// The name in records and rules.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Macos => "macos",
            Self::Ios => "ios",
            Self::Windows => "windows",
            Self::Linux => "linux",
            Self::Android => "android",
        }
    }

    /// The name as its maker writes it.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Macos => "macOS",
            Self::Ios => "iOS",
            Self::Windows => "Windows",
            Self::Linux => "Linux",
            Self::Android => "Android",
        }
    }
}

/// What a SYN says of its sender's operating system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OsGuess {
    /// The likelier system.
    pub os: Os,
    /// A system whose SYN looks the same.
    pub or: Option<Os>,
}

impl OsGuess {
    /// Whether the guess allows for `os`.
    #[must_use]
    pub fn allows(&self, os: Os) -> bool {
        self.os == os || self.or == Some(os)
    }
}

/// The operating system that sends a SYN of this window, TTL and option layout, if one is known.
///
/// `options` are the option bytes of the header as captured. macOS: window 65535 and
/// `mss,nop,ws,nop,nop,ts,sok`, precision 1.000 and recall .9999 on two billion labelled SYNs of
/// macOS, Windows and Linux; iOS sends the same; where it asks for ECN (nDPI's table of systems)
/// and scales its window by 128 (nDPI's captures of iPhones) it is the likelier of the two. The others as in p0f's signature database, where
/// layout and initial TTL agree. A NAT or a proxy in the path answers for the host behind it.
/// Never allocates.
#[must_use]
pub fn from_syn(flags: TcpFlags, window: u16, ttl: u8, options: &[u8]) -> Option<OsGuess> {
    let layout = Layout::of(options)?;
    let guess = |os, or| Some(OsGuess { os, or });
    match (layout.kinds(), initial_ttl(ttl)) {
        (APPLE | APPLE_PADDED, 64) if window == 65_535 => {
            let ecn = flags.contains(TcpFlags::ECE) && flags.contains(TcpFlags::CWR);
            if ecn && window_scale(options) == Some(IOS_SCALE) {
                guess(Os::Ios, Some(Os::Macos))
            } else {
                guess(Os::Macos, Some(Os::Ios))
            }
        }
        (LINUX, 64) if window == 65_535 => guess(Os::Android, Some(Os::Linux)),
        (LINUX, 64) => guess(Os::Linux, Some(Os::Android)),
        (WINDOWS | WINDOWS_TS | WINDOWS_OLD, 128) => guess(Os::Windows, None),
        _ => None,
    }
}

/// The operating system whose DHCP client asks for these options in this order (option 55), or says
/// of itself what kind of client it is (option 60), if one is known.
///
/// The lists are those that fingerbank has for Apple's systems: macOS ends its list with NetBIOS and
/// iOS does not. Never allocates.
#[must_use]
pub fn from_dhcp(parameters: &[u8], vendor_class: Option<&[u8]>) -> Option<Os> {
    let class = vendor_class.unwrap_or_default();
    if class.starts_with(b"android-dhcp-") {
        return Some(Os::Android);
    }
    if class == b"MSFT 5.0" {
        return Some(Os::Windows);
    }
    if class.starts_with(b"dhcpcd") || class.starts_with(b"udhcp") {
        return Some(Os::Linux);
    }
    let rest = parameters.strip_prefix(&[1, 121, 3, 6, 15])?;
    let rest = rest.strip_prefix(&[108]).unwrap_or(rest);
    let rest = rest.strip_prefix(&[114]).unwrap_or(rest);
    match rest {
        [119, 252, 95, 44, 46] => Some(Os::Macos),
        [119, 252] => Some(Os::Ios),
        _ => None,
    }
}

/// The shift of a window scale option (RFC 7323, section 2.2).
fn window_scale(options: &[u8]) -> Option<u8> {
    let mut rest = options;
    loop {
        match *rest {
            [NOP, ref tail @ ..] => rest = tail,
            [WS, 3, shift, ..] => return Some(shift),
            [EOL, ..] | [] | [_] => return None,
            [_, length, ..] => rest = rest.get(usize::from(length.max(2))..)?,
        }
    }
}

/// The option kinds of a SYN in order. Never allocates; 25 bytes.
struct Layout {
    kinds: [u8; MAX_KINDS],
    count: usize,
}

impl Layout {
    /// Walks the options (RFC 9293, section 3.1); `None` if they are broken or cut.
    ///
    /// Everything after the end-of-options byte is padding and counts as one.
    fn of(options: &[u8]) -> Option<Self> {
        let mut layout = Self { kinds: [0; MAX_KINDS], count: 0 };
        let mut rest = options;
        while let [kind, tail @ ..] = rest {
            *layout.kinds.get_mut(layout.count)? = *kind;
            layout.count = layout.count.saturating_add(1);
            rest = match *kind {
                EOL => break,
                NOP => tail,
                _ => {
                    let length = usize::from(*tail.first()?);
                    if length < 2 {
                        return None;
                    }
                    rest.get(length..)?
                }
            };
        }
        Some(layout)
    }

    fn kinds(&self) -> &[u8] {
        self.kinds.get(..self.count).unwrap_or_default()
    }
}

/// The TTL that the sender started with: the next of the values in use (64, 128, 255).
const fn initial_ttl(ttl: u8) -> u8 {
    match ttl {
        0..=64 => 64,
        65..=128 => 128,
        129..=255 => 255,
    }
}

/// Recent iPhones' window scale; macOS has 4 to 6.
const IOS_SCALE: u8 = 7;

const EOL: u8 = 0;
const NOP: u8 = 1;
const MSS: u8 = 2;
const WS: u8 = 3;
const SOK: u8 = 4;
const TS: u8 = 8;

const APPLE: &[u8] = &[MSS, NOP, WS, NOP, NOP, TS, SOK];
const APPLE_PADDED: &[u8] = &[MSS, NOP, WS, NOP, NOP, TS, SOK, EOL];
const LINUX: &[u8] = &[MSS, SOK, TS, NOP, WS];
const WINDOWS: &[u8] = &[MSS, NOP, WS, NOP, NOP, SOK];
const WINDOWS_TS: &[u8] = &[MSS, NOP, WS, SOK, TS];
const WINDOWS_OLD: &[u8] = &[MSS, NOP, NOP, SOK];

/// Forty option bytes hold at most forty kinds; longer lists than these match nothing.
const MAX_KINDS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(window: u16, ttl: u8, options: &[u8], expected: Option<Os>) {
        let found = from_syn(TcpFlags::SYN, window, ttl, options);
        assert_eq!(found.map(|guess| guess.os), expected);
    }

    const MAC: [u8; 24] =
        [2, 4, 5, 180, 1, 3, 3, 6, 1, 1, 8, 10, 1, 2, 3, 4, 0, 0, 0, 0, 4, 2, 0, 0];
    const LIN: [u8; 20] = [2, 4, 5, 180, 4, 2, 8, 10, 1, 2, 3, 4, 0, 0, 0, 0, 1, 3, 3, 7];
    const WIN: [u8; 12] = [2, 4, 5, 180, 1, 3, 3, 8, 1, 1, 4, 2];

    #[test]
    fn signatures_of_p0f_name_their_systems() {
        check(65_535, 64, &MAC, Some(Os::Macos));
        check(65_535, 57, &MAC, Some(Os::Macos));
        check(64_240, 64, &LIN, Some(Os::Linux));
        check(65_535, 64, &LIN, Some(Os::Android));
        check(64_240, 128, &WIN, Some(Os::Windows));
        check(8192, 117, &WIN, Some(Os::Windows));
    }

    #[test]
    fn other_windows_ttls_and_cut_options_name_nothing() {
        check(29_200, 64, &MAC, None);
        check(65_535, 128, &MAC, None);
        check(64_240, 64, &WIN, None);
        check(65_535, 64, &MAC[..10], None);
        check(65_535, 64, &[], None);
        check(65_535, 64, &[2, 0, 0, 0], None);
    }

    #[test]
    fn a_mac_guess_allows_for_ios() {
        let guess = from_syn(TcpFlags::SYN, 65_535, 64, &MAC).unwrap();
        assert!(guess.allows(Os::Macos) && guess.allows(Os::Ios) && !guess.allows(Os::Linux));
    }

    #[test]
    fn a_syn_that_asks_for_ecn_is_likelier_of_ios() {
        // Flags 194 in nDPI's table of systems: SYN, ECE, CWR. Its iphone.pcap: wscale 7.
        let mut iphone = MAC;
        iphone[7] = 7;
        let guess = from_syn(TcpFlags(194), 65_535, 64, &iphone).unwrap();
        assert_eq!(guess, OsGuess { os: Os::Ios, or: Some(Os::Macos) });
        let mac = from_syn(TcpFlags(194), 65_535, 64, &MAC).unwrap();
        assert_eq!(mac, OsGuess { os: Os::Macos, or: Some(Os::Ios) });
    }

    #[test]
    fn dhcp_clients_tell_their_systems() {
        let macos = [1, 121, 3, 6, 15, 108, 114, 119, 252, 95, 44, 46];
        assert_eq!(from_dhcp(&macos, None), Some(Os::Macos));
        assert_eq!(from_dhcp(&[1, 121, 3, 6, 15, 119, 252, 95, 44, 46], None), Some(Os::Macos));
        assert_eq!(from_dhcp(&[1, 121, 3, 6, 15, 108, 114, 119, 252], None), Some(Os::Ios));
        assert_eq!(from_dhcp(&[1, 3, 6], Some(b"MSFT 5.0")), Some(Os::Windows));
        assert_eq!(from_dhcp(&[], Some(b"android-dhcp-14")), Some(Os::Android));
        assert_eq!(from_dhcp(&[1, 3, 6], None), None);
    }

    proptest! {
        #[test]
        fn any_options_never_panic(flags: u8, window: u16, ttl: u8, options: Vec<u8>) {
            let _ = from_syn(TcpFlags(flags), window, ttl, &options);
            let _ = from_dhcp(&options, Some(&options));
        }
    }
}
