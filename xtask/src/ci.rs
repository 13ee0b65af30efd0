//! Everything that CI runs, in the order in which it fails fastest. Installs nothing.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::{conformance, golden, layers};

/// Where the corpus lies beside a checkout, when it is there.
const CORPUS: &str = "../shared/corpus/ja";

/// Formatting, lints, layers, tests, golden files, conformance.
pub(crate) fn run(root: &Path) -> anyhow::Result<()> {
    layers::check(root)?;
    cargo(root, &["fmt", "--all", "--check"])?;
    cargo(root, &["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"])?;
    cargo(root, &["test", "--workspace", "--quiet"])?;
    golden::run(root)?;
    let corpus = root.join(CORPUS);
    if corpus.is_dir() {
        conformance::run(root, &corpus, 20)?;
    } else {
        println!("conformance: SKIPPED: NO CORPUS at {CORPUS}");
    }
    println!("ci: all passed");
    Ok(())
}

fn cargo(root: &Path, arguments: &[&str]) -> anyhow::Result<()> {
    println!("ci: cargo {}", arguments.join(" "));
    let status = Command::new(env!("CARGO"))
        .args(arguments)
        .current_dir(root)
        .status()
        .context("cargo cannot be started")?;
    if !status.success() {
        bail!("cargo {} failed", arguments.join(" "));
    }
    Ok(())
}
