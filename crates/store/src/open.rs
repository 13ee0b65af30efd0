//! Opening the file: fresh, as it was, or moved aside. Knows the tables' shapes.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use crate::Store;

/// Version of the tables below, kept in `user_version`.
const SCHEMA_VERSION: i64 = 1;

/// "dwel" in ASCII, kept in `application_id`: tells our files from others'.
const APPLICATION_ID: i64 = 0x6477_656c;

/// How the database came to be open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opened {
    /// It was not there.
    Fresh,
    /// It was there and is read.
    Existing,
    /// It could not be used: it was renamed, and a fresh one started in its place.
    MovedAside {
        /// The name that it has now.
        to: PathBuf,
        /// Why.
        reason: String,
    },
}

/// Why the database cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// SQLite says no.
    #[error("database")]
    Database(#[from] rusqlite::Error),
    /// The file cannot be renamed or made.
    #[error("{path}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file that is to be read only is not ours, or of another version.
    #[error("{path}: {reason}")]
    Unusable {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

impl Store {
    /// Opens the database at `path`, or starts it.
    ///
    /// A file that is damaged, not ours or from a newer version is renamed, never changed.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn open(path: &Path) -> Result<(Self, Opened), StoreError> {
        let there = path.exists();
        let fault = match usable(path, there) {
            Ok(db) => {
                let opened = if there { Opened::Existing } else { Opened::Fresh };
                return Ok((Self { db }, opened));
            }
            Err(fault) => fault,
        };
        if !there {
            return Err(fault);
        }
        let reason = match &fault {
            StoreError::Unusable { reason, .. } => reason.clone(),
            StoreError::Database(error) => error.to_string(),
            StoreError::File { source, .. } => source.to_string(),
        };
        let to = move_aside(path)?;
        let db = usable(path, false)?;
        Ok((Self { db }, Opened::MovedAside { to, reason }))
    }

    /// Opens an existing database to read and to label, changing nothing if it is not ours.
    ///
    /// # Errors
    /// When there is none, or it is damaged, not ours or from a newer version.
    pub fn open_existing(path: &Path) -> Result<Self, StoreError> {
        if !path.exists() {
            let reason = "there is no such database".to_owned();
            return Err(StoreError::Unusable { path: path.to_owned(), reason });
        }
        Ok(Self { db: usable(path, true)? })
    }

    /// Bytes of the file.
    ///
    /// # Errors
    /// When SQLite cannot tell.
    pub fn size_bytes(&self) -> Result<u64, StoreError> {
        let pragma = |name| self.db.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        let bytes = pragma("page_count")?.saturating_mul(pragma("page_size")?);
        Ok(u64::try_from(bytes).unwrap_or(0))
    }
}

fn usable(path: &Path, there: bool) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags)?;
    let unusable = |reason: String| Err(StoreError::Unusable { path: path.to_owned(), reason });
    if there {
        let number = |name| db.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        let (application, version) = (number("application_id")?, number("user_version")?);
        if application != APPLICATION_ID {
            return unusable("it is not a database of this sensor".to_owned());
        }
        if version > SCHEMA_VERSION {
            return unusable(format!(
                "schema version {version}, this sensor knows {SCHEMA_VERSION}"
            ));
        }
        let check: String = db.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        if check != "ok" {
            return unusable(check);
        }
    }
    db.pragma_update(None, "journal_mode", "WAL")?;
    db.pragma_update(None, "synchronous", "NORMAL")?;
    // Whoever runs under Landlock has no folder for temporary files.
    db.pragma_update(None, "temp_store", "MEMORY")?;
    db.busy_timeout(std::time::Duration::from_secs(5))?;
    db.execute_batch(TABLES)?;
    db.pragma_update(None, "application_id", APPLICATION_ID)?;
    db.pragma_update(None, "user_version", SCHEMA_VERSION)?;
    Ok(db)
}

/// Renames a file and what SQLite keeps beside it, to the first name that is free.
fn move_aside(path: &Path) -> Result<PathBuf, StoreError> {
    let beside = |suffix: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    let free = (1..MAX_ASIDE).map(|n| beside(&format!(".unusable-{n}"))).find(|to| !to.exists());
    let to = free.unwrap_or_else(|| beside(".unusable"));
    std::fs::rename(path, &to)
        .map_err(|source| StoreError::File { path: path.to_owned(), source })?;
    for suffix in ["-wal", "-shm"] {
        // They belong to the old file and may be missing; a stale one would damage the new.
        let _ = std::fs::remove_file(beside(suffix));
    }
    Ok(to)
}

