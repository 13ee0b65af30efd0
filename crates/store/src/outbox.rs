//! Findings that were told and may not have reached every sink: stored before they are sent, removed
//! once they were. A sensor that is killed in between sends them again. Knows no sinks.

use dwell_detect::Finding;
use rusqlite::{Transaction, params};

use crate::{Store, StoreError, parse};

/// One form of a finding that has to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsent<'a> {
    /// Name of the form, such as `eve`.
    pub form: &'a str,
    /// The finding in this form.
    pub bytes: &'a [u8],
}

/// One form of a finding that waits to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxRow {
    /// Its number, rising.
    pub number: i64,
    /// Name of the form.
    pub form: String,
    /// The finding in this form.
    pub bytes: Vec<u8>,
}

impl Store {
    /// Stores a finding as it was told, that it was told, and the forms in which it is to be sent,
    /// all or nothing. Gives the numbers of the forms.
    ///
    /// # Errors
    /// When SQLite cannot write.
    pub fn tell_and_send(
        &mut self,
        finding: &Finding,
        forms: &[Unsent<'_>],
    ) -> Result<Vec<i64>, StoreError> {
        let transaction = self.db.transaction()?;
        crate::findings::put(&transaction, finding)?;
        put_told(&transaction, finding)?;
        let mut numbers = Vec::with_capacity(forms.len());
        for Unsent { form, bytes } in forms {
            transaction.execute(
                "INSERT INTO outbox (finding, form, bytes) VALUES (?1, ?2, ?3)",
                params![finding.id.as_str(), form, bytes],
            )?;
            numbers.push(transaction.last_insert_rowid());
        }
        transaction.commit()?;
        Ok(numbers)
    }

    /// What waits to be sent, the oldest first.
    ///
    /// # Errors
    /// When SQLite cannot read.
    pub fn outbox(&self) -> Result<Vec<OutboxRow>, StoreError> {
        self.rows("SELECT number, form, bytes FROM outbox ORDER BY number", |row| {
            Ok(Some(OutboxRow { number: row.get(0)?, form: row.get(1)?, bytes: row.get(2)? }))
        })
    }

    /// Removes what was sent.
    ///
    /// # Errors
    /// When SQLite cannot write.
    pub fn sent(&mut self, numbers: &[i64]) -> Result<(), StoreError> {
        let transaction = self.db.transaction()?;
        {
            let mut remove = transaction.prepare("DELETE FROM outbox WHERE number = ?1")?;
            for number in numbers {
                remove.execute([number])?;
            }
        }
        transaction.commit()?;
        Ok(())
    }

    /// Stores where a finding's evidence is.
    ///
    /// # Errors
    /// When SQLite cannot write.
    pub fn note_evidence(&self, finding: &str, path: &str) -> Result<(), StoreError> {
        self.db.execute("INSERT OR REPLACE INTO evidence VALUES (?1, ?2)", [finding, path])?;
        Ok(())
    }

    /// Where a finding's evidence is, if it was stored.
    #[must_use]
    pub fn evidence(&self, finding: &str) -> Option<String> {
        let query = "SELECT path FROM evidence WHERE finding = ?1";
        self.db.query_row(query, [finding], |row| row.get(0)).ok()
    }
}

fn put_told(to: &Transaction<'_>, finding: &Finding) -> Result<(), StoreError> {
    let session = &finding.session;
    let destination = if session.together { "" } else { &*session.destination.group };
    to.execute(
        "INSERT OR REPLACE INTO told VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        params![
            finding.id.as_str(),
            finding.analytic.id(),
            session.host.id.0.to_string(),
            &*session.attribution.application,
            destination,
            parse::nanos(finding.opened_at),
            parse::nanos(finding.at),
            finding.level.name(),
            finding.score_bits,
        ],
    )?;
    Ok(())
}
