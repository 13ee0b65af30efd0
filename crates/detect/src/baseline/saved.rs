//! The baseline to rows and back. Marks become names, numbers become addresses.

use std::net::IpAddr;
use std::sync::Arc;

use dwell_attribution::HostId;

use super::hosts::Expectation;
use super::longest::Longest;
use super::shapes::OwnShape;
use super::{
    Application, Baseline, Destination, DestinationClass, Kind, ShapeKey, VoteKey, Voters, entry,
};
use crate::mark::Mark;
use crate::saved::{Saved, SavedContact, SavedDay, SavedHost, SavedLongest, SavedShape, SavedVote};

/// What changed since it was last saved.
///
/// Bounded by [`MAX_CHANGES`]: beyond, everything counts as changed.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// Whether anybody asks for changes.
    wanted: bool,
    everything: bool,
    hosts: Vec<u32>,
    contacts: Vec<(u32, Mark, Mark)>,
    days: Vec<(u32, Mark, u16)>,
    votes: Vec<(VoteKey, u32, u16)>,
    shapes: Vec<(ShapeKey, u32)>,
    longest: Vec<(u32, Mark)>,
}

impl Changes {
    pub(super) fn host(&mut self, host: u32) {
        if self.takes() {
            self.hosts.push(host);
        }
    }

    pub(super) fn contact(&mut self, key: (u32, Mark, Mark)) {
        if self.takes() {
            self.contacts.push(key);
        }
    }

    pub(super) fn day(&mut self, host: u32, application: Mark, day: u16) {
        if self.takes() {
            self.days.push((host, application, day));
        }
    }

    pub(super) fn vote(&mut self, key: VoteKey, host: u32, day: u16) {
        if self.takes() {
            self.votes.push((key, host, day));
        }
    }

    pub(super) fn shape(&mut self, key: ShapeKey, host: u32) {
        if self.takes() {
            self.shapes.push((key, host));
        }
    }

    pub(super) fn longest(&mut self, host: u32, application: Mark) {
        if self.takes() {
            self.longest.push((host, application));
        }
    }

    fn takes(&mut self) -> bool {
        if !self.wanted || self.everything {
            return false;
        }
        let lengths = [self.hosts.len(), self.contacts.len(), self.days.len(), self.votes.len()];
        let kept: usize =
            lengths.into_iter().sum::<usize>() + self.shapes.len() + self.longest.len();
        if kept < MAX_CHANGES {
            return true;
        }
        *self = Self { wanted: true, everything: true, ..Self::default() };
        false
    }
}

/// Changes remembered one by one: a minute of a large site.
const MAX_CHANGES: usize = 262_144;

impl Baseline {
    /// Rows of what changed since the last call; of everything on the first.
    pub(crate) fn take_changes(&mut self, rows: &mut Saved) {
        let changes =
            std::mem::replace(&mut self.changes, Changes { wanted: true, ..Changes::default() });
        if !changes.wanted || changes.everything {
            return self.save(rows);
        }
        rows.first = self.first;
        rows.hosts.extend(unique(changes.hosts).into_iter().filter_map(|host| self.host_row(host)));
        rows.contacts.extend(changes.contacts.into_iter().filter_map(|key| self.contact_row(&key)));
        let days = changes.days.into_iter();
        rows.days.extend(days.filter_map(|(host, mark, day)| self.day_row(host, mark, day)));
        let votes = unique(changes.votes).into_iter();
        rows.votes.extend(votes.filter_map(|(key, host, day)| {
            let votes = self.held.get(&key)?;
            self.vote_row(&key, (host, day, votes.of(host, day)?))
        }));
        let shapes = unique(changes.shapes).into_iter();
        rows.shapes.extend(shapes.filter_map(|(key, host)| {
            self.shape_row(&key, host, self.shapes.get(&key)?.of(host)?)
        }));
        for (host, mark) in unique(changes.longest) {
            self.longest_rows(host, mark, &mut rows.longest);
        }
    }

