//! Recall against false findings, drawn as SVG: by budget, and as a ROC curve. Counts nothing.

use std::fmt::Write as _;

/// Recall of campaigns as the threshold falls.
pub(crate) struct Curve {
    pub(crate) name: String,
    pub(crate) points: Vec<Point>,
}

/// One threshold.
#[derive(Clone, Copy)]
pub(crate) struct Point {
    /// False findings per 100 hosts and day.
    pub(crate) false_rate: f64,
    /// The share of all benign entities that these are (dimensionless).
    pub(crate) false_share: f64,
    /// Share of campaigns found (dimensionless).
    pub(crate) recall: f64,
}

/// Both plots side by side; the last curve is drawn above the others.
pub(crate) fn svg(curves: &[Curve]) -> String {
    let mut svg = String::from(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 960 420\" \
         font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"960\" height=\"420\" fill=\"#fff\"/>\n",
    );
    let by_budget = Plot {
        left: 60.0,
        title: "Recall of campaigns by budget",
        label: "false findings per 100 hosts and day",
        ticks: &[0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0],
    };
    let roc = Plot {
        left: 540.0,
        title: "The same as a ROC curve",
        label: "share of benign host, application and destination triples found",
        ticks: &[1e-4, 1e-3, 1e-2, 1e-1, 1.0],
    };
    by_budget.draw(&mut svg, curves, |point| point.false_rate);
    roc.draw(&mut svg, curves, |point| point.false_share);
    svg.push_str("</svg>\n");
    svg
}

/// One plot: a logarithmic axis of false findings, recall from 0 to 1.
struct Plot<'a> {
    left: f64,
    title: &'a str,
    label: &'a str,
    ticks: &'a [f64],
}

impl Plot<'_> {
    fn draw(&self, svg: &mut String, curves: &[Curve], of: impl Fn(&Point) -> f64) {
        self.frame(svg);
        for (place, curve) in curves.iter().enumerate() {
            let last = place + 1 == curves.len();
            let (colour, width) = if last { ("#0b6e4f", 2.5) } else { ("#9aa5b1", 1.2) };
            let mut path = String::new();
            let mut recall = 0.0;
            for (at, point) in curve.points.iter().enumerate() {
                if point.recall <= recall && at > 0 && at + 1 < curve.points.len() {
                    continue;
                }
                // Steps: recall holds until the next false finding is paid for.
                let x = self.x(of(point));
                let command = if path.is_empty() { 'M' } else { 'L' };
                let _ = write!(path, "{command}{x:.1},{:.1} ", y(recall));
                let _ = write!(path, "L{x:.1},{:.1} ", y(point.recall));
                recall = point.recall;
            }
            let _ = writeln!(
                svg,
                "<path d=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"{width}\">\
                 <title>{}</title></path>",
                path.trim_end(),
                curve.name
            );
        }
    }

    fn frame(&self, svg: &mut String) {
        let right = self.left + WIDTH;
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"24\" font-weight=\"bold\">{}</text>",
            self.left, self.title
        );
        for tenth in [0_u8, 2, 4, 6, 8, 10] {
            let recall = f64::from(tenth) / 10.0;
            let _ = writeln!(
                svg,
                "<path d=\"M{},{y:.1} H{right}\" stroke=\"#e4e7eb\"/>\
                 <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{recall:.1}</text>",
                self.left,
                self.left - 6.0,
                y(recall) + 4.0,
                y = y(recall),
            );
        }
        for &tick in self.ticks {
            let x = self.x(tick);
            let _ = writeln!(
                svg,
                "<path d=\"M{x:.1},{TOP} V{}\" stroke=\"#e4e7eb\"/>\
                 <text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{tick}</text>",
                TOP + HEIGHT,
                TOP + HEIGHT + 18.0,
            );
        }
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            self.left + WIDTH / 2.0,
            TOP + HEIGHT + 38.0,
            self.label
        );
    }

    fn x(&self, value: f64) -> f64 {
        let first = self.ticks.first().copied().unwrap_or(1.0);
        let last = self.ticks.last().copied().unwrap_or(1.0);
        let place = (value.clamp(first, last) / first).ln() / (last / first).ln();
        self.left + WIDTH * place
    }
}

fn y(recall: f64) -> f64 {
    TOP + HEIGHT * (1.0 - recall)
}

const WIDTH: f64 = 380.0;
const HEIGHT: f64 = 310.0;
const TOP: f64 = 44.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_rises_from_left_to_right_within_its_frame() {
        let point = |false_rate, recall| Point { false_rate, false_share: 0.01, recall };
        let points = vec![point(0.0, 0.2), point(2.0, 0.5), point(900.0, 1.0)];
        let text = svg(&[Curve { name: "all".to_owned(), points }]);
        assert!(text.contains("M60.0,354.0 L60.0,292.0"), "{text}");
        assert!(text.contains("L440.0,44.0"), "{text}");
        assert_eq!(text.matches("<path d=\"M60.0,354.0 L").count(), 1);
    }
}
