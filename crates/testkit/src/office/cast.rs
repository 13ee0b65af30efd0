//! The office: nine Macs, their hours, and the applications and servers that take part. Every name
//! is invented, under `.example` (RFC 2606); server addresses are reserved for documentation.

use std::net::Ipv4Addr;

use dwell_packet::{MacAddress, Timestamp};

use super::plan::{Application, Interval};
use crate::random::{Random, seconds};
use crate::templates::Client;

/// A Mac of the office.
#[derive(Clone, Debug)]
pub(super) struct Mac {
    /// Its host name, as it tells the DHCP server.
    pub name: String,
    pub number: u8,
    pub address: Ipv4Addr,
    pub mac: MacAddress,
    pub browser: Application,
    /// From waking up to going to sleep.
    pub awake: Interval,
    /// When somebody sits at it.
    pub active: Vec<Interval>,
    pub uses_chat: bool,
    pub uses_sync: bool,
}

impl Mac {
    /// The nine Macs of a seed.
    pub(super) fn all(seed: u64) -> Vec<Self> {
        BROWSERS
            .iter()
            .zip(1..)
            .map(|(browser, number)| Self::new(seed, number, *browser))
            .collect()
    }

    fn new(seed: u64, number: u8, browser: Application) -> Self {
        let name = format!("mac-{number:02}");
        let mut random = Random::of_actor(seed, &name);
        let from = START.saturating_add(random.seconds_between(20.0, 2_700.0));
        let to = END.saturating_sub(random.seconds_between(0.0, 900.0));
        let mut active = Vec::new();
        let mut at = from;
        while at < to {
            let pause = at.saturating_add(random.log_normal_seconds(2_100.0, 0.5));
            active.push(Interval { from: at, to: pause.min(to) });
            at = pause.saturating_add(random.log_normal_seconds(540.0, 0.6));
        }
        Self {
            name,
            number,
            address: Ipv4Addr::new(10, 20, number % 3 + 1, number + 20),
            mac: MacAddress([0x3c, 0x22, 0xfb, 0x4e, 0x10, number]),
            browser,
            awake: Interval { from, to },
            active,
            uses_chat: number != 9,
            uses_sync: number % 2 == 1,
        }
    }

    /// Whether somebody sits at it.
    pub(super) fn is_active(&self, at: Timestamp) -> bool {
        self.active.iter().any(|interval| interval.contains(at))
    }
}

/// A time on the day of the capture, by UTC clock.
pub(super) fn at_clock(hour: u32, minute: u32) -> Timestamp {
    MIDNIGHT.saturating_add(seconds(f64::from(hour) * 3_600.0 + f64::from(minute) * 60.0))
}

/// 2 November 2026, 00:00 UTC.
const MIDNIGHT: Timestamp = Timestamp::from_parts(1_793_577_600, 0);
/// When the capture starts: 08:30 UTC.
pub(super) const START: Timestamp = Timestamp::from_parts(1_793_577_600 + 30_600, 0);
/// When it ends: 15:30 UTC.
pub(super) const END: Timestamp = Timestamp::from_parts(1_793_577_600 + 55_800, 0);

/// The router, whose MAC address is on everything from outside.
pub(super) const GATEWAY: MacAddress = MacAddress([0x02, 0x00, 0x5e, 0x10, 0x00, 0x01]);
/// The resolver; queries to it pass the sensor.
pub(super) const RESOLVER: Ipv4Addr = Ipv4Addr::new(10, 20, 0, 53);
/// The DHCP server.
pub(super) const DHCP_SERVER: Ipv4Addr = Ipv4Addr::new(10, 20, 0, 67);

const CHROMIUM: Application = Application { name: "browser/chromium", client: Client::Chromium };
const FIREFOX: Application = Application { name: "browser/firefox", client: Client::Firefox };
const SAFARI: Application = Application { name: "browser/safari", client: Client::Safari26 };
/// Which browser is used on which Mac.
const BROWSERS: [Application; 9] =
    [CHROMIUM, SAFARI, CHROMIUM, CHROMIUM, SAFARI, CHROMIUM, SAFARI, FIREFOX, CHROMIUM];

/// The chat client: an Electron program, so Chromium's TLS.
pub(super) const CHAT: Application = Application { name: "chat", client: Client::Chromium };
/// The operating system's push service, over the system's TLS.
pub(super) const PUSH: Application = Application { name: "push", client: Client::Safari27 };
/// The operating system's other daemons.
pub(super) const SYSTEM: Application = Application { name: "system", client: Client::Safari27 };
/// The mail program.
pub(super) const MAIL: Application = Application { name: "mail", client: Client::Safari27 };
/// The updater.
pub(super) const UPDATER: Application = Application { name: "updater", client: Client::Safari27 };
/// The monitoring agent.
pub(super) const AGENT: Application = Application { name: "agent", client: Client::Rustls };
/// The file synchroniser.
pub(super) const SYNC: Application = Application { name: "sync", client: Client::Java };
/// The developer's git.
pub(super) const GIT: Application = Application { name: "git", client: Client::Git };
/// The developer's curl.
pub(super) const CURL: Application = Application { name: "curl", client: Client::Curl };
/// The developer's script.
pub(super) const SCRIPT: Application =
    Application { name: "script", client: Client::PythonRequests };
/// What nobody expects.
pub(super) const IMPLANT: Application = Application { name: "implant", client: Client::Go };

/// Sites that many visit, the most visited first.
pub(super) const SITES: [&str; 44] = [
    "www.lanternsearch.example",
    "mail.postbureau.example",
    "docs.paperkite.example",
    "www.daily-tern.example",
    "news.harbourpost.example",
    "www.stackworks.example",
    "wiki.openalmanac.example",
    "calendar.paperkite.example",
    "www.mapletrail.example",
    "app.ledgerly.example",
    "www.cinderbank.example",
    "video.reelhouse.example",
    "www.forgeline.example",
    "shop.brassanchor.example",
    "www.weathervane.example",
    "maps.wayfinder.example",
    "www.railtimes.example",
    "music.tonewheel.example",
    "www.quillpress.example",
    "boards.corkwall.example",
    "www.hillside-clinic.example",
    "tickets.queueup.example",
    "www.northgate-college.example",
    "www.greengrocer.example",
    "crm.handshakehq.example",
    "www.glossary.example",
    "photos.silverhalide.example",
    "www.oakandiron.example",
    "forum.tinkerers.example",
    "www.papertrail-law.example",
    "design.gridpaper.example",
    "fonts.letterfoundry.example",
    "www.sundayroast.example",
    "jobs.ropewalk.example",
    "www.cityhall.example",
    "blog.slowcompile.example",
    "www.ferrylines.example",
    "translate.babelbrook.example",
    "www.chessladder.example",
    "pay.coinpurse.example",
    "www.gallery-nine.example",
    "survey.askaround.example",
    "www.bikeshed.example",
    "learn.chalkdust.example",
];

/// Parts that pages of many sites fetch.
pub(super) const THIRD_PARTIES: [&str; 9] = [
    "cdn.edgewater.example",
    "static.edgewater.example",
    "metrics.pagecount.example",
    "ads.billboard.example",
    "fonts.letterfoundry.example",
    "tags.pinboard-tags.example",
    "images.thumbnailer.example",
    "consent.cookiejar.example",
    "api.mapletiles.example",
];
