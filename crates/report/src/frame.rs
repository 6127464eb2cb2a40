//! Frame of a chart: title, legend, axes and grid.

use crate::scale::{Axis, Scale, Tick};
use crate::svg::{SMALL, Svg, color, coordinate};
use crate::text::{shorten, width};

/// Width of charts.
pub(crate) const WIDTH: f64 = 560.0;
/// Width down to which charts are scaled; below it they scroll.
pub(crate) const LEAST_WIDTH: f64 = 420.0;
const MARGIN: f64 = 14.0;
const PLOT_HEIGHT: f64 = 270.0;

/// Mark of a series in the legend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LegendMark {
    Filled,
    Hollow,
    Star,
    Line,
    Dashed,
    Square,
    /// Line of a Pareto front, which has no series color.
    Front,
}

/// An entry of the legend.
#[derive(Debug, Clone)]
pub(crate) struct LegendEntry {
    /// Index of the series, which determines its color.
    pub(crate) series: usize,
    pub(crate) mark: LegendMark,
    pub(crate) name: String,
}

impl LegendEntry {
    /// Creates an entry that reports the number of omitted values.
    pub(crate) fn new(series: usize, mark: LegendMark, name: &str, left_out: usize) -> Self {
        let name = match left_out {
            0 => name.to_owned(),
            n => format!("{name} ({n} left out)").trim_start().to_owned(),
        };
        Self { series, mark, name }
    }
}

