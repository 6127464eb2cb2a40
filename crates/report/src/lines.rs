//! Line charts, such as accuracy over epochs.

use crate::error::Result;
use crate::frame::{self, BELOW, Frame, LegendEntry, LegendMark, WIDTH};
use crate::scale::{Axis, Scale};
use crate::svg::{color, coordinate};

/// A curve.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LineSeries {
    /// Name in the legend.
    pub name: String,
    /// Points (x, y), joined in this order. Those that are not finite, or not above 0 on a logarithmic axis, leave a gap
    /// and are counted in the legend.
    pub points: Vec<(f64, f64)>,
    /// Dashes the curve.
    pub dashed: bool,
    /// Index of one of eight colors. Default: index of the series.
    pub color: Option<usize>,
}

/// A line chart.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Lines {
    /// Title.
    pub title: String,
    /// Horizontal axis.
    pub x: Axis,
    /// Vertical axis.
    pub y: Axis,
    /// Curves.
    pub series: Vec<LineSeries>,
}

impl Lines {
    /// Renders the chart as SVG.
    ///
    /// # Errors
    /// None at present: points that cannot be shown are omitted and counted.
    pub fn to_svg(&self) -> Result<String> {
        let shows = |p: &(f64, f64)| self.x.shows(p.0) && self.y.shows(p.1);
        let entries: Vec<LegendEntry> = (0..)
            .zip(&self.series)
            .map(|(i, series)| {
                let sample = if series.dashed { LegendMark::Dashed } else { LegendMark::Line };
                let left_out = series.points.iter().filter(|p| !shows(p)).count();
                LegendEntry::new(series.color.unwrap_or(i), sample, &series.name, left_out)
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

/// Draws a section of a curve without gaps.
fn draw_run(frame: &mut Frame, places: &[[f64; 2]], series: &LineSeries) {
    if let [only] = places {
        frame::mark(&mut frame.svg, *only, LegendMark::Filled, &series.name);
        return;
    }
    let mut command = String::new();
    let mut last = [f64::NAN; 2];
    for (i, at) in places.iter().enumerate() {
        // Skips points within a fraction of a pixel: they enlarge the file and change nothing visible.
        let is_near = (at[0] - last[0]).abs() < 0.25 && (at[1] - last[1]).abs() < 0.25;
        if !is_near || i + 1 == places.len() {
            let letter = if i == 0 { 'M' } else { 'L' };
            command.push_str(&format!("{letter}{},{}", coordinate(at[0]), coordinate(at[1])));
            last = *at;
        }
    }
    frame.svg.path(&command, &frame::stroke(series.dashed), &series.name);
}
