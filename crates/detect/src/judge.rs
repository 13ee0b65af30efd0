//! When sessions are judged, and what is told of that. What a score is made of it leaves to the
//! analytics.

use std::time::Duration;

use dwell_attribution::{Judgement, Subject, Verdict};
use dwell_packet::Timestamp;

use crate::appraisal::Appraisal;
use crate::baseline::{Kind, Query};
use crate::detector::{Detector, TICK};
use crate::lives::{Reached, Step};
use crate::score::{Case, Score, Term};
use crate::session::Session;
use crate::tracker::Place;
use crate::view::View;
use crate::{
    Analytic, DetectConfig, DetectEvent, Judged, Level, Life, SessionEnd, SessionSummary, an0144,
    an0145, an0146,
};

impl Detector {
    /// Judges every session that went on since the last tick, then lets them vote: what one
    /// session adds to the baseline does not depend on its place among others.
    pub(crate) fn tick(&mut self, now: Timestamp) {
        self.tracker.note_open_connections();
        let places = self.tracker.places();
        for &place in &places {
            self.settle_at_tick(place, now);
        }
        self.attendance.clear();
        for &place in &places {
            self.tick_session(place, now);
        }
        for place in places {
            self.vote(place, now);
        }
    }

    /// Judges everything once more at the end of a run, and ends it.
    pub(crate) fn judge_last(&mut self, at: Timestamp) {
        self.tracker.note_open_connections();
        for place in self.tracker.places() {
            if let Some(session) = self.tracker.session_mut(place) {
                session.settle();
            }
            self.note_held(place, at);
        }
        for place in self.tracker.places() {
            self.judge_all(place, at);
        }
        for place in self.tracker.places() {
            self.end(place, at, SessionEnd::EndOfCapture);
        }
    }

    /// Judges a session between ticks.
    pub(crate) fn judge_now(&mut self, place: Place, now: Timestamp) {
        if self.is_long(place, now) || self.is_heavy(place) {
            if let Some(statistics) =
                self.tracker.session_mut(place).and_then(|session| session.statistics.as_mut())
            {
                statistics.settle_at(now);
            }
            self.note_held(place, now);
            self.judge_all(place, now);
        }
    }

    fn settle_at_tick(&mut self, place: Place, now: Timestamp) {
        let Some(session) = self.tracker.session_mut(place) else { return };
        if std::mem::take(&mut session.active) {
            if let Some(statistics) = &mut session.statistics {
                statistics.settle_at(now);
            }
            session.note_quarter(self.attendance.is_attended(session.key.host));
        }
        let Some(session) = self.tracker.session(place) else { return };
        if session.changed || session.open_flows > 0 {
            self.note_held(place, now);
        }
    }

    fn tick_session(&mut self, place: Place, now: Timestamp) {
        let Some(session) = self.tracker.session(place) else { return };
        if session.is_over(now, self.config.session_idle) {
            self.end(place, now, SessionEnd::Idle);
            return;
        }
        if session.changed || session.open_flows > 0 {
            self.judge_all(place, now);
        }
        if !self.is_long(place, now) {
            return;
        }
        let Some(session) = self.tracker.session(place) else { return };
        if !session.key.is_together() && is_told(session.effective(now)) {
            let summary = session.summary(now).map(Box::new);
            self.outbox.extend(summary.map(DetectEvent::SessionUpdated));
        }
    }

    /// A session's vote on what is normal. Findings vote as well: left out, benign ones would stay
    /// abnormal for ever (20 false findings per 100 host-days in place of 2), and an intruder has no
    /// more than one vote a day, which does not count where the intruder is judged.
    fn vote(&mut self, place: Place, now: Timestamp) {
        let Some(session) = self.tracker.session_mut(place) else { return };
        let changed = std::mem::take(&mut session.changed) || session.open_flows > 0;
        if !changed {
            return;
        }
        let Some(session) = self.tracker.session(place) else { return };
        let held = session.effective(now);
        if held >= crate::baseline::VOTES_FROM {
            let shape = crate::Shape::default();
            self.baseline.vote(&query(session, now, held, &shape));
        }
    }

    fn is_long(&self, place: Place, now: Timestamp) -> bool {
        self.tracker.session(place).is_some_and(|session| {
            let wanted = self.config.session_duration(&session.facts.attribution.application);
            session.effective(now) >= wanted
        })
    }

