//! Everything that CI runs, in the order in which it fails fastest. Installs nothing.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::{conformance, golden, layers};

/// Where the corpus lies beside a checkout, when it is there.
const CORPUS: &str = "../shared/corpus/ja";

/// How long each fuzz target runs: enough to see that it runs and that the seeds pass.
const FUZZ_SECONDS: &str = "3";

/// Layers, formatting, lints, tests, golden files, conformance, fuzz targets.
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
    fuzz(root)?;
    println!("ci: all passed");
    Ok(())
}

/// Runs each fuzz target for a moment; the script says so where the toolchain does not allow it.
fn fuzz(root: &Path) -> anyhow::Result<()> {
    let script = root.join("scripts/fuzz.sh");
    let status = Command::new(&script).arg(FUZZ_SECONDS).status().context("scripts/fuzz.sh")?;
    if !status.success() {
        bail!("a fuzz target found something");
    }
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
