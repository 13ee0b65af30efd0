//! The answer of attribution: which application a flow belongs to, and how that is known.

use std::fmt;
use std::sync::Arc;

use serde::Deserialize;

use crate::telemetry::ProcessIdentity;
use crate::{EvidenceLevel, OsGuess};

/// Which application holds a flow, with the rule and evidence that say so.
#[derive(Clone, Debug, PartialEq)]
pub struct Attribution {
    /// How firm the answer is.
    pub outcome: Outcome,
    /// The name shown, and the application part of a session's key: the application; for an
    /// ambiguous answer what the candidates share; for an unknown one `unknown` with the
    /// fingerprint; else `unattributed`. Printable.
    pub application: Arc<str>,
    /// Applications of one maker and purpose.
    pub family: Option<Arc<str>>,
    /// Maker.
    pub vendor: Option<Arc<str>>,
    /// TLS stack by its fingerprint, else by the rule.
    pub stack: Option<Arc<str>>,
    /// The operating system, where the fingerprint's stack exists on no other.
    pub native_os: Option<OsGuess>,
    /// What kind of program it is.
    pub category: Category,
    /// Whether the application normally holds long sessions, where a rule says.
    pub long_lived_normal: Option<bool>,
    /// How it was recognised.
    pub level: EvidenceLevel,
    /// The rule's precision with age decay, 0 to 1 (dimensionless).
    pub confidence: f64,
    /// Identifier of the rule that won.
    pub rule: Option<Arc<str>>,
    /// Every application that the evidence fits, the best first; at most
    /// [`Attribution::MAX_CANDIDATES`].
    pub candidates: Vec<Candidate>,
    /// Evidence that does not go together.
    pub contradictions: Vec<Contradiction>,
    /// The process that holds the flow, where endpoint telemetry names it.
    pub process: Option<Arc<ProcessIdentity>>,
}

impl Attribution {
    /// Most candidates kept: the rest are too weak to act on.
    pub const MAX_CANDIDATES: usize = 8;

    /// The answer for a flow whose opening was not seen.
    #[must_use]
    pub fn unattributed() -> Self {
        Self::bare(Outcome::Unattributed, Arc::from("unattributed"))
    }

    /// The answer for an opening that no rule knows, told apart by `mark` (its fingerprint).
    #[must_use]
    pub fn unknown(mark: &str) -> Self {
        let application =
            if mark.is_empty() { Arc::from("unknown") } else { format!("unknown {mark}").into() };
        Self::bare(Outcome::Unknown, application)
    }

    pub(crate) fn bare(outcome: Outcome, application: Arc<str>) -> Self {
        Self {
            outcome,
            application,
            family: None,
            vendor: None,
            stack: None,
            native_os: None,
            category: Category::Unknown,
            long_lived_normal: None,
            level: EvidenceLevel::None,
            confidence: 0.0,
            rule: None,
            candidates: Vec::new(),
            contradictions: Vec::new(),
            process: None,
        }
    }
}

/// How firm an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Outcome {
    /// One application.
    Application,
    /// Several applications fit equally.
    Ambiguous,
    /// The opening was seen and no rule knows it.
    Unknown,
    /// The opening was not seen, so that nothing can be said.
    Unattributed,
}

impl Outcome {
    /// The name in records and metric labels.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Application => "application",
            Self::Ambiguous => "ambiguous",
            Self::Unknown => "unknown",
            Self::Unattributed => "unattributed",
        }
    }
}

/// What kind of program an application is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Category {
    /// A browser, or a stack that a browser shares with much else.
    Browser,
    /// A library or tool that any program or script can use.
    Library,
    /// One product.
    Product,
    /// Part of the operating system, or of its management.
    System,
    /// Not known.
    #[default]
    Unknown,
}

impl Category {
    /// The name in records and rules.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Browser => "browser",
            Self::Library => "library",
            Self::Product => "product",
            Self::System => "system",
            Self::Unknown => "unknown",
        }
    }
}

/// One application that the evidence fits.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// Its name.
    pub application: Arc<str>,
    /// Its family.
    pub family: Option<Arc<str>>,
    /// The rule that names it.
    pub rule: Arc<str>,
    /// How that rule matched.
    pub level: EvidenceLevel,
    /// The rule's precision with age decay, 0 to 1 (dimensionless).
    pub confidence: f64,
    /// Whether the rule only warns: a program that imitates, or is built on, another.
    pub hint: bool,
}

/// Two pieces of evidence that do not go together.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Contradiction {
    /// The TLS stack does not exist on the operating system that the SYN shows.
    StackOs {
        /// The stack by its fingerprint.
        stack: Arc<str>,
        /// The system by its SYN.
        os: crate::Os,
    },
    /// The `User-Agent` names a product that has another TLS stack.
    UserAgentStack {
        /// The product claimed.
        product: Arc<str>,
        /// The stack by its fingerprint.
        stack: Arc<str>,
    },
    /// The `User-Agent` names another operating system than the SYN shows.
    UserAgentOs {
        /// The system claimed.
        claimed: crate::Os,
        /// The system by its SYN.
        os: crate::Os,
    },
    /// The application goes nowhere near this name, as its rule knows.
    Destination {
        /// The application.
        application: Arc<str>,
        /// The name.
        destination: Arc<str>,
    },
    /// Endpoint telemetry names a process that cannot be what the wire shows.
    Process {
        /// The process by its host.
        process: Arc<str>,
        /// The application by the wire.
        wire: Arc<str>,
    },
}

impl Contradiction {
    /// The kind of contradiction, in rule identifiers.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::StackOs { .. } => "stack_os",
            Self::UserAgentStack { .. } => "user_agent_stack",
            Self::UserAgentOs { .. } => "user_agent_os",
            Self::Destination { .. } => "destination",
            Self::Process { .. } => "process",
        }
    }
}

impl fmt::Display for Contradiction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StackOs { stack, os } => {
                write!(f, "a TLS fingerprint of {stack} behind a SYN of {}", os.label())
            }
            Self::UserAgentStack { product, stack } => {
                write!(f, "a User-Agent of {product} over a TLS fingerprint of {stack}")
            }
            Self::UserAgentOs { claimed, os } => {
                write!(f, "a User-Agent on {} behind a SYN of {}", claimed.label(), os.label())
            }
            Self::Destination { application, destination } => {
                write!(f, "{application} does not go to {destination}")
            }
            Self::Process { process, wire } => {
                write!(f, "the endpoint names the process {process}, the wire looks like {wire}")
            }
        }
    }
}
