//! AN0144 and AN0145 over days of an office that uploads for good reasons, and once for bad ones.

use super::*;
use crate::{Analytic, OutboundConfig, UnseenConfig};

const DAY: f64 = 24.0 * HOUR;
const MB: u64 = 1 << 20;

/// `bytes` out in steps of a second, each answered with a `share` of it.
fn upload(from: f64, megabytes: u32, share: f64) -> (Vec<f64>, (u64, u64)) {
    let times = every(1.0, from, from + f64::from(megabytes));
    let answer = Duration::from_secs_f64(share * 1.048_576).as_micros();
    (times, (MB, u64::try_from(answer).unwrap()))
}

impl Office {
    fn uploads(
        &mut self,
        host: u8,
        attribution: &Arc<Attribution>,
        name: &str,
        (times, sizes): (Vec<f64>, (u64, u64)),
    ) {
        self.flow(host, attribution, name, (&times, sizes));
    }
}

/// Three days of twelve hosts: browsing, chat, nightly backups, pushes, calls, and each day
/// somebody who puts a film into a page that nobody else uses.
fn sending_office() -> Office {
    let mut office = Office::new();
    let chromium = app("Chromium", Category::Browser);
    let chat = app("Slack", Category::Product);
    let backup = app("Backblaze", Category::Product);
    let git = app("git", Category::Library);
    let calls = app("Zoom", Category::Product);
    for day in [0.0, DAY, 2.0 * DAY] {
        for host in 1..=12_u8 {
            let shift = day + f64::from(host) * 41.0;
            let talk = about(120.0, 0.3, shift, shift + 8.0 * HOUR);
            office.flow(host, &chat, "wss-primary.slack.com", (&talk, (120, 200)));
            for n in 0..6 {
                let from = shift + f64::from(n) * 2100.0;
                let site = format!("www.site{}.com", (u32::from(host) * 3 + n) % 12);
                let pages = about(30.0, 0.5, from, from + 400.0);
                office.flow(host, &chromium, &site, (&pages, (1400, 60_000)));
            }
            let night = upload(shift + 12.0 * HOUR, 300, 0.002);
            office.uploads(host, &backup, "pod-000.backblaze.com", night);
            let call = every(2.0, shift + 3.0 * HOUR, shift + 3.5 * HOUR);
            office.flow(host, &calls, "zoom.us", (&call, (400_000, 300_000)));
            if host % 3 == 0 {
                office.uploads(host, &git, "git.example", upload(shift + 4.0 * HOUR, 40, 0.01));
            }
        }
        let film = upload(day + 6.0 * HOUR, 300, 0.001);
        let host = if day > DAY { 4 } else { 8 };
        office.uploads(host, &chromium, &format!("films{day}.example"), film);
    }
    office
}

fn of(events: &[DetectEvent], analytic: Analytic) -> Vec<&Finding> {
    findings(events).into_iter().filter(|finding| finding.analytic == analytic).collect()
}

/// The third day's deed.
fn exfiltration(office: &mut Office, application: &Arc<Attribution>) {
    office.uploads(7, application, "drop-box-9.net", upload(2.0 * DAY + 5.0 * HOUR, 90, 0.003));
}

#[test]
fn who_uploads_for_good_reasons_is_not_found() {
    let (events, _) = sending_office().run(DetectConfig::default(), 2.9 * DAY);
    assert_eq!(of(&events, Analytic::An0144), Vec::<&Finding>::new());
    assert_eq!(of(&events, Analytic::An0145), Vec::<&Finding>::new());
}

#[test]
fn a_script_that_sends_a_disk_away_is_found_within_a_quarter_of_an_hour() {
    let mut office = sending_office();
    exfiltration(&mut office, &app("python-requests", Category::Library));
    let (events, _) = office.run(DetectConfig::default(), 2.9 * DAY);
    let found = of(&events, Analytic::An0144);
    let [opened, ..] = found[..] else { panic!("nothing found") };
    assert_eq!(opened.life, Life::Opened);
    assert!(found.iter().all(|finding| &*finding.session.destination.group == "drop-box-9.net"));
    assert!(opened.at <= ts(2.0 * DAY + 5.25 * HOUR + 60.0), "{}", opened.at);
    assert!(opened.level >= Level::Alert && !opened.provisional, "{opened:#?}");
    let sum: f64 = opened.reasons.iter().map(|reason| reason.weight_bits).sum();
    assert!((sum - opened.score_bits).abs() < 1e-9, "every bit has its reason");
    for words in ["python-requests on mac-007 has sent 94.4 MB to drop-box-9.net", "received"] {
        assert!(opened.sentence.contains(words), "{words:?} in {:?}", opened.sentence);
    }
    let ids: Vec<_> = found.iter().map(|finding| &finding.id).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "one finding, one id");
}

#[test]
fn a_program_new_to_its_host_that_floods_is_found_as_unseen() {
    let mut office = sending_office();
    exfiltration(&mut office, &app("unknown t13d_flood", Category::Unknown));
    let (events, _) = office.run(DetectConfig::default(), 2.9 * DAY);
    let found = of(&events, Analytic::An0145);
    let [opened, ..] = found[..] else { panic!("nothing found") };
    assert_eq!(&*opened.session.destination.group, "drop-box-9.net");
    let novelty = opened.reasons.iter().find(|reason| reason.feature == "novelty").unwrap();
    assert!(novelty.text.contains("this host first ran unknown t13d_flood"), "{}", novelty.text);
    assert!(novelty.weight_bits > 0.0);
}

