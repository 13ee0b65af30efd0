//! Findings as people read them, what they said of them, and judged sessions of the past.

use dwell_detect::{Finding, Level, SessionSummary};
use dwell_packet::Timestamp;
use rusqlite::{Connection, Row, params};
use serde_json::json;

use crate::{Store, StoreError, parse};

/// A finding as it was told last.
#[derive(Clone, Debug, PartialEq)]
pub struct FindingRow {
    /// Its identity, 32 hexadecimal digits.
    pub id: String,
    /// Analytic, such as `AN0146`.
    pub analytic: String,
    /// What happened to it last.
    pub life: String,
    /// Its level.
    pub level: String,
    /// Score in bits.
    pub score_bits: f64,
    /// Whether it was judged without a baseline.
    pub provisional: bool,
    /// When it was opened.
    pub opened: Timestamp,
    /// When it was told last.
    pub at: Timestamp,
    /// Host's identity.
    pub host: String,
    /// Host's name.
    pub host_name: Option<String>,
    /// Application.
    pub application: String,
    /// Destination group.
    pub destination: String,
    /// How long the session has held, in seconds.
    pub held_s: f64,
    /// One plain sentence.
    pub sentence: String,
    /// Reasons as a JSON array.
    pub reasons: String,
    /// What a person said of it last.
    pub label: Option<String>,
}

/// What a person can say of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Label {
    /// It is what it looks like.
    TruePositive,
    /// It is not.
    FalsePositive,
    /// It is, and it is allowed.
    Benign,
    /// Nobody knows yet.
    Open,
}

impl Label {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::TruePositive, Self::FalsePositive, Self::Benign, Self::Open];

    /// The name in the database and on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::TruePositive => "true-positive",
            Self::FalsePositive => "false-positive",
            Self::Benign => "benign",
            Self::Open => "open",
        }
    }
}

/// One entry of a finding's audit trail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelRow {
    /// What was said.
    pub label: String,
    /// Who said it.
    pub person: String,
    /// Why.
    pub note: String,
    /// When.
    pub at: Timestamp,
}

/// A session that was judged and is over, or stood so when it was stored.
#[derive(Clone, Debug, PartialEq)]
pub struct HistoryRow {
    /// Its identity.
    pub session: String,
    /// Host's identity.
    pub host: String,
    /// Application.
    pub application: String,
    /// Destination group.
    pub destination: String,
    /// Time of its last payload.
    pub last: Timestamp,
    /// How long it held, in seconds.
    pub held_s: f64,
    /// Its bursts.
    pub bursts: u32,
    /// Its highest score in bits.
    pub score_bits: f64,
}

impl Store {
    /// Stores a finding as it was told.
    ///
    /// # Errors
    /// When SQLite cannot write.
    pub fn tell(&self, finding: &Finding) -> Result<(), StoreError> {
        put(&self.db, finding)
    }

    /// Stores how a session was judged; its highest score stays.
    ///
    /// # Errors
    /// When SQLite cannot write.
    pub fn note_session(&self, session: &SessionSummary) -> Result<(), StoreError> {
        let Some(score) = session.score_bits else { return Ok(()) };
        self.db.execute(
            "INSERT INTO history VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
             ON CONFLICT (session) DO UPDATE SET last = ?6, held_s = ?7, bursts = ?8,
             score = max(score, ?9), level = ?10",
            params![
                session.id.to_string(),
                session.host.id.0.to_string(),
                &*session.attribution.application,
                &*session.destination.group,
                parse::nanos(session.first),
                parse::nanos(session.last),
                session.effective.as_secs_f64(),
                session.shape.bursts,
                score,
                session.level.map(Level::name),
            ],
        )?;
        Ok(())
    }

    /// Sessions judged whose last payload is not before `since`.
    ///
    /// # Errors
    /// When SQLite cannot read.
    pub fn history(&self, since: Timestamp) -> Result<Vec<HistoryRow>, StoreError> {
        let since = parse::nanos(since);
        let query = format!(
            "SELECT session, host, application, destination, last, held_s, bursts, score
             FROM history WHERE last >= {since} ORDER BY score DESC, session"
        );
        self.rows(&query, |row| {
            Ok(Some(HistoryRow {
                session: row.get(0)?,
                host: row.get(1)?,
                application: row.get(2)?,
                destination: row.get(3)?,
                last: parse::time(row.get(4)?),
                held_s: row.get(5)?,
                bursts: row.get(6)?,
                score_bits: row.get(7)?,
            }))
        })
    }

