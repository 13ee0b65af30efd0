//! Seven hours of a small office of Macs, in which one application does not belong.
//!
//! Browsers, a chat client, a sync client, an updater, an agent, mail and push run on nine Macs;
//! a developer runs a script for ten minutes, three people have a video call, one leaves a page
//! with live scores open. And on one Mac a Go program that nobody expects holds an irregular
//! session of five hours with a server that nobody else knows (ATT&CK AN0146).
//!
//! Handshakes are real: those of the captures in `pcaps/`, under invented names. Times, sizes and
//! addresses are generated from a seed, and everything encrypted is random bytes.

mod browsing;
mod cast;
mod errands;
mod implant;
mod labels;
mod plan;
mod play;
mod services;

pub use labels::LabelledSession;

use cast::{END, Mac};
use play::{Outside, Player};

use crate::capture::Capture;
use crate::random::Random;

/// The capture of a day at the office, and what is what in it.
#[derive(Clone, Debug)]
pub struct Office {
    /// Every frame, in time order. Encrypted frames are cut, hellos, DNS and DHCP are whole.
    pub capture: Capture,
    /// Every TLS session (one host, one application, one server name), by host and name.
    pub sessions: Vec<LabelledSession>,
    seed: u64,
}

impl Office {
    /// The day of a seed: the same seed gives the same day.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut capture = Capture::new();
        let mut outside = Outside::new(seed);
        let mut labels = labels::Labels::default();
        for mac in Mac::all(seed) {
            let mut player = Player::new(seed, &mac);
            player.wake(&mut capture);
            if let Some(during) = errands::media(&mac) {
                player.play_media(during, &mut outside, &mut capture);
            }
            for flow in plan_of(seed, &mac) {
                let port = player.play(&flow, &mut outside, &mut capture);
                labels.add(&mac, &flow, port);
            }
        }
        capture.sort();
        capture.cut_after(END);
        Self { capture, sessions: labels.into_sessions(&mut outside), seed }
    }
}

/// What runs on `mac`, in the order in which connections open.
fn plan_of(seed: u64, mac: &Mac) -> Vec<plan::Flow> {
    let planners: [(&str, Planner); 5] = [
        ("browsing", browsing::plan),
        ("live tab", browsing::live_tab),
        ("services", services::plan),
        ("errands", errands::plan),
        ("implant", implant::plan),
    ];
    let mut flows = Vec::new();
    for (actor, plan) in planners {
        let mut random = Random::of_actor(seed, &format!("{actor} of {}", mac.name));
        flows.append(&mut plan(mac, &mut random));
    }
    flows.sort_by_key(|flow| flow.opens);
    flows.retain(|flow| flow.opens < END);
    flows
}

/// What one kind of activity makes of a day.
type Planner = fn(&Mac, &mut Random) -> Vec<plan::Flow>;

/// The seed of the demo capture in `pcaps/`.
pub const DEMO_SEED: u64 = 146;
