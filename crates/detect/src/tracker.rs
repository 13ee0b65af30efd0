//! The tables of sessions and of the flows that belong to them. Knows no scores.

use std::sync::Arc;
use std::time::Duration;

use dwell_packet::Timestamp;
use hashbrown::HashMap;

use crate::session::{Session, SessionKey};
use crate::{DetectConfig, FlowFacts, SessionId};

type Map<K, V> = HashMap<K, V, foldhash::fast::RandomState>;

/// Sessions by number and by key, and flows by identifier.
#[derive(Debug)]
pub(crate) struct Tracker {
    sessions: Vec<Option<Session>>,
    free: Vec<usize>,
    by_key: Map<SessionKey, usize>,
    flows: Map<u64, Flow>,
    max_sessions: usize,
    max_flows: usize,
    idle: Duration,
}

/// A flow that may still carry bursts.
#[derive(Debug)]
pub(crate) struct Flow {
    pub(crate) facts: Arc<FlowFacts>,
    pub(crate) session: Place,
    /// The session of rare destinations together that it counts for as well.
    pub(crate) together: Option<Place>,
    /// Whether it counts among the session's flows: it has carried payload.
    pub(crate) counted: bool,
}

/// Where a session is kept; the identity tells whether it is still the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) number: usize,
    pub(crate) id: SessionId,
}

impl Tracker {
    pub(crate) fn new(config: &DetectConfig) -> Self {
        Self {
            sessions: Vec::new(),
            free: Vec::new(),
            by_key: Map::default(),
            flows: Map::default(),
            max_sessions: config.max_sessions,
            max_flows: config.max_flows,
            idle: config.session_idle,
        }
    }

    pub(crate) fn flow(&self, flow: u64) -> Option<&Flow> {
        self.flows.get(&flow)
    }

    pub(crate) fn flow_mut(&mut self, flow: u64) -> Option<&mut Flow> {
        self.flows.get_mut(&flow)
    }

    pub(crate) fn remove_flow(&mut self, flow: u64) -> Option<Flow> {
        self.flows.remove(&flow)
    }

    /// Keeps a flow; `false` if there is no room.
    pub(crate) fn insert_flow(&mut self, facts: Arc<FlowFacts>, session: Place) -> bool {
        if self.flows.len() >= self.max_flows && !self.flows.contains_key(&facts.flow_id) {
            return false;
        }
        self.flows.insert(facts.flow_id, Flow { facts, session, together: None, counted: false });
        true
    }

    pub(crate) fn session(&self, place: Place) -> Option<&Session> {
        self.sessions.get(place.number)?.as_ref().filter(|session| session.id == place.id)
    }

    pub(crate) fn session_mut(&mut self, place: Place) -> Option<&mut Session> {
        self.sessions.get_mut(place.number)?.as_mut().filter(|session| session.id == place.id)
    }

    /// The session of `key`, if there is one.
    pub(crate) fn find(&self, key: &SessionKey) -> Option<Place> {
        let number = *self.by_key.get(key)?;
        let id = self.sessions.get(number)?.as_ref()?.id;
        Some(Place { number, id })
    }

    pub(crate) fn is_full(&self) -> bool {
        self.by_key.len() >= self.max_sessions
    }

    /// Keeps a new session; the caller makes room first.
    pub(crate) fn insert(&mut self, session: Session) -> Place {
        let id = session.id;
        let key = session.key;
        let number = match self.free.pop() {
            Some(number) => number,
            None => {
                self.sessions.push(None);
                self.sessions.len().saturating_sub(1)
            }
        };
        if let Some(slot) = self.sessions.get_mut(number) {
            *slot = Some(session);
        }
        self.by_key.insert(key, number);
        Place { number, id }
    }

    pub(crate) fn remove(&mut self, place: Place) -> Option<Session> {
        self.session(place)?;
        let session = self.sessions.get_mut(place.number)?.take()?;
        self.by_key.remove(&session.key);
        self.free.push(place.number);
        Some(session)
    }

    /// Gives a session another key, under which there must be none.
    pub(crate) fn rename(&mut self, place: Place, key: SessionKey, facts: &Arc<FlowFacts>) {
        let Some(session) = self.session_mut(place) else { return };
        let old = std::mem::replace(&mut session.key, key);
        session.facts = Arc::clone(facts);
        session.learn(facts);
        session.changed = true;
        self.by_key.remove(&old);
        self.by_key.insert(key, place.number);
    }

    /// All sessions, in the order of their places.
    pub(crate) fn places(&self) -> Vec<Place> {
        let placed = |(number, session): (usize, &Option<Session>)| {
            session.as_ref().map(|session| Place { number, id: session.id })
        };
        self.sessions.iter().enumerate().filter_map(placed).collect()
    }

    /// Finds for each session when its oldest open connection opened. The order in which flows are
    /// walked does not matter: a minimum is taken.
    pub(crate) fn note_open_connections(&mut self) {
        let sessions = &mut self.sessions;
        for flow in self.flows.values().filter(|flow| flow.counted) {
            for place in [Some(flow.session), flow.together].into_iter().flatten() {
                let session = sessions.get_mut(place.number).and_then(Option::as_mut);
                if let Some(session) = session.filter(|session| session.id == place.id) {
                    session.oldest_open = session.oldest_open.min(flow.facts.opened);
                }
            }
        }
    }

    /// The sessions that are worth least: over, or short and quiet; never long ones, and never
    /// those with a finding. At most a sixteenth of the table, so that a flood is cheap.
    pub(crate) fn least_worth(&self, now: Timestamp, long: Duration) -> Vec<Place> {
        let mut candidates: Vec<_> = self
            .places()
            .into_iter()
            .filter_map(|place| {
                let session = self.session(place)?;
                let held = session.effective(now);
                let kept = session.has_finding() || held >= long;
                let over = session.is_over(now, self.idle);
                (!kept || over).then_some((!over, held, session.last_activity, place.number, place))
            })
            .collect();
        candidates
            .sort_unstable_by_key(|&(alive, held, last, number, _)| (alive, held, last, number));
        let most = (self.max_sessions / 16).max(1);
        candidates.into_iter().take(most).map(|(.., place)| place).collect()
    }

    /// How many sessions and flows are kept.
    pub(crate) fn len(&self) -> (usize, usize) {
        (self.by_key.len(), self.flows.len())
    }
}
