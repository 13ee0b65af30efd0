//! Open sessions, their open flows and findings told, for a restart. Knows nothing of what was learnt.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use dwell_detect::{Saved, SavedFinding, SavedFlow, SavedSession, SessionId};
use dwell_packet::{Endpoint, FiveTuple, Timestamp, Transport};
use rusqlite::{Row, Transaction, params};

use crate::{Store, StoreError, parse};

/// What changed since the last checkpoint.
#[derive(Clone, Copy, Debug)]
pub struct Checkpoint<'a> {
    /// Packet time up to which everything is in.
    pub at: Timestamp,
    /// Sessions that ended.
    pub ended: &'a [SessionId],
    /// Stored flows that ended.
    pub closed: &'a [FiveTuple],
    /// What is new or other than it was.
    pub rows: &'a Saved,
}

impl Store {
    /// Stores what changed, all or nothing: a process that is killed meanwhile leaves what was
    /// stored before.
    ///
    /// # Errors
    /// When SQLite cannot write.
    pub fn checkpoint(&mut self, changes: &Checkpoint<'_>) -> Result<(), StoreError> {
        let transaction = self.db.transaction()?;
        remove(&transaction, changes)?;
        crate::learned::save_all(&transaction, changes.rows)?;
        transaction.execute(
            "INSERT OR REPLACE INTO meta VALUES ('clock', ?1)",
            [parse::nanos(changes.at).to_string()],
        )?;
        let forgotten = changes.at.saturating_sub(TOLD_IN_MIND);
        transaction.execute("DELETE FROM told WHERE told < ?1", [parse::nanos(forgotten)])?;
        transaction.commit()?;
        Ok(())
    }

    /// Packet time of the last checkpoint; zero before the first.
    #[must_use]
    pub fn clock(&self) -> Timestamp {
        let query = "SELECT value FROM meta WHERE key = 'clock'";
        let clock: Option<String> = self.db.query_row(query, [], |row| row.get(0)).ok();
        parse::time(clock.and_then(|text| text.parse().ok()).unwrap_or(0))
    }

    pub(crate) fn load_sessions(&self, rows: &mut Saved) -> Result<(), StoreError> {
        rows.sessions = self.rows("SELECT * FROM sessions", session)?;
        rows.findings = self.rows("SELECT * FROM told", finding)?;
        rows.flows = self.rows("SELECT * FROM open_flows", flow)?;
        let closed: HashSet<String> = self
            .rows("SELECT id FROM findings WHERE life = 'closed'", |row| row.get(0).map(Some))?
            .into_iter()
            .collect();
        let mut told: HashMap<(IpAddr, &str, &str), Vec<&SavedFinding>> = HashMap::new();
        for row in rows.findings.iter().filter(|row| !closed.contains(&*row.id)) {
            told.entry((row.host, &row.application, &row.destination)).or_default().push(row);
        }
        for session in &mut rows.sessions {
            let destination = if session.together { "" } else { &*session.destination };
            if let Some(open) = told.get(&(session.host, &*session.application, destination)) {
                session.findings = open.iter().copied().cloned().collect();
            }
        }
        Ok(())
    }
}

/// Findings told longer ago are neither open nor to be held back.
const TOLD_IN_MIND: Duration = Duration::from_secs(30 * 86_400);

fn remove(from: &Transaction<'_>, changes: &Checkpoint<'_>) -> Result<(), StoreError> {
    let mut session = from.prepare("DELETE FROM sessions WHERE id = ?1")?;
    let mut flows = from.prepare("DELETE FROM open_flows WHERE session = ?1")?;
    for id in changes.ended {
        session.execute([id.to_string()])?;
        flows.execute([id.to_string()])?;
    }
    let mut flow = from.prepare("DELETE FROM open_flows WHERE tuple = ?1")?;
    for tuple in changes.closed {
        flow.execute([tuple_text(tuple)])?;
    }
    Ok(())
}

pub(crate) fn save(to: &Transaction<'_>, rows: &Saved) -> Result<(), StoreError> {
    let mut put = to.prepare(
        "INSERT OR REPLACE INTO sessions VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11,
         ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23)",
    )?;
    for row in &rows.sessions {
        let visibility: Vec<&str> = row.visibility.names().collect();
        put.execute(params![
            SessionId(row.id).to_string(),
            row.host.to_string(),
            row.host_addr.to_string(),
            row.host_name.as_deref(),
            &*row.application,
            row.outcome.name(),
            row.category.name(),
            &*row.destination,
            row.name.as_deref(),
            row.addr.to_string(),
            row.port,
            row.together,
            parse::nanos(row.first),
            parse::nanos(row.last_activity),
            row.flows,
            row.longest.as_secs_f64(),
            parse::count(row.bytes.0),
            parse::count(row.bytes.1),
            row.attendance.0,
            row.attendance.1,
            row.lookup.name(),
            visibility.join(" "),
            row.statistics,
        ])?;
    }
    let mut put =
        to.prepare("INSERT OR REPLACE INTO told VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)")?;
    let open = rows.sessions.iter().flat_map(|session| &session.findings);
    for row in rows.findings.iter().chain(open) {
        put.execute(params![
            &*row.id,
            row.analytic.id(),
            row.host.to_string(),
            &*row.application,
            &*row.destination,
            parse::nanos(row.opened),
            parse::nanos(row.told),
            row.level.name(),
            row.score_bits,
        ])?;
    }
    let mut put = to
        .prepare("INSERT OR REPLACE INTO open_flows VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)")?;
    for row in &rows.flows {
        let visibility: Vec<&str> = row.visibility.names().collect();
        put.execute(params![
            tuple_text(&row.tuple),
            SessionId(row.session).to_string(),
            parse::nanos(row.opened),
            &*row.application,
            row.outcome.name(),
            row.category.name(),
            &*row.destination,
            row.name.as_deref(),
            visibility.join(" "),
        ])?;
    }
    Ok(())
}

