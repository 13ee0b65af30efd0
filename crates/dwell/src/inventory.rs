//! Inventory files as the command line names them. Parses nothing itself.

use std::path::PathBuf;

use anyhow::Context as _;
use dwell_attribution::Inventory;

/// The hosts of all files; entries that were refused are told on standard error.
///
/// # Errors
/// When a file cannot be read.
pub(crate) fn load(paths: &[PathBuf]) -> anyhow::Result<Inventory> {
    let mut all = Inventory::default();
    for path in paths {
        let (inventory, errors) = Inventory::load(path).context("inventory")?;
        for error in &errors {
            eprintln!("dwell: {error}");
        }
        all.add(inventory);
    }
    Ok(all)
}
