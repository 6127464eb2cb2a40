//! Bar charts, such as flash by layer.

use crate::error::{ReportError, Result};
use crate::frame::{self, Frame, LegendEntry, LegendMark, WIDTH};
use crate::number::Unit;
use crate::scale::Scale;
use crate::svg::{SMALL, color, coordinate};
use crate::text::{shorten, width};

/// Minimum width of a category with a slanted label.
const NARROWEST: f64 = 16.0;
const LONGEST_LABEL: f64 = 120.0;

/// A bar chart with one group or one stack of bars per category.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Bars {
    /// Title.
    pub title: String,
    /// Label of the values.
    pub y_label: String,
    /// Unit of the values.
    pub y_unit: Unit,
    /// Categories, from left to right.
    pub categories: Vec<String>,
    /// Names and values, one per category. Non-finite values are omitted and counted in the legend.
    pub series: Vec<(String, Vec<f64>)>,
    /// Stacks the series instead of placing them side by side; negative values stack downwards from 0.
    pub stacked: bool,
}

impl Bars {
    /// Renders the chart as SVG. Its width grows with the number of categories.
    ///
    /// # Errors
    /// [`ReportError::Length`] if a series does not have one value per category.
    pub fn to_svg(&self) -> Result<String> {
        let categories = self.categories.len();
        if let Some((name, values)) = self.series.iter().find(|(_, values)| values.len() != categories) {
            return Err(ReportError::Length {
                chart: self.title.clone(),
                what: format!("series `{name}`"),
                got: values.len(),
                want: categories,
                each: "category",
            });
        }
        let entries: Vec<LegendEntry> = (0..)
            .zip(&self.series)
            .map(|(i, (name, values))| {
                let left_out = values.iter().filter(|v| !v.is_finite()).count();
                // A single series needs a legend only to report omitted values.
                let name = if self.series.len() == 1 && left_out == 0 { "" } else { name };
                LegendEntry::new(i, LegendMark::Square, name, left_out)
            })
            .collect();
        if !self.series.iter().flat_map(|s| &s.1).any(|v| v.is_finite()) {
            return Ok(frame::no_data(&self.title, &entries));
        }
        let ends = self.ends();
        let scale = Scale::from_zero(self.y_unit, ends.iter().flatten().flat_map(|&(from, to)| [from, to]));
        let total = WIDTH.max(90.0 + NARROWEST * categories as f64);
        let mut frame = Frame::new(total, &self.title, &entries, &self.y_label, &scale);
        let zero = frame.down(scale.position(0.0));
        let room = (frame.right - frame.left) / categories as f64;
        let gap = room * 0.2;
        let width = if self.stacked { room - gap } else { (room - gap) / self.series.len() as f64 };
        // Caps the width of bars in charts of few categories.
        let width = width.min(72.0);
        for (i, ((name, values), ends)) in self.series.iter().zip(&ends).enumerate() {
            frame.svg.open(&format!(r#"class="{}" fill="currentColor""#, color(i)));
            let shift = if self.stacked { -0.5 } else { i as f64 - self.series.len() as f64 / 2.0 };
            for (k, (value, &(from, to))) in
                values.iter().zip(ends).enumerate().filter(|(_, v)| v.0.is_finite())
            {
                let left = frame.left + (k as f64 + 0.5) * room + shift * width;
                let (a, b) = (frame.down(scale.position(from)), frame.down(scale.position(to)));
                let tooltip = format!("{}\n{name}: {}", self.categories[k], self.y_unit.value(*value));
                let inset = if width > 6.0 { 0.5 } else { 0.0 };
                frame.svg.rect([left + inset, a.min(b), width - 2.0 * inset, (a - b).abs()], "", &tooltip);
            }
            frame.svg.close();
        }
        frame.svg.line([frame.left, zero, frame.right, zero], "axis");
        let below = self.draw_labels(&mut frame, room);
        Ok(frame.finish(below, &self.title))
    }

    /// Returns the start and end value of each bar.
    fn ends(&self) -> Vec<Vec<(f64, f64)>> {
        let mut up = vec![0.0_f64; self.categories.len()];
        let mut down = up.clone();
        let mut all = Vec::with_capacity(self.series.len());
        for (_, values) in &self.series {
            let ends = values.iter().enumerate().map(|(k, &value)| {
                let value = if value.is_finite() { value } else { 0.0 };
                if !self.stacked {
                    return (0.0, value);
                }
                let base = if value < 0.0 { &mut down[k] } else { &mut up[k] };
                let from = *base;
                *base = (from + value).clamp(f64::MIN, f64::MAX);
                (from, *base)
            });
            all.push(ends.collect());
        }
        all
    }

    /// Draws the category names, slanted if they do not fit side by side, and returns the height they take.
    fn draw_labels(&self, frame: &mut Frame, room: f64) -> f64 {
        let widest = self.categories.iter().map(|c| width(c, SMALL)).fold(0.0, f64::max);
        let is_flat = widest + 8.0 <= room;
        for (k, category) in self.categories.iter().enumerate() {
            let middle = frame.left + (k as f64 + 0.5) * room;
            if is_flat {
                frame.svg.text([middle, frame.bottom + 18.0], "middle", category);
                continue;
            }
            let (x, y) = (middle + 4.0, frame.bottom + 14.0);
            let short = shorten(category, SMALL, LONGEST_LABEL);
            let turn = format!(r#"class="end" transform="rotate(-45 {} {})""#, coordinate(x), coordinate(y));
            let tooltip = if short == *category { "" } else { category.as_str() };
            frame.svg.text_with([x, y], &turn, &short, tooltip);
        }
        if is_flat { 32.0 } else { 26.0 + widest.min(LONGEST_LABEL) * 0.71 }
    }
}
