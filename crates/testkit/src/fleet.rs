//! A fleet of Macs over days, as flows and bursts: what a detector sees, without packets.
//!
//! People browse, talk and let their machines update, back up and sync; some run scripts that poll
//! on a timer, which is what an implant does too. On the last day a few implants call home. The same
//! seed gives the same fleet.

use std::time::Duration;

use dwell_packet::Timestamp;

use crate::Random;

/// How big the fleet is, and how long it is watched.
#[derive(Clone, Copy, Debug)]
pub struct Fleet {
    /// Where all random numbers come from.
    pub seed: u64,
    /// Machines, at most 250.
    pub hosts: u8,
    /// Days, the last of which has the implants.
    pub days: u8,
    /// When the first day begins.
    pub start: Timestamp,
}

/// What kind of program has a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// A browser.
    Browser,
    /// A product that is known by name.
    Product,
    /// Part of the system, or its management.
    System,
    /// A library or tool that any program can use.
    Library,
    /// A fingerprint that nobody knows.
    Unknown,
}

/// One flow with everything it carries.
#[derive(Clone, Debug)]
pub struct FleetFlow {
    /// Which machine, from 0.
    pub host: u8,
    /// The application's name.
    pub application: &'static str,
    /// What kind of program it is.
    pub program: Program,
    /// The server's name.
    pub server_name: String,
    /// When it opened.
    pub opened: Timestamp,
    /// What it carries, in order of time.
    pub bursts: Vec<FleetBurst>,
    /// When it closed.
    pub closed: Timestamp,
    /// Which implant's it is.
    pub campaign: Option<u8>,
}

/// Payload without a pause in it.
#[derive(Clone, Copy, Debug)]
pub struct FleetBurst {
    /// When it begins; it lasts a fifth of a second.
    pub at: Timestamp,
    /// Bytes from the machine.
    pub up: u64,
    /// Bytes to it.
    pub down: u64,
    /// Whether the server spoke first.
    pub server_first: bool,
}

/// Flows under construction.
struct Maker {
    fleet: Fleet,
    random: Random,
    flows: Vec<FleetFlow>,
}

/// Who goes where.
#[derive(Clone, Copy)]
struct Who<'a> {
    host: u8,
    application: &'static str,
    program: Program,
    name: &'a str,
    campaign: Option<u8>,
}

/// Bytes both ways at a time: medians, spread by a factor of about two.
#[derive(Clone, Copy)]
struct Sizes {
    up: f64,
    down: f64,
    server_first: f64,
}

impl Fleet {
    /// Every flow, in order of its opening.
    #[must_use]
    pub fn flows(self) -> Vec<FleetFlow> {
        let mut maker = Maker { fleet: self, random: Random::new(self.seed), flows: Vec::new() };
        for day in 0..self.days {
            for host in 0..self.hosts {
                maker.work_day(host, f64::from(day) * DAY);
            }
        }
        for (campaign, host) in (0_u8..).zip(self.infected()) {
            maker.implant(campaign, host, f64::from(self.days.saturating_sub(1)) * DAY);
        }
        maker.flows.sort_by_key(|flow| (flow.opened, flow.host));
        maker.flows
    }

    /// Machines with an implant, one each.
    pub fn infected(self) -> impl Iterator<Item = u8> {
        (0..CAMPAIGNS).map(move |n| (3 + n.saturating_mul(5)) % self.hosts.max(1))
    }
}

impl Maker {
    /// A day of one machine, which is on from about eight to about six.
    fn work_day(&mut self, host: u8, midnight: f64) {
        let begins = midnight + self.random.between(7.0, 9.5) * HOUR;
        let ends = midnight + self.random.between(16.5, 19.0) * HOUR;
        self.browsing(host, begins, ends);
        let chat = Sizes { up: 150.0, down: 300.0, server_first: 0.5 };
        let push = Sizes { up: 60.0, down: 80.0, server_first: 0.3 };
        self.connection(
            product(host, "Slack", "wss-primary.slack.com"),
            (begins, ends),
            45.0,
            chat,
        );
        let apns =
            Who { program: Program::System, ..product(host, "apsd", "courier.push.apple.com") };
        self.connection(apns, (begins, ends), 600.0, push);
        let agent = Who { program: Program::System, ..product(host, "Jamf", "corp.jamfcloud.com") };
        self.polling(agent, (begins, ends), (900.0, 0.05), Sizes { up: 2_000.0, ..chat });
        let sync = Sizes { up: 60_000.0, down: 2_000.0, server_first: 0.1 };
        self.connection(
            product(host, "Dropbox", "api.dropboxapi.com"),
            (begins, ends),
            300.0,
            sync,
        );
        let mail = Sizes { up: 300.0, down: 8_000.0, server_first: 0.2 };
        self.connection(product(host, "Mail", "imap.corp.example"), (begins, ends), 180.0, mail);
        if host.is_multiple_of(3) {
            let music = Sizes { up: 400.0, down: 900_000.0, server_first: 0.0 };
            self.connection(
                product(host, "Spotify", "audio.spotify.com"),
                (begins, ends),
                200.0,
                music,
            );
        }
        if host % 4 == 1 {
            self.developer(host, begins, ends);
        }
        let update = begins + self.random.between(0.0, 6.0) * HOUR;
        let fetch = Sizes { up: 900.0, down: 3e6, server_first: 0.0 };
        self.connection(
            product(host, "Keystone", "update.googleapis.com"),
            (update, update + 60.0),
            5.0,
            fetch,
        );
    }

