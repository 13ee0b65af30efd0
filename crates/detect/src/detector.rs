//! The detector: flows and bursts in by packet time, session and finding events out.
//!
//! It owns the state, puts events in order and follows flows and sessions. When a session is judged
//! and what is told of that is in `judge`, what a score is made of in the analytics.

use std::sync::Arc;
use std::time::Duration;

use dwell_attribution::Policy;
use dwell_packet::Timestamp;

use crate::attendance::Attendance;
use crate::baseline::{Baseline, Contact, Kind};
use crate::lives::Lives;
use crate::order::{Pending, Reorder, What};
use crate::session::{Session, SessionKey};
use crate::tracker::{Place, Tracker};
use crate::{
    Burst, DetectConfig, DetectCounters, DetectEvent, FlowFacts, SessionEnd, SessionId,
    SessionSummary,
};

/// Sessions of hosts and applications, judged every quarter of an hour of packet time.
///
/// Feed it in any order within [`DetectConfig::reorder_window`]; the events it gives depend on
/// packet times alone.
#[derive(Debug)]
pub struct Detector {
    pub(crate) config: DetectConfig,
    pub(crate) policy: Arc<Policy>,
    pub(crate) tracker: Tracker,
    pub(crate) reorder: Reorder,
    pub(crate) baseline: Baseline,
    pub(crate) attendance: Attendance,
    pub(crate) lives: Lives,
    /// Events of steps that have no caller to give them to.
    pub(crate) outbox: Vec<DetectEvent>,
    next_tick: Option<Timestamp>,
    /// Sessions that ended since changes were taken; `None` where nobody stores them.
    pub(crate) ended: Option<Vec<SessionId>>,
    /// Everything up to here has been taken in.
    pub(crate) horizon: Timestamp,
    pub(crate) counters: DetectCounters,
}

impl Detector {
    /// A detector that has seen nothing.
    #[must_use]
    pub fn new(config: DetectConfig, policy: Arc<Policy>) -> Self {
        Self {
            tracker: Tracker::new(&config),
            reorder: Reorder::default(),
            baseline: Baseline::new(config.max_prevalence_entries),
            attendance: Attendance::default(),
            lives: Lives::new(&config),
            outbox: Vec::new(),
            next_tick: None,
            ended: None,
            horizon: Timestamp::ZERO,
            counters: DetectCounters::default(),
            config,
            policy,
        }
    }

    /// What is expected where.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Goes on with another policy and other settings; bounds of tables stay as they were made.
    pub fn reconfigure(&mut self, config: DetectConfig, policy: Arc<Policy>) {
        self.config = config;
        self.policy = policy;
    }

    /// Takes in a flow that opened, or what is now better known of it; gives its session.
    ///
    /// A flow whose host, application or destination changed moves to another session. What it
    /// carried before stays where it was, unless it was alone there: then the session moves along.
    /// `None` if a table is full.
    pub fn flow_opened(&mut self, now: Timestamp, facts: &Arc<FlowFacts>) -> Option<SessionId> {
        let key = SessionKey::of(facts, &self.baseline.marks);
        if let Some(flow) = self.tracker.flow(facts.flow_id) {
            let place = flow.session;
            let stays = self.tracker.session(place).is_some_and(|session| session.key == key);
            if stays {
                return self.refine(place, facts);
            }
            if let Some(id) = self.move_flow(place, key, facts) {
                return Some(id);
            }
        }
        let place = self.session_for(now, key, facts, facts.opened)?;
        if !self.tracker.insert_flow(Arc::clone(facts), place) {
            self.counters.flows_refused = self.counters.flows_refused.saturating_add(1);
            self.drop_if_empty(place);
            return None;
        }
        let session = self.tracker.session_mut(place)?;
        session.open_flows = session.open_flows.saturating_add(1);
        session.last_activity = session.last_activity.max(facts.opened);
        Some(place.id)
    }

