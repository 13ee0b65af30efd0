//! The console of a running sensor: what the configuration says of it, and what it is told.

use std::sync::Arc;

use anyhow::Context as _;
use dwell_console::{Bound, ConsoleConfig, Status, Token};
use serde_json::json;

use super::shared::Figures;
use super::spawn;
use crate::config::Config;
use crate::log;

pub(super) use dwell_console::{Stop, Stopper, View};

/// Takes the address, if one is configured, and reads token, certificate and key.
pub(super) fn bind(config: &Config) -> anyhow::Result<Option<Bound>> {
    let Some(listen) = config.http.address()? else { return Ok(None) };
    let token = match &config.http.token_file {
        None => None,
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("{}: cannot read", path.display()))?;
            let token = Token::new(&text)
                .with_context(|| format!("{}: a token has 16 to 4096 bytes", path.display()))?;
            Some(token)
        }
    };
    let tls = config.http.tls_certificate.clone().zip(config.http.tls_key.clone());
    Ok(Some(Bound::bind(ConsoleConfig { listen, token, tls })?))
}

/// Starts to answer; dropping what it gives ends that.
pub(super) fn start(
    bound: Bound,
    metrics: Arc<dwell_output::Metrics>,
    view: Arc<View>,
    status: Arc<Status>,
) -> anyhow::Result<Stopper> {
    if let Ok(address) = bound.address() {
        log::notice(&format!("serving metrics, API and page on {address}"));
    }
    let (stopper, stop) = Stop::pair();
    spawn("console", move || {
        if let Err(error) = bound.serve(metrics, view, status, stop) {
            log::error(&format!("the console ended: {error}"));
        }
    })?;
    Ok(stopper)
}

/// What the page and `/api/v1/status` say.
pub(super) fn describe(config: &Config, figures: &Figures) -> String {
    let stats = &figures.engine.stats;
    let interfaces: Vec<_> = figures
        .capture
        .iter()
        .map(|of| {
            json!({
                "name": of.interface,
                "up": of.up,
                "packets": of.frames,
                "bytes": of.bytes,
                "drops": of.kernel_dropped + of.nic_dropped,
                "kernel_drops": of.kernel_dropped,
                "nic_drops": of.nic_dropped,
            })
        })
        .collect();
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "sensor": super::sensor_name(config),
        "interfaces": interfaces,
        "frames": stats.decode.frames,
        "open_flows": stats.flows.open,
        "open_sessions": figures.engine.open_sessions,
        "lag_s": figures.engine.lag.as_secs_f64(),
    })
    .to_string()
}