    /// Whether a session has sent enough for the analytics of much that goes out.
    fn is_heavy(&self, place: Place) -> bool {
        let DetectConfig { outbound, unseen, .. } = &self.config;
        let least =
            [(outbound.enabled, outbound.min_bytes_out), (unseen.enabled, unseen.min_bytes_out)];
        let least = least.into_iter().filter_map(|(enabled, least)| enabled.then_some(least)).min();
        let sent = self.tracker.session(place).map_or(0, Session::bytes_out);
        least.is_some_and(|least| sent >= least)
    }

    /// Tells the peers how long the session has held.
    fn note_held(&mut self, place: Place, now: Timestamp) {
        let Some(session) = self.tracker.session(place) else { return };
        if session.statistics.is_none() || session.key.is_together() {
            return;
        }
        let (facts, held) = (&session.facts, session.effective(now));
        let (application, group) = (session.key.application, &facts.destination.group);
        self.baseline.note_held(facts.host.id, application, group, held);
    }

    /// Judges a session by every analytic that it may concern.
    fn judge_all(&mut self, place: Place, now: Timestamp) {
        if self.is_heavy(place) {
            self.judge(Analytic::An0144, place, now);
            self.judge(Analytic::An0145, place, now);
        }
        if self.is_long(place, now) {
            self.judge(Analytic::An0146, place, now);
        }
    }

    /// Judges a session by one analytic and tells what became of its finding.
    fn judge(&mut self, analytic: Analytic, place: Place, now: Timestamp) -> Option<()> {
        let appraisal = self.appraise(analytic, place, now)?;
        let session = self.tracker.session_mut(place)?;
        if analytic == Analytic::An0146 {
            session.assessed = Some(appraisal.assessed());
        }
        let Some(score) = &appraisal.score else {
            self.withdraw(place, now, &appraisal);
            return Some(());
        };
        let reached = Reached { analytic, at: now, level: appraisal.level, score_bits: score.bits };
        let open = session.take_finding(analytic);
        let (open, step) = self.lives.follow((&session.key, &session.facts), open, reached);
        let told = match (step, &open) {
            (Step::Tell(life), Some(open)) => session
                .summary(now)
                .map(|summary| appraisal.finding(&self.config, (open, life), now, summary)),
            _ => None,
        };
        if self.config.trace && analytic == Analytic::An0146 {
            let above = appraisal.level >= Some(self.config.open_from);
            let judged = judged((session, &appraisal.view), score, now, above && open.is_some());
            self.outbox.push(DetectEvent::Judged(Box::new(judged)));
        }
        if let Some(open) = open {
            session.put_finding(open);
        }
        if step == Step::Repeated {
            self.counters.findings_repeated = self.counters.findings_repeated.saturating_add(1);
        }
        if let Some(finding) = told {
            let opened = u64::from(finding.life == Life::Opened);
            self.counters.findings_opened = self.counters.findings_opened.saturating_add(opened);
            self.outbox.push(DetectEvent::Finding(finding));
        }
        Some(())
    }

    /// What a session comes to at `now`; `None` before its first payload.
    fn appraise(&self, analytic: Analytic, place: Place, now: Timestamp) -> Option<Appraisal> {
        let session = self.tracker.session(place)?;
        let view = session.view(now)?;
        let judgement = self.policy_says(session, now);
        let query = query(session, now, view.effective, &view.shape);
        let peers = match analytic {
            Analytic::An0144 | Analytic::An0145 => self.baseline.peers_of_sender(&query),
            Analytic::An0146 => self.baseline.peers(&query),
        };
        let case =
            Case { config: &self.config, session: &view, judgement: &judgement, peers: &peers };
        let score = match analytic {
            Analytic::An0144 => an0144::score(&case),
            Analytic::An0145 => an0145::score(&case),
            Analytic::An0146 => an0146::score(&case),
        };
        let level = score.as_ref().and_then(|score| self.level(analytic, score));
        Some(Appraisal { analytic, view, judgement, peers, score, level })
    }

    fn policy_says(&self, session: &Session, now: Timestamp) -> Judgement {
        self.policy.judge(&Subject {
            host: &session.facts.host,
            attribution: &session.facts.attribution,
            destination: &session.facts.destination,
            at: now,
        })
    }

    /// The level that a score reaches; none unless something about the application or where it
    /// goes is unexpected, however long it lasts and whatever its pattern.
    fn level(&self, analytic: Analytic, score: &Score) -> Option<Level> {
        if score.parts.unexpected <= 0.0 {
            return None;
        }
        let config = &self.config;
        let levels = match (analytic, score.provisional) {
            (Analytic::An0144 | Analytic::An0145, false) => config.outbound_levels,
            (Analytic::An0144 | Analytic::An0145, true) => config.provisional_outbound_levels,
            (Analytic::An0146, false) => config.levels,
            (Analytic::An0146, true) => config.provisional_levels,
        };
        [(levels.high, Level::High), (levels.alert, Level::Alert), (levels.watch, Level::Watch)]
            .into_iter()
            .find_map(|(threshold, level)| (score.bits >= threshold).then_some(level))
    }

