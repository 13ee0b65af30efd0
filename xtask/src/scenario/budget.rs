//! Recall of campaigns at budgets of false findings, as the corpus' own `score.py` counts them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use anyhow::Context as _;
use dwell_detect::Analytic;
use serde::Deserialize;

use super::curves::{Curve, Point};
use super::play::{Row, Sibling};

/// What is true of a scenario.
#[derive(Deserialize)]
pub(crate) struct Truth {
    info: About,
    campaigns: BTreeMap<String, Campaign>,
}

#[derive(Deserialize)]
struct About {
    hosts: u32,
    hours: f64,
}

#[derive(Deserialize)]
struct Campaign {
    family: String,
    host: String,
    apps: Vec<String>,
    sni: Vec<String>,
    ips: Vec<String>,
    start: f64,
}

impl Truth {
    pub(crate) fn load(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join("truth.json");
        let text = std::fs::read_to_string(&path).with_context(|| format!("{}", path.display()))?;
        serde_json::from_str(&text).with_context(|| format!("{}", path.display()))
    }

    /// How many findings of AN0144 and AN0145 fell into the last day: on campaigns and others.
    pub(crate) fn siblings(&self, findings: &[Sibling]) -> [(usize, usize); 2] {
        let from = self.counted_from();
        [Analytic::An0144, Analytic::An0145].map(|analytic| {
            let own = findings.iter().filter(|one| one.analytic == analytic && one.t >= from);
            let right = own.clone().filter(|one| self.is_campaign(one)).count();
            (right, own.count() - right)
        })
    }

    fn is_campaign(&self, finding: &Sibling) -> bool {
        self.campaigns
            .values()
            .any(|campaign| campaign.host == finding.host && campaign.goes_to(&finding.destination))
    }

    fn counted_from(&self) -> f64 {
        (self.info.hours - 24.0) * 3600.0
    }

    fn campaign_of(&self, row: &Row) -> Option<&str> {
        let hit = |campaign: &Campaign| {
            campaign.host == *row.host
                && campaign.apps.iter().any(|app| **app == *row.app)
                && campaign.goes_to(&row.destination)
        };
        self.campaigns.iter().find(|(_, campaign)| hit(campaign)).map(|(id, _)| id.as_str())
    }
}

impl Campaign {
    fn goes_to(&self, destination: &str) -> bool {
        let destination = destination.trim_start_matches("ip:").trim_matches('.').to_lowercase();
        let under = |name: &String| {
            let name = name.to_lowercase();
            name.strip_suffix(&destination)
                .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        };
        self.ips.contains(&destination) || self.sni.iter().any(under)
    }
}

/// How much is printed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Detail {
    /// The figures.
    Figures,
    /// What was missed and what was false as well.
    Misses,
}

/// Counts over scenarios.
#[derive(Default)]
pub(crate) struct Budget {
    scenarios: usize,
    entities: Vec<Entity>,
    campaigns: BTreeMap<(usize, String), String>,
    host_days: u32,
    opened_false: BTreeSet<(usize, String)>,
    /// Hours from a campaign's start to its finding.
    opened: BTreeMap<(usize, String), f64>,
}

struct Entity {
    score: f64,
    campaign: Option<(usize, String)>,
    what: String,
}

/// False findings per 100 hosts and day.
const BUDGETS: [f64; 5] = [0.5, 1.0, 2.0, 5.0, 10.0];

impl Budget {
    /// Takes the judgements of the last day of a scenario in.
    pub(crate) fn add(&mut self, truth: &Truth, rows: &[Row]) {
        let number = self.scenarios;
        self.scenarios += 1;
        self.host_days = self.host_days.saturating_add(truth.info.hosts);
        let known = truth.campaigns.iter().map(|(id, c)| ((number, id.clone()), c.family.clone()));
        self.campaigns.extend(known);
        let counted_from = truth.counted_from();
        let mut best: HashMap<(&str, &str, &str), (f64, Option<&str>)> = HashMap::new();
        for row in rows.iter().filter(|row| row.t >= counted_from) {
            let key = (&*row.host, &*row.app, &*row.destination);
            let kept = best.entry(key).or_insert_with(|| (f64::MIN, truth.campaign_of(row)));
            kept.0 = kept.0.max(row.judged.score_bits);
            if !row.judged.opened {
                continue;
            }
            match kept.1.and_then(|id| Some((id, truth.campaigns.get(id)?))) {
                Some((id, campaign)) => {
                    let after = row.t - campaign.start.max(counted_from);
                    self.opened.entry((number, id.to_owned())).or_insert(after / 3600.0);
                }
                None => {
                    self.opened_false.insert((number, format!("{key:?}")));
                }
            }
        }
        let entities =
            best.into_iter().map(|((host, app, destination), (score, campaign))| Entity {
                score,
                campaign: campaign.map(|id| (number, id.to_owned())),
                what: format!("{host} {app} {destination}"),
            });
        self.entities.extend(entities.filter(|entity| entity.score > 0.0));
    }

