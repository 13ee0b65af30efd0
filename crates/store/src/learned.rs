//! What was learnt: rows in, rows out. Knows no sessions and no findings.

use dwell_detect::{Saved, SavedContact, SavedDay, SavedHost, SavedLongest, SavedShape, SavedVote};
use dwell_packet::Timestamp;
use rusqlite::{Row, Transaction, params};

use crate::{Store, StoreError, parse};

impl Store {
    /// Stores rows, all or none. Rows of the same identity are replaced.
    ///
    /// # Errors
    /// When SQLite cannot write.
    pub fn save(&mut self, rows: &Saved) -> Result<(), StoreError> {
        let transaction = self.db.transaction()?;
        save_all(&transaction, rows)?;
        transaction.commit()?;
        Ok(())
    }

    /// Everything that was stored: learnt, open sessions, findings told. Rows that cannot be read
    /// are left out.
    ///
    /// # Errors
    /// When SQLite cannot read.
    pub fn load(&self) -> Result<Saved, StoreError> {
        let mut rows = Saved::default();
        let first: Option<String> = self
            .db
            .query_row("SELECT value FROM meta WHERE key = 'first'", [], |row| row.get(0))
            .ok();
        rows.first = first.and_then(|text| text.parse().ok()).map(parse::time);
        rows.hosts = self.rows("SELECT * FROM hosts", host)?;
        rows.contacts = self.rows("SELECT * FROM contacts", contact)?;
        rows.days = self.rows("SELECT * FROM days", day)?;
        rows.votes = self.rows("SELECT * FROM votes", vote)?;
        rows.shapes = self.rows("SELECT * FROM shapes", shape)?;
        rows.longest = self.rows("SELECT * FROM longest", longest)?;
        self.load_sessions(&mut rows)?;
        Ok(rows)
    }

    /// Forgets everything that was learnt; findings, labels and open sessions stay.
    ///
    /// # Errors
    /// When SQLite cannot write.
    pub fn reset_baseline(&mut self) -> Result<(), StoreError> {
        self.db.execute_batch(
            "BEGIN; DELETE FROM hosts; DELETE FROM contacts; DELETE FROM days; DELETE FROM votes;
             DELETE FROM shapes; DELETE FROM longest; DELETE FROM meta WHERE key = 'first'; COMMIT",
        )?;
        Ok(())
    }

    /// Takes note of a change that a person made, or that the sensor made by itself.
    ///
    /// # Errors
    /// When SQLite cannot write.
    pub fn log(&self, at: Timestamp, what: &str, detail: &str) -> Result<(), StoreError> {
        self.db.execute(
            "INSERT INTO log (at, what, detail) VALUES (?1, ?2, ?3)",
            params![parse::nanos(at), what, detail],
        )?;
        Ok(())
    }

    /// The change log, the newest first: time, what, detail.
    ///
    /// # Errors
    /// When SQLite cannot read.
    pub fn log_lines(&self, most: u32) -> Result<Vec<(Timestamp, String, String)>, StoreError> {
        let query = format!("SELECT at, what, detail FROM log ORDER BY number DESC LIMIT {most}");
        self.rows(&query, |row| Ok(Some((parse::time(row.get(0)?), row.get(1)?, row.get(2)?))))
    }

    /// How many rows each table has.
    ///
    /// # Errors
    /// When SQLite cannot read.
    pub fn counts(&self) -> Result<Vec<(&'static str, u64)>, StoreError> {
        const TABLES: [&str; 10] = [
            "hosts", "contacts", "days", "votes", "shapes", "longest", "sessions", "findings",
            "history", "labels",
        ];
        let count = |table: &'static str| {
            let query = format!("SELECT count(*) FROM {table}");
            let count: i64 = self.db.query_row(&query, [], |row| row.get(0))?;
            Ok((table, u64::try_from(count).unwrap_or(0)))
        };
        TABLES.into_iter().map(count).collect()
    }

    /// The rows of a query that can be read.
    pub(crate) fn rows<T>(
        &self,
        query: &str,
        read: impl Fn(&Row<'_>) -> rusqlite::Result<Option<T>>,
    ) -> Result<Vec<T>, StoreError> {
        let mut statement = self.db.prepare(query)?;
        let rows = statement.query_map([], |row| read(row))?;
        let rows: Vec<Option<T>> = rows.collect::<rusqlite::Result<_>>()?;
        Ok(rows.into_iter().flatten().collect())
    }
}

/// Stores rows within a transaction of the caller's.
pub(crate) fn save_all(to: &Transaction<'_>, rows: &Saved) -> Result<(), StoreError> {
    save_learned(to, rows)?;
    crate::sessions::save(to, rows)?;
    forget(to, rows)
}