    /// Rows of everything.
    pub(crate) fn save(&self, rows: &mut Saved) {
        rows.first = self.first;
        rows.hosts.extend((0..self.hosts.len()).filter_map(|host| self.host_row(host)));
        rows.contacts.extend(self.arrivals.keys().filter_map(|key| self.contact_row(key)));
        for (&mark, application) in &self.applications {
            let days = application.mature.iter();
            rows.days.extend(days.filter_map(|(host, day, _)| self.day_row(host, mark, day)));
        }
        for (key, votes) in &self.held {
            rows.votes.extend(votes.iter().filter_map(|vote| self.vote_row(key, vote)));
        }
        for (key, shapes) in &self.shapes {
            let shapes = shapes.iter();
            rows.shapes.extend(shapes.filter_map(|(host, own)| self.shape_row(key, host, own)));
        }
        for &(host, mark) in self.held_here.keys() {
            self.longest_rows(host, mark, &mut rows.longest);
        }
    }

    /// Takes rows in, on top of what is there. Rows of hosts come first, whatever their order.
    pub(crate) fn restore(&mut self, rows: &Saved) {
        self.first = match (self.first, rows.first) {
            (Some(own), Some(other)) => Some(own.min(other)),
            (own, other) => own.or(other),
        };
        for row in &rows.hosts {
            let number = self.hosts.note(HostId(row.host), row.first_seen);
            if let Some(kept) = number.and_then(|number| self.hosts.row_mut(number)) {
                kept.first_seen = kept.first_seen.min(row.first_seen);
                kept.expectation = Expectation {
                    sessions: row.sessions,
                    mean: row.mean_ln_s,
                    squares: row.squares,
                };
            }
        }
        rows.contacts.iter().for_each(|row| self.restore_contact(row));
        rows.days.iter().for_each(|row| self.restore_day(row));
        rows.votes.iter().for_each(|row| self.restore_vote(row));
        rows.shapes.iter().for_each(|row| self.restore_shape(row));
        rows.longest.iter().for_each(|row| {
            let mark = self.marks.of(&row.application);
            self.note_held(HostId(row.host), mark, &row.destination, row.held);
        });
    }

    fn restore_contact(&mut self, row: &SavedContact) {
        let Some(host) = self.hosts.note(HostId(row.host), row.first) else { return };
        let (application, destination) =
            (self.marks.of(&row.application), self.marks.of(&row.destination));
        if self.destinations.len() < self.capacity || self.destinations.contains_key(&destination) {
            let fresh =
                || Destination { name: Arc::clone(&row.destination), hosts: Default::default() };
            self.destinations.entry(destination).or_insert_with(fresh).hosts.insert(host);
        }
        if self.applications.len() < self.capacity || self.applications.contains_key(&application) {
            let fresh = || Application::new(&row.application, Kind::named(row.kind));
            self.applications.entry(application).or_insert_with(fresh).hosts.insert(host);
        }
        self.count_pair(application, destination, host);
        self.note_debut((host, application), row.first);
        let first = self.arrivals.entry((host, application, destination)).or_insert(row.first);
        *first = row.first.min(*first);
    }

    fn restore_day(&mut self, row: &SavedDay) {
        let Some(host) = self.hosts.number(HostId(row.host)) else { return };
        self.newest_day = self.newest_day.max(row.day);
        self.mature.vote(host, row.day, 0);
        let mark = self.marks.of(&row.application);
        let Some(application) = self.applications.get_mut(&mark) else { return };
        application.mature.vote(host, row.day, 0);
        if let Some(kind) = application.kind {
            self.kinds.entry(kind).or_default().vote(host, row.day, 0);
        }
    }

