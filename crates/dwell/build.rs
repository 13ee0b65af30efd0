//! Tells the binary which commit and compiler made it. Reads nothing that decides how it behaves.

use std::process::Command;

fn main() {
    let revision = output(Command::new("git").args(["rev-parse", "--short=12", "HEAD"]));
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let rustc = output(Command::new(rustc).arg("--version"));
    let version = rustc.split(' ').nth(1).unwrap_or("unknown").to_owned();
    println!("cargo::rustc-env=DWELL_REVISION={revision}");
    println!("cargo::rustc-env=DWELL_RUSTC={version}");
    println!("cargo::rerun-if-changed=build.rs");
}

/// What a command prints, or `unknown`: a source archive has no commits.
fn output(command: &mut Command) -> String {
    let found = command.output().ok().filter(|output| output.status.success());
    let text = found.and_then(|output| String::from_utf8(output.stdout).ok());
    text.map_or_else(|| "unknown".to_owned(), |text| text.trim().to_owned())
}
