//! Cisco Mercury's fingerprint database: a fingerprint a line, with the processes that showed it,
//! where they went and how often. The fingerprint stands there as the hello's own bytes in
//! brackets, so that JA3 and JA4 can be computed from it.

use std::io::{self, BufRead as _, BufReader, Read};

use dwell_proto::{Handshake, client_hello};
use serde::Deserialize;

use super::{Import, ImportOptions};
use crate::{AppRules, Date, Learner, Observation, Origin};

/// Learns from the database.
pub(super) fn read(
    input: &mut dyn Read,
    options: &ImportOptions<'_>,
    known: &AppRules,
) -> io::Result<Import> {
    let mut import = Import::default();
    let mut learner = Learner::default();
    let mut newest: Option<Date> = None;
    let mut reader = BufReader::new(input);
    let mut line = Vec::new();
    let mut number = 0;
    loop {
        line.clear();
        let mut limited = (&mut reader).take(MAX_LINE_BYTES);
        if limited.read_until(b'\n', &mut line)? == 0 {
            break;
        }
        number += 1;
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        import.read = import.read.saturating_add(1);
        let entry: Entry = match serde_json::from_slice(&line) {
            Ok(entry) => entry,
            Err(error) => {
                import.refuse(options.file, number, None, error.to_string());
                continue;
            }
        };
        let seen = entry.last_seen.as_deref().and_then(|day| day.parse().ok());
        newest = newest.max(seen);
        if let Err((key, message)) = take(&entry, options, &mut learner) {
            import.refuse(options.file, number, Some(key), message);
        } else if entry.process_info.is_empty() {
            import.passed_over += 1;
        }
    }
    let date =
        options.date.or(newest).unwrap_or_else(|| Date::of(dwell_packet::Timestamp::from_nanos(0)));
    let file = options.file.rsplit('/').next().unwrap_or(options.file);
    let origin = Origin { date, source: file, licence: options.licence, prefix: file };
    import.rules = learner.learn(&origin, known).rules;
    Ok(import)
}

/// One line: a fingerprint.
#[derive(Deserialize)]
struct Entry {
    str_repr: String,
    last_seen: Option<String>,
    #[serde(default)]
    process_info: Vec<Process>,
}

/// One process that showed it.
#[derive(Deserialize)]
struct Process {
    process: String,
    #[serde(default)]
    count: u64,
    #[serde(default)]
    classes_hostname_domains: std::collections::BTreeMap<String, u64>,
    #[serde(default)]
    os_info: std::collections::BTreeMap<String, u64>,
}

/// Takes the processes of one fingerprint in; the key and the reason if that cannot be.
fn take(
    entry: &Entry,
    options: &ImportOptions<'_>,
    learner: &mut Learner,
) -> Result<(), (&'static str, String)> {
    let body = hello_body(&entry.str_repr)
        .ok_or_else(|| ("str_repr", "not a TLS fingerprint in brackets".to_owned()))?;
    let hello = client_hello::parse(Handshake::Tls, &body, 1)
        .map_err(|error| ("str_repr", error.to_string()))?;
    let mut refused = None;
    for process in &entry.process_info {
        let on_mac = || process.os_info.keys().any(|os| os.starts_with("(Mac OS X)"));
        if options.macos_only && !on_mac() {
            continue;
        }
        let observation = Observation {
            application: &process.process,
            ja4: Some(&hello.ja4),
            stable: Some(&hello.stable),
            ja3: Some(&hello.ja3),
            server_name: None,
            flows: process.count,
        };
        if process.classes_hostname_domains.is_empty() {
            refused = learner.observe(&observation).err().or(refused);
        }
        for (domain, &flows) in &process.classes_hostname_domains {
            let observation = Observation { server_name: Some(domain), flows, ..observation };
            refused = learner.observe(&observation).err().or(refused);
        }
    }
    refused.map_or(Ok(()), |error| Err(("process_info", error.to_string())))
}

/// The ClientHello body behind `(version)(cipher suites)((extension)…)`, each in hexadecimal; an
/// extension is its type, or its type, length and content.
fn hello_body(text: &str) -> Option<Vec<u8>> {
    let text = text.strip_prefix("tls/").unwrap_or(text);
    let mut brackets = text.strip_prefix('(')?.splitn(3, ")(");
    let version = hex(brackets.next()?)?;
    let suites = brackets.next()?;
    let (suites, extensions) = match brackets.next() {
        Some(extensions) => (suites, extensions.strip_suffix(')')?),
        None => (suites.strip_suffix(')')?, ""),
    };
    let suites = hex(suites)?;
    if version.len() != 2 || !suites.len().is_multiple_of(2) {
        return None;
    }
    let mut block = Vec::new();
    for extension in extensions.split(['(', ')']).filter(|part| !part.is_empty()) {
        let extension = hex(extension)?;
        match extension.len() {
            0 | 1 => return None,
            2 => {
                block.extend(extension);
                block.extend([0, 0]);
            }
            _ => block.extend(extension),
        }
    }
    let mut body = version;
    body.extend([0; 32]);
    body.push(0);
    body.extend(u16::try_from(suites.len()).ok()?.to_be_bytes());
    body.extend(suites);
    body.extend([1, 0]);
    if !block.is_empty() {
        body.extend(u16::try_from(block.len()).ok()?.to_be_bytes());
        body.extend(block);
    }
    Some(body)
}

fn hex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.is_ascii() {
        return None;
    }
    let digit =
        |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    text.as_bytes()
        .chunks_exact(2)
        .map(|pair| Some(digit(pair.first()?)? << 4 | digit(pair.last()?)?))
        .collect()
}

/// Longest line read: the longest of the published databases is a tenth of it.
const MAX_LINE_BYTES: u64 = 32 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Chrome 78's entry of the published database (2020-03-16); JA4 by FoxIO's rules, computed
    /// with hashlib from the same lists; JA3 as the labelled tables of that database have it.
    #[test]
    fn fingerprints_are_computed_from_the_bytes_in_brackets() {
        let text = "(0303)(0a0a130113021303c02bc02fc02cc030cca9cca8c013c014009c009d002f0035000a)\
            ((0a0a0000)(0000)(0017)(ff01)(000a000a00080a0a001d00170018)(000b00020100)(0023)\
            (0010000e000c02683208687474702f312e31)(000500050100000000)\
            (000d00140012040308040401050308050501080606010201)(0012)(0033)(002d00020101)\
            (002b000b0a0a0a0304030303020301)(001b0003020002)(0a0a000100)(0015))";
        let body = hello_body(text).unwrap();
        let hello = client_hello::parse(Handshake::Tls, &body, 1).unwrap();
        assert_eq!(hello.ja3, CHROME_JA3);
        assert_eq!(hello.ja4, CHROME_JA4);
    }

    const CHROME_JA3: &str = "66918128f1b9b03303d77c6f2eefd128";
    const CHROME_JA4: &str = "t13d1615h2_46e7e9700bed_45f260be83e2";

    #[test]
    fn brackets_that_hold_no_hello_are_none() {
        for text in
            ["", "(0303)", "(0303)(13)", "(03)(1301)", "(0303)(1301)((00)", "(0303)(1301)((zz))"]
        {
            assert_eq!(hello_body(text), None, "{text}");
        }
        assert!(hello_body("(0303)(1301)").is_some());
    }

    proptest! {
        #[test]
        fn any_text_never_panics(text in ".{0,100}") {
            let _ = hello_body(&text);
        }
    }
}