fn save_learned(to: &Transaction<'_>, rows: &Saved) -> Result<(), StoreError> {
    if let Some(first) = rows.first {
        to.execute(
            "INSERT OR REPLACE INTO meta VALUES ('first', ?1)",
            [parse::nanos(first).to_string()],
        )?;
    }
    let mut put = to.prepare("INSERT OR REPLACE INTO hosts VALUES (?1, ?2, ?3, ?4, ?5)")?;
    for row in &rows.hosts {
        let SavedHost { host, first_seen, sessions, mean_ln_s, squares } = row;
        let first = parse::nanos(*first_seen);
        put.execute(params![host.to_string(), first, sessions, mean_ln_s, squares])?;
    }
    let mut put = to.prepare("INSERT OR REPLACE INTO contacts VALUES (?1, ?2, ?3, ?4, ?5)")?;
    for row in &rows.contacts {
        let (app, dest) = (&*row.application, &*row.destination);
        let first = parse::nanos(row.first);
        put.execute(params![row.host.to_string(), app, dest, row.kind, first])?;
    }
    let mut put = to.prepare("INSERT OR REPLACE INTO days VALUES (?1, ?2, ?3)")?;
    for row in &rows.days {
        put.execute(params![row.host.to_string(), &*row.application, row.day])?;
    }
    let mut put = to.prepare("INSERT OR REPLACE INTO votes VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?;
    for row in &rows.votes {
        let app = &*row.application;
        put.execute(params![row.host.to_string(), app, row.class, row.fresh, row.day, row.bin])?;
    }
    let mut put = to.prepare("INSERT OR REPLACE INTO shapes VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?;
    for row in &rows.shapes {
        let app = row.application.as_deref().unwrap_or("");
        let list = |figures: &[f64; 7]| serde_json::to_string(figures).unwrap_or_default();
        let (mean, variance) = (list(&row.mean), list(&row.variance));
        put.execute(params![row.host.to_string(), app, row.class, row.sessions, mean, variance])?;
    }
    let mut put = to.prepare("INSERT OR REPLACE INTO longest VALUES (?1, ?2, ?3, ?4, ?5)")?;
    for row in &rows.longest {
        let (app, held) = (&*row.application, row.held.as_secs_f64());
        put.execute(params![row.host.to_string(), app, row.rank, &*row.destination, held])?;
    }
    Ok(())
}

/// Removes votes and days that no longer count, when newer ones come in.
fn forget(from: &Transaction<'_>, rows: &Saved) -> Result<(), StoreError> {
    let Some(newest) = rows.days.iter().map(|row| row.day).max() else { return Ok(()) };
    let first = newest.saturating_sub(MEMORY_DAYS);
    from.execute("DELETE FROM days WHERE day < ?1", [first])?;
    from.execute("DELETE FROM votes WHERE day < ?1", [first])?;
    Ok(())
}

/// As long as the detector's own votes count.
const MEMORY_DAYS: u16 = 14;

fn host(row: &Row<'_>) -> rusqlite::Result<Option<SavedHost>> {
    let text: String = row.get(0)?;
    let (first_seen, sessions) = (parse::time(row.get(1)?), row.get(2)?);
    let (mean_ln_s, squares) = (row.get(3)?, row.get(4)?);
    Ok(parse::address(&text).map(|host| SavedHost {
        host,
        first_seen,
        sessions,
        mean_ln_s,
        squares,
    }))
}

fn contact(row: &Row<'_>) -> rusqlite::Result<Option<SavedContact>> {
    let (host, application): (String, String) = (row.get(0)?, row.get(1)?);
    let (destination, kind): (String, String) = (row.get(2)?, row.get(3)?);
    let first = parse::time(row.get(4)?);
    Ok(parse::address(&host).zip(parse::kind(&kind)).map(|(host, kind)| SavedContact {
        host,
        application: application.into(),
        kind,
        destination: destination.into(),
        first,
    }))
}

fn day(row: &Row<'_>) -> rusqlite::Result<Option<SavedDay>> {
    let (host, application): (String, String) = (row.get(0)?, row.get(1)?);
    let day = row.get(2)?;
    Ok(parse::address(&host).map(|host| SavedDay { host, application: application.into(), day }))
}

fn vote(row: &Row<'_>) -> rusqlite::Result<Option<SavedVote>> {
    let (host, application): (String, String) = (row.get(0)?, row.get(1)?);
    let class: String = row.get(2)?;
    let (fresh, day, bin) = (row.get(3)?, row.get(4)?, row.get(5)?);
    Ok(parse::address(&host).zip(parse::class(&class)).map(|(host, class)| SavedVote {
        host,
        application: application.into(),
        class,
        fresh,
        day,
        bin,
    }))
}

fn shape(row: &Row<'_>) -> rusqlite::Result<Option<SavedShape>> {
    let (host, application): (String, String) = (row.get(0)?, row.get(1)?);
    let class: String = row.get(2)?;
    let sessions = row.get(3)?;
    let (mean, variance): (String, String) = (row.get(4)?, row.get(5)?);
    let figures = parse::figures(&mean).zip(parse::figures(&variance));
    let who = parse::address(&host).zip(parse::class(&class));
    Ok(who.zip(figures).map(|((host, class), (mean, variance))| SavedShape {
        host,
        application: (!application.is_empty()).then(|| application.into()),
        class,
        sessions,
        mean,
        variance,
    }))
}

fn longest(row: &Row<'_>) -> rusqlite::Result<Option<SavedLongest>> {
    let (host, application): (String, String) = (row.get(0)?, row.get(1)?);
    let (rank, destination): (u8, String) = (row.get(2)?, row.get(3)?);
    let held = parse::seconds(row.get(4)?);
    Ok(parse::address(&host).map(|host| SavedLongest {
        host,
        application: application.into(),
        destination: destination.into(),
        held,
        rank,
    }))
}
