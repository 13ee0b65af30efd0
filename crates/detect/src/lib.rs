//! Sessions and what is judged of them: the analytics of ATT&CK strategy DET0053.
//!
//! Knows flows by their facts and bursts, hosts, applications and policy. It knows no packets, no
//! protocols, no records and no clock: time is the packets'.

mod an0144;
mod an0145;
mod an0146;
mod analytic;
mod appraisal;
mod attendance;
mod baseline;
mod config;
mod counters;
mod detector;
mod explain;
mod facts;
mod finding;
mod judge;
mod keep;
mod lives;
mod mark;
mod order;
mod outbound;
mod outlook;
mod saved;
mod score;
mod session;
mod shape;
mod slots;
mod stats;
mod summary;
mod tracker;
mod view;
mod words;

pub use analytic::Analytic;
pub use config::{DetectConfig, LevelThresholds, OutboundConfig, UnseenConfig};
pub use counters::DetectCounters;
pub use detector::Detector;
pub use facts::{Burst, FlowFacts, NameLookup, Side, Visibility};
pub use finding::{Finding, FindingId, Level, Life, Part, Parts, Reason};
pub use outlook::{Frequency, Outlook};
pub use saved::{
    Saved, SavedContact, SavedDay, SavedFinding, SavedFlow, SavedHost, SavedLongest, SavedSession,
    SavedShape, SavedVote,
};
pub use shape::Shape;
pub use summary::{DetectEvent, Judged, SessionEnd, SessionId, SessionSummary};
