//! Rules learned from labelled tuples, asked for others: the product's own learning and lookup,
//! scored elsewhere. Learns and answers nothing itself.

use std::fs::File;
use std::io::{BufRead as _, BufReader, BufWriter, Read, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use dwell_attribution::{
    AppRules, Attribution, Date, Evidence, Learner, Observation, Opening, Origin, Outcome,
};
use dwell_packet::Timestamp;

use crate::tsv::{self, Row, cell};

/// `cargo xtask attribution`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Labelled tuples to learn from (TSV, plain or .gz): `ja3`, `ja4`, `etld1`, `app_family`,
    /// `flows`.
    #[arg(long, required = true, num_args = 1.., value_name = "FILE")]
    train: Vec<PathBuf>,

    /// Tuples to name, of the same form; only `id`, `ja3`, `ja4` and `etld1` are looked at.
    #[arg(long, value_name = "FILE")]
    ask: PathBuf,

    /// Where to write the answers: `id`, `app` or `<unknown>`, `confidence`.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,

    /// Also keep the rules that were learned.
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
}

/// Learns, asks, writes the answers and prints what was learned.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let mut learner = Learner::default();
    let mut refused = 0_u64;
    for path in &options.train {
        for row in read(path)? {
            refused += u64::from(learner.observe(&observation(&row)).is_err());
        }
    }
    let learned_on = options.train.iter().filter_map(|path| last_date(path)).max();
    let date = learned_on.unwrap_or(Date::of(Timestamp::from_nanos(0)));
    let origin = Origin { date, source: "labelled tuples", licence: None, prefix: "learned" };
    let learned = learner.learn(&origin, &AppRules::default());
    let mut text = Vec::new();
    learned.write(&mut text)?;
    if let Some(path) = &options.rules {
        std::fs::write(path, &text).with_context(|| path.display().to_string())?;
    }
    let text = String::from_utf8(text)?;
    let (rules, errors) = AppRules::from_texts([("learned", text.as_str())]);
    for error in &errors {
        println!("refused rule: {error}");
    }
    println!(
        "learned {} rules from {} kinds of {} flows ({refused} rows refused), dated {date}",
        rules.len(),
        learned.kinds,
        learned.flows,
    );
    for (level, precision, kinds) in &learned.levels {
        println!("  {level:24} precision {precision:.3} on {kinds} kinds");
    }
    println!("  {} fingerprints are shared by several applications", learned.conflicts.len());
    // Files without a date in their names are asked on the day of the rules: no age.
    let asked_on = last_date(&options.ask).filter(|asked| *asked > date).unwrap_or(date);
    answer(options, &rules, asked_on)
}

fn answer(options: &Options, rules: &AppRules, asked_on: Date) -> anyhow::Result<()> {
    let epoch = Date::of(Timestamp::from_nanos(0));
    let at = Timestamp::from_nanos(0)
        .saturating_add(Duration::from_secs(asked_on.days_since(epoch).saturating_mul(86_400)));
    let file = File::create(&options.out).with_context(|| options.out.display().to_string())?;
    let mut out = BufWriter::new(file);
    writeln!(out, "id\tapp\tconfidence")?;
    let mut counts = [0_u64; 3];
    for row in read(&options.ask)? {
        let name = cell(&row, "etld1");
        let evidence = Evidence {
            opening: Opening::Hello,
            ja4: Some(cell(&row, "ja4")).filter(|ja4| !ja4.is_empty()),
            ja3: Some(cell(&row, "ja3")).filter(|ja3| !ja3.is_empty()),
            server_name: Some(name.as_bytes()).filter(|name| !name.is_empty()),
            port: 443,
            at,
            ..Evidence::default()
        };
        let found = rules.attribute(&evidence);
        let (app, confidence) = named(&found);
        let place = usize::from(confidence < 0.8) + usize::from(app == UNKNOWN);
        if let Some(count) = counts.get_mut(place) {
            *count += 1;
        }
        writeln!(out, "{}\t{app}\t{confidence:.4}", cell(&row, "id"))?;
    }
    out.flush()?;
    let [sure, unsure, unknown] = counts;
    println!("answered as of {asked_on}: {sure} at .8 or surer, {unsure} below, {unknown} unknown");
    Ok(())
}

