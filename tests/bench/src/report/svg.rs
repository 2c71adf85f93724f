//! Cost against size, drawn: CPU milliseconds a request over users, and over members of a group; both axes logarithmic, so
//! that a cost that does not depend on size is level.

use std::fmt::Write as _;

use super::{Report, Row};
use crate::stand::Form;

const WIDTH: f64 = 500.0;
const HEIGHT: f64 = 300.0;
/// Left, right, top and bottom of the drawing within its panel.
const MARGINS: [f64; 4] = [52.0, 168.0, 34.0, 40.0];
const COLOURS: [&str; 8] = ["#3568b8", "#c2571a", "#2f8f4e", "#8a4bb0", "#b0304b", "#5b6770", "#a68400", "#00808a"];

/// A line: its name and its points, size and cost.
struct Line {
    name: String,
    points: Vec<(f64, f64)>,
}

/// `None` where nothing was measured at two sizes.
pub(crate) fn draw(report: &Report) -> Option<String> {
    let mut panels = Vec::new();
    for form in Form::ALL {
        panels.push((format!("{}: users in the directory", form.title()), over_users(report, form)));
        panels.push((format!("{}: members of the group", form.title()), over_members(report, form)));
    }
    panels.retain(|(_, lines)| lines.iter().any(|line| line.points.len() > 1));
    if panels.is_empty() {
        return None;
    }
    let costs = panels.iter().flat_map(|(_, lines)| lines).flat_map(|line| &line.points).map(|(_, cost)| *cost);
    let (low, high) = decades(costs);
    let rows = panels.len().div_ceil(2);
    let (width, height) = (WIDTH * panels.len().min(2) as f64, HEIGHT * rows as f64);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\" font-family=\"system-ui, sans-serif\" font-size=\"11\">\n\
         <title>Server CPU milliseconds a request against size</title>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n"
    );
    for (n, (title, lines)) in panels.iter().enumerate() {
        let _ = writeln!(svg, "<g transform=\"translate({},{})\">", WIDTH * (n % 2) as f64, HEIGHT * (n / 2) as f64);
        panel(&mut svg, title, lines, low, high);
        svg.push_str("</g>\n");
    }
    svg.push_str("</svg>\n");
    Some(svg)
}

fn rows(report: &Report, form: Form) -> impl Iterator<Item = &Row> {
    report.rows.iter().filter(move |row| row.form == form)
}

fn over_users(report: &Report, form: Form) -> Vec<Line> {
    let shown =
        ["get", "filter-username", "create", "patch-active", "put-user", "page-first", "page-deep", "page-cursor-deep"];
    let line = |name: &&str| {
        let connections = rows(report, form).filter(|row| row.workload == **name).map(|row| row.connections).min();
        let points = rows(report, form).filter(|row| row.workload == **name && Some(row.connections) == connections);
        let mut points: Vec<_> = points.map(|row| (row.users as f64, row.figures.cpu())).collect();
        points.sort_by(|one, other| one.0.total_cmp(&other.0));
        Line { name: (*name).to_owned(), points }
    };
    shown.iter().map(line).filter(|line| !line.points.is_empty()).collect()
}

/// At the largest directory.
fn over_members(report: &Report, form: Form) -> Vec<Line> {
    let users = rows(report, form).map(|row| row.users).max().unwrap_or_default();
    let mut points: Vec<_> = rows(report, form)
        .filter(|row| row.users == users)
        .filter_map(|row| Some((row.workload.strip_prefix("group-patch-")?.parse().ok()?, row.figures.cpu())))
        .collect();
    points.sort_by(|one: &(f64, f64), other| one.0.total_cmp(&other.0));
    if points.is_empty() { Vec::new() } else { vec![Line { name: "PATCH one member".to_owned(), points }] }
}

/// The powers of ten around all values, as exponents.
fn decades(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let logs: Vec<f64> = values.filter(|value| *value > 0.0).map(f64::log10).collect();
    let low = logs.iter().copied().fold(f64::INFINITY, f64::min).floor();
    let high = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max).ceil();
    if low.is_finite() { (low, high.max(low + 1.0)) } else { (-2.0, 1.0) }
}