    /// Visits to pages, most of them known to many, some to nobody else; now and then one stays open
    /// and asks for news.
    fn browsing(&mut self, host: u8, begins: f64, ends: f64) {
        let page = Sizes { up: 1_500.0, down: 60_000.0, server_first: 0.02 };
        let mut at = begins;
        while at < ends {
            let lasts = self.random.log_normal(240.0, 0.8).min(3_000.0);
            let name = if self.random.chance(0.06) {
                format!("niche-{}.example", self.random.below(1_000_000))
            } else {
                let place = self.random.unit().powi(3) * 300.0;
                format!("site-{place:.0}.example")
            };
            let who = browser(host, &name);
            self.connection(who, (at, (at + lasts).min(ends)), 14.0, page);
            if self.random.chance(0.04) {
                let stays = self.random.between(0.6, 3.0) * HOUR;
                self.polling(who, (at, (at + stays).min(ends)), (30.0, 0.1), page);
            }
            at += lasts + self.random.log_normal(300.0, 1.0);
        }
    }

    /// Pushes, package downloads, and a script that polls a service of the site's own.
    fn developer(&mut self, host: u8, begins: f64, ends: f64) {
        let library = |application, name| Who {
            program: Program::Library,
            ..product(host, application, name)
        };
        let at = begins + self.random.between(0.5, 5.0) * HOUR;
        let push = Sizes { up: 300_000.0, down: 3_000.0, server_first: 0.0 };
        self.connection(library("git", "git.corp.example"), (at, at + 30.0), 2.0, push);
        let packages = Sizes { up: 800.0, down: 400_000.0, server_first: 0.0 };
        self.connection(
            library("python-requests", "pypi.example"),
            (at, at + 300.0),
            6.0,
            packages,
        );
        let status = Sizes { up: 700.0, down: 1_200.0, server_first: 0.0 };
        self.polling(library("curl", "status.corp.example"), (begins, ends), (300.0, 0.02), status);
    }

    /// One day of an implant: by its number a timer with jitter over short flows, a long
    /// connection that is spoken to, a slow poll, or a timer from within a browser's stack.
    fn implant(&mut self, campaign: u8, host: u8, midnight: f64) {
        let name = format!("cdn-{}.example", 10_000 + u32::from(campaign) * 77);
        let from = midnight + self.random.between(8.5, 10.0) * HOUR;
        let span = (from, from + self.random.between(5.0, 8.0) * HOUR);
        let orders = Sizes { up: 800.0, down: 500.0, server_first: 0.0 };
        let spoken_to = Sizes { up: 2_500.0, down: 300.0, server_first: 0.8 };
        let who = |application, program| Who {
            host,
            application,
            program,
            name: &name,
            campaign: Some(campaign),
        };
        match campaign % 4 {
            0 => self.polling(who("python-requests", Program::Library), span, (60.0, 0.3), orders),
            1 => self.connection(who("Go net/http", Program::Library), span, 90.0, spoken_to),
            2 => {
                self.polling(who("unknown t13d1412", Program::Unknown), span, (180.0, 0.5), orders);
            }
            _ => self.connection(who("curl", Program::Library), span, 240.0, spoken_to),
        }
    }

    /// One connection, with pauses around `pause` seconds.
    fn connection(&mut self, who: Who<'_>, (from, until): (f64, f64), pause: f64, sizes: Sizes) {
        let mut bursts = Vec::new();
        let mut at = from + 0.2;
        while at < until {
            bursts.push(self.burst(at, sizes));
            at += 1.3 + self.random.log_normal(pause, 1.0);
        }
        self.flow(who, from, bursts);
    }

    /// A short connection each `period` seconds, give or take a share of it.
    fn polling(
        &mut self,
        who: Who<'_>,
        (from, until): (f64, f64),
        (period, jitter): (f64, f64),
        sizes: Sizes,
    ) {
        let mut at = from;
        while at < until {
            let burst = self.burst(at + 0.1, sizes);
            self.flow(who, at, vec![burst]);
            at += period * (1.0 + jitter * self.random.between(-1.0, 1.0));
        }
    }

    fn burst(&mut self, at: f64, sizes: Sizes) -> FleetBurst {
        let mut bytes = |median| u64::from(self.random.log_normal_bytes(median, 0.7, 50_000_000));
        let (up, down) = (bytes(sizes.up), bytes(sizes.down));
        let server_first = self.random.chance(sizes.server_first);
        FleetBurst { at: self.time(at), up, down, server_first }
    }

    fn flow(&mut self, who: Who<'_>, opened: f64, bursts: Vec<FleetBurst>) {
        let Some(last) = bursts.last() else { return };
        self.flows.push(FleetFlow {
            host: who.host,
            application: who.application,
            program: who.program,
            server_name: who.name.to_owned(),
            opened: self.time(opened),
            closed: last.at.saturating_add(Duration::from_secs(1)),
            bursts,
            campaign: who.campaign,
        });
    }

    fn time(&self, seconds: f64) -> Timestamp {
        self.fleet.start.saturating_add(Duration::from_secs_f64(seconds))
    }
}

const fn product<'a>(host: u8, application: &'static str, name: &'a str) -> Who<'a> {
    Who { host, application, program: Program::Product, name, campaign: None }
}

const fn browser(host: u8, name: &str) -> Who<'_> {
    Who { program: Program::Browser, ..product(host, "Chromium", name) }
}

/// Implants, each on a machine of its own.
pub const CAMPAIGNS: u8 = 8;

const HOUR: f64 = 3600.0;
const DAY: f64 = 24.0 * HOUR;
