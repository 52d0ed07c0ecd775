//! What the bench prints: a JSON object a line, or a table beside whose medians stands their ratio to ours.

use std::io::{self, Write};

use serde::Serialize;

use crate::measure::{Case, Row};

/// The name of ours.
pub(crate) const OURS: &str = "ray";

/// A row as `--json` prints it.
#[derive(Serialize)]
struct Line<'a> {
    case: &'a str,
    who: &'a str,
    median: f64,
    min: f64,
    max: f64,
    unit: &'a str,
    rounds: usize,
}

/// Writes an object for each of `rows`, one a line.
pub(crate) fn json(out: &mut impl Write, rows: &[Row]) -> io::Result<()> {
    for row in rows {
        let line = Line {
            case: row.case,
            who: &row.who,
            median: rounded(row.median()),
            min: rounded(row.min()),
            max: rounded(row.max()),
            unit: row.unit,
            rounds: row.rounds(),
        };
        serde_json::to_writer(&mut *out, &line)?;
        writeln!(out)?;
    }
    out.flush()
}

/// Writes the table of one case.
pub(crate) fn table(out: &mut impl Write, case: &Case, rows: &[Row]) -> io::Result<()> {
    let yardstick = if case.yardstick == OURS { "ours" } else { case.yardstick };
    writeln!(out, "\n{}: {}", case.name, case.what)?;
    let names = rows.iter().map(|row| row.who.len()).fold(34, usize::max);
    writeln!(out, "  {:<names$} {:>12} {:>12} {:>12}  {:>9}", "", "median", "min", "max", format!("to {yardstick}"))?;
    let measure = rows.iter().find(|row| row.who == case.yardstick).map(Row::median);
    for row in rows {
        let ratio = match measure {
            _ if row.unit != case.unit => row.unit.to_owned(),
            Some(measure) => format!("{:.2}", row.median() / measure),
            None => String::new(),
        };
        writeln!(
            out,
            "  {:<names$} {:>12} {:>12} {:>12}  {:>9}",
            row.who,
            number(row.median()),
            number(row.min()),
            number(row.max()),
            ratio
        )?;
    }
    out.flush()
}

/// `value` for a reader: as many decimals as say something, thousands set apart.
pub(crate) fn number(value: f64) -> String {
    if value.abs() < 10.0 {
        return format!("{value:.2}");
    }
    if value.abs() < 100.0 {
        return format!("{value:.1}");
    }
    let digits = format!("{:.0}", value.abs());
    let mut text = String::from(if value < 0.0 { "-" } else { "" });
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn numbers_read_well() {
        assert_eq!(number(1.004), "1.00");
        assert_eq!(number(79.44), "79.4");
        assert_eq!(number(-1234.5), "-1,234");
        assert_eq!(number(1_300_000.0), "1,300,000");
    }
}
