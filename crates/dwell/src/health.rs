//! `dwell health`: asks a running sensor whether it is well. For container health checks.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::Context as _;

use crate::Exit;

/// How long the sensor may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// The longest answer that is read, in bytes.
const MAX_ANSWER: u64 = 4096;

/// Runs the command.
///
/// # Errors
/// When nobody answers, or the answer is not "healthy".
pub(crate) fn run(address: SocketAddr) -> anyhow::Result<Exit> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)
        .with_context(|| format!("{address}: nobody answers"))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET /-/healthy HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(MAX_ANSWER).read_to_end(&mut answer).context("no answer")?;
    let first = answer.split(|byte| *byte == b'\r').next().unwrap_or_default();
    anyhow::ensure!(
        first.starts_with(b"HTTP/1.1 200"),
        "not well: {}",
        dwell_output::printable(first)
    );
    println!("healthy");
    Ok(Exit::Success)
}
