//! What is read from other files than the configuration, at the start and at a reload.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use dwell_attribution::{AppRules, Policy};

use super::outputs;
use super::shared::{Reconfiguration, Shared};
use crate::config::Config;
use dwell_output::Metrics;

/// Rules and policy as the configuration names them.
pub(crate) struct Materials {
    pub(super) rules: AppRules,
    pub(super) policy: Arc<Policy>,
}

impl Materials {
    /// Reads them.
    ///
    /// # Errors
    /// A file that cannot be read, a rule or an entry that is refused: a sensor starts with all
    /// its rules or not at all.
    pub(crate) fn load(config: &Config) -> anyhow::Result<Self> {
        let rules = if config.attribution.rules.is_empty() {
            AppRules::builtin()
        } else {
            let (rules, errors) =
                AppRules::load(&config.attribution.rules).context("application rules")?;
            if let Some(first) = errors.first() {
                anyhow::bail!("application rules: {first} ({} in all)", errors.len());
            }
            rules
        };
        let policy = match &config.attribution.policy {
            None => Policy::builtin(),
            Some(path) => whole(path, Policy::load(path).context("policy")?)?,
        };
        Ok(Self { rules, policy: Arc::new(policy) })
    }
}

/// The policy, if nothing of its own file was refused; lines of exports that it names are told, and
/// left out.
fn whole(path: &Path, policy: Policy) -> anyhow::Result<Policy> {
    let name = path.display().to_string();
    let (own, exports): (Vec<_>, Vec<_>) =
        policy.refused().iter().cloned().partition(|error| error.file == name);
    if let Some(first) = own.first() {
        anyhow::bail!("policy: {first} ({} in all)", own.len());
    }
    crate::apps::report(&exports);
    Ok(policy)
}

/// Reads the configuration again and goes on with it: all of it or nothing. Gives the new one and
/// the parts that take effect at the next start.
///
/// # Errors
/// What is wrong; then nothing has changed.
pub(super) fn reload(
    current: &Config,
    path: &Path,
    shared: &Shared,
    router: &outputs::Router,
    metrics: &Metrics,
) -> anyhow::Result<(Config, Vec<&'static str>)> {
    let config = Config::load(path)?;
    let materials = Materials::load(&config)?;
    let changed = config.output != current.output && !config.output.is_empty();
    let started = if changed {
        let prepared = outputs::prepare(&config).context("output")?;
        Some(outputs::start(prepared, metrics)?)
    } else {
        None
    };
    // Nothing below can fail.
    if let Some(started) = started {
        router.replace(started);
    }
    let detect = config.detect();
    let Materials { rules, policy } = materials;
    shared.order(|orders| {
        orders.reconfigure = Some(Box::new(Reconfiguration { rules, policy, detect }));
    });
    let fixed = current.fixed_differences(&config);
    Ok((config, fixed))
}