/// A five-tuple as the key of a row: `TCP 10.0.0.7:50000 203.0.113.9:443`, client first.
fn tuple_text(tuple: &FiveTuple) -> String {
    format!("{} {} {}", tuple.transport, tuple.src, tuple.dst)
}

fn tuple_of(text: &str) -> Option<FiveTuple> {
    let mut words = text.split(' ');
    let transport = match words.next()? {
        "TCP" => Transport::Tcp,
        "UDP" => Transport::Udp,
        _ => return None,
    };
    let mut end = || {
        let socket: SocketAddr = words.next()?.parse().ok()?;
        Some(Endpoint { addr: socket.ip(), port: socket.port() })
    };
    Some(FiveTuple { src: end()?, dst: end()?, transport })
}

fn flow(row: &Row<'_>) -> rusqlite::Result<Option<SavedFlow>> {
    let text = |index: usize| row.get::<_, String>(index);
    let session = u64::from_str_radix(&text(1)?, 16).ok();
    let names = parse::outcome(&text(4)?).zip(parse::category(&text(5)?));
    let (Some(tuple), Some(session), Some((outcome, category))) =
        (tuple_of(&text(0)?), session, names)
    else {
        return Ok(None);
    };
    Ok(Some(SavedFlow {
        tuple,
        session,
        opened: parse::time(row.get(2)?),
        application: text(3)?.into(),
        outcome,
        category,
        destination: text(6)?.into(),
        name: row.get::<_, Option<String>>(7)?.as_deref().map(parse::text),
        visibility: parse::visibility(&text(8)?),
    }))
}

fn session(row: &Row<'_>) -> rusqlite::Result<Option<SavedSession>> {
    let text = |index: usize| row.get::<_, String>(index);
    let (host, host_addr, addr) = (text(1)?, text(2)?, text(9)?);
    let addresses =
        parse::address(&host).zip(parse::address(&host_addr)).zip(parse::address(&addr));
    let names = parse::outcome(&text(5)?).zip(parse::category(&text(6)?));
    let id = u64::from_str_radix(&text(0)?, 16).ok();
    let (Some(id), Some(((host, host_addr), addr)), Some((outcome, category)), Some(lookup)) =
        (id, addresses, names, parse::lookup(&text(20)?))
    else {
        return Ok(None);
    };
    let count = |index: usize| row.get::<_, i64>(index).map(|n| u64::try_from(n).unwrap_or(0));
    Ok(Some(SavedSession {
        id,
        host,
        host_addr,
        host_name: row.get::<_, Option<String>>(3)?.as_deref().map(parse::text),
        application: text(4)?.into(),
        outcome,
        category,
        destination: text(7)?.into(),
        name: row.get::<_, Option<String>>(8)?.as_deref().map(parse::text),
        addr,
        port: row.get(10)?,
        together: row.get(11)?,
        first: parse::time(row.get(12)?),
        last_activity: parse::time(row.get(13)?),
        flows: row.get(14)?,
        longest: parse::seconds(row.get(15)?),
        bytes: (count(16)?, count(17)?),
        attendance: (row.get(18)?, row.get(19)?),
        lookup,
        visibility: parse::visibility(&text(21)?),
        statistics: row.get(22)?,
        findings: Vec::new(),
    }))
}

fn finding(row: &Row<'_>) -> rusqlite::Result<Option<SavedFinding>> {
    let text = |index: usize| row.get::<_, String>(index);
    let who = parse::address(&text(2)?);
    let what = parse::analytic(&text(1)?).zip(parse::level(&text(7)?));
    let (opened, told, score_bits) =
        (parse::time(row.get(5)?), parse::time(row.get(6)?), row.get(8)?);
    let (id, application, destination) = (text(0)?, text(3)?, text(4)?);
    Ok(who.zip(what).map(|(host, (analytic, level))| SavedFinding {
        id: id.into(),
        analytic,
        host,
        application: application.into(),
        destination: destination.into(),
        opened,
        told,
        level,
        score_bits,
    }))
}