fn panel(svg: &mut String, title: &str, lines: &[Line], low: f64, high: f64) {
    let [left, right, top, bottom] = MARGINS;
    let (width, height) = (WIDTH - left - right, HEIGHT - top - bottom);
    let sizes = || lines.iter().flat_map(|line| line.points.iter().map(|(size, _)| *size));
    let (smallest, largest) = decades(sizes());
    let x = |size: f64| left + width * (size.log10() - smallest) / (largest - smallest);
    let y = |cost: f64| top + height * (high - cost.max(1e-9).log10()) / (high - low);
    let _ = writeln!(svg, "<text x=\"{left}\" y=\"18\" font-weight=\"600\" font-size=\"12\">{title}</text>");
    let mut exponent = low;
    while exponent <= high {
        let (cost, end) = (10_f64.powf(exponent), left + width);
        let at = y(cost);
        let _ = writeln!(svg, "<line x1=\"{left}\" x2=\"{end}\" y1=\"{at:.1}\" y2=\"{at:.1}\" stroke=\"#dddddd\"/>");
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\" fill=\"#555555\">{cost} ms</text>",
            left - 6.0,
            at + 4.0
        );
        exponent += 1.0;
    }
    let mut marked: Vec<f64> = sizes().collect();
    marked.sort_by(f64::total_cmp);
    marked.dedup();
    for size in marked {
        let at = x(size);
        let _ = writeln!(
            svg,
            "<line x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{top}\" y2=\"{}\" stroke=\"#eeeeee\"/>",
            top + height
        );
        let _ = writeln!(
            svg,
            "<text x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\" fill=\"#555555\">{}</text>",
            top + height + 16.0,
            grouped(size as u64)
        );
    }
    for (n, line) in lines.iter().enumerate() {
        let colour = COLOURS[n % COLOURS.len()];
        let points: Vec<String> =
            line.points.iter().map(|(size, cost)| format!("{:.1},{:.1}", x(*size), y(*cost))).collect();
        let _ = writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
            points.join(" ")
        );
        for (size, cost) in &line.points {
            let _ =
                writeln!(svg, "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"2.5\" fill=\"{colour}\"/>", x(*size), y(*cost));
        }
    }
    let ends = lines.iter().map(|line| line.points.last().map_or(top, |(_, cost)| y(*cost))).collect();
    for (n, (line, at)) in lines.iter().zip(spread(ends, 13.0)).enumerate() {
        let last = line.points.last().map_or(0.0, |(_, cost)| *cost);
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{:.1}\" fill=\"{}\">{} {last:.2}</text>",
            left + width + 8.0,
            at + 4.0,
            COLOURS[n % COLOURS.len()],
            line.name
        );
    }
}

/// Moves labels apart that would lie on each other.
fn spread(wanted: Vec<f64>, distance: f64) -> Vec<f64> {
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by(|one, other| wanted[*one].total_cmp(&wanted[*other]));
    let (mut placed, mut last) = (wanted, f64::NEG_INFINITY);
    for n in order {
        placed[n] = placed[n].max(last + distance);
        last = placed[n];
    }
    placed
}

/// 100,000.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_moved_apart_in_order() {
        assert_eq!(spread(vec![10.0, 11.0, 50.0], 13.0), [10.0, 23.0, 50.0]);
        assert_eq!(spread(vec![11.0, 10.0], 5.0), [15.0, 10.0]);
    }

    #[test]
    fn axes_hold_every_value() {
        assert_eq!(decades([0.08, 24.0].into_iter()), (-2.0, 2.0));
        assert_eq!(decades([1.0].into_iter()), (0.0, 1.0));
        assert_eq!(decades(std::iter::empty()), (-2.0, 1.0));
    }

    #[test]
    fn numbers_are_grouped() {
        assert_eq!([grouped(10), grouped(1000), grouped(1_000_000)], ["10", "1,000", "1,000,000"]);
    }
}
