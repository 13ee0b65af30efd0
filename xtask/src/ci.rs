//! Everything that CI runs, in the order in which it fails fastest. Installs nothing.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::{conformance, golden, layers, telemetry};

/// Where the corpus lies beside a checkout, when it is there.
const CORPUS: &str = "../shared/corpus/ja";

/// All of it.
const CORPORA: &str = "../shared/corpus";

/// How long each fuzz target runs: enough to see that it runs and that the seeds pass.
const FUZZ_SECONDS: &str = "3";

/// Layers, formatting, lints, tests, golden files, conformance, fuzz targets.
pub(crate) fn run(root: &Path) -> anyhow::Result<()> {
    layers::check(root)?;
    cargo(root, &["fmt", "--all", "--check"])?;
    cargo(root, &["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"])?;
    cargo(root, &["test", "--workspace", "--quiet"])?;
    golden::run(root)?;
    script(
        root,
        "scripts/readme-demo.py",
        "--check",
        "the README does not show the demo's output",
    )?;
    let corpus = root.join(CORPUS);
    if corpus.is_dir() {
        conformance::run(root, &corpus, 20)?;
    } else {
        println!("conformance: SKIPPED: NO CORPUS at {CORPUS}");
    }
    telemetry::run(root, &root.join(CORPORA), None)?;
    let dwell = conformance::build_dwell(root)?;
    let dwell = dwell.to_str().context("the binary's path is no text")?;
    script(root, "scripts/live-test.py", dwell, "the live sensor failed")?;
    script(root, "scripts/tap-test.py", dwell, "the sensor failed under load")?;
    script(root, "scripts/prometheus-test.py", dwell, "the Prometheus files are wrong")?;
    script(root, "scripts/package-test.py", dwell, "the Debian package is wrong")?;
    script(root, "scripts/fuzz.sh", FUZZ_SECONDS, "a fuzz target found something")?;
    println!("ci: all passed");
    Ok(())
}

/// Runs one of the project's scripts; what it cannot do here it says itself.
fn script(root: &Path, path: &str, argument: &str, failure: &str) -> anyhow::Result<()> {
    println!("ci: {path} {argument}");
    let status =
        Command::new(root.join(path)).arg(argument).status().with_context(|| path.to_owned())?;
    if !status.success() {
        bail!("{failure}");
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
