//! Many flows at once: who begins when, and whose frame is next. Knows no protocol.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use dwell_packet::Timestamp;

use crate::capture::{Capture, CapturedFrame};
use crate::random::Random;

use super::actor::{Actor, Script};
use super::small::{Calls, Chat, Lookup};
use super::web::{Clear, Quic, Tls, Visit};
use super::world::{Pair, World};

/// Flows that begin one after the other and overlap.
#[derive(Debug)]
pub(super) struct Crowd {
    seed: u64,
    arrivals: Random,
    mean_gap: Duration,
    next_arrival: Timestamp,
    begun: u64,
    script: fn(&mut Random) -> Box<dyn Script>,
    world: World,
    actors: Vec<Option<Actor>>,
    free: Vec<usize>,
    /// When which actor is due; its number breaks ties.
    events: BinaryHeap<Reverse<(Timestamp, u64, usize)>>,
    scratch: Capture,
}

impl Crowd {
    pub(super) fn internet(seed: u64) -> Self {
        let mut crowd = Self::new(seed, INTERNET_GAP, internet_script);
        for _ in 0..STANDING {
            let mut random = Random::of_number(seed ^ STANDING, crowd.begun);
            let begin = crowd.next_arrival.saturating_add(random.seconds_between(0.0, 20.0));
            let own = Random::new(random.next_u64());
            let script = Box::new(Tls::new(Visit::standing(&mut random), own));
            crowd.begin(begin, script, random);
        }
        crowd
    }

    pub(super) fn small(seed: u64) -> Self {
        Self::new(seed, SMALL_GAP, small_script)
    }

    fn new(seed: u64, mean_gap: Duration, script: fn(&mut Random) -> Box<dyn Script>) -> Self {
        Self {
            seed,
            arrivals: Random::of_actor(seed, "arrivals"),
            mean_gap,
            next_arrival: START.saturating_sub(WARM_UP),
            begun: 0,
            script,
            world: World::new(),
            actors: Vec::new(),
            free: Vec::new(),
            events: BinaryHeap::new(),
            scratch: Capture::new(),
        }
    }

    pub(super) fn next_frame(&mut self) -> Option<CapturedFrame> {
        loop {
            match self.events.peek() {
                Some(Reverse((due, ..))) if *due < self.next_arrival => {}
                Some(_) | None => {
                    self.arrive();
                    continue;
                }
            }
            let Reverse((_, number, at)) = self.events.pop()?;
            let place = self.actors.get_mut(at)?;
            let actor = place.as_mut()?;
            let frame = actor.run(&self.world, &mut self.scratch);
            match actor.due() {
                Some(due) => self.events.push(Reverse((due, number, at))),
                None => {
                    *place = None;
                    self.free.push(at);
                }
            }
            if let Some(frame) = frame
                && frame.ts >= START
            {
                return Some(frame);
            }
        }
    }

    /// The next flow begins. Gaps are uniform up to twice their mean.
    fn arrive(&mut self) {
        let mut random = Random::of_number(self.seed, self.begun);
        let script = (self.script)(&mut random);
        self.begin(self.next_arrival, script, random);
        let gap = self.mean_gap.mul_f64(2.0 * self.arrivals.unit());
        self.next_arrival = self.next_arrival.saturating_add(gap);
    }

    fn begin(&mut self, at: Timestamp, script: Box<dyn Script>, random: Random) {
        let place = self.free.pop().unwrap_or_else(|| {
            self.actors.push(None);
            self.actors.len() - 1
        });
        if let Some(actor) = self.actors.get_mut(place) {
            *actor = Some(Actor::new(at, script, random));
            self.events.push(Reverse((at, self.begun, place)));
            self.begun += 1;
        }
    }
}

/// A flow of [`super::Mix::Internet`].
fn internet_script(random: &mut Random) -> Box<dyn Script> {
    let pair = Pair::random(random);
    let own = Random::new(random.next_u64());
    match random.below(100) {
        0..61 => Box::new(Tls::new(Visit::browsing(pair, random), own)),
        61 => Box::new(Tls::new(Visit::standing(random), own)),
        62..70 => Box::new(Quic::new(Visit::browsing(pair, random), own)),
        70..75 => Box::new(Clear::new(Visit::browsing(pair, random), own)),
        75..99 => Box::new(Lookup::new(pair, own)),
        _ => Box::new(Calls::video(pair, own)),
    }
}

/// A flow of [`super::Mix::Small`].
fn small_script(random: &mut Random) -> Box<dyn Script> {
    let pair = Pair::random(random);
    let own = Random::new(random.next_u64());
    match random.below(100) {
        0..45 => Box::new(Chat::new(pair, own)),
        45..47 => Box::new(Tls::new(Visit::messages(pair, random), own)),
        47..75 => Box::new(Calls::voice(pair, own)),
        _ => Box::new(Lookup::new(pair, own)),
    }
}

/// 24 November 2026, 09:00 UTC.
const START: Timestamp = Timestamp::from_parts(1_795_510_800, 0);
/// Traffic before the first frame: a capture begins in the middle of connections.
const WARM_UP: Duration = Duration::from_secs(30);
/// 48,665 flows in ten minutes, as in the mix that the goals were set with.
const INTERNET_GAP: Duration = Duration::from_nanos(600_000_000_000 / 48_665);
/// 300,000 flows in ten minutes.
const SMALL_GAP: Duration = Duration::from_millis(2);
/// Connections that were opened long ago.
const STANDING: u64 = 400;