    /// The time of the newest thing stored, as the sensor's clock went.
    ///
    /// # Errors
    /// When SQLite cannot read.
    pub fn newest(&self) -> Result<Timestamp, StoreError> {
        let query = "SELECT max(at) FROM (SELECT max(last) AS at FROM history UNION ALL
                     SELECT max(at) FROM findings UNION ALL SELECT max(last) FROM sessions)";
        let newest: Option<i64> = self.db.query_row(query, [], |row| row.get(0))?;
        Ok(parse::time(newest.unwrap_or(0)))
    }

    /// Findings, the highest score first.
    ///
    /// # Errors
    /// When SQLite cannot read.
    pub fn findings(&self) -> Result<Vec<FindingRow>, StoreError> {
        let query = format!("{FINDINGS} ORDER BY score DESC, id");
        self.rows(&query, |row| finding(row).map(Some))
    }

    /// The findings whose identity begins with `prefix`.
    ///
    /// # Errors
    /// When SQLite cannot read.
    pub fn findings_named(&self, prefix: &str) -> Result<Vec<FindingRow>, StoreError> {
        let mut all = self.findings()?;
        all.retain(|row| row.id.starts_with(prefix));
        Ok(all)
    }

    /// Says what a finding is. The last word counts; all of them are kept.
    ///
    /// # Errors
    /// When SQLite cannot write.
    pub fn label(&self, finding: &str, row: &LabelRow) -> Result<(), StoreError> {
        self.db.execute(
            "INSERT INTO labels (finding, label, person, note, at) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![finding, row.label, row.person, row.note, parse::nanos(row.at)],
        )?;
        Ok(())
    }

    /// A finding's audit trail, the oldest first.
    ///
    /// # Errors
    /// When SQLite cannot read.
    pub fn labels(&self, finding: &str) -> Result<Vec<LabelRow>, StoreError> {
        let mut statement = self.db.prepare(
            "SELECT label, person, note, at FROM labels WHERE finding = ?1 ORDER BY number",
        )?;
        let rows = statement.query_map([finding], |row| {
            Ok(LabelRow {
                label: row.get(0)?,
                person: row.get(1)?,
                note: row.get(2)?,
                at: parse::time(row.get(3)?),
            })
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}

/// Stores a finding as it was told; `to` may be a transaction.
pub(crate) fn put(to: &Connection, finding: &Finding) -> Result<(), StoreError> {
    let session = &finding.session;
    let reasons: Vec<_> = finding
        .reasons
        .iter()
        .map(|reason| {
            json!({
                "feature": reason.feature,
                "part": reason.part.name(),
                "value": reason.value,
                "expected": reason.expected,
                "weight": reason.weight_bits,
                "text": reason.text,
            })
        })
        .collect();
    to.execute(
        "INSERT OR REPLACE INTO findings VALUES
         (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
        params![
            finding.id.as_str(),
            finding.analytic.id(),
            finding.life.name(),
            finding.level.name(),
            finding.score_bits,
            finding.provisional,
            parse::nanos(finding.opened_at),
            parse::nanos(finding.at),
            session.host.id.0.to_string(),
            session.host.name.as_deref(),
            &*session.attribution.application,
            &*session.destination.group,
            session.effective.as_secs_f64(),
            finding.sentence,
            serde_json::Value::from(reasons).to_string(),
        ],
    )?;
    Ok(())
}

const FINDINGS: &str = "SELECT id, analytic, life, level, score, provisional, opened, at, host,
    host_name, application, destination, held_s, sentence, reasons,
    (SELECT label FROM labels WHERE finding = findings.id ORDER BY number DESC LIMIT 1)
    FROM findings";

fn finding(row: &Row<'_>) -> rusqlite::Result<FindingRow> {
    Ok(FindingRow {
        id: row.get(0)?,
        analytic: row.get(1)?,
        life: row.get(2)?,
        level: row.get(3)?,
        score_bits: row.get(4)?,
        provisional: row.get(5)?,
        opened: parse::time(row.get(6)?),
        at: parse::time(row.get(7)?),
        host: row.get(8)?,
        host_name: row.get(9)?,
        application: row.get(10)?,
        destination: row.get(11)?,
        held_s: row.get(12)?,
        sentence: row.get(13)?,
        reasons: row.get(14)?,
        label: row.get(15)?,
    })
}