#[test]
fn what_a_host_ran_before_is_not_unseen() {
    let mut office = sending_office();
    let program = app("unknown t13d_flood", Category::Unknown);
    office.flow(7, &program, "elsewhere.net", (&[0.5 * HOUR], (100, 100)));
    exfiltration(&mut office, &program);
    let (events, _) = office.run(DetectConfig::default(), 2.9 * DAY);
    assert_eq!(of(&events, Analytic::An0145).len(), 0);
    assert!(!of(&events, Analytic::An0144).is_empty(), "it sends a disk away all the same");
}

#[test]
fn on_a_host_known_for_less_than_a_day_nothing_is_unseen() {
    let mut office = Office::new();
    let program = app("unknown t13d_flood", Category::Unknown);
    office.uploads(7, &program, "drop-box-9.net", upload(5.0 * HOUR, 900, 0.001));
    let (events, _) = office.run(DetectConfig::default(), 8.0 * HOUR);
    assert_eq!(of(&events, Analytic::An0145).len(), 0);
    let found = of(&events, Analytic::An0144);
    assert!(found.iter().all(|finding| finding.provisional));
    assert!(!found.is_empty(), "a lone capture is judged by kind, ratio and volume, and says so");
}

#[test]
fn lists_and_thresholds_are_minded() {
    let check = |outbound: OutboundConfig, unseen: UnseenConfig| {
        let mut office = sending_office();
        exfiltration(&mut office, &app("unknown t13d_flood", Category::Unknown));
        let config = DetectConfig { outbound, unseen, ..DetectConfig::default() };
        let (events, _) = office.run(config, 2.9 * DAY);
        [Analytic::An0144, Analytic::An0145].map(|analytic| !of(&events, analytic).is_empty())
    };
    let listed = || vec!["Unknown T13D_flood".to_owned()];
    let outbound = || OutboundConfig::default();
    let unseen = || UnseenConfig::default();
    assert_eq!(check(outbound(), unseen()), [true, true]);
    let allowed = OutboundConfig { process_allowlist: listed(), ..outbound() };
    assert_eq!(check(allowed, unseen()), [false, true]);
    let strict = OutboundConfig { outbound_byte_threshold: 1000.0, ..outbound() };
    assert_eq!(check(strict, unseen()), [false, true]);
    let seen = UnseenConfig { user_process_baseline: listed(), ..unseen() };
    assert_eq!(check(outbound(), seen), [true, false]);
    let elsewhere = UnseenConfig { max_response_share: 0.001, ..unseen() };
    assert_eq!(check(OutboundConfig { enabled: false, ..outbound() }, elsewhere), [false, false]);
}

#[test]
fn who_sends_without_a_hello_is_not_judged() {
    let mut office = sending_office();
    exfiltration(&mut office, &app("unattributed", Category::Unknown));
    let (events, _) = office.run(DetectConfig::default(), 2.9 * DAY);
    assert_eq!(of(&events, Analytic::An0144).len() + of(&events, Analytic::An0145).len(), 0);
}

#[test]
fn spreading_over_names_hides_nothing() {
    let mut office = sending_office();
    let script = app("python-requests", Category::Library);
    for n in 0..60 {
        let at = 2.0 * DAY + 5.0 * HOUR + f64::from(n) * 10.0;
        office.uploads(7, &script, &format!("n{n}-drop.net"), upload(at, 1, 0.003));
    }
    let (events, _) = office.run(DetectConfig::default(), 2.9 * DAY);
    let found = of(&events, Analytic::An0144);
    assert!(found.iter().all(|finding| finding.session.together));
    assert!(!found.is_empty());
}

#[test]
fn findings_of_one_campaign_are_a_group_over_a_restart_too() {
    let script = app("python-requests", Category::Library);
    let mut office = sending_office();
    exfiltration(&mut office, &script);
    let (first, other, apart) = (2.0 * DAY + 5.0 * HOUR, 2.0 * DAY + 6.0 * HOUR, "drop-7.org");
    office.uploads(7, &script, "second-drop.net", upload(other, 90, 0.003));
    office.uploads(9, &app("curl", Category::Library), "drop-box-9.net", upload(other, 90, 0.003));
    office.uploads(2, &app("wget", Category::Library), apart, upload(first, 90, 0.003));
    let (events, detector) = office.run(DetectConfig::default(), 2.9 * DAY);
    let found = of(&events, Analytic::An0144);
    let groups: std::collections::BTreeMap<&str, &str> = found
        .iter()
        .map(|finding| (&*finding.session.destination.group, finding.group.as_str()))
        .collect();
    assert_eq!(groups.len(), 3, "{groups:?}");
    assert_eq!(groups["drop-box-9.net"], groups["second-drop.net"]);
    assert_ne!(groups["drop-box-9.net"], groups[apart]);
    let curl = found.iter().find(|one| &*one.session.attribution.application == "curl").unwrap();
    assert_eq!(curl.group.as_str(), groups["drop-box-9.net"], "another host, the same drop");
    assert_ne!(curl.id, curl.group, "the first finding gives the group its identity");

    let mut restarted = Detector::new(DetectConfig::default(), Arc::new(Policy::without_opinion()));
    restarted.restore(&detector.snapshot());
    let key = SessionKey::of(&office.flows.last().unwrap().facts, &restarted.baseline.marks);
    let group = restarted.lives.group_of(&key, ts(2.9 * DAY)).map(|group| group.to_string());
    assert_eq!(group.as_deref(), groups.get(apart).copied());
}
