//! What outlives a restart, as plain rows: baseline, open sessions, findings told. Stores nothing.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use dwell_attribution::{Category, Outcome};
use dwell_packet::{FiveTuple, Timestamp};

use crate::{Analytic, Level, NameLookup, Visibility};

/// Rows of everything that was learnt and is open, or of what changed.
///
/// Rows of one kind replace rows with the same identity; their order says nothing.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Saved {
    /// Since when the sensor learns.
    pub first: Option<Timestamp>,
    /// Hosts, each by its address.
    pub hosts: Vec<SavedHost>,
    /// Which host went where with which application, by these three.
    pub contacts: Vec<SavedContact>,
    /// Days on which a host had an application, by these three.
    pub days: Vec<SavedDay>,
    /// Votes, by all but the bin.
    pub votes: Vec<SavedVote>,
    /// Shapes, by application, class and host.
    pub shapes: Vec<SavedShape>,
    /// How long an application held what on a host at most, by host, application and rank.
    pub longest: Vec<SavedLongest>,
    /// Open sessions, by their identity.
    pub sessions: Vec<SavedSession>,
    /// Findings told within the suppression time, by their identity.
    pub findings: Vec<SavedFinding>,
    /// Open flows of open sessions, by their five-tuple.
    pub flows: Vec<SavedFlow>,
}

/// A host and how long its user's sessions last.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SavedHost {
    /// Its identity.
    pub host: IpAddr,
    /// When the sensor saw it first.
    pub first_seen: Timestamp,
    /// Sessions that the expectation stands on.
    pub sessions: f64,
    /// Mean of ln seconds.
    pub mean_ln_s: f64,
    /// Sum of squared differences from it.
    pub squares: f64,
}

/// Where a host went first with an application, and when.
#[derive(Clone, Debug, PartialEq)]
pub struct SavedContact {
    /// Which host.
    pub host: IpAddr,
    /// Application by its name.
    pub application: Arc<str>,
    /// What baselines take it for: `browser`, `library`, `known`, `unknown`, `unattributed`.
    pub kind: &'static str,
    /// Destination group.
    pub destination: Arc<str>,
    /// When it went there first.
    pub first: Timestamp,
}

/// A day on which a host had an application.
#[derive(Clone, Debug, PartialEq)]
pub struct SavedDay {
    /// Which host.
    pub host: IpAddr,
    /// Application by its name.
    pub application: Arc<str>,
    /// Days since 1970.
    pub day: u16,
}

/// A host's longest session of a kind on a day.
#[derive(Clone, Debug, PartialEq)]
pub struct SavedVote {
    /// Which host.
    pub host: IpAddr,
    /// Application by its name.
    pub application: Arc<str>,
    /// Class of the destination.
    pub class: &'static str,
    /// Whether the destination was new on the host.
    pub fresh: bool,
    /// Days since 1970.
    pub day: u16,
    /// Half octaves from a quarter of an hour.
    pub bin: u8,
}

/// What sessions of an application look like on a host.
#[derive(Clone, Debug, PartialEq)]
pub struct SavedShape {
    /// Which host.
    pub host: IpAddr,
    /// Application by its name; `None` for those that few hosts have, together.
    pub application: Option<Arc<str>>,
    /// Class of the destination.
    pub class: &'static str,
    /// Sessions so far.
    pub sessions: u32,
    /// Moving means of the compared figures.
    pub mean: [f64; 7],
    /// Moving variances.
    pub variance: [f64; 7],
}

/// How long an application held a destination on a host.
#[derive(Clone, Debug, PartialEq)]
pub struct SavedLongest {
    /// Which host.
    pub host: IpAddr,
    /// Application by its name.
    pub application: Arc<str>,
    /// Destination group.
    pub destination: Arc<str>,
    /// How long.
    pub held: Duration,
    /// 0 for the longest, 1 for the second.
    pub rank: u8,
}

/// An open session.
#[derive(Clone, Debug, PartialEq)]
pub struct SavedSession {
    /// Its identity.
    pub id: u64,
    /// Host's identity.
    pub host: IpAddr,
    /// Address that the host has now.
    pub host_addr: IpAddr,
    /// Host's name.
    pub host_name: Option<Arc<str>>,
    /// Application by its name.
    pub application: Arc<str>,
    /// How firm the name is.
    pub outcome: Outcome,
    /// What kind of program it is.
    pub category: Category,
    /// Destination group.
    pub destination: Arc<str>,
    /// Full name of the latest destination.
    pub name: Option<Arc<str>>,
    /// Its address.
    pub addr: IpAddr,
    /// Its port.
    pub port: u16,
    /// Whether it stands for all rare destinations of the application.
    pub together: bool,
    /// Time of its first payload.
    pub first: Timestamp,
    /// When something happened last.
    pub last_activity: Timestamp,
    /// Flows so far.
    pub flows: u32,
    /// The longest connection so far.
    pub longest: Duration,
    /// Payload bytes from and to the host.
    pub bytes: (u64, u64),
    /// Quarters of an hour with and without a browsing user.
    pub attendance: (u8, u8),
    /// Whether its address was looked up.
    pub lookup: NameLookup,
    /// What limits the trust in it.
    pub visibility: Visibility,
    /// Running statistics, as [`crate::Detector::restore`] reads them; of no use elsewhere.
    pub statistics: Vec<u8>,
    /// Its open findings.
    pub findings: Vec<SavedFinding>,
}

/// An open flow as far as its session goes: seen again after a restart, without its hello, it is
/// still who it was.
#[derive(Clone, Debug, PartialEq)]
pub struct SavedFlow {
    /// Its five-tuple, client first.
    pub tuple: FiveTuple,
    /// The session that it belongs to.
    pub session: u64,
    /// Time of its first packet.
    pub opened: Timestamp,
    /// Application by its name.
    pub application: Arc<str>,
    /// How firm the name is.
    pub outcome: Outcome,
    /// What kind of program it is.
    pub category: Category,
    /// Destination group.
    pub destination: Arc<str>,
    /// Full name of the destination.
    pub name: Option<Arc<str>>,
    /// What limits the trust in it.
    pub visibility: Visibility,
}

/// A finding as far as its life goes.
#[derive(Clone, Debug, PartialEq)]
pub struct SavedFinding {
    /// Its identity, 32 hexadecimal digits.
    pub id: Arc<str>,
    /// Which analytic.
    pub analytic: Analytic,
    /// Host's identity.
    pub host: IpAddr,
    /// Application by its name.
    pub application: Arc<str>,
    /// Destination group; empty for rare destinations together.
    pub destination: Arc<str>,
    /// When it was opened.
    pub opened: Timestamp,
    /// When it was told last.
    pub told: Timestamp,
    /// Its level.
    pub level: Level,
    /// Score in bits.
    pub score_bits: f64,
}
