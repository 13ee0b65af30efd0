//! The table of a bench: least and median of the rounds, and ratios. Runs nothing.

use std::fmt::Write as _;
use std::time::Duration;

use super::contender::Run;

/// One process and its rounds.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) name: String,
    packets: u64,
    runs: Vec<Run>,
}

impl Row {
    pub(super) const fn new(name: String, packets: u64, runs: Vec<Run>) -> Self {
        Self { name, packets, runs }
    }

    /// The least CPU time of all rounds.
    pub(super) fn least_cpu(&self) -> Duration {
        self.runs.iter().map(|run| run.cpu).min().unwrap_or_default()
    }

    /// CPU time a packet in the best round, in nanoseconds.
    pub(super) fn least_ns_per_packet(&self) -> f64 {
        self.least_cpu().as_secs_f64() * 1e9 / self.packets.max(1) as f64
    }

    /// The median of the CPU time; of an even number of rounds, the lower of the two.
    fn median_cpu(&self) -> Duration {
        let mut times: Vec<Duration> = self.runs.iter().map(|run| run.cpu).collect();
        times.sort_unstable();
        let middle = times.len().saturating_sub(1) / 2;
        times.get(middle).copied().unwrap_or_default()
    }

    fn least_wall(&self) -> Duration {
        self.runs.iter().map(|run| run.wall).min().unwrap_or_default()
    }

    fn peak_mib(&self) -> f64 {
        self.runs.iter().map(|run| run.peak_bytes).max().unwrap_or_default() as f64 / 1_048_576.0
    }
}

/// How many times `other` goes into `time`.
pub(super) fn ratio(time: Duration, other: Duration) -> f64 {
    time.as_secs_f64() / other.as_secs_f64()
}

/// The rows as a text table; ratios are to `yardstick`, where there is one.
pub(super) fn render(rows: &[Row], yardstick: Option<&Row>) -> String {
    let width = rows.iter().map(|row| row.name.len()).max().unwrap_or_default().max(7);
    let mut text = format!(
        "{:width$}  {:>9} {:>9} {:>9}  {:>9} {:>9}  {:>9}  {:>9}",
        "process", "cpu s min", "median", "ns/packet", "x tcpdump", "median", "wall s", "peak MiB"
    );
    for row in rows {
        let (least, median) = match yardstick {
            Some(other) => (
                format!("{:.2}", ratio(row.least_cpu(), other.least_cpu())),
                format!("{:.2}", ratio(row.median_cpu(), other.median_cpu())),
            ),
            None => ("-".to_owned(), "-".to_owned()),
        };
        // Writing to a string does not fail.
        let _ = write!(
            text,
            "\n{:width$}  {:>9.3} {:>9.3} {:>9.1}  {least:>9} {median:>9}  {:>9.3}  {:>9.1}",
            row.name,
            row.least_cpu().as_secs_f64(),
            row.median_cpu().as_secs_f64(),
            row.least_ns_per_packet(),
            row.least_wall().as_secs_f64(),
            row.peak_mib(),
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, cpu_ms: &[u64]) -> Row {
        let run = |ms: &u64| Run {
            cpu: Duration::from_millis(*ms),
            wall: Duration::from_millis(2 * ms),
            peak_bytes: 3 << 20,
        };
        Row::new(name.to_owned(), 1_000_000, cpu_ms.iter().map(run).collect())
    }

    #[test]
    fn a_row_shows_least_and_median_and_both_ratios() {
        let rows = [row("a", &[50, 20, 90, 30, 40]), row("tcpdump", &[100, 110, 80, 120, 100])];
        let text = render(&rows, rows.get(1));
        let cells: Vec<&str> = text.lines().nth(1).unwrap().split_whitespace().collect();
        assert_eq!(cells, ["a", "0.020", "0.040", "20.0", "0.25", "0.40", "0.040", "3.0"]);
    }

    #[test]
    fn without_a_yardstick_there_are_no_ratios() {
        let text = render(&[row("a", &[50, 20])], None);
        let cells: Vec<&str> = text.lines().nth(1).unwrap().split_whitespace().collect();
        assert_eq!(cells, ["a", "0.020", "0.020", "20.0", "-", "-", "0.040", "3.0"]);
    }
}
