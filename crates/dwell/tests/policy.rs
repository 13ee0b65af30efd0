//! `dwell policy` as people meet it: files checked, judgements explained.
#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

use std::fs;
use std::process::{Command, Output};

fn dwell(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_dwell")).args(arguments).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn a_check_names_what_is_refused_and_counts_what_is_in_force() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("policy.toml");
    fs::write(folder.path().join("jamf.csv"), "Computer Name,Application Title\nmac-1,Slack.app\n")
        .unwrap();
    let good = "[[host_group]]\nname = \"staff\"\nonly_expected = true\n\
                [[inventory]]\ntype = \"jamf_csv\"\npath = \"jamf.csv\"\n";
    fs::write(&path, good).unwrap();
    let file = path.to_str().unwrap();
    let output = dwell(&["policy", "check", file]);
    assert_eq!(output.status.code(), Some(0));
    let counts = "1 host groups, 0 exceptions, 1 names of approved software, 0 entries refused";
    assert!(stdout(&output).contains(counts), "{}", stdout(&output));

    fs::write(&path, format!("{good}[[exception]]\nid = \"EX-1\"\nuntill = \"2027-01-01\"\n"))
        .unwrap();
    let output = dwell(&["policy", "check", file]);
    assert_eq!(output.status.code(), Some(3));
    let errors = String::from_utf8(output.stderr.clone()).unwrap();
    assert!(errors.contains(&format!("{file}:9: `untill`: unknown field")), "{errors}");
    assert!(stdout(&output).contains("1 host groups"), "the rest is in force: {}", stdout(&output));
}

#[test]
fn an_explanation_shows_the_verdict_its_rule_and_the_way_there() {
    let output = dwell(&["policy", "explain", "mac-042", "AnyDesk", "--os", "macos"]);
    assert!(output.status.success());
    let text = stdout(&output);
    assert!(
        text.starts_with("verdict      unexpected\nrule         everyone/never/remote access\n"),
        "{text}"
    );
    assert!(text.contains("  everyone: holds the host\n"), "{text}");
    let output = dwell(&["policy", "explain", "10.1.1.1", "Apple Push (apsd)"]);
    let text = stdout(&output);
    assert!(text.contains("rule         everyone/expected/family/Apple OS\n"), "{text}");
}
