//! The detector: flows and bursts in by packet time, session and finding events out.
//!
//! It decides the order of steps (put in order, track, count peers, judge, tell) and owns their
//! state. What a score is made of it leaves to the analytics.

use std::sync::Arc;
use std::time::Duration;

use dwell_attribution::{Policy, Subject, Verdict};
use dwell_packet::Timestamp;

use crate::an0146::{self, Case};
use crate::appraisal::Appraisal;
use crate::lives::{Lives, Reached, Step};
use crate::order::{Pending, Reorder, What};
use crate::prevalence::Prevalence;
use crate::session::{Session, SessionKey};
use crate::tracker::{Place, Tracker};
use crate::{
    Burst, DetectConfig, DetectCounters, DetectEvent, FlowFacts, Life, SessionEnd, SessionId,
    SessionSummary,
};

/// Sessions of hosts and applications, judged every quarter of an hour of packet time.
///
/// Feed it in any order within [`DetectConfig::reorder_window`]; the events it gives depend on
/// packet times alone.
#[derive(Debug)]
pub struct Detector {
    config: DetectConfig,
    policy: Arc<Policy>,
    tracker: Tracker,
    reorder: Reorder,
    prevalence: Prevalence,
    lives: Lives,
    /// Events of steps that have no caller to give them to.
    outbox: Vec<DetectEvent>,
    next_tick: Option<Timestamp>,
    /// Everything up to here has been taken in.
    horizon: Timestamp,
    counters: DetectCounters,
}

