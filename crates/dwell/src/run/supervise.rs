//! The main thread while the sensor runs: signals, watchdog, interfaces, figures. Touches no packets.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context as _;
use crossbeam_channel::{Receiver, RecvTimeoutError};
use dwell_console::Status;
use dwell_output::{InterfaceChange, Metrics};
use sd_notify::NotifyState;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};

use super::console;
use super::evidence::Running;
use super::outputs::Router;
use super::reload;
use super::shared::{Published, Shared};
use super::state::Keeping;
use super::watch::{LOOK, Watch};
use crate::config::Config;
use crate::{Exit, clock, log};

/// How long the packet thread may be silent before the watchdog is left to bite.
const STUCK: Duration = Duration::from_secs(10);

/// How long sinks may take to write what waits when the sensor stops.
const LAST_WRITES: Duration = Duration::from_secs(3);

/// Signals as they come.
pub(super) struct Signals {
    receiver: Receiver<i32>,
}

impl Signals {
    /// Catches the signals that the sensor knows; a second request to end ends at once.
    pub(super) fn catch() -> anyhow::Result<Self> {
        let (sender, receiver) = crossbeam_channel::bounded(16);
        let mut signals = signal_hook::iterator::Signals::new([SIGHUP, SIGINT, SIGTERM, SIGUSR1])
            .context("cannot catch signals")?;
        super::spawn("signals", move || {
            for signal in signals.forever() {
                if sender.send(signal).is_err() {
                    // The sensor is on its way out: this is the second request.
                    if matches!(signal, SIGINT | SIGTERM) {
                        let _ = signal_hook::low_level::emulate_default_handler(signal);
                    }
                }
            }
        })?;
        Ok(Self { receiver })
    }
}

/// The main thread's belongings.
pub(super) struct Supervisor {
    pub(super) config: Config,
    pub(super) path: Option<PathBuf>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) shared: Arc<Shared>,
    pub(super) router: Router,
    pub(super) status: Arc<Status>,
    pub(super) state: Option<Keeping>,
    pub(super) evidence: Option<Running>,
}

impl Supervisor {
    /// Runs until a signal asks to end or the packet thread is over.
    pub(super) fn run(
        mut self,
        signals: &Signals,
        packets: JoinHandle<()>,
        records: JoinHandle<()>,
    ) -> anyhow::Result<Exit> {
        let names = self.config.capture.iter().map(|capture| capture.interface.as_str());
        let mut watch = Watch::new(names, &self.shared);
        self.metrics.note_reload(Some(clock::wall().as_secs_f64()));
        let names: Vec<&str> =
            self.config.capture.iter().map(|capture| capture.interface.as_str()).collect();
        if names.is_empty() {
            log::notice("taking captures in the place of interfaces");
        } else {
            log::notice(&format!("capturing on {}", names.join(", ")));
        }
        notify(&[NotifyState::Ready]);
        let mut looked = clock::moment();
        loop {
            match signals.receiver.recv_timeout(LOOK.saturating_sub(looked.elapsed())) {
                Ok(SIGHUP) => self.reload(),
                Ok(SIGUSR1) => self.router.reopen(),
                Ok(_) | Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {}
            }
            if looked.elapsed() >= LOOK {
                looked = clock::moment();
                self.look(&mut watch);
                if packets.is_finished() && self.config.capture.is_empty() {
                    // The captures that it was fed from are over.
                    break;
                }
                if packets.is_finished() {
                    log::error("the packet thread ended by itself");
                    return Ok(Exit::Failed);
                }
            }
        }
        notify(&[NotifyState::Stopping]);
        self.shared.stop();
        let packets = packets.join();
        let records = records.join();
        self.fold(&mut watch);
        self.router.finish(LAST_WRITES);
        if let Some(evidence) = self.evidence.take() {
            evidence.finish();
        }
        if let Some(state) = self.state.take() {
            state.finish();
        }
        log::notice("stopped");
        Ok(if packets.is_ok() && records.is_ok() { Exit::Success } else { Exit::Failed })
    }

    fn look(&self, watch: &mut Watch) {
        watch.look(&self.shared, &self.metrics);
        self.fold(watch);
        self.router.publish();
        if self.shared.silence() < STUCK {
            notify(&[NotifyState::Watchdog]);
        } else {
            log::error("the packet thread does not answer");
            self.status.set(false, false, "{}".to_owned());
        }
    }

    /// Brings the metrics up to what the packet thread published.
    fn fold(&self, watch: &mut Watch) {
        let Published { figures, tally, unqueued, reattached, errors } = self.shared.published();
        watch.note_ended(tally.ended(), tally.one_sided());
        self.metrics.add_records(&tally);
        self.metrics.note_unqueued(unqueued);
        if let Some(mut figures) = figures {
            watch.complete(&mut figures.capture);
            let stats = &figures.engine.stats;
            let packets = stats.decode.tcp_segments + stats.decode.udp_datagrams;
            watch.note_copies(packets, stats.duplicates);
            self.metrics.set_capture(&figures.capture);
            self.metrics.set_engine(&figures.engine);
            let ready = self.config.capture.is_empty() || figures.capture.iter().any(|of| of.up);
            let healthy = self.shared.silence() < STUCK;
            self.status.set(healthy, ready, console::describe(&self.config, &figures));
        }
        for (name, failed) in reattached {
            match failed {
                None => {
                    self.metrics.note_interface(&name, InterfaceChange::Reattached);
                    log::notice(&format!("{name}: is back; capture goes on"));
                }
                Some(error) => log::error(&format!("cannot take {name} up again: {error}")),
            }
        }
        for error in errors {
            log::warning(&error);
        }
    }

    fn reload(&mut self) {
        let Some(path) = self.path.clone() else {
            log::warning("nothing to reload: no configuration file");
            return;
        };
        match NotifyState::monotonic_usec_now() {
            Ok(now) => notify(&[NotifyState::Reloading, now]),
            Err(_) => notify(&[NotifyState::Reloading]),
        }
        let outcome =
            reload::reload(&self.config, &path, &self.shared, &self.router, &self.metrics);
        match outcome {
            Ok((config, fixed)) => {
                self.metrics.note_reload(Some(clock::wall().as_secs_f64()));
                log::notice(&format!("{}: reloaded", path.display()));
                if !fixed.is_empty() {
                    log::warning(&format!("takes effect at the next start: {}", fixed.join(", ")));
                }
                // What stays as it was until the next start is compared with again next time.
                self.config.attribution = config.attribution;
                self.config.output = config.output;
                self.config.detect = config.detect;
            }
            Err(error) => {
                self.metrics.note_reload(None);
                log::error(&format!("not reloaded, nothing changed: {error:#}"));
            }
        }
        notify(&[NotifyState::Ready]);
    }
}

/// Tells systemd; where there is none, nobody is told.
fn notify(states: &[NotifyState<'_>]) {
    let _ = sd_notify::notify(states);
}
