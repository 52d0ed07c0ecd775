//! The output of the bench: a JSON object for each row, one on a line, or a table with the ratios of the medians to that of
//! this project.

use std::io::{self, Write};

use serde::Serialize;

use crate::measure::{Case, OURS, Row};

/// The JSON object of a row.
#[derive(Serialize)]
struct Line<'a> {
    case: &'a str,
    who: &'a str,
    /// The group of rows that this row may be compared with; absent for a row without a group.
    #[serde(skip_serializing_if = "str::is_empty")]
    group: &'a str,
    median: f64,
    min: f64,
    max: f64,
    unit: &'a str,
    rounds: usize,
}

/// Writes an object for each of `rows`, each on a line of its own.
pub(crate) fn json(out: &mut impl Write, rows: &[Row]) -> io::Result<()> {
    for row in rows {
        let line = Line {
            case: row.case,
            who: &row.who,
            group: row.group,
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

/// Writes the table of one case: the rows of each group below its name, with their ratios to the yardsticks of that group.
pub(crate) fn table(out: &mut impl Write, case: &Case, rows: &[Row]) -> io::Result<()> {
    writeln!(out, "\n{}: {}", case.definition.name, case.definition.what)?;
    let names = rows.iter().map(|row| row.who.len()).fold(34, usize::max);
    write!(out, "  {:<names$} {:>12} {:>12} {:>12}", "", "median", "min", "max")?;
    let columns: Vec<String> =
        case.yardsticks.iter().map(|yardstick| format!("to {}", if *yardstick == OURS { "ours" } else { yardstick })).collect();
    for column in &columns {
        write!(out, "  {column:>9}")?;
    }
    writeln!(out)?;

    let mut group = "";
    for row in rows {
        if row.group != group {
            group = row.group;
            writeln!(out, "  - {group}")?;
        }
        let (median, min, max) = (number(row.median()), number(row.min()), number(row.max()));
        write!(out, "  {:<names$} {median:>12} {min:>12} {max:>12}", row.who)?;
        for (index, yardstick) in case.yardsticks.iter().enumerate() {
            let width = columns[index].len().max(9);
            let ratio = match reference(rows, row, yardstick) {
                _ if row.unit != case.definition.unit => {
                    if index == 0 {
                        row.unit.to_owned()
                    } else {
                        String::new()
                    }
                }
                Some(reference) => format!("{:.2}", row.median() / reference),
                None => String::new(),
            };
            write!(out, "  {ratio:>width$}")?;
        }
        writeln!(out)?;
    }
    out.flush()
}

/// The median to compare `row` with: that of the yardstick in the group of the row, or of the yardstick of the case if the
/// group has none.
fn reference(rows: &[Row], row: &Row, yardstick: &str) -> Option<f64> {
    let named = |other: &&Row| other.who == yardstick || other.who.split(" (").next() == Some(yardstick);
    let within = rows.iter().filter(|other| other.group == row.group && other.unit == row.unit).find(named);
    within.or_else(|| rows.iter().find(|other| other.who == yardstick)).map(Row::median)
}

/// `value` for a reader: decimals for small values only, and commas between thousands.
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
    use super::{number, table};
    use crate::measure::{ASYNC, Case, Contender, Definition, run};

    /// A ratio compares a row with the row of this project for the same kind of caller.
    #[test]
    fn a_row_is_compared_with_the_yardstick_of_its_group() {
        fn contenders() -> Vec<Contender> {
            vec![
                Contender::new("ray", || 10.0),
                Contender::new("ray (async caller)", || 40.0).among(ASYNC),
                Contender::new("tokio", || 20.0),
                Contender::new("tokio (async caller)", || 20.0).among(ASYNC),
            ]
        }
        let case = Case { contenders, ..Case::of(Definition { name: "", what: "", unit: "" }) };
        let mut text = Vec::new();
        table(&mut text, &case, &run(&case, 1, "")).unwrap();
        let text = String::from_utf8(text).unwrap();
        let lines: Vec<_> = text.lines().skip(3).map(|line| line.split_whitespace().collect::<Vec<_>>()).collect();
        let (names, ratios): (Vec<_>, Vec<_>) = lines.iter().map(|line| (line[0], line[line.len() - 1])).unzip();
        assert_eq!(names, ["ray", "tokio", "-", "ray", "tokio"]);
        assert_eq!(ratios, ["1.00", "2.00", "callers", "1.00", "0.50"]);
    }

    #[test]
    fn numbers_have_few_digits_and_separators() {
        assert_eq!(number(1.004), "1.00");
        assert_eq!(number(79.44), "79.4");
        assert_eq!(number(-1234.5), "-1,234");
        assert_eq!(number(1_300_000.0), "1,300,000");
    }
}
