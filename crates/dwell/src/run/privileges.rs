//! Rights that are given up once everything is open.

use std::path::Path;

use crate::config::Config;

/// Gives up what the configuration says.
pub(super) fn drop(_config: &Config, _path: Option<&Path>) -> anyhow::Result<()> {
    Ok(())
}
