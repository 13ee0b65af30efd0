//! `dwell tune`: what other settings would have changed, by the sessions stored. Changes nothing.

use std::io::{self, Write as _};

use anyhow::{Context as _, bail};
use dwell_detect::DetectConfig;
use dwell_store::{HistoryRow, Store};

use crate::Exit;
use crate::cli::judging::TuneArgs;
use crate::units::{duration, spoken};

/// What decides whether a stored session is found.
#[derive(Clone, Debug)]
struct Settings {
    alert_bits: f64,
    session_duration_s: f64,
    min_bursts: u32,
    /// Application and destination; `*` for any.
    exceptions: Vec<(String, String)>,
}

/// Runs the command.
///
/// # Errors
/// When the database cannot be read or a setting is not known.
pub(crate) fn run(args: &TuneArgs) -> anyhow::Result<Exit> {
    let store = Store::open_existing(&args.database.database)?;
    let defaults = DetectConfig::default();
    let now = Settings {
        alert_bits: defaults.levels.alert,
        session_duration_s: defaults.session_duration.as_secs_f64(),
        min_bursts: defaults.min_bursts,
        exceptions: Vec::new(),
    };
    let mut then = now.clone();
    for setting in &args.set {
        if let Err(error) = then.set(setting) {
            eprintln!("dwell: {error:#}");
            return Ok(Exit::Configuration);
        }
    }
    let since = store.newest()?.saturating_sub(args.since);
    let sessions = store.history(since)?;
    let mut out = io::stdout().lock();
    let found = |settings: &Settings| sessions.iter().filter(|row| settings.finds(row)).count();
    writeln!(
        out,
        "{} sessions judged in {}: {} found with the present settings, {} with these",
        sessions.len(),
        spoken(args.since),
        found(&now),
        found(&then)
    )?;
    for row in &sessions {
        let sign = match (now.finds(row), then.finds(row)) {
            (false, true) => '+',
            (true, false) => '-',
            (true, true) | (false, false) => continue,
        };
        writeln!(
            out,
            "{sign} {:5.1}  {} {} -> {}",
            row.score_bits, row.host, row.application, row.destination
        )?;
    }
    Ok(Exit::Success)
}

impl Settings {
    fn set(&mut self, setting: &str) -> anyhow::Result<()> {
        let (key, value) = setting.split_once('=').context("KEY=VALUE is needed")?;
        match key.trim() {
            "alert" => self.alert_bits = value.trim().parse().context("alert in bits")?,
            "session_duration" | "SessionDuration" => {
                let wanted = duration(value.trim()).map_err(anyhow::Error::msg)?;
                self.session_duration_s = wanted.as_secs_f64();
            }
            "min_bursts" => self.min_bursts = value.trim().parse().context("min_bursts")?,
            "exception" => {
                let (application, destination) =
                    value.split_once("->").context("exception=APPLICATION->DESTINATION")?;
                let of = |text: &str| text.trim().to_lowercase();
                self.exceptions.push((of(application), of(destination)));
            }
            other => bail!(
                "unknown setting `{other}`, expected alert, session_duration, min_bursts or exception"
            ),
        }
        Ok(())
    }

    fn finds(&self, row: &HistoryRow) -> bool {
        let fits = |wanted: &str, found: &str| wanted == "*" || wanted == found.to_lowercase();
        let excepted = |(application, destination): &(String, String)| {
            fits(application, &row.application) && fits(destination, &row.destination)
        };
        row.score_bits >= self.alert_bits
            && row.held_s >= self.session_duration_s
            && row.bursts >= self.min_bursts
            && !self.exceptions.iter().any(excepted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> HistoryRow {
        HistoryRow {
            session: "1".to_owned(),
            host: "10.0.0.1".to_owned(),
            application: "curl".to_owned(),
            destination: "a.example".to_owned(),
            last: dwell_packet::Timestamp::ZERO,
            held_s: 3600.0,
            bursts: 20,
            score_bits: 8.4,
        }
    }

    fn check(settings: &[&str], expected: bool) {
        let mut tried = Settings {
            alert_bits: 8.3,
            session_duration_s: 1800.0,
            min_bursts: 6,
            exceptions: Vec::new(),
        };
        settings.iter().for_each(|setting| tried.set(setting).unwrap());
        assert_eq!(tried.finds(&row()), expected, "{settings:?}");
    }

    #[test]
    fn each_setting_changes_what_is_found() {
        check(&[], true);
        check(&["alert=9"], false);
        check(&["SessionDuration=2h"], false);
        check(&["min_bursts=21"], false);
        check(&["exception=Curl->a.example"], false);
        check(&["exception=*->b.example"], true);
    }

    #[test]
    fn an_unknown_setting_is_refused() {
        let mut settings = Settings {
            alert_bits: 0.0,
            session_duration_s: 0.0,
            min_bursts: 0,
            exceptions: vec![],
        };
        assert!(settings.set("colour=red").is_err());
        assert!(settings.set("alert").is_err());
    }
}
