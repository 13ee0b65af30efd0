//! The sensor's own log: a line on standard error for what an operator should know. Not for records.
//!
//! Levels: error, an operator must act; warning, surprising but recovered; notice, start, stop,
//! reload. Never per packet. Under systemd each line begins with its level (sd-daemon(3)).

use std::sync::OnceLock;

use crate::clock;

/// How lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LogFormat {
    /// Text for people and the journal.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

static FORMAT: OnceLock<LogFormat> = OnceLock::new();

/// How important a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Error,
    Warning,
    Notice,
}

/// Sets how lines look; the first call counts.
pub(crate) fn set_format(format: LogFormat) {
    let _ = FORMAT.set(format);
}

/// An operator must act.
pub(crate) fn error(message: &str) {
    write(Level::Error, message);
}

/// Surprising, but recovered.
pub(crate) fn warning(message: &str) {
    write(Level::Warning, message);
}

/// Start, stop, reload.
pub(crate) fn notice(message: &str) {
    write(Level::Notice, message);
}

fn write(level: Level, message: &str) {
    // Names and messages may quote what came from outside: nothing of it reaches a terminal raw.
    let message = dwell_output::printable(message.as_bytes());
    let name = match level {
        Level::Error => "error",
        Level::Warning => "warning",
        Level::Notice => "notice",
    };
    match FORMAT.get().copied().unwrap_or_default() {
        LogFormat::Json => {
            let time = jiff_time();
            let line = serde_json::json!({ "time": time, "level": name, "message": message });
            eprintln!("{line}");
        }
        LogFormat::Text if under_systemd() => {
            let number = match level {
                Level::Error => 3,
                Level::Warning => 4,
                Level::Notice => 5,
            };
            eprintln!("<{number}>{message}");
        }
        LogFormat::Text => eprintln!("dwell: {name}: {message}"),
    }
}

fn jiff_time() -> String {
    clock::wall().to_string()
}

/// Whether standard error goes to the journal.
fn under_systemd() -> bool {
    static JOURNAL: OnceLock<bool> = OnceLock::new();
    *JOURNAL.get_or_init(|| std::env::var_os("JOURNAL_STREAM").is_some())
}
