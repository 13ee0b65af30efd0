//! The analytics of ATT&CK detection strategy DET0053 that the detector has.

use crate::Part;

/// An analytic of ATT&CK.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Analytic {
    /// Applications that send far more than they receive over HTTPS (Windows).
    An0144,
    /// Applications that a host never had before, with much traffic and little answer (Linux).
    An0145,
    /// Unexpected applications holding long-lived, irregular HTTP(S) sessions (macOS).
    An0146,
}

impl Analytic {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::An0144, Self::An0145, Self::An0146];

    /// Its ATT&CK identifier.
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Self::An0144 => "AN0144",
            Self::An0145 => "AN0145",
            Self::An0146 => "AN0146",
        }
    }

    /// What it finds, in a few words.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::An0144 => "Unexpected application sends far more than it receives",
            Self::An0145 => "Unseen application sends much and is hardly answered",
            Self::An0146 => "Unexpected long-lived irregular HTTP(S) session",
        }
    }

    /// The parts that its findings are made of, in the order in which they are told.
    #[must_use]
    pub const fn parts(self) -> &'static [Part] {
        match self {
            Self::An0144 | Self::An0145 => &[Part::Unexpected, Part::Outbound],
            Self::An0146 => &[Part::Unexpected, Part::LongLived, Part::Irregular],
        }
    }

    /// The detection strategy it belongs to.
    #[must_use]
    pub const fn strategy(self) -> &'static str {
        match self {
            Self::An0144 | Self::An0145 | Self::An0146 => "DET0053",
        }
    }

    /// The technique it detects: Data Obfuscation.
    #[must_use]
    pub const fn technique(self) -> &'static str {
        match self {
            Self::An0144 | Self::An0145 | Self::An0146 => "T1001",
        }
    }
}