/// Draws title and legend and returns the y coordinate below them.
pub(crate) fn header(svg: &mut Svg, total: f64, title: &str, entries: &[LegendEntry]) -> f64 {
    let mut y = MARGIN;
    if !title.is_empty() {
        y = 28.0;
        let short = shorten(title, 16.5, total - 2.0 * MARGIN);
        let tooltip = if short == title { "" } else { title };
        svg.text_with([MARGIN, y], r#"class="title""#, &short, tooltip);
        y += 8.0;
    }
    let entries: Vec<&LegendEntry> = entries.iter().filter(|e| !e.name.is_empty()).collect();
    let mut x = MARGIN;
    for (i, entry) in entries.iter().enumerate() {
        let name = shorten(&entry.name, SMALL, total - 2.0 * MARGIN - 24.0);
        let room = 24.0 + width(&name, SMALL);
        if i == 0 {
            y += 18.0;
        } else if x + room > total - MARGIN {
            x = MARGIN;
            y += 20.0;
        }
        let tooltip = if name == entry.name { "" } else { entry.name.as_str() };
        legend_mark(svg, [x + 9.0, y - 4.0], entry);
        svg.text_with([x + 24.0, y], "", &name, tooltip);
        x += room + 18.0;
    }
    y + 8.0
}

fn legend_mark(svg: &mut Svg, at: [f64; 2], entry: &LegendEntry) {
    let [x, y] = at;
    svg.open(&format!(r#"class="{}""#, color(entry.series)));
    match entry.mark {
        LegendMark::Filled | LegendMark::Hollow | LegendMark::Star => mark(svg, at, entry.mark, ""),
        LegendMark::Square => svg.rect([x - 5.0, y - 5.0, 10.0, 10.0], r#"rx="2" fill="currentColor""#, ""),
        LegendMark::Front => svg.line([x - 9.0, y, x + 9.0, y], "front"),
        LegendMark::Line | LegendMark::Dashed => {
            let command = format!("M{},{}H{}", coordinate(x - 9.0), coordinate(y), coordinate(x + 9.0));
            svg.path(&command, &stroke(entry.mark == LegendMark::Dashed), "");
        }
    }
    svg.close();
}

/// Returns the attributes of a line in the color of its group.
pub(crate) fn stroke(dashed: bool) -> String {
    let dash = if dashed { r#" stroke-dasharray="5 4""# } else { "" };
    format!(r#"fill="none" stroke="currentColor" stroke-width="2" stroke-linejoin="round"{dash}"#)
}

/// Draws a point in the color of its group.
pub(crate) fn mark(svg: &mut Svg, [x, y]: [f64; 2], sample: LegendMark, tooltip: &str) {
    match sample {
        LegendMark::Star => {
            let mut command = String::new();
            for corner in 0..10 {
                let radius = if corner % 2 == 0 { 9.0 } else { 3.8 };
                let angle = std::f64::consts::PI * (f64::from(corner) / 5.0 - 0.5);
                let letter = if corner == 0 { 'M' } else { 'L' };
                let (dx, dy) = (radius * angle.cos(), radius * angle.sin());
                command.push_str(&format!("{letter}{},{}", coordinate(x + dx), coordinate(y + dy)));
            }
            command.push('Z');
            svg.path(&command, r#"fill="currentColor""#, tooltip);
        }
        LegendMark::Hollow => {
            svg.circle(
                [x, y],
                3.5,
                r#"fill="none" pointer-events="all" stroke="currentColor" stroke-width="1.5""#,
                tooltip,
            );
        }
        _ => svg.circle([x, y], 4.0, r#"fill="currentColor" fill-opacity=".75""#, tooltip),
    }
}

/// Returns a chart with title and legend but without data.
pub(crate) fn no_data(title: &str, entries: &[LegendEntry]) -> String {
    let mut svg = Svg::default();
    let top = header(&mut svg, WIDTH, title, entries);
    let height = top + 160.0;
    svg.text([WIDTH / 2.0, top + 70.0], "muted middle", "no data");
    svg.finish(WIDTH, height, LEAST_WIDTH, &format!("{title}: no data"))
}

/// Plot area of a chart.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) svg: Svg,
    pub(crate) left: f64,
    pub(crate) right: f64,
    pub(crate) top: f64,
    pub(crate) bottom: f64,
    total: f64,
}

impl Frame {
    /// Draws title, legend, and the vertical axis with its grid.
    pub(crate) fn new(total: f64, title: &str, entries: &[LegendEntry], label: &str, y: &Scale) -> Self {
        let mut svg = Svg::default();
        let mut top = header(&mut svg, total, title, entries);
        if !label.is_empty() {
            top += 14.0;
            svg.text([MARGIN, top], "muted", &shorten(label, SMALL, total - 2.0 * MARGIN));
        }
        top += 12.0;
        let ticks = y.ticks(8);
        let widest = ticks.iter().map(|t| width(&t.1, SMALL)).fold(24.0, f64::max);
        let left = MARGIN + widest + 6.0;
        let mut frame =
            Self { svg, left, right: total - MARGIN - 6.0, top, bottom: top + PLOT_HEIGHT, total };
        for (position, text) in ticks {
            let at = frame.down(position);
            frame.svg.line([frame.left, at, frame.right, at], "grid");
            frame.svg.text([frame.left - 7.0, at + 4.0], "muted end", &text);
        }
        frame
    }

    /// Draws a numeric horizontal axis with its grid.
    pub(crate) fn horizontal(&mut self, axis: &Axis, x: &Scale) {
        for (position, text) in self.spaced_ticks(x) {
            let at = self.along(position);
            self.svg.line([at, self.top, at, self.bottom + 4.0], "grid");
            // Keeps the outermost labels inside the drawing.
            let half = width(&text, SMALL) / 2.0;
            let middle = at.clamp(half, (self.total - half).max(half));
            self.svg.text([middle, self.bottom + 18.0], "muted middle", &text);
        }
        self.base_line();
        let middle = f64::midpoint(self.left, self.right);
        let label = shorten(&axis.label, SMALL, self.right - self.left);
        self.svg.text([middle, self.bottom + 38.0], "muted middle", &label);
    }

    /// Returns as many ticks as fit without overlapping labels.
    fn spaced_ticks(&self, x: &Scale) -> Vec<Tick> {
        let room = self.right - self.left;
        let mut most = 10;
        loop {
            let ticks = x.ticks(most);
            let is_free = ticks.windows(2).all(|two| {
                let apart = (two[1].0 - two[0].0) * room;
                apart > width(&two[0].1, SMALL) / 2.0 + width(&two[1].1, SMALL) / 2.0 + 10.0
            });
            if is_free || most <= 2 {
                return ticks;
            }
            most -= 1;
        }
    }

    pub(crate) fn base_line(&mut self) {
        self.svg.line([self.left, self.bottom, self.right, self.bottom], "axis");
    }

    /// Returns the x coordinate of a position in 0..=1.
    pub(crate) fn along(&self, position: f64) -> f64 {
        self.left + position * (self.right - self.left)
    }

    /// Returns the y coordinate of a position in 0..=1.
    pub(crate) fn down(&self, position: f64) -> f64 {
        self.bottom - position * (self.bottom - self.top)
    }

    /// Returns the drawing with `below` pixels under the base line.
    pub(crate) fn finish(self, below: f64, label: &str) -> String {
        let least = if self.total > WIDTH { self.total * 0.7 } else { LEAST_WIDTH };
        self.svg.finish(self.total, self.bottom + below, least, label)
    }
}

/// Height under the base line for tick labels and the axis label.
pub(crate) const BELOW: f64 = 50.0;