/// Unusable files kept under names of their own; the last name is used again.
const MAX_ASIDE: u32 = 100;

/// Times are nanoseconds since 1970, days are days since 1970, durations are in seconds.
const TABLES: &str = "
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS hosts (
    host TEXT PRIMARY KEY, first_seen INTEGER NOT NULL, sessions REAL NOT NULL,
    mean_ln_s REAL NOT NULL, squares REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS contacts (
    host TEXT, application TEXT, destination TEXT, kind TEXT NOT NULL, first INTEGER NOT NULL,
    PRIMARY KEY (host, application, destination)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS days (
    host TEXT, application TEXT, day INTEGER,
    PRIMARY KEY (host, application, day)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS votes (
    host TEXT, application TEXT, class TEXT, fresh INTEGER, day INTEGER, bin INTEGER NOT NULL,
    PRIMARY KEY (host, application, class, fresh, day)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS shapes (
    host TEXT, application TEXT, class TEXT, sessions INTEGER NOT NULL, mean TEXT NOT NULL,
    variance TEXT NOT NULL, PRIMARY KEY (host, application, class)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS longest (
    host TEXT, application TEXT, rank INTEGER, destination TEXT NOT NULL, held_s REAL NOT NULL,
    PRIMARY KEY (host, application, rank)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sessions (
    id TEXT PRIMARY KEY, host TEXT NOT NULL, host_addr TEXT NOT NULL, host_name TEXT,
    application TEXT NOT NULL, outcome TEXT NOT NULL, category TEXT NOT NULL,
    destination TEXT NOT NULL, name TEXT, addr TEXT NOT NULL, port INTEGER NOT NULL,
    together INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
    flows INTEGER NOT NULL, longest_s REAL NOT NULL, bytes_out INTEGER NOT NULL,
    bytes_in INTEGER NOT NULL, attended INTEGER NOT NULL, unattended INTEGER NOT NULL,
    lookup TEXT NOT NULL, visibility TEXT NOT NULL, statistics BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS told (
    id TEXT PRIMARY KEY, analytic TEXT NOT NULL, host TEXT NOT NULL, application TEXT NOT NULL,
    destination TEXT NOT NULL, opened INTEGER NOT NULL, told INTEGER NOT NULL,
    level TEXT NOT NULL, score REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS open_flows (
    tuple TEXT PRIMARY KEY, session TEXT NOT NULL, opened INTEGER NOT NULL,
    application TEXT NOT NULL, outcome TEXT NOT NULL, category TEXT NOT NULL,
    destination TEXT NOT NULL, name TEXT, visibility TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS open_flows_session ON open_flows (session);
CREATE TABLE IF NOT EXISTS outbox (
    number INTEGER PRIMARY KEY, finding TEXT NOT NULL, form TEXT NOT NULL, bytes BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS evidence (finding TEXT PRIMARY KEY, path TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS findings (
    id TEXT PRIMARY KEY, analytic TEXT NOT NULL, life TEXT NOT NULL, level TEXT NOT NULL,
    score REAL NOT NULL, provisional INTEGER NOT NULL, opened INTEGER NOT NULL,
    at INTEGER NOT NULL, host TEXT NOT NULL, host_name TEXT, application TEXT NOT NULL,
    destination TEXT NOT NULL, held_s REAL NOT NULL, sentence TEXT NOT NULL,
    reasons TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS history (
    session TEXT PRIMARY KEY, host TEXT NOT NULL, application TEXT NOT NULL,
    destination TEXT NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
    held_s REAL NOT NULL, bursts INTEGER NOT NULL, score REAL NOT NULL, level TEXT)
    WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS history_last ON history (last);
CREATE TABLE IF NOT EXISTS labels (
    number INTEGER PRIMARY KEY, finding TEXT NOT NULL, label TEXT NOT NULL, person TEXT NOT NULL,
    note TEXT NOT NULL, at INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS log (
    number INTEGER PRIMARY KEY, at INTEGER NOT NULL, what TEXT NOT NULL, detail TEXT NOT NULL);
";