    /// Recall at every threshold, the highest first.
    pub(crate) fn curve(&mut self, name: &str) -> Curve {
        self.sort();
        let host_days = f64::from(self.host_days).max(1.0);
        let benign = self.entities.iter().filter(|entity| entity.campaign.is_none()).count();
        let (mut wrong, mut found) = (0_usize, BTreeSet::new());
        let mut points = Vec::new();
        for entity in &self.entities {
            match &entity.campaign {
                Some(campaign) => drop(found.insert(campaign)),
                None => wrong += 1,
            }
            points.push(Point {
                false_rate: 100.0 * ratio(wrong, 1) / host_days,
                false_share: ratio(wrong, benign.max(1)),
                recall: ratio(found.len(), self.campaigns.len().max(1)),
            });
        }
        Curve { name: name.to_owned(), points }
    }

    /// The surest first, and of equals the false ones.
    fn sort(&mut self) {
        self.entities.sort_by(|a, b| {
            let first = |e: &Entity| e.campaign.is_some();
            b.score.total_cmp(&a.score).then(first(a).cmp(&first(b)))
        });
    }

    /// Prints recall at each budget and at the detector's own threshold.
    pub(crate) fn print(mut self, name: &str, detail: Detail) {
        self.sort();
        let host_days = f64::from(self.host_days);
        let all = self.campaigns.len().max(1);
        let mut recall = [0_usize; BUDGETS.len()];
        let (mut wrong, mut found) = (0.0, BTreeSet::new());
        let mut found_at = BTreeMap::new();
        for entity in &self.entities {
            match &entity.campaign {
                Some(campaign) => {
                    found.insert(campaign);
                    found_at.entry(campaign.clone()).or_insert((entity.score, wrong));
                }
                None => wrong += 1.0,
            }
            for (recall, budget) in recall.iter_mut().zip(BUDGETS) {
                if wrong <= budget * host_days / 100.0 {
                    *recall = found.len();
                }
            }
        }
        let share = |count: usize| ratio(count, all);
        let figures: Vec<String> = BUDGETS
            .iter()
            .zip(recall)
            .map(|(budget, found)| format!("@{budget} {:.3}", share(found)))
            .collect();
        println!("{name}: recall {} ({all} campaigns, {host_days} host-days)", figures.join("  "));
        let mut hours: Vec<f64> = self.opened.values().copied().collect();
        hours.sort_by(f64::total_cmp);
        println!(
            "{name}: at its own threshold: recall {:.3}, {:.2} false per 100 host-days, median {:.2} h to detection",
            share(self.opened.len()),
            100.0 * ratio(self.opened_false.len(), 1) / host_days,
            hours.get(hours.len() / 2).copied().unwrap_or(f64::NAN)
        );
        if detail == Detail::Misses {
            self.print_misses(&found_at);
        }
    }

    /// What is not found at two false findings per 100 hosts and day, and the highest false ones.
    fn print_misses(&self, found_at: &BTreeMap<(usize, String), (f64, f64)>) {
        for (campaign, family) in &self.campaigns {
            let (score, wrong) =
                found_at.get(campaign).copied().unwrap_or((f64::NAN, f64::INFINITY));
            if wrong > 0.02 * f64::from(self.host_days) {
                println!("   missed {campaign:?} {family}: {score:.2} after {wrong} false");
            }
        }
        for entity in self.entities.iter().filter(|entity| entity.campaign.is_none()).take(12) {
            println!("   false {:.2} {}", entity.score, entity.what);
        }
    }
}

fn ratio(count: usize, all: usize) -> f64 {
    let float = |n: usize| f64::from(u32::try_from(n).unwrap_or(u32::MAX));
    float(count) / float(all)
}
