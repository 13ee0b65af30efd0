//! What is expected of an application on a host towards a destination, as plain figures for people.

use std::sync::Arc;
use std::time::Duration;

use dwell_attribution::HostId;
use dwell_packet::Timestamp;

use crate::baseline::Query;
use crate::mark::Mark;
use crate::{Detector, Shape};

/// What a baseline knows that bears on one host, application and destination.
#[derive(Clone, Debug, PartialEq)]
pub struct Outlook {
    /// Other hosts.
    pub hosts: u32,
    /// Other hosts with the application, the destination, and both.
    pub with: [u32; 3],
    /// Class of the destination: `rare`, `uncommon`, `common`.
    pub class: &'static str,
    /// Kind of the application; `None` if it is not known here.
    pub kind: Option<&'static str>,
    /// Time since the host first went there with it; `None` if it never did.
    pub known_for: Option<Duration>,
    /// How long sessions of the host's user usually last.
    pub user_expected: Option<Duration>,
    /// The longest that the application held anything on another host.
    pub longest_elsewhere: Option<Duration>,
    /// The longest that it held another destination on this host, and which.
    pub longest_here: Option<(Duration, Arc<str>)>,
    /// For some lengths: days of other hosts with such a session, of how many, and the same for
    /// all applications of the kind. Empty while too little is known.
    pub lengths: Vec<Frequency>,
}

/// How often sessions of at least a length are on other hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frequency {
    /// The length.
    pub held: Duration,
    /// Days of other hosts with such a session of the application, of how many.
    pub such: (u32, u32),
    /// The same for all applications of the kind.
    pub of_kind: (u32, u32),
}

impl Detector {
    /// What is expected at `at` of `application` on `host` towards the group `destination`.
    #[must_use]
    pub fn outlook(
        &self,
        host: HostId,
        application: &str,
        destination: &Arc<str>,
        at: Timestamp,
    ) -> Outlook {
        let marks = &self.baseline.marks;
        let (application, mark) = (marks.of(application), marks.of(destination));
        let shape = Shape::default();
        let query = Query {
            at,
            host,
            kind: self.baseline.kind_of(application),
            application,
            destination: mark,
            group: destination,
            held: Duration::from_secs(LENGTHS_S[0]),
            began: at,
            shape: &shape,
        };
        let peers = self.baseline.peers(&query);
        let frequency = |&seconds: &u64| {
            let held = Duration::from_secs(seconds);
            let expected = self.baseline.peers(&Query { held, ..query }).expected?;
            Some(Frequency {
                held,
                such: (expected.such, expected.host_days),
                of_kind: (expected.kind_such, expected.kind_host_days),
            })
        };
        Outlook {
            hosts: peers.hosts,
            with: [peers.with_application, peers.with_destination.unwrap_or(0), peers.with_pair],
            class: peers.class.name(),
            kind: query.kind.map(crate::baseline::Kind::name),
            known_for: self
                .first_contact((host, application, mark))
                .map(|first| at.saturating_since(first)),
            user_expected: self.baseline.user_expected(host),
            longest_elsewhere: peers.longest_elsewhere,
            longest_here: peers.longest_here,
            lengths: LENGTHS_S.iter().filter_map(frequency).collect(),
        }
    }

    /// The time of the newest thing learnt.
    #[must_use]
    pub fn learnt_until(&self) -> Timestamp {
        self.baseline.newest()
    }

    fn first_contact(
        &self,
        (host, application, destination): (HostId, Mark, Mark),
    ) -> Option<Timestamp> {
        self.baseline.first_contact(host, application, destination)
    }
}

/// Half an hour to four: beyond, nothing is more unusual.
const LENGTHS_S: [u64; 4] = [1800, 3600, 7200, 14_400];
