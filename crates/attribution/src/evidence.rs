//! What a flow showed of its application, and how much each kind of evidence is worth.

use dwell_packet::Timestamp;

use crate::OsGuess;

/// What one flow showed of the program behind it, borrowed from its facts.
#[derive(Clone, Copy, Debug, Default)]
pub struct Evidence<'a> {
    /// Whether the flow's opening was seen at all.
    pub opening: Opening,
    /// JA4 of the ClientHello.
    pub ja4: Option<&'a str>,
    /// JA4 without the extensions that come and go with resumption.
    pub stable: Option<&'a str>,
    /// JA3, lower hex.
    pub ja3: Option<&'a str>,
    /// `server_name`, or the HTTP `Host`, as sent.
    pub server_name: Option<&'a [u8]>,
    /// The HTTP `User-Agent`, as sent.
    pub user_agent: Option<&'a [u8]>,
    /// The first application protocol offered.
    pub alpn: Option<&'a [u8]>,
    /// The destination port.
    pub port: u16,
    /// The host's operating system, by its SYN.
    pub os: Option<OsGuess>,
    /// When the flow opened: the age of a rule counts up to here.
    pub at: Timestamp,
}

/// What was seen of a flow's opening.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Opening {
    /// Nothing that names an application: the flow was open already, or could not be decoded.
    #[default]
    Unseen,
    /// A ClientHello.
    Hello,
    /// An HTTP request head.
    HttpRequest,
}

/// How an application was recognised, the strongest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum EvidenceLevel {
    /// Endpoint telemetry named the process.
    Endpoint,
    /// JA4 and destination.
    Ja4Destination,
    /// Normalised JA4 and destination.
    StableDestination,
    /// JA3 and destination.
    Ja3Destination,
    /// First two parts of JA4, and destination.
    PrefixDestination,
    /// Cipher part of JA4, and destination.
    CipherDestination,
    /// `User-Agent` product.
    UserAgent,
    /// JA4 of one program.
    Ja4,
    /// Normalised JA4 of one program.
    Stable,
    /// JA3 of one program.
    Ja3,
    /// A fitting TLS stack and the destination.
    StackDestination,
    /// First two parts of one program's JA4.
    Prefix,
    /// Cipher part of one program's JA4.
    Cipher,
    /// Extension part of JA4, and destination.
    ExtensionsDestination,
    /// Extension part of one program's JA4.
    Extensions,
    /// Destination alone.
    Destination,
    /// The fingerprint of a TLS stack that many programs share.
    Stack,
    /// The cipher part of such a stack's JA4.
    StackCipher,
    /// Nothing matched.
    None,
}

impl EvidenceLevel {
    /// The name in records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Endpoint => "endpoint",
            Self::Ja4Destination => "ja4+destination",
            Self::StableDestination => "stable+destination",
            Self::Ja3Destination => "ja3+destination",
            Self::PrefixDestination => "prefix+destination",
            Self::CipherDestination => "cipher+destination",
            Self::UserAgent => "user_agent",
            Self::Ja4 => "ja4",
            Self::Stable => "stable",
            Self::Ja3 => "ja3",
            Self::StackDestination => "stack+destination",
            Self::Prefix => "prefix",
            Self::Cipher => "cipher",
            Self::ExtensionsDestination => "extensions+destination",
            Self::Extensions => "extensions",
            Self::Destination => "destination",
            Self::Stack => "stack",
            Self::StackCipher => "stack_cipher",
            Self::None => "none",
        }
    }

    /// The order in which rules win, the smallest first: levels that are equally specific share a
    /// number, and the surer rule of them wins.
    #[must_use]
    pub const fn rank(self) -> u8 {
        match self {
            Self::Endpoint => 0,
            Self::Ja4Destination | Self::StableDestination | Self::Ja3Destination => 1,
            Self::PrefixDestination => 2,
            Self::CipherDestination => 3,
            Self::UserAgent => 4,
            Self::Ja4 | Self::Stable | Self::Ja3 => 5,
            Self::StackDestination => 6,
            Self::Prefix => 7,
            Self::Cipher => 8,
            Self::ExtensionsDestination => 9,
            Self::Extensions => 10,
            Self::Destination => 11,
            Self::Stack => 12,
            Self::StackCipher => 13,
            Self::None => 14,
        }
    }

    /// What the confidence of a rule that was not measured at this level is multiplied by
    /// (dimensionless).
    ///
    /// A judgement: an exact key keeps the rule's own precision; the cipher part is shared by all
    /// versions of a stack; a destination is open to any program. Rules that were learned carry
    /// the precision measured at their level, and are not multiplied.
    #[must_use]
    pub const fn trust(self) -> f64 {
        match self {
            Self::Endpoint | Self::Ja4Destination | Self::Ja4 => 1.0,
            Self::StableDestination | Self::Ja3Destination | Self::Stable | Self::Ja3 => 0.95,
            Self::UserAgent | Self::Stack => 0.9,
            Self::PrefixDestination
            | Self::CipherDestination
            | Self::StackDestination
            | Self::StackCipher => 0.8,
            Self::ExtensionsDestination | Self::Prefix | Self::Cipher => 0.7,
            Self::Destination | Self::Extensions => 0.5,
            Self::None => 0.0,
        }
    }
}
