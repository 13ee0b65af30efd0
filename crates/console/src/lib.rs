//! HTTP: metrics, health, JSON of findings and sessions, the analyst's page, the standalone report.
//!
//! Runs on a thread of its own and reads what others published; no request reaches a packet thread.
//! It judges nothing and formats no record: records come as the lines that files get.

mod access;
mod connection;
mod report;
mod server;
mod tls;
mod view;

pub use access::Token;
pub use report::report;
pub use server::{BindError, Bound, ConsoleConfig, Status, Stop, Stopper};
pub use view::View;