    fn restore_vote(&mut self, row: &SavedVote) {
        let mark = self.marks.of(&row.application);
        let known = self.applications.get(&mark).and_then(|application| application.kind);
        let (Some(host), Some(kind), Some(class)) =
            (self.hosts.number(HostId(row.host)), known, DestinationClass::named(row.class))
        else {
            return;
        };
        for voters in [Voters::Application(mark), Voters::Kind(kind)] {
            let key = VoteKey { voters, class, fresh: row.fresh };
            if let Some(votes) = entry(&mut self.held, key, self.capacity) {
                votes.vote(host, row.day, row.bin);
            }
        }
    }

    fn restore_shape(&mut self, row: &SavedShape) {
        let Some(host) = self.hosts.number(HostId(row.host)) else { return };
        let Some(class) = DestinationClass::named(row.class) else { return };
        let application = row.application.as_ref().map(|name| self.marks.of(name));
        let own = OwnShape { sessions: row.sessions, mean: row.mean, variance: row.variance };
        if let Some(shapes) =
            entry(&mut self.shapes, ShapeKey { application, class }, self.capacity)
        {
            shapes.restore(host, own);
        }
    }

    fn address(&self, host: u32) -> Option<IpAddr> {
        self.hosts.row(host).map(|row| row.id.0)
    }

    fn name(&self, application: Mark) -> Option<Arc<str>> {
        self.applications.get(&application).map(|row| Arc::clone(&row.name))
    }

    fn host_row(&self, host: u32) -> Option<SavedHost> {
        let row = self.hosts.row(host)?;
        let Expectation { sessions, mean, squares } = row.expectation;
        let first_seen = row.first_seen;
        Some(SavedHost { host: row.id.0, first_seen, sessions, mean_ln_s: mean, squares })
    }

    fn contact_row(&self, key: &(u32, Mark, Mark)) -> Option<SavedContact> {
        let &(host, application, destination) = key;
        let row = self.applications.get(&application)?;
        Some(SavedContact {
            host: self.address(host)?,
            application: Arc::clone(&row.name),
            kind: row.kind.map_or("unattributed", Kind::name),
            destination: Arc::clone(&self.destinations.get(&destination)?.name),
            first: *self.arrivals.get(key)?,
        })
    }

    fn day_row(&self, host: u32, application: Mark, day: u16) -> Option<SavedDay> {
        Some(SavedDay { host: self.address(host)?, application: self.name(application)?, day })
    }

    /// Votes of a kind follow from those of its applications.
    fn vote_row(&self, key: &VoteKey, (host, day, bin): (u32, u16, u8)) -> Option<SavedVote> {
        let Voters::Application(application) = key.voters else { return None };
        Some(SavedVote {
            host: self.address(host)?,
            application: self.name(application)?,
            class: key.class.name(),
            fresh: key.fresh,
            day,
            bin,
        })
    }

    fn shape_row(&self, key: &ShapeKey, host: u32, own: &OwnShape) -> Option<SavedShape> {
        let application = match key.application {
            Some(mark) => Some(self.name(mark)?),
            None => None,
        };
        Some(SavedShape {
            host: self.address(host)?,
            application,
            class: key.class.name(),
            sessions: own.sessions,
            mean: own.mean,
            variance: own.variance,
        })
    }

    fn longest_rows(&self, host: u32, mark: Mark, rows: &mut Vec<SavedLongest>) {
        let found = self.held_here.get(&(host, mark)).map(Longest::iter).into_iter().flatten();
        rows.extend((0..).zip(found).filter_map(|(rank, (held, destination))| {
            Some(SavedLongest {
                host: self.address(host)?,
                application: self.name(mark)?,
                destination: Arc::clone(destination),
                held: *held,
                rank,
            })
        }));
    }
}

fn unique<T: std::hash::Hash + Eq + Copy>(all: Vec<T>) -> Vec<T> {
    let mut seen = hashbrown::HashSet::<T, foldhash::fast::RandomState>::default();
    all.into_iter().filter(|&one| seen.insert(one)).collect()
}
