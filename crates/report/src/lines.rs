//! Curves, such as accuracy over epochs.

use crate::error::Result;
use crate::frame::{self, BELOW, Entry, Frame, Sample, WIDTH};
use crate::scale::{Axis, Scale};
use crate::svg::{color, place};

/// One curve.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LineSeries {
    /// Its name in the legend.
    pub name: String,
    /// Points (x, y) in the order in which they are joined. Those that are not finite, or not above 0 on a
    /// logarithmic axis, leave a gap and are counted in the legend.
    pub points: Vec<(f64, f64)>,
    /// Whether it is dashed.
    pub dashed: bool,
    /// Which of the eight colors it has. Default: its place among the series.
    pub color: Option<usize>,
}

/// A chart of curves.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Lines {
    /// What it shows.
    pub title: String,
    /// The horizontal axis.
    pub x: Axis,
    /// The vertical axis.
    pub y: Axis,
    /// The curves.
    pub series: Vec<LineSeries>,
}

impl Lines {
    /// The chart as SVG.
    ///
    /// # Errors
    /// None at present: whatever cannot be shown is left out and counted.
    pub fn to_svg(&self) -> Result<String> {
        let shows = |p: &(f64, f64)| self.x.shows(p.0) && self.y.shows(p.1);
        let entries: Vec<Entry> = (0..)
            .zip(&self.series)
            .map(|(i, series)| {
                let sample = if series.dashed { Sample::Dashed } else { Sample::Line };
                let left_out = series.points.iter().filter(|p| !shows(p)).count();
                Entry::new(series.color.unwrap_or(i), sample, &series.name, left_out)
            })
            .collect();
        let points = || self.series.iter().flat_map(|s| &s.points).filter(|p| shows(p));
        let x = Scale::around(&self.x, points().map(|p| p.0));
        let y = Scale::around(&self.y, points().map(|p| p.1));
        let (Some(x), Some(y)) = (x, y) else { return Ok(frame::no_data(&self.title, &entries)) };
        let mut frame = Frame::new(WIDTH, &self.title, &entries, &self.y.label, &y);
        frame.horizontal(&self.x, &x);
        for (series, entry) in self.series.iter().zip(&entries) {
            frame.svg.open(&format!(r#"class="{}""#, color(entry.series)));
            for run in series.points.split(|p| !shows(p)).filter(|run| !run.is_empty()) {
                let places = run.iter().map(|p| [frame.along(x.position(p.0)), frame.down(y.position(p.1))]);
                let places: Vec<[f64; 2]> = places.collect();
                draw_run(&mut frame, &places, series);
            }
            frame.svg.close();
        }
        Ok(frame.finish(BELOW, &self.title))
    }
}

/// One stretch of a curve without gaps.
fn draw_run(frame: &mut Frame, places: &[[f64; 2]], series: &LineSeries) {
    if let [only] = places {
        frame::mark(&mut frame.svg, *only, Sample::Filled, &series.name);
        return;
    }
    let mut command = String::new();
    let mut last = [f64::NAN; 2];
    for (i, at) in places.iter().enumerate() {
        // Thousands of points within a pixel make a large file and no other picture.
        let is_near = (at[0] - last[0]).abs() < 0.25 && (at[1] - last[1]).abs() < 0.25;
        if !is_near || i + 1 == places.len() {
            let letter = if i == 0 { 'M' } else { 'L' };
            command.push_str(&format!("{letter}{},{}", place(at[0]), place(at[1])));
            last = *at;
        }
    }
    frame.svg.path(&command, &frame::stroke(series.dashed), &series.name);
}
