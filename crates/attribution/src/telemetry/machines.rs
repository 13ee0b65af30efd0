//! Processes by machine and pid, as executions and sightings tell them. Knows no sockets.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use dwell_packet::Timestamp;
use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::process::ProcessFacts;

/// A machine by its tools' name for it; `None` for tools that have none.
pub(crate) type Machine = Option<Arc<str>>;

/// The processes of all machines, bounded in all and for each machine.
#[derive(Debug)]
pub(crate) struct Machines {
    machines: HashMap<Machine, Processes, RandomState>,
    kept: usize,
    max_kept: usize,
    /// Executions refused for want of room.
    pub(crate) refused: u64,
}

#[derive(Debug, Default)]
struct Processes {
    by_pid: HashMap<u32, Vec<Known>, RandomState>,
    /// One entry for each process kept, at least; the oldest first.
    order: VecDeque<u32>,
}

/// A process and since when it is known.
#[derive(Debug)]
struct Known {
    first: Timestamp,
    facts: ProcessFacts,
}

impl Machines {
    /// No machines; `max_kept` processes will be kept in all.
    pub(crate) fn new(max_kept: usize) -> Self {
        Self { machines: HashMap::default(), kept: 0, max_kept, refused: 0 }
    }

    /// How many processes are kept.
    pub(crate) const fn len(&self) -> usize {
        self.kept
    }

    /// Takes in that a process was there at `at`; true if that tells something new.
    pub(crate) fn learn(&mut self, machine: &Machine, at: Timestamp, facts: &ProcessFacts) -> bool {
        let full = self.machines.len() >= MAX_MACHINES;
        if full && !self.machines.contains_key(machine) {
            self.refused = self.refused.saturating_add(1);
            return false;
        }
        let processes = self.machines.entry(machine.clone()).or_default();
        let same_pid = processes.by_pid.entry(facts.pid).or_default();
        if let Some(known) = same_pid.iter_mut().rev().find(|known| known.facts.may_be(facts)) {
            let before = known.facts.clone();
            known.facts.complete(facts);
            known.first = known.first.min(at);
            return known.facts != before;
        }
        if self.kept >= self.max_kept || processes.order.len() >= MAX_OF_MACHINE {
            let before = processes.order.len();
            processes.drop_oldest();
            self.kept = self.kept.saturating_sub(before - processes.order.len());
        }
        if self.kept >= self.max_kept {
            self.refused = self.refused.saturating_add(1);
            return false;
        }
        let same_pid = processes.by_pid.entry(facts.pid).or_default();
        same_pid.push(Known { first: at, facts: facts.clone() });
        if same_pid.len() > MAX_OF_PID {
            same_pid.remove(0);
        }
        processes.order.push_back(facts.pid);
        self.kept = self.kept.saturating_add(1);
        true
    }

    /// Adds what is known of a process that was alive at `at`, and of its effective process.
    pub(crate) fn complete(&self, machine: &Machine, at: Timestamp, facts: &mut ProcessFacts) {
        for place in self.places(machine) {
            if let Some(known) = place.lookup(at, facts) {
                facts.complete(known);
            }
        }
        let Some(effective) = &facts.effective else { return };
        let mut completed = (**effective).clone();
        for place in self.places(machine) {
            if let Some(known) = place.lookup(at, &completed) {
                completed.complete(known);
            }
        }
        completed.effective = None;
        facts.effective = Some(Arc::new(completed));
    }

    /// Where to look for a machine's processes: its own, those of tools without a machine's name,
    /// and for such a tool the one machine there is.
    fn places(&self, machine: &Machine) -> impl Iterator<Item = &Processes> {
        let named = self.machines.keys().filter(|name| name.is_some()).take(2).count();
        let alone = (machine.is_none() && named == 1)
            .then(|| self.machines.iter().find(|(name, _)| name.is_some()))
            .flatten();
        let own = machine.as_ref().and_then(|_| self.machines.get(machine));
        let nameless = self.machines.get(&None);
        own.into_iter().chain(nameless).chain(alone.map(|(_, processes)| processes))
    }
}