/// The application that an answer names first, and how sure that is: of an ambiguous answer the
/// best candidate.
fn named(found: &Attribution) -> (&str, f64) {
    let best = found.candidates.first().filter(|_| found.outcome == Outcome::Ambiguous);
    match (found.outcome, best) {
        (_, Some(best)) => (&best.application, best.confidence),
        (Outcome::Application, None) => (&found.application, found.confidence),
        (_, None) => (UNKNOWN, 0.0),
    }
}

fn observation(row: &Row) -> Observation<'_> {
    let text = |column| Some(cell(row, column)).filter(|text| !text.is_empty());
    Observation {
        application: cell(row, "app_family"),
        ja4: text("ja4"),
        ja3: text("ja3"),
        server_name: text("etld1"),
        flows: cell(row, "flows").parse().unwrap_or(1),
        ..Observation::default()
    }
}

/// The rows of a table, plain or compressed.
fn read(path: &Path) -> anyhow::Result<Vec<Row>> {
    let name = || path.display().to_string();
    let mut reader = BufReader::new(File::open(path).with_context(name)?);
    let gzip = reader.fill_buf().with_context(name)?.starts_with(&[0x1f, 0x8b]);
    let mut text = String::new();
    if gzip {
        flate2::read::MultiGzDecoder::new(reader).read_to_string(&mut text).with_context(name)?;
    } else {
        reader.read_to_string(&mut text).with_context(name)?;
    }
    Ok(tsv::parse(&text))
}

/// The last `YYYYMMDD` in a file's name.
fn last_date(path: &Path) -> Option<Date> {
    let name = path.file_name()?.to_str()?;
    let digits = name.split(|byte: char| !byte.is_ascii_digit()).filter(|part| part.len() == 8);
    digits.filter_map(date_of).next_back()
}

fn date_of(digits: &str) -> Option<Date> {
    let (year, rest) = digits.split_at_checked(4)?;
    let (month, day) = rest.split_at_checked(2)?;
    format!("{year}-{month}-{day}").parse().ok()
}

/// What stands for "no answer" in the column `app`.
const UNKNOWN: &str = "<unknown>";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_files_date_is_the_last_in_its_name() {
        let date = |name: &str| last_date(Path::new(name)).map(|date| date.to_string());
        assert_eq!(date("open_dev_20200330_20200608_mac.tsv.gz").as_deref(), Some("2020-06-08"));
        assert_eq!(date("x/open_train_20200330_mac.tsv").as_deref(), Some("2020-03-30"));
        assert_eq!(date("rows-12345678.tsv"), None);
        assert_eq!(date("rows.tsv"), None);
    }

    #[test]
    fn learned_rules_answer_for_the_tuples_of_another_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let header = "id\tja3\tja4\tetld1\tprocess\tapp_family\tflows\n";
        let ja4 = ["t13d1516h2_8daaf6152771_e5627efa2ab1", "t13d1714h2_5b57614c22b0_eeeea6562960"];
        let mut train = header.to_owned();
        for (index, domain) in ["a.com", "b.com", "c.com", "d.com"].into_iter().enumerate() {
            let (chrome, fox) = (ja4[0], ja4[1]);
            train += &format!("{index}\t\t{chrome}\t{domain}\tchrome\tChromium\t40\n");
            train += &format!("{index}\t\t{fox}\t{domain}\tfirefox\tFirefox\t40\n");
        }
        std::fs::write(path("train_20200330.tsv"), train).unwrap();
        let ask = format!(
            "{header}1\t\t{}\ta.com\t\t\t9\n2\t\t{}\tnew.org\t\t\t9\n3\t\tt12i000000_000000000000_000000000000\tnew.org\t\t\t9\n",
            ja4[0], ja4[1]
        );
        std::fs::write(path("ask.tsv"), ask).unwrap();
        let options = Options {
            train: vec![path("train_20200330.tsv")],
            ask: path("ask.tsv"),
            out: path("pred.tsv"),
            rules: None,
        };
        run(&options).unwrap();
        let found = std::fs::read_to_string(path("pred.tsv")).unwrap();
        let apps: Vec<&str> =
            found.lines().skip(1).filter_map(|line| line.split('\t').nth(1)).collect();
        assert_eq!(apps, ["Chromium", "Firefox", UNKNOWN], "{found}");
    }
}
