//! Published lists as rules: each form, what is kept of a bad one, and lookups of what was read.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use dwell_attribution::{
    AppRules, Attribution, Evidence, Import, ImportFormat, ImportOptions, Opening, Os, OsGuess,
    Outcome, import,
};
use proptest::prelude::*;

fn read(format: ImportFormat, text: &str) -> Import {
    let options = ImportOptions {
        format,
        file: "lists/list.csv",
        licence: Some("BSD-3-Clause"),
        date: None,
        confidence: None,
        macos_only: false,
    };
    import(&mut text.as_bytes(), &options, &AppRules::default()).unwrap()
}

/// Through a file's text, as the sensor would read it.
fn rules(import: &Import) -> AppRules {
    let mut text = Vec::new();
    for rule in &import.rules {
        rule.write(&mut text).unwrap();
    }
    let text = String::from_utf8(text).unwrap();
    let (rules, errors) = AppRules::from_texts([("imported.toml", text.as_str())]);
    assert_eq!(errors, [], "{text}");
    rules
}

fn ask(rules: &AppRules, evidence: Evidence<'_>) -> Attribution {
    rules.attribute(&Evidence { opening: Opening::Hello, port: 443, ..evidence })
}

fn refused(import: &Import) -> Vec<String> {
    import.errors.iter().map(ToString::to_string).collect()
}

/// The head and four rows of salesforce's list, and rows that are no JA3.
#[test]
fn ja3_lists_name_one_several_or_no_application() {
    let text = "\"Copyright (c) 2017 salesforce.com inc.\nAll rights reserved.\",\n\
        61d50e7771aee7f2f4b89a7200b4d45e,\"AcroCEF\"\n\
        eb149984fc9c44d85ed7f12c90d818be,\"Amazon Music,Dreamweaver,Spotify\"\n\
        40fd0a5e81ebdcf0ec82a4710a12dec1,\"Used by many programs on OSX,apple.WebKit.Networking\"\n\
        61d50e7771aee7f2f4b89a7200b4d45,\"short\"\n\
        # a comment\n\
        49A6CF42956937669A01438F26E7C609,\"AIM\"\n";
    let found = read(ImportFormat::Ja3Csv, text);
    assert_eq!(
        refused(&found),
        ["lists/list.csv:6: `ja3`: `61d50e7771aee7f2f4b89a7200b4d45` is not a JA3"]
    );
    assert_eq!((found.read, found.passed_over, found.refused), (6, 1, 1));
    let rules = rules(&found);
    let named = |ja3| ask(&rules, Evidence { ja3: Some(ja3), ..Evidence::default() });
    assert_eq!(&*named("61d50e7771aee7f2f4b89a7200b4d45e").application, "AcroCEF");
    assert_eq!(&*named("49a6cf42956937669a01438f26e7c609").application, "AIM");
    let several = named("eb149984fc9c44d85ed7f12c90d818be");
    assert_eq!((several.outcome, several.candidates.len()), (Outcome::Ambiguous, 3));
    let many = named("40fd0a5e81ebdcf0ec82a4710a12dec1");
    assert_eq!((&*many.application, many.level.name()), ("shared stack", "stack"));
}

/// Rows of FoxIO's published mapping.
#[test]
fn foxio_rows_without_a_client_fingerprint_are_passed_over() {
    let text = "Application,Library,Device,OS,ja4,ja4s,ja4h,ja4x,ja4t,ja4tscan,Notes\n\
        ,GoLang,,,t13d190900_9dc949149365_97f8aa674fd9,,,,,,\n\
        Sliver Agent,,,,t13d190900_9dc949149365_97f8aa674fd9,t130200_1301_a56c5b993250,,,,,\n\
        ,,,Windows 10,,,,,64240_2-1-3-1-1-4_1460_8,,\n\
        Cobalt Strike v4.9.1 beacon,,,Windows 10,t12i190700_d83cc789557e_16bbda4055b2,,,,,,wininet\n\
        Odd,,,,t12i19070_d83cc789557e_16bbda4055b2,,,,,,\n";
    let found = read(ImportFormat::FoxioCsv, text);
    assert_eq!((found.rules.len(), found.passed_over, found.refused), (3, 1, 1));
    assert!(refused(&found)[0].starts_with("lists/list.csv:6: `ja4`: "), "{:?}", refused(&found));
    let rules = rules(&found);
    let go = Evidence { ja4: Some("t13d190900_9dc949149365_97f8aa674fd9"), ..Evidence::default() };
    let go = ask(&rules, go);
    assert_eq!(&*go.application, "GoLang", "an implant built on a library only warns");
    assert!(go.candidates.iter().any(|other| other.hint && &*other.application == "Sliver Agent"));
    let beacon = Evidence {
        ja4: Some("t12i190700_d83cc789557e_16bbda4055b2"),
        os: Some(OsGuess { os: Os::Macos, or: None }),
        ..Evidence::default()
    };
    assert_eq!(ask(&rules, beacon).outcome, Outcome::Unknown, "a rule for Windows");
    let on_windows = Evidence { os: Some(OsGuess { os: Os::Windows, or: None }), ..beacon };
    assert_eq!(&*ask(&rules, on_windows).application, "Cobalt Strike v4.9.1 beacon");
}