impl Processes {
    /// The process that `facts` describes: by pid and pidversion, else the latest of its pid that
    /// began before `at`.
    fn lookup(&self, at: Timestamp, facts: &ProcessFacts) -> Option<&ProcessFacts> {
        let begun = |known: &&Known| known.first <= at.saturating_add(BEGIN_SLACK);
        let same_pid = self.by_pid.get(&facts.pid).into_iter().flatten();
        let fitting = same_pid.filter(begun).filter(|known| known.facts.may_be(facts));
        fitting.max_by_key(|known| known.first).map(|known| &known.facts)
    }

    fn drop_oldest(&mut self) {
        let Some(pid) = self.order.pop_front() else { return };
        let Some(same_pid) = self.by_pid.get_mut(&pid) else { return };
        if !same_pid.is_empty() {
            same_pid.remove(0);
        }
        if same_pid.is_empty() {
            self.by_pid.remove(&pid);
        }
    }
}

/// Machines whose processes are kept; a sensor's site has fewer tools reporting to it.
const MAX_MACHINES: usize = 16_384;

/// Processes kept of one machine: macOS runs some 4,000 at the most.
const MAX_OF_MACHINE: usize = 8_192;

/// Processes kept that had one pid in turn.
const MAX_OF_PID: usize = 4;

/// An execution may be logged this much after its first packet.
const BEGIN_SLACK: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::process::label;

    fn process(pid: u32, path: &str) -> ProcessFacts {
        ProcessFacts { path: label(path.as_bytes()), ..ProcessFacts::of_pid(pid) }
    }

    fn at(second: u64) -> Timestamp {
        Timestamp::from_parts(second, 0)
    }

    fn path(machines: &Machines, machine: &Machine, second: u64, pid: u32) -> Option<Arc<str>> {
        let mut facts = ProcessFacts::of_pid(pid);
        machines.complete(machine, at(second), &mut facts);
        facts.path
    }

    #[test]
    fn a_reused_pid_is_the_process_that_had_it_then() {
        let mut machines = Machines::new(10);
        let mac = Some(Arc::from("mac1"));
        machines.learn(&mac, at(1000), &process(7, "/bin/old"));
        machines.learn(&mac, at(2000), &process(7, "/bin/new"));
        assert_eq!(path(&machines, &mac, 1500, 7).as_deref(), Some("/bin/old"));
        assert_eq!(path(&machines, &mac, 2500, 7).as_deref(), Some("/bin/new"));
        assert_eq!(path(&machines, &mac, 10, 7), None);
    }

    #[test]
    fn a_pid_of_another_machine_is_another_process() {
        let mut machines = Machines::new(10);
        let (one, two) = (Some(Arc::from("mac1")), Some(Arc::from("mac2")));
        machines.learn(&one, at(1), &process(7, "/bin/one"));
        assert_eq!(path(&machines, &two, 5, 7), None);
        assert_eq!(path(&machines, &None, 5, 7).as_deref(), Some("/bin/one"), "the only machine");
        machines.learn(&two, at(1), &process(8, "/bin/two"));
        assert_eq!(path(&machines, &None, 5, 7), None, "which machine is not known");
    }

    #[test]
    fn a_flood_of_executions_evicts_its_own_machine_only() {
        let mut machines = Machines::new(100);
        let (quiet, loud) = (Some(Arc::from("quiet")), Some(Arc::from("loud")));
        machines.learn(&quiet, at(1), &process(7, "/bin/a"));
        for pid in 0..10_000 {
            machines.learn(&loud, at(2), &process(pid, &format!("/bin/{pid}")));
        }
        assert_eq!(machines.len(), 100);
        assert_eq!(path(&machines, &quiet, 5, 7).as_deref(), Some("/bin/a"));
    }

    #[test]
    fn one_pid_over_and_over_stays_bounded() {
        let mut machines = Machines::new(100);
        for number in 0..10_000 {
            machines.learn(&None, at(2), &process(7, &format!("/bin/{number}")));
        }
        assert_eq!(machines.machines[&None].by_pid[&7].len(), MAX_OF_PID);
        assert!(machines.len() <= 100);
    }
}