    /// Takes in payload of a flow.
    pub fn burst(&mut self, flow: u64, burst: Burst) {
        self.counters.bursts = self.counters.bursts.saturating_add(1);
        if burst.start < self.horizon {
            self.counters.late_bursts = self.counters.late_bursts.saturating_add(1);
        }
        self.reorder.push(burst.start, flow, What::Burst(burst));
        if self.reorder.len() > self.config.max_pending {
            self.counters.hurried_bursts = self.counters.hurried_bursts.saturating_add(1);
            let earliest = self.reorder.next_at().unwrap_or(Timestamp::ZERO);
            if let Some(pending) = self.reorder.pop(earliest) {
                self.take(&pending);
            }
        }
    }

    /// Takes in that a flow closed.
    pub fn flow_closed(&mut self, flow: u64, at: Timestamp) {
        self.reorder.push(at, flow, What::Closed);
    }

    /// Lets packet time pass: takes in what is due, judges on each tick, and gives the events.
    pub fn advance(&mut self, now: Timestamp, out: &mut Vec<DetectEvent>) {
        self.run_until(now.saturating_sub(self.config.reorder_window));
        out.append(&mut self.outbox);
    }

    /// Ends the run at `at`: everything is taken in and judged once more, and all sessions end.
    pub fn finish(&mut self, at: Timestamp, out: &mut Vec<DetectEvent>) {
        self.run_until(at);
        while let Some(pending) = self.reorder.pop(Timestamp::MAX) {
            self.take(&pending);
        }
        self.judge_last(at);
        out.append(&mut self.outbox);
    }

    /// Takes everything in up to `at`, and ends nothing: sessions and findings stay open, to be
    /// stored by [`Detector::take_changes`] and taken up by [`Detector::restore`].
    pub fn suspend(&mut self, at: Timestamp, out: &mut Vec<DetectEvent>) {
        self.run_until(at);
        while let Some(pending) = self.reorder.pop(Timestamp::MAX) {
            self.take(&pending);
        }
        out.append(&mut self.outbox);
    }

    /// All sessions that have carried payload and not ended, the longest first.
    #[must_use]
    pub fn sessions(&self) -> Vec<SessionSummary> {
        let summary = |place| self.tracker.session(place)?.summary(self.horizon);
        let mut sessions: Vec<_> = self.tracker.places().into_iter().filter_map(summary).collect();
        sessions.sort_by(|a, b| b.effective.cmp(&a.effective).then(a.id.cmp(&b.id)));
        sessions
    }

    /// The session that a flow belongs to now.
    #[must_use]
    pub fn session_of(&self, flow: u64) -> Option<SessionId> {
        self.tracker.flow(flow).map(|flow| flow.session.id)
    }

    /// How many sessions and flows are kept.
    #[must_use]
    pub fn len(&self) -> (usize, usize) {
        self.tracker.len()
    }

