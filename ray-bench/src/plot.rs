//! The medians as a picture: a panel for each case, a bar for each contender, on a logarithmic scale.
//!
//! The picture leaves out the second rows of the same rounds: resident and peak memory, spans with the submission, and
//! numbers of late ticks.

use std::{error::Error, path::Path};

use plotters::{
    coord::Shift,
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

use crate::{
    measure::{Case, OURS, Row},
    report::number,
};

const COLUMNS: usize = 2;
const WIDTH: i32 = 560;
const TITLE: i32 = 50;
const BAR: i32 = 21;
/// The left end of the bars, right of the names, and the space for the figure right of the longest bar.
const NAMES: i32 = 235;
const FIGURES: i32 = 75;
const MARGIN: i32 = 14;
/// The height of the note below the panels.
const FOOTER: i32 = 28;

const OUR_COLOUR: RGBColor = RGBColor(31, 119, 180);
const PEER_COLOUR: RGBColor = RGBColor(190, 196, 204);
const INK: RGBColor = RGBColor(36, 41, 47);

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Draws the `panels`, each a case and its rows, into the file at `path`.
pub(crate) fn svg(path: &Path, panels: &[(&Case, Vec<Row>)]) -> Result<(), Box<dyn Error>> {
    let heights: Vec<i32> =
        panels.chunks(COLUMNS).map(|line| line.iter().map(|(_, rows)| height(rows)).max().unwrap_or(0)).collect();
    let bottom: i32 = heights.iter().sum();
    let size = (COLUMNS as u32 * WIDTH as u32, (bottom + FOOTER) as u32);
    let root = SVGBackend::new(path, size).into_drawing_area();
    root.fill(&WHITE)?;
    let mut top = 0;
    for (line, height) in panels.chunks(COLUMNS).zip(heights) {
        for (column, (case, rows)) in line.iter().enumerate() {
            let left = column as i32 * WIDTH;
            let area = root.clone().shrink((left, top), (WIDTH, height));
            panel(&area, case, rows)?;
        }
        top += height;
    }
    let words = ("sans-serif", 16).into_font().color(&INK);
    let note = "medians; lower is better; bars are logarithmic, and each case has its own scale";
    root.draw(&Text::new(note, (MARGIN, bottom), words))?;
    root.present()?;
    Ok(())
}

/// The rows of a case that the picture shows.
fn drawn(rows: &[Row]) -> impl Iterator<Item = &Row> {
    let other_ways = ["(resident)", "(with submit)", "peak memory", "late ticks"];
    rows.iter().filter(move |row| !other_ways.iter().any(|way| row.who.ends_with(way)))
}

fn height(rows: &[Row]) -> i32 {
    TITLE + drawn(rows).count() as i32 * BAR + MARGIN
}

/// Draws one case.
fn panel(area: &Area<'_>, case: &Case, rows: &[Row]) -> Result<(), Box<dyn Error>> {
    let title = ("sans-serif", 20).into_font().style(FontStyle::Bold).color(&INK);
    let small = ("sans-serif", 16).into_font().color(&INK);
    let right = small.clone().pos(Pos::new(HPos::Right, VPos::Center));
    let left = small.pos(Pos::new(HPos::Left, VPos::Center));
    area.draw(&Text::new(case.definition.name, (MARGIN, 8), title))?;
    area.draw(&Text::new(case.definition.what, (MARGIN, 37), left.clone()))?;

    let length = scale(rows);
    for (index, row) in drawn(rows).enumerate() {
        let y = TITLE + index as i32 * BAR;
        let middle = y + BAR / 2;
        let colour = if row.who.split(' ').next() == Some(OURS) { OUR_COLOUR } else { PEER_COLOUR };
        let end = NAMES + length(row.median());
        area.draw(&Text::new(row.who.clone(), (NAMES - 8, middle), right.clone()))?;
        area.draw(&Rectangle::new([(NAMES, y + 3), (end, y + BAR - 3)], colour.filled()))?;
        area.draw(&Text::new(number(row.median()), (end + 6, middle), left.clone()))?;
    }
    Ok(())
}

/// The length of the bar of a median: logarithmic, from half of the smallest median to the largest.
fn scale(rows: &[Row]) -> impl Fn(f64) -> i32 + use<> {
    let medians = || drawn(rows).map(|row| row.median().max(f64::MIN_POSITIVE));
    let least = medians().fold(f64::INFINITY, f64::min) / 2.0;
    let most = medians().fold(least * 2.0, f64::max);
    let longest = f64::from(WIDTH - NAMES - FIGURES);
    move |median| (longest * (median.max(least) / least).ln() / (most / least).ln()) as i32
}