impl Detector {
    /// A detector that has seen nothing.
    #[must_use]
    pub fn new(config: DetectConfig, policy: Arc<Policy>) -> Self {
        Self {
            tracker: Tracker::new(&config),
            reorder: Reorder::default(),
            prevalence: Prevalence::new(config.max_prevalence_entries),
            lives: Lives::new(&config),
            outbox: Vec::new(),
            next_tick: None,
            horizon: Timestamp::ZERO,
            counters: DetectCounters::default(),
            config,
            policy,
        }
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
        let key = SessionKey::of(facts);
        if let Some(flow) = self.tracker.flow(facts.flow_id) {
            let place = flow.session;
            let stays = self.tracker.session(place).is_some_and(|session| session.key == key);
            if stays {
                return self.refine(place, facts);
            }
            if let Some(id) = self.move_flow(place, &key, facts) {
                return Some(id);
            }
        }
        let place = self.session_for(now, facts, facts.opened)?;
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
        self.tracker.note_open_connections();
        for place in self.tracker.places() {
            if let Some(session) = self.tracker.session_mut(place) {
                session.settle();
            }
            self.note_held(place, at);
        }
        for place in self.tracker.places() {
            self.judge(place, at);
            self.end(place, at, SessionEnd::EndOfCapture);
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
        counters.prevalence_refused = self.prevalence.refused();
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
        key: &SessionKey,
        facts: &Arc<FlowFacts>,
    ) -> Option<SessionId> {
        let counted = self.tracker.flow(facts.flow_id)?.counted;
        let alone = {
            let session = self.tracker.session(place)?;
            counted && session.flows == 1 && session.open_flows == 1
        };
        if alone && self.tracker.find(key).is_none() {
            self.tracker.rename(place, facts);
            self.tracker.flow_mut(facts.flow_id)?.facts = Arc::clone(facts);
            return Some(place.id);
        }
        let session = self.tracker.session_mut(place)?;
        session.open_flows = session.open_flows.saturating_sub(1);
        session.oldest_open = None;
        self.drop_if_empty(place);
        None
    }

    /// The session of the flow at `at`, made if there is none; one that is over ends first.
    fn session_for(&mut self, now: Timestamp, facts: &FlowFacts, at: Timestamp) -> Option<Place> {
        let key = SessionKey::of(facts);
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

    fn drop_if_empty(&mut self, place: Place) {
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
        if self.tracker.session(place).is_none() {
            place = self.revive(flow, burst.start)?;
            counted = false;
        }
        let session = self.tracker.session_mut(place)?;
        let starts = session.statistics.is_none();
        session.add(burst, opened);
        self.counters.sessions_started =
            self.counters.sessions_started.saturating_add(u64::from(starts));
        if !counted {
            self.count_flow(flow, place)?;
        }
        Some(())
    }

    /// Gives a flow whose session was evicted a session again.
    fn revive(&mut self, flow: u64, at: Timestamp) -> Option<Place> {
        let facts = Arc::clone(&self.tracker.flow(flow)?.facts);
        let place = self.session_for(at, &facts, at)?;
        self.tracker.flow_mut(flow)?.session = place;
        let session = self.tracker.session_mut(place)?;
        session.open_flows = session.open_flows.saturating_add(1);
        Some(place)
    }

    /// Counts a flow that has carried its first payload, with its session and among peers.
    fn count_flow(&mut self, flow: u64, place: Place) -> Option<()> {
        let kept = self.tracker.flow_mut(flow)?;
        kept.counted = true;
        let addr = kept.facts.destination.addr;
        let session = self.tracker.session_mut(place)?;
        session.flows = session.flows.saturating_add(1);
        if let Some(statistics) = &mut session.statistics {
            statistics.note_address(addr);
        }
        let key = &session.key;
        self.prevalence.note(key.host, &key.application, &key.destination);
        Some(())
    }

    fn take_close(&mut self, flow: u64, at: Timestamp) -> Option<()> {
        let flow = self.tracker.remove_flow(flow)?;
        let place = flow.session;
        let session = self.tracker.session_mut(place)?;
        if flow.counted {
            session.close_flow(flow.facts.opened, at);
        } else {
            session.open_flows = session.open_flows.saturating_sub(1);
        }
        self.drop_if_empty(place);
        if self.is_long(place, at) {
            self.note_held(place, at);
            self.judge(place, at);
        }
        Some(())
    }

    fn tick(&mut self, now: Timestamp) {
        self.tracker.note_open_connections();
        let places = self.tracker.places();
        for &place in &places {
            let moved = |session: &Session| session.changed || session.open_flows > 0;
            if self.tracker.session(place).is_some_and(moved) {
                self.note_held(place, now);
            }
        }
        for place in places {
            let Some(session) = self.tracker.session_mut(place) else { continue };
            if session.is_over(now, self.config.session_idle) {
                self.end(place, now, SessionEnd::Idle);
                continue;
            }
            let changed = std::mem::take(&mut session.changed) || session.open_flows > 0;
            if self.is_long(place, now) {
                let summary = if changed {
                    self.judge(place, now)
                } else {
                    self.tracker.session(place).and_then(|kept| kept.summary(now))
                };
                self.outbox.extend(summary.map(|s| DetectEvent::SessionUpdated(Box::new(s))));
            }
        }
    }

    fn is_long(&self, place: Place, now: Timestamp) -> bool {
        self.tracker.session(place).is_some_and(|session| {
            session.effective(now) >= self.config.session_duration(&session.key.application)
        })
    }

    /// Settles the open burst and tells the peers how long the session has held.
    fn note_held(&mut self, place: Place, now: Timestamp) {
        let Some(session) = self.tracker.session_mut(place) else { return };
        let Some(statistics) = &mut session.statistics else { return };
        statistics.settle_at(now);
        let held = session.effective(now);
        let key = &session.key;
        self.prevalence.note_held(key.host, &key.application, &key.destination, held);
    }

    /// Judges a session and tells what became of its finding; gives the session as it stands.
    fn judge(&mut self, place: Place, now: Timestamp) -> Option<SessionSummary> {
        let appraisal = self.appraise(place, now)?;
        let session = self.tracker.session_mut(place)?;
        session.assessed = Some(appraisal.assessed());
        let Some(score) = &appraisal.score else {
            self.withdraw(place, now, &appraisal);
            return Some(appraisal.session);
        };
        let reached = Reached { at: now, level: appraisal.level, score_bits: score.bits };
        let key = session.key.clone();
        match self.lives.follow(&key, &mut session.finding, reached) {
            Step::Tell(life) => {
                let finding = session
                    .finding
                    .as_deref()
                    .map(|open| appraisal.finding(&self.config, open, life, now));
                let opened = u64::from(life == Life::Opened);
                self.counters.findings_opened =
                    self.counters.findings_opened.saturating_add(opened);
                self.outbox.extend(finding.map(DetectEvent::Finding));
            }
            Step::Repeated => {
                self.counters.findings_repeated = self.counters.findings_repeated.saturating_add(1);
            }
            Step::Nothing => {}
        }
        Some(appraisal.session)
    }

    /// What a session comes to at `now`; `None` before its first payload.
    fn appraise(&self, place: Place, now: Timestamp) -> Option<Appraisal> {
        let session = self.tracker.session(place)?;
        let mut summary = session.summary(now)?;
        let judgement = self.policy.judge(&Subject {
            host: &session.host,
            attribution: &session.attribution,
            destination: &session.destination,
            at: now,
        });
        let key = &session.key;
        let peers = self.prevalence.peers(key.host, &key.application, &key.destination);
        let case =
            Case { config: &self.config, session: &summary, judgement: &judgement, peers: &peers };
        let score = an0146::score(&case);
        let level = score.as_ref().and_then(|score| self.lives.level(score));
        summary.verdict = Some(judgement.verdict);
        summary.score_bits = score.as_ref().map(|score| score.bits);
        summary.level = level;
        Some(Appraisal { session: summary, judgement, peers, score, level })
    }

    /// Closes the finding of a session that may no longer be judged.
    fn withdraw(&mut self, place: Place, now: Timestamp, appraisal: &Appraisal) {
        let Some(session) = self.tracker.session_mut(place) else { return };
        if appraisal.judgement.verdict == Verdict::Excepted {
            self.counters.findings_excepted = self.counters.findings_excepted.saturating_add(1);
        }
        if let Some(open) = session.finding.take() {
            let closed = appraisal.finding(&self.config, &open, Life::Closed, now);
            self.outbox.push(DetectEvent::Finding(closed));
        }
    }

    /// Ends a session: its finding first, then the session itself.
    fn end(&mut self, place: Place, now: Timestamp, reason: SessionEnd) {
        let life = match reason {
            SessionEnd::EndOfCapture => Life::Updated,
            SessionEnd::Idle | SessionEnd::Rekeyed | SessionEnd::Evicted => Life::Closed,
        };
        let open = self.tracker.session_mut(place).and_then(|session| {
            session.settle();
            session.finding.take()
        });
        if let Some(open) = open.filter(|open| life == Life::Closed || open.told_at < now)
            && let Some(appraisal) = self.appraise(place, now)
        {
            let last = appraisal.finding(&self.config, &open, life, now);
            self.outbox.push(DetectEvent::Finding(last));
        }
        let Some(session) = self.tracker.remove(place) else { return };
        let Some(summary) = session.summary(now) else { return };
        self.counters.sessions_ended = self.counters.sessions_ended.saturating_add(1);
        if reason == SessionEnd::Evicted {
            self.counters.sessions_evicted = self.counters.sessions_evicted.saturating_add(1);
        }
        self.outbox.push(DetectEvent::SessionEnded(Box::new(summary), reason));
    }
}

/// The first tick after `ts`.
fn tick_after(ts: Timestamp) -> Timestamp {
    let tick = u64::try_from(TICK.as_nanos()).unwrap_or(u64::MAX);
    Timestamp::from_nanos((ts.as_nanos() / tick).saturating_add(1).saturating_mul(tick))
}

/// Sessions are judged this often (and when a connection closes), never only at their end.
const TICK: Duration = Duration::from_secs(900);

/// A quiet time longer than this is leapt over: a damaged time stamp must not cost a million ticks.
const LONGEST_WALK: Duration = Duration::from_secs(7 * 86_400);

#[cfg(test)]
#[path = "detector_tests.rs"]
mod tests;
