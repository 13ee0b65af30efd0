//! The sinks of the configuration, and which records go to which. Formats each record once a form.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use dwell_engine::Record;
use dwell_output::{
    EveContext, FileSink, Format, IpfixSink, Item, Metrics, RunningSink, Sink, SinkFigures,
    StreamSink, SyslogSink, WebhookSink, kind_of,
};

use super::state::Form;
use crate::config::{Config, OutputConfig, OutputKind};
use crate::{clock, log};

/// A sink that is open and has no thread yet.
pub(super) struct Prepared {
    config: OutputConfig,
    sink: Box<dyn Sink>,
}

/// A sink that runs, and what it takes.
struct Routed {
    config: OutputConfig,
    sink: RunningSink,
}

/// Where records go. Clones share the sinks.
#[derive(Clone, Default)]
pub(super) struct Router {
    routes: Arc<Mutex<Vec<Routed>>>,
}

/// Sinks that run, to be given to a router.
pub(super) struct Started(Vec<Routed>);

/// Opens every sink: what can fail does so here, before anything changes.
pub(super) fn prepare(config: &Config) -> anyhow::Result<Vec<Prepared>> {
    let hostname = super::sensor_name(config);
    config
        .output
        .iter()
        .map(|config| {
            let sink =
                open(config, &hostname).with_context(|| format!("output {:?}", config.name))?;
            Ok(Prepared { config: config.clone(), sink })
        })
        .collect()
}

fn open(config: &OutputConfig, hostname: &str) -> anyhow::Result<Box<dyn Sink>> {
    Ok(match config.kind {
        OutputKind::File => {
            let file = config.file_config().context("a file needs a path")?;
            let path = file.path.display().to_string();
            Box::new(
                FileSink::open(file, clock::wall)
                    .with_context(|| format!("{path}: cannot open"))?,
            )
        }
        OutputKind::Syslog => {
            let syslog =
                config.syslog_config(hostname).context("a syslog output needs an address")?;
            Box::new(SyslogSink::new(syslog, clock::wall)?)
        }
        OutputKind::Webhook => {
            let webhook = config.webhook_config().context("a webhook needs a url")?;
            Box::new(WebhookSink::new(webhook)?)
        }
        OutputKind::Ipfix => {
            let ipfix = config.ipfix_config().context("an IPFIX output needs an address")?;
            Box::new(IpfixSink::new(ipfix, clock::wall))
        }
        OutputKind::Stdout => Box::new(StreamSink::new(std::io::stdout())),
    })
}

/// Gives each sink its thread.
pub(super) fn start(prepared: Vec<Prepared>, metrics: &Metrics) -> anyhow::Result<Started> {
    let mut routes = Vec::with_capacity(prepared.len());
    for Prepared { config, sink } in prepared {
        let counters = metrics.sink(&config.name);
        let sink = RunningSink::start(&config.name, sink, config.limits(), counters, complain)
            .context("cannot start a thread")?;
        routes.push(Routed { config, sink });
    }
    Ok(Started(routes))
}

fn complain(sink: &str, message: &str) {
    log::warning(&format!("output {sink:?}: {message}"));
}

impl Router {
    /// Goes on with other sinks; the old ones write what waits and end.
    pub(super) fn replace(&self, started: Started) {
        let old = std::mem::replace(&mut *self.lock(), started.0);
        end(old, REPLACE);
    }

    /// A record in each form in which some sink takes it.
    pub(super) fn forms(&self, context: &EveContext, record: &Record) -> Vec<Form> {
        let kind = kind_of(record);
        let formats: BTreeSet<Format> = self
            .lock()
            .iter()
            .filter(|route| route.config.takes(kind))
            .map(|route| route.config.format())
            .collect();
        let form = |format| {
            let bytes = dwell_output::encode(format, context, record)?;
            Some((format, Arc::new(Item { kind, bytes })))
        };
        formats.into_iter().filter_map(form).collect()
    }

    /// Gives a record in its forms to every sink that takes it.
    pub(super) fn route(&self, forms: &[Form]) {
        for route in self.lock().iter() {
            let format = route.config.format();
            let form = forms.iter().find(|(form, _)| *form == format);
            if let Some((_, item)) = form.filter(|(_, item)| route.config.takes(item.kind)) {
                route.sink.push(Arc::clone(item));
            }
        }
    }

    /// Gives what an earlier run may not have written to every sink that takes it, but for files
    /// that have it already.
    pub(super) fn route_again(&self, format: Format, item: &Arc<Item>) {
        for route in self.lock().iter() {
            let takes = route.config.format() == format && route.config.takes(item.kind);
            let file = route.config.path.as_deref();
            if takes && !file.is_some_and(|file| dwell_output::ends_with_line(file, &item.bytes)) {
                route.sink.push(Arc::clone(item));
            }
        }
    }

    /// Asks every sink to open its files again.
    pub(super) fn reopen(&self) {
        self.lock().iter().for_each(|route| route.sink.reopen());
    }

    /// What became of the records of each sink so far.
    pub(super) fn figures(&self) -> Vec<SinkFigures> {
        self.lock().iter().map(|route| route.sink.figures()).collect()
    }

    /// Publishes how full the queues are.
    pub(super) fn publish(&self) {
        self.lock().iter().for_each(|route| route.sink.publish());
    }

    /// Lets the sinks write what waits, for as long as `limit`.
    pub(super) fn finish(&self, limit: Duration) {
        end(std::mem::take(&mut *self.lock()), limit);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Routed>> {
        self.routes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Closes sinks and waits for them; one that does not end in time is left to itself.
fn end(routes: Vec<Routed>, limit: Duration) {
    for route in &routes {
        route.sink.close();
    }
    let begun = clock::moment();
    for mut route in routes {
        while !route.sink.is_over() && begun.elapsed() < limit {
            std::thread::park_timeout(Duration::from_millis(5));
        }
        if route.sink.is_over() {
            route.sink.join();
        } else {
            log::warning(&format!("output {:?}: did not end in time", route.sink.name()));
        }
    }
}

/// How long sinks that a reload replaced may take to end.
const REPLACE: Duration = Duration::from_secs(2);
