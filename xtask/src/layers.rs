//! Checks the arrows between crates. Reads manifests only, never code.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, bail};

/// Which of our crates each crate may depend on. `testkit` serves tests only, so nobody may have
/// it as an ordinary dependency.
const ARROWS: &[(&str, &[&str])] = &[
    ("packet", &[]),
    ("proto", &[]),
    ("capture", &["packet"]),
    ("flow", &["packet"]),
    ("attribution", &["packet", "proto"]),
    ("detect", &["packet", "attribution"]),
    ("engine", &["packet", "proto", "flow", "attribution", "detect"]),
    ("evidence", &["packet"]),
    ("store", &["packet", "attribution", "detect"]),
    ("output", &["packet", "proto", "flow", "attribution", "detect", "engine"]),
    ("console", &["packet", "attribution", "detect", "engine", "store", "output"]),
    (
        "dwell",
        &[
            "packet",
            "proto",
            "flow",
            "capture",
            "attribution",
            "detect",
            "engine",
            "store",
            "evidence",
            "output",
            "console",
        ],
    ),
    ("testkit", &["packet", "proto"]),
];

/// Fails on the first look at a workspace with a wrong arrow, naming all of them.
pub(crate) fn check(root: &Path) -> anyhow::Result<()> {
    let crates = dependencies(root)?;
    let wrong = wrong_arrows(&crates);
    if !wrong.is_empty() {
        bail!("arrows that the design does not have:\n  {}", wrong.join("\n  "));
    }
    let arrows: usize = crates.values().map(Vec::len).sum();
    println!("layers: {} crates, {arrows} arrows, all downwards", crates.len());
    Ok(())
}

/// Our crates and, of each, those of ours that it depends on outside its tests.
fn dependencies(root: &Path) -> anyhow::Result<BTreeMap<String, Vec<String>>> {
    let folder = root.join("crates");
    let mut crates = BTreeMap::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("{}", folder.display()))? {
        let manifest = entry?.path().join("Cargo.toml");
        let text =
            fs::read_to_string(&manifest).with_context(|| format!("{}", manifest.display()))?;
        let table: toml::Table = text.parse().with_context(|| format!("{}", manifest.display()))?;
        let name = table
            .get("package")
            .and_then(|package| package.get("name"))
            .and_then(toml::Value::as_str)
            .with_context(|| format!("{}: no package name", manifest.display()))?;
        crates.insert(short(name).to_owned(), ours(&table));
    }
    Ok(crates)
}

/// Our crates among the dependencies and build dependencies of one manifest, for any target.
fn ours(manifest: &toml::Table) -> Vec<String> {
    let mut found = Vec::new();
    let targets = manifest.get("target").and_then(toml::Value::as_table);
    let tables = targets
        .into_iter()
        .flat_map(|targets| targets.values().filter_map(toml::Value::as_table))
        .chain(std::iter::once(manifest));
    for table in tables {
        for kind in ["dependencies", "build-dependencies"] {
            let names = table.get(kind).and_then(toml::Value::as_table);
            let names = names.into_iter().flat_map(|names| names.keys());
            found.extend(
                names.filter(|name| name.starts_with("dwell-")).map(|name| short(name).to_owned()),
            );
        }
    }
    found
}

fn short(package: &str) -> &str {
    package.strip_prefix("dwell-").unwrap_or(package)
}

fn wrong_arrows(crates: &BTreeMap<String, Vec<String>>) -> Vec<String> {
    let mut wrong = Vec::new();
    for (from, targets) in crates {
        let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| name == from) else {
            wrong.push(format!("{from}: not a crate of the design"));
            continue;
        };
        for to in targets {
            if !allowed.contains(&to.as_str()) {
                wrong.push(format!("{from} -> {to}"));
            }
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workspace(crates: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (name, rest) in crates {
            let folder = root.path().join("crates").join(name);
            fs::create_dir_all(&folder).unwrap();
            let text = format!("[package]\nname = \"dwell-{name}\"\n{rest}");
            fs::write(folder.join("Cargo.toml"), text).unwrap();
        }
        root
    }

    #[test]
    fn this_workspace_is_in_order() {
        check(&crate::workspace_root().unwrap()).unwrap();
    }

    #[test]
    fn an_arrow_upwards_fails_and_is_named() {
        let root = workspace(&[
            ("packet", "[dependencies]\ndwell-flow.workspace = true\n"),
            ("flow", "[dependencies]\ndwell-packet.workspace = true\n"),
        ]);
        let message = check(root.path()).unwrap_err().to_string();
        assert!(message.contains("packet -> flow"), "{message}");
        assert!(!message.contains("flow -> packet"), "{message}");
    }

    #[test]
    fn an_arrow_for_one_target_only_is_an_arrow() {
        let root = workspace(&[(
            "proto",
            "[target.'cfg(unix)'.dependencies]\ndwell-packet.workspace = true\n",
        )]);
        assert!(check(root.path()).unwrap_err().to_string().contains("proto -> packet"));
    }

    #[test]
    fn the_testkit_is_for_tests_only() {
        let dev = workspace(&[("flow", "[dev-dependencies]\ndwell-testkit.workspace = true\n")]);
        check(dev.path()).unwrap();
        let normal = workspace(&[("flow", "[dependencies]\ndwell-testkit.workspace = true\n")]);
        assert!(check(normal.path()).unwrap_err().to_string().contains("flow -> testkit"));
    }

    #[test]
    fn a_crate_outside_the_design_is_refused() {
        let root = workspace(&[("utils", "")]);
        assert!(check(root.path()).unwrap_err().to_string().contains("utils"));
    }
}
