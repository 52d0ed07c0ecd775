//! The loss curve as an SVG.

use std::error::Error;
use std::fs::File;
use std::path::Path;

use plotters::prelude::*;

const SIZE: (u32, u32) = (800, 480);
const BATCHES: RGBColor = RGBColor(190, 196, 204);
const MEAN: RGBColor = RGBColor(31, 119, 180);

/// The mean at a point is over a twentieth of all points.
const WINDOWS: usize = 20;

/// Checks that the file can be written, before the training starts.
pub(crate) fn check(path: &Path) -> ray::Result<()> {
    File::options().append(true).create(true).open(path).map(drop).map_err(|error| cannot(path, &error))
}

/// Draws losses, each with its position in epochs, and their running mean.
pub(crate) fn draw(path: &Path, title: &str, losses: &[(f64, f64)]) -> ray::Result<()> {
    try_draw(path, title, losses).map_err(|error| cannot(path, &*error))
}

fn try_draw(path: &Path, title: &str, losses: &[(f64, f64)]) -> Result<(), Box<dyn Error>> {
    let losses: Vec<_> = losses.iter().copied().filter(|(_, loss)| loss.is_finite()).collect();
    let first = losses.first().map_or(0.0, |(epoch, _)| epoch.floor());
    let last = losses.last().map_or(1.0, |(epoch, _)| epoch.ceil());
    let highest = losses.iter().map(|(_, loss)| *loss).fold(0.1, f64::max);
    let root = SVGBackend::new(path, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .caption(title, ("sans-serif", 20))
        .margin(16)
        .x_label_area_size(44)
        .y_label_area_size(52)
        .build_cartesian_2d(first..last, 0.0..highest * 1.05)?;
    let label = ("sans-serif", 15);
    chart
        .configure_mesh()
        .x_desc("epoch")
        .y_desc("loss, and its running mean")
        .label_style(label)
        .axis_desc_style(label)
        .light_line_style(WHITE)
        .draw()?;
    chart.draw_series([PathElement::new(losses.clone(), BATCHES.stroke_width(1))])?;
    chart.draw_series([PathElement::new(running_mean(&losses), MEAN.stroke_width(2))])?;
    root.present()?;
    Ok(())
}

/// The mean of the points around each point.
fn running_mean(losses: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let half = losses.len() / WINDOWS / 2;
    let around = |at: usize| &losses[at.saturating_sub(half)..(at + half + 1).min(losses.len())];
    let mean = |near: &[(f64, f64)]| near.iter().map(|(_, loss)| loss).sum::<f64>() / near.len() as f64;
    losses.iter().enumerate().map(|(at, (epoch, _))| (*epoch, mean(around(at)))).collect()
}

fn cannot(path: &Path, error: &dyn Error) -> ray::Error {
    ray::Error::other(format!("the loss curve cannot be written to {}: {error}; --svg names another place", path.display()))
}
