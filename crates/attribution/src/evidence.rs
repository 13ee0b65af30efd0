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

/// How an application was recognised, the strongest first: the order in which rules win.
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
    /// Cipher part of one program's JA4.
    Cipher,
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
            Self::CipherDestination => "cipher+destination",
            Self::UserAgent => "user_agent",
            Self::Ja4 => "ja4",
            Self::Stable => "stable",
            Self::Ja3 => "ja3",
            Self::StackDestination => "stack+destination",
            Self::Cipher => "cipher",
            Self::Destination => "destination",
            Self::Stack => "stack",
            Self::StackCipher => "stack_cipher",
            Self::None => "none",
        }
    }

    /// What a rule's confidence is multiplied by when it matches at this level (dimensionless).
    ///
    /// A judgement, not a measurement: an exact key keeps the rule's own precision; the cipher part
    /// is shared by all versions of a stack; a destination is open to any program.
    #[must_use]
    pub const fn trust(self) -> f64 {
        match self {
            Self::Endpoint | Self::Ja4Destination | Self::Ja4 => 1.0,
            Self::StableDestination | Self::Ja3Destination | Self::Stable | Self::Ja3 => 0.95,
            Self::UserAgent | Self::Stack => 0.9,
            Self::CipherDestination | Self::StackDestination | Self::StackCipher => 0.8,
            Self::Cipher => 0.7,
            Self::Destination => 0.5,
            Self::None => 0.0,
        }
    }
}