    /// Closes the finding of a session that may no longer be judged.
    fn withdraw(&mut self, place: Place, now: Timestamp, appraisal: &Appraisal) {
        let Some(session) = self.tracker.session_mut(place) else { return };
        if appraisal.judgement.verdict == Verdict::Excepted {
            self.counters.findings_excepted = self.counters.findings_excepted.saturating_add(1);
        }
        if let Some(open) = session.take_finding(appraisal.analytic)
            && let Some(summary) = session.summary(now)
        {
            let closed = appraisal.finding(&self.config, (&open, Life::Closed), now, summary);
            self.outbox.push(DetectEvent::Finding(closed));
        }
    }

    /// Ends a session: its finding first, then the session itself, which teaches the baseline.
    pub(crate) fn end(&mut self, place: Place, now: Timestamp, reason: SessionEnd) {
        let life = match reason {
            SessionEnd::EndOfCapture => Life::Updated,
            SessionEnd::Idle | SessionEnd::Rekeyed | SessionEnd::Evicted => Life::Closed,
        };
        let findings = self.tracker.session_mut(place).map(|session| {
            session.settle();
            session.take_findings()
        });
        for open in findings.unwrap_or_default() {
            if (life == Life::Closed || open.told_at < now)
                && let Some(appraisal) = self.appraise(open.analytic, place, now)
                && let Some(summary) = self.summary(place, now)
            {
                let last = appraisal.finding(&self.config, (&open, life), now, summary);
                self.outbox.push(DetectEvent::Finding(last));
            }
        }
        let Some(session) = self.tracker.remove(place) else { return };
        if let Some(ended) = &mut self.ended {
            ended.push(session.id);
        }
        if reason == SessionEnd::Idle {
            self.learn(&session, now);
        }
        if session.key.is_together() {
            return;
        }
        let Some(summary) = session.summary(now) else { return };
        self.counters.sessions_ended = self.counters.sessions_ended.saturating_add(1);
        if reason == SessionEnd::Evicted {
            self.counters.sessions_evicted = self.counters.sessions_evicted.saturating_add(1);
        }
        self.outbox.push(DetectEvent::SessionEnded(Box::new(summary), reason));
    }

    fn summary(&self, place: Place, now: Timestamp) -> Option<SessionSummary> {
        self.tracker.session(place)?.summary(now)
    }

    fn learn(&mut self, session: &Session, now: Timestamp) {
        let Some(view) = session.view(now) else { return };
        if view.effective < crate::baseline::VOTES_FROM {
            return;
        }
        let query = query(session, now, view.effective, &view.shape);
        self.baseline.vote(&query);
        if view.shape.bursts >= self.config.min_bursts {
            self.baseline.learn_ended(&query);
        }
    }
}

/// Whether a session that has held for so long is told of at a tick: at each of the first hour, then
/// once an hour, and after a day once in six.
fn is_told(held: Duration) -> bool {
    const HOUR_S: u64 = 3600;
    let each_s = match held.as_secs() / HOUR_S {
        0 => return true,
        1..=24 => HOUR_S,
        _ => 6 * HOUR_S,
    };
    held.as_secs() % each_s < TICK.as_secs()
}

/// A session as the baseline is asked about it.
fn query<'a>(
    session: &'a Session,
    now: Timestamp,
    held: Duration,
    shape: &'a crate::Shape,
) -> Query<'a> {
    Query {
        at: now,
        host: session.facts.host.id,
        kind: Kind::of(&session.facts.attribution),
        application: session.key.application,
        destination: session.key.destination,
        group: &session.facts.destination.group,
        held,
        began: session.began(),
        shape,
    }
}

fn judged(
    (session, view): (&Session, &View),
    score: &Score,
    at: Timestamp,
    opened: bool,
) -> Judged {
    let term = |term: &Term| (term.feature.name(), term.value, term.bits);
    Judged {
        at,
        session: session.id,
        facts: std::sync::Arc::clone(&view.facts),
        together: view.together,
        score_bits: score.bits,
        provisional: score.provisional,
        opened,
        terms: score.terms.iter().map(term).collect(),
    }
}
