//! Whether somebody is browsing on a host just now. Knows hosts and destinations by their marks.

use hashbrown::HashMap;

use crate::mark::Mark;

/// The destinations that each host's browsers opened flows to since the last tick, the first few.
///
/// A person who browses opens flows to many places; a browser left alone, and the system's own
/// services behind the same network stack, re-dial a few.
#[derive(Debug, Default)]
pub(crate) struct Attendance {
    hosts: HashMap<Mark, Vec<Mark>, foldhash::fast::RandomState>,
}

impl Attendance {
    /// Takes note of a browser's flow.
    pub(crate) fn note(&mut self, host: Mark, destination: Mark) {
        let full = self.hosts.len() >= MAX_HOSTS && !self.hosts.contains_key(&host);
        if full {
            return;
        }
        let destinations = self.hosts.entry(host).or_default();
        if destinations.len() < ATTENDED_FROM && !destinations.contains(&destination) {
            destinations.push(destination);
        }
    }

    /// Whether somebody has browsed on the host since the last tick.
    pub(crate) fn is_attended(&self, host: Mark) -> bool {
        self.hosts.get(&host).is_some_and(|destinations| destinations.len() >= ATTENDED_FROM)
    }

    /// Begins anew, at a tick.
    pub(crate) fn clear(&mut self) {
        self.hosts.clear();
    }
}

/// Destinations within a quarter of an hour that take a person: an idle Mac's daemons and open
/// tabs come to two or three, reading one page a minute to some twenty.
const ATTENDED_FROM: usize = 8;

/// Hosts followed at a time; more are as if nobody browsed there.
const MAX_HOSTS: usize = 65_536;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mark::Marks;

    #[test]
    fn eight_places_are_a_person_and_one_place_eight_times_is_none() {
        let marks = Marks::default();
        let (host, other) = (marks.of("a"), marks.of("b"));
        let mut attendance = Attendance::default();
        for n in 0..8 {
            attendance.note(host, marks.of(&format!("site{n}")));
            attendance.note(other, marks.of("site"));
        }
        assert!(attendance.is_attended(host));
        assert!(!attendance.is_attended(other));
        attendance.clear();
        assert!(!attendance.is_attended(host));
    }
}
