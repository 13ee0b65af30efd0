//! Open sessions and findings told, for a restart. Knows nothing of what was learnt.

use dwell_detect::{Saved, SavedFinding, SavedSession, SessionId};
use rusqlite::{Row, Transaction, params};

use crate::{Store, StoreError, parse};

impl Store {
    /// Removes sessions that ended.
    ///
    /// # Errors
    /// When SQLite cannot write.
    pub fn remove_sessions(&mut self, ended: &[SessionId]) -> Result<(), StoreError> {
        let transaction = self.db.transaction()?;
        {
            let mut remove = transaction.prepare("DELETE FROM sessions WHERE id = ?1")?;
            for id in ended {
                remove.execute([id.to_string()])?;
            }
        }
        transaction.commit()?;
        Ok(())
    }

    pub(crate) fn load_sessions(&self, rows: &mut Saved) -> Result<(), StoreError> {
        rows.sessions = self.rows("SELECT * FROM sessions", session)?;
        rows.findings = self.rows("SELECT * FROM told", finding)?;
        for session in &mut rows.sessions {
            let destination = if session.together { "" } else { &*session.destination };
            let of = |finding: &&SavedFinding| {
                finding.host == session.host
                    && finding.application == session.application
                    && *finding.destination == *destination
            };
            session.findings = rows.findings.iter().filter(of).cloned().collect();
        }
        Ok(())
    }
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
    Ok(())
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