#[test]
fn ja4_tables_are_read_by_their_header() {
    let text = "confidence\tapp\tvendor\tja4\tja3\n\
        0.7\tSlack\tSlack\tt13d1517h2_8daaf6152771_cb7bf5808d99\t\n\
        7\tTeams\t\tt13d1517h2_8daaf6152771_b0da82dd1658\t\n\
        \tZoom\t\tt13d1517h2_8daaf6152771_b0da82dd1659\tzz\n\
        \t\t\tt13d1517h2_8daaf6152771_b0da82dd1659\t\n";
    let found = read(ImportFormat::Ja4Csv, text);
    assert_eq!((found.rules.len(), found.passed_over), (1, 1));
    assert_eq!(
        refused(&found),
        [
            "lists/list.csv:3: `confidence`: 0 < x <= 1 is needed, not `7`",
            "lists/list.csv:4: `ja3`: `zz` is not a JA3",
        ]
    );
    let evidence =
        Evidence { ja4: Some("t13d1517h2_8daaf6152771_cb7bf5808d99"), ..Evidence::default() };
    let slack = ask(&rules(&found), evidence);
    assert_eq!((&*slack.application, slack.confidence), ("Slack", 0.7));
    assert_eq!(slack.vendor.as_deref(), Some("Slack"));
}

#[test]
fn mercury_is_learned_from() {
    let line = |process: &str, domain: &str, os: &str| {
        format!(
            "{{\"str_repr\": \"(0303)(13011302)((0000)(000a00040002001d)(000d000400020403))\", \
             \"last_seen\": \"2020-02-14\", \"process_info\": [{{\"process\": \"{process}\", \
             \"count\": 90, \"classes_hostname_domains\": {{\"{domain}\": 90}}, \
             \"os_info\": {{\"({os})(x)(1)\": 90}}}}]}}\n"
        )
    };
    let text = [
        line("safari", "apple.com", "Mac OS X"),
        line("edge", "bing.com", "Windows"),
        "{\"str_repr\": \"nonsense\", \"process_info\": []}\n".to_owned(),
        "{\n".to_owned(),
    ];
    let found = read(ImportFormat::Mercury, &text.concat());
    assert_eq!((found.read, found.refused), (4, 2));
    assert_eq!(
        found.errors[0].to_string(),
        "lists/list.csv:3: `str_repr`: not a TLS fingerprint in brackets"
    );
    assert_eq!(found.errors[1].line, 4);
    let rules = rules(&found);
    let shown = found.rules.iter().find(|rule| rule.application == "safari").unwrap();
    assert_eq!(shown.flows, Some(90));
    let learned = rules.conflicts();
    assert!(learned.iter().any(|key| key.applications.len() == 2), "{learned:?}");
}

#[test]
fn the_form_of_a_list_is_told_by_its_beginning() {
    let guess = |text: &str| ImportFormat::guess(text.as_bytes());
    assert_eq!(guess("{\"str_repr\": \"(0303)\"}"), Some(ImportFormat::Mercury));
    assert_eq!(guess("Application,Library,Device,OS,ja4\n"), Some(ImportFormat::FoxioCsv));
    assert_eq!(guess("ja4,application\n"), Some(ImportFormat::Ja4Csv));
    assert_eq!(
        guess("\"Copyright\nx\",\n61d50e7771aee7f2f4b89a7200b4d45e,\"A\"\n"),
        Some(ImportFormat::Ja3Csv)
    );
    assert_eq!(guess("hello"), None);
    assert_eq!(guess(""), None);
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
        let formats =
            [ImportFormat::Ja3Csv, ImportFormat::FoxioCsv, ImportFormat::Ja4Csv, ImportFormat::Mercury];
        for format in formats {
            let options = ImportOptions {
                format,
                file: "x",
                licence: None,
                date: None,
                confidence: None,
                macos_only: false,
            };
            // A table must be UTF-8 as a whole to be split by its header.
            let _ = import(&mut bytes.as_slice(), &options, &AppRules::default());
            let _ = ImportFormat::guess(&bytes);
        }
    }
}
