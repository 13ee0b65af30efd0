//! The analytics of ATT&CK detection strategy DET0053 that the detector has, or has room for.

/// An analytic of ATT&CK.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Analytic {
    /// Unexpected applications holding long-lived, irregular HTTP(S) sessions (macOS).
    An0146,
}

impl Analytic {
    /// Its ATT&CK identifier.
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Self::An0146 => "AN0146",
        }
    }

    /// The detection strategy it belongs to.
    #[must_use]
    pub const fn strategy(self) -> &'static str {
        match self {
            Self::An0146 => "DET0053",
        }
    }

    /// The technique it detects: Data Obfuscation.
    #[must_use]
    pub const fn technique(self) -> &'static str {
        match self {
            Self::An0146 => "T1001",
        }
    }
}
