//! The embedded database: what was learnt, open sessions, findings and what people said of them.
//!
//! One SQLite file in WAL mode with one writer, which an analyst can open with `sqlite3` and read
//! while the sensor runs. It keeps rows and gives them back; it judges nothing and reads no clock.

mod findings;
mod learned;
mod open;
mod outbox;
mod parse;
mod sessions;

use rusqlite::Connection;

pub use findings::{FindingRow, HistoryRow, Label, LabelRow};
pub use open::{Opened, StoreError};
pub use outbox::{OutboxRow, Unsent};
pub use sessions::Checkpoint;

/// The database, opened for writing.
#[derive(Debug)]
pub struct Store {
    db: Connection,
}

#[cfg(test)]
mod tests;
