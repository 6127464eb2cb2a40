//! Scatter charts with a Pareto front and a limit.

use crate::error::{ReportError, Result};
use crate::frame::{self, BELOW, Frame, LegendEntry, LegendMark, WIDTH};
use crate::scale::{Axis, Scale};
use crate::svg::{SMALL, color, coordinate};
use crate::text::width;

/// Marker style of a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Marks {
    /// Discs.
    #[default]
    Filled,
    /// Circles, for points that do not count, such as candidates over a limit.
    Hollow,
    /// Stars, for points that stand out, such as the winner.
    Star,
}

/// A series of points.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ScatterSeries {
    /// Name in the legend.
    pub name: String,
    /// Points (x, y). Those that are not finite, or not above 0 on a logarithmic axis, are omitted and counted in the
    /// legend.
    pub points: Vec<(f64, f64)>,
    /// Marker style.
    pub marks: Marks,
}

/// A scatter chart.
///
/// ```
/// use tinsmith_report::{Axis, Marks, Scatter, ScatterSeries, Unit};
///
/// let chart = Scatter {
///     title: "Accuracy against flash".to_owned(),
///     x: Axis::log("flash").with_unit(Unit::Bytes),
///     y: Axis::linear("validation accuracy").with_unit(Unit::Percent),
///     series: vec![ScatterSeries {
///         name: "trials".to_owned(),
///         points: vec![(8192.0, 0.91), (16384.0, 0.95), (32768.0, 0.94)],
///         marks: Marks::Filled,
///     }],
///     front: Some(vec![(8192.0, 0.91), (16384.0, 0.95)]),
///     limit_x: Some(65536.0),
/// };
/// assert!(chart.to_svg()?.contains("64 KiB"));
/// # Ok::<(), tinsmith_report::ReportError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Scatter {
    /// Title.
    pub title: String,
    /// Horizontal axis.
    pub x: Axis,
    /// Vertical axis.
    pub y: Axis,
    /// Series of points.
    pub series: Vec<ScatterSeries>,
    /// Pareto front with a cost on the x axis. It is drawn as a staircase, since a larger budget reaches at least the same
    /// value.
    pub front: Option<Vec<(f64, f64)>>,
    /// Upper limit of x, drawn as a vertical line.
    pub limit_x: Option<f64>,
}

impl Scatter {
    /// Renders the chart as SVG.
    ///
    /// # Errors
    /// [`ReportError::Limit`] if the limit cannot be shown on the axis.
    pub fn to_svg(&self) -> Result<String> {
        if let Some(limit) = self.limit_x.filter(|&l| !self.x.shows(l)) {
            return Err(ReportError::Limit { chart: self.title.clone(), limit, log: self.x.log });
        }
        let series: Vec<Vec<(f64, f64)>> = self.series.iter().map(|s| self.shown(&s.points)).collect();
        let mut front = self.front.as_deref().map(|f| self.shown(f)).unwrap_or_default();
        front.sort_by(|a, b| a.0.total_cmp(&b.0));
        let entries = self.legend(&series, front.len());
        let points = || series.iter().flatten().chain(&front);
        let x = Scale::around(&self.x, points().map(|p| p.0).chain(self.limit_x));
        let y = Scale::around(&self.y, points().map(|p| p.1));
        let (Some(x), Some(y)) = (x, y) else { return Ok(frame::no_data(&self.title, &entries)) };
        let mut frame = Frame::new(WIDTH, &self.title, &entries, &self.y.label, &y);
        frame.horizontal(&self.x, &x);
        if let Some(limit) = self.limit_x {
            self.draw_limit(&mut frame, limit, &x);
        }
        draw_front(&mut frame, &front, &x, &y);
        for (i, (series, points)) in self.series.iter().zip(&series).enumerate() {
            frame.svg.open(&format!(r#"class="{}""#, color(i)));
            for point in points {
                let at = [frame.along(x.position(point.0)), frame.down(y.position(point.1))];
                frame::mark(&mut frame.svg, at, series.marks.into(), &self.tooltip(&series.name, *point));
            }
            frame.svg.close();
        }
        Ok(frame.finish(BELOW, &self.title))
    }

    fn shown(&self, points: &[(f64, f64)]) -> Vec<(f64, f64)> {
        points.iter().copied().filter(|p| self.x.shows(p.0) && self.y.shows(p.1)).collect()
    }

    fn legend(&self, shown: &[Vec<(f64, f64)>], front: usize) -> Vec<LegendEntry> {
        let mut entries: Vec<LegendEntry> = (0_usize..)
            .zip(self.series.iter().zip(shown))
            .map(|(i, (s, shown))| LegendEntry::new(i, s.marks.into(), &s.name, s.points.len() - shown.len()))
            .collect();
        if let Some(points) = self.front.as_ref().filter(|f| !f.is_empty()) {
            entries.push(LegendEntry::new(0, LegendMark::Front, "Pareto front", points.len() - front));
        }
        entries
    }

    fn tooltip(&self, name: &str, (x, y): (f64, f64)) -> String {
        let labelled = |axis: &Axis, value: f64| {
            let value = axis.unit.value(value);
            if axis.label.is_empty() { value } else { format!("{}: {value}", axis.label) }
        };
        let lines = [name.to_owned(), labelled(&self.x, x), labelled(&self.y, y)];
        lines.into_iter().filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
    }

    fn draw_limit(&self, frame: &mut Frame, limit: f64, x: &Scale) {
        let at = frame.along(x.position(limit));
        frame.svg.line([at, frame.top, at, frame.bottom], "limit");
        let text = format!("limit {}", self.x.unit.value(limit));
        // Placed on the side with enough room.
        let (class, place) = if at - frame.left > width(&text, SMALL) + 12.0 {
            ("limit-text end", at - 6.0)
        } else {
            ("limit-text", at + 6.0)
        };
        frame.svg.text([place, frame.bottom - 8.0], class, &text);
    }
}

fn draw_front(frame: &mut Frame, front: &[(f64, f64)], x: &Scale, y: &Scale) {
    let Some(first) = front.first() else { return };
    let start = [frame.along(x.position(first.0)), frame.down(y.position(first.1))];
    let mut command = format!("M{},{}", coordinate(start[0]), coordinate(start[1]));
    // Horizontal first: between two points the value of the cheaper one holds.
    for point in &front[1..] {
        let to = [frame.along(x.position(point.0)), frame.down(y.position(point.1))];
        command.push_str(&format!("H{}V{}", coordinate(to[0]), coordinate(to[1])));
    }
    command.push_str(&format!("H{}", coordinate(frame.right)));
    frame.svg.path(&command, r#"class="front""#, "");
}

impl From<Marks> for LegendMark {
    fn from(marks: Marks) -> Self {
        match marks {
            Marks::Filled => Self::Filled,
            Marks::Hollow => Self::Hollow,
            Marks::Star => Self::Star,
        }
    }
}