    /// Whether no session is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tracker.len().0 == 0
    }

    /// What was done and refused so far.
    #[must_use]
    pub const fn counters(&self) -> DetectCounters {
        let mut counters = self.counters;
        counters.prevalence_refused = self.baseline.refused();
        counters
    }

    fn refine(&mut self, place: Place, facts: &Arc<FlowFacts>) -> Option<SessionId> {
        self.tracker.flow_mut(facts.flow_id)?.facts = Arc::clone(facts);
        self.tracker.session_mut(place)?.learn(facts);
        Some(place.id)
    }

    /// Takes a flow out of its session. Gives the session's identity if it moved along.
    fn move_flow(
        &mut self,
        place: Place,
        key: SessionKey,
        facts: &Arc<FlowFacts>,
    ) -> Option<SessionId> {
        let counted = self.tracker.flow(facts.flow_id)?.counted;
        let alone = {
            let session = self.tracker.session(place)?;
            counted && session.flows == 1 && session.open_flows == 1
        };
        if alone && self.tracker.find(&key).is_none() {
            self.tracker.rename(place, key, facts);
            self.tracker.flow_mut(facts.flow_id)?.facts = Arc::clone(facts);
            return Some(place.id);
        }
        let session = self.tracker.session_mut(place)?;
        session.open_flows = session.open_flows.saturating_sub(1);
        session.oldest_open = Timestamp::MAX;
        self.drop_if_empty(place);
        None
    }

    /// The session of the flow at `at`, made if there is none; one that is over ends first.
    fn session_for(
        &mut self,
        now: Timestamp,
        key: SessionKey,
        facts: &Arc<FlowFacts>,
        at: Timestamp,
    ) -> Option<Place> {
        if let Some(place) = self.tracker.find(&key) {
            let session = self.tracker.session_mut(place)?;
            if !session.is_over(at, self.config.session_idle) {
                session.learn(facts);
                return Some(place);
            }
            self.end(place, at, SessionEnd::Idle);
        }
        if self.tracker.is_full() && !self.make_room(now) {
            self.counters.sessions_refused = self.counters.sessions_refused.saturating_add(1);
            return None;
        }
        Some(self.tracker.insert(Session::new(key, facts, at)))
    }

    fn make_room(&mut self, now: Timestamp) -> bool {
        for place in self.tracker.least_worth(now, self.config.session_duration) {
            let idle = self.config.session_idle;
            let over = self.tracker.session(place).is_some_and(|kept| kept.is_over(now, idle));
            let reason = if over { SessionEnd::Idle } else { SessionEnd::Evicted };
            self.end(place, now, reason);
        }
        !self.tracker.is_full()
    }

    pub(crate) fn drop_if_empty(&mut self, place: Place) {
        let empty = self
            .tracker
            .session(place)
            .is_some_and(|session| session.statistics.is_none() && session.open_flows == 0);
        if empty {
            self.tracker.remove(place);
        }
    }

    /// Takes in everything up to `horizon`, tick by tick.
    fn run_until(&mut self, horizon: Timestamp) {
        while let Some(tick) = self.due_tick(horizon) {
            self.take_until(tick);
            self.tick(tick);
            self.next_tick = Some(tick.saturating_add(TICK));
        }
        self.take_until(horizon);
        self.horizon = self.horizon.max(horizon);
    }

    /// The next tick, if it is not after `horizon`. The first lies after the first event; a leap of
    /// packet time in which nothing happens is taken in one step, and at the end of time there is
    /// no tick.
    fn due_tick(&mut self, horizon: Timestamp) -> Option<Timestamp> {
        let next_event = self.reorder.next_at();
        let tick = match self.next_tick {
            Some(tick) => tick,
            None => tick_after(next_event?),
        };
        self.next_tick = Some(tick);
        if tick > horizon || tick == Timestamp::MAX {
            return None;
        }
        let quiet_until = next_event.map_or(horizon, |event| event.min(horizon));
        if quiet_until.saturating_since(tick) > LONGEST_WALK {
            let landing = tick_after(quiet_until).saturating_sub(TICK);
            let skipped = landing.saturating_since(tick).as_nanos() / TICK.as_nanos();
            let skipped = u64::try_from(skipped).unwrap_or(u64::MAX);
            self.counters.ticks_skipped = self.counters.ticks_skipped.saturating_add(skipped);
            return Some(landing);
        }
        Some(tick)
    }

    fn take_until(&mut self, horizon: Timestamp) {
        while let Some(pending) = self.reorder.pop(horizon) {
            self.take(&pending);
        }
        self.horizon = self.horizon.max(horizon);
    }

    fn take(&mut self, pending: &Pending) {
        let taken = match &pending.what {
            What::Burst(burst) => self.take_burst(pending.flow, burst),
            What::Closed => self.take_close(pending.flow, pending.at),
        };
        if taken.is_none() {
            self.counters.orphans = self.counters.orphans.saturating_add(1);
        }
    }

    fn take_burst(&mut self, flow: u64, burst: &Burst) -> Option<()> {
        let kept = self.tracker.flow(flow)?;
        let (opened, mut counted, mut place) = (kept.facts.opened, kept.counted, kept.session);
        let together = kept.together;
        if self.tracker.session(place).is_none() {
            place = self.revive(flow, burst.start)?;
            counted = false;
        }
        let session = self.tracker.session_mut(place)?;
        let starts = session.statistics.is_none();
        session.add(burst, opened);
        self.counters.sessions_started =
            self.counters.sessions_started.saturating_add(u64::from(starts));
        if let Some(session) = together.and_then(|place| self.tracker.session_mut(place)) {
            session.add(burst, opened);
        }
        if !counted {
            self.count_flow(flow, place, burst)?;
        }
        Some(())
    }

    /// Gives a flow whose session was evicted a session again.
    fn revive(&mut self, flow: u64, at: Timestamp) -> Option<Place> {
        let facts = Arc::clone(&self.tracker.flow(flow)?.facts);
        let key = SessionKey::of(&facts, &self.baseline.marks);
        let place = self.session_for(at, key, &facts, at)?;
        self.tracker.flow_mut(flow)?.session = place;
        let session = self.tracker.session_mut(place)?;
        session.open_flows = session.open_flows.saturating_add(1);
        Some(place)
    }

    /// Counts a flow that has carried its first payload, with its session and among peers.
    fn count_flow(&mut self, flow: u64, place: Place, burst: &Burst) -> Option<()> {
        let kept = self.tracker.flow_mut(flow)?;
        kept.counted = true;
        let facts = Arc::clone(&kept.facts);
        let address = self.baseline.marks.address(facts.destination.addr).short();
        let session = self.tracker.session_mut(place)?;
        session.flows = session.flows.saturating_add(u32::from(!facts.continued));
        if let Some(statistics) = &mut session.statistics {
            statistics.note_address(address);
        }
        let key = session.key;
        let rare = self.baseline.contact(&Contact {
            at: burst.start,
            host: facts.host.id,
            attribution: &facts.attribution,
            application: key.application,
            destination: key.destination,
            group: &facts.destination.group,
        });
        match Kind::of(&facts.attribution) {
            Some(Kind::Browser) => self.attendance.note(key.host, key.destination),
            Some(Kind::Library | Kind::Known | Kind::Unknown) if rare => {
                self.join_together(flow, key, &facts, burst);
            }
            _ => {}
        }
        Some(())
    }

    /// Counts a flow to a place that no other host knows for what its application does at all such
    /// places: whoever changes names and addresses is seen there.
    fn join_together(
        &mut self,
        flow: u64,
        key: SessionKey,
        facts: &Arc<FlowFacts>,
        burst: &Burst,
    ) -> Option<()> {
        let place = self.session_for(burst.start, key.together(), facts, burst.start)?;
        let session = self.tracker.session_mut(place)?;
        session.open_flows = session.open_flows.saturating_add(1);
        session.flows = session.flows.saturating_add(u32::from(!facts.continued));
        session.add(burst, facts.opened);
        if let Some(statistics) = &mut session.statistics {
            statistics.note_address(key.destination.short());
        }
        self.tracker.flow_mut(flow)?.together = Some(place);
        Some(())
    }

    fn take_close(&mut self, flow: u64, at: Timestamp) -> Option<()> {
        let flow = self.tracker.remove_flow(flow)?;
        if let Some(session) = flow.together.and_then(|place| self.tracker.session_mut(place)) {
            session.close_flow(flow.facts.opened, at);
        }
        let place = flow.session;
        let session = self.tracker.session_mut(place)?;
        if flow.counted {
            session.close_flow(flow.facts.opened, at);
        } else {
            session.open_flows = session.open_flows.saturating_sub(1);
        }
        self.drop_if_empty(place);
        // A long connection's end is worth a look at once; a short one's waits for the tick.
        if at.saturating_since(flow.facts.opened) >= self.config.session_duration {
            self.judge_now(place, at);
        }
        Some(())
    }
}

/// The first tick after `ts`.
fn tick_after(ts: Timestamp) -> Timestamp {
    let tick = u64::try_from(TICK.as_nanos()).unwrap_or(u64::MAX);
    Timestamp::from_nanos((ts.as_nanos() / tick).saturating_add(1).saturating_mul(tick))
}

/// Sessions are judged this often (and when a long connection closes), never only at their end.
pub(crate) const TICK: Duration = Duration::from_secs(900);

/// A quiet time longer than this is leapt over: a damaged time stamp must not cost a million ticks.
const LONGEST_WALK: Duration = Duration::from_secs(7 * 86_400);

#[cfg(test)]
#[path = "detector_tests.rs"]
mod tests;
