//! Contact sheets: the first samples of every class in one picture.

use std::fmt::Write;

use crate::dataset::Dataset;

/// Side of one sample's cell; the gap between cells; the width for class names.
const CELL: f64 = 64.0;
const GAP: f64 = 6.0;
const NAMES: f64 = 120.0;
/// Number of shades.
const SHADES: f32 = 15.0;
/// Line colors for the channels of a series: the palette of Okabe and Ito, suitable for color-blind readers.
const COLORS: [&str; 6] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];

impl Dataset {
    /// Draws the first `columns` samples of each class as an SVG document, one row per class (one row without classes):
    /// images in shades of gray or in color, series as one line per channel, table rows as a strip. Values are scaled by the
    /// smallest and the largest of the samples shown.
    #[must_use]
    pub fn contact_sheet(&self, columns: usize) -> String {
        let mut rows: Vec<(String, Vec<usize>)> = Vec::new();
        for (class, mut members) in self.strata().into_iter().enumerate() {
            members.truncate(columns);
            rows.push((self.class_names().get(class).cloned().unwrap_or_default(), members));
        }
        let shown =
            || rows.iter().flat_map(|(_, members)| members).flat_map(|&row| self.sample(row)).copied();
        let low = shown().fold(f32::INFINITY, f32::min);
        let high = shown().fold(f32::NEG_INFINITY, f32::max);
        let scale = Scale { low, width: if high > low { high - low } else { 1.0 } };
        let (width, height) = (NAMES + columns as f64 * (CELL + GAP), rows.len() as f64 * (CELL + GAP) + GAP);
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"13\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n"
        );
        for (line, (name, members)) in rows.iter().enumerate() {
            let top = GAP + line as f64 * (CELL + GAP);
            let (x, y) = (NAMES - 10.0, top + CELL / 2.0 + 4.0);
            push(
                &mut svg,
                format_args!("<text x=\"{x}\" y=\"{y}\" text-anchor=\"end\">{}</text>\n", escaped(name)),
            );
            for (column, &row) in members.iter().enumerate() {
                let left = NAMES + column as f64 * (CELL + GAP);
                push(&mut svg, format_args!("<g transform=\"translate({left} {top})\">"));
                push(&mut svg, format_args!("<rect width=\"{CELL}\" height=\"{CELL}\" fill=\"#f2f2f2\"/>"));
                match *self.sample_shape() {
                    [h, w, c] => picture(&mut svg, self.sample(row), h, w, c, scale),
                    [_, c] => lines(&mut svg, self.sample(row), c, scale),
                    _ => picture(&mut svg, self.sample(row), 1, self.sample_size(), 1, scale),
                }
                svg.push_str("</g>\n");
            }
        }
        svg.push_str("</svg>\n");
        svg
    }
}

/// Linear map from values to shades.
#[derive(Debug, Clone, Copy)]
struct Scale {
    low: f32,
    width: f32,
}

impl Scale {
    fn unit(self, x: f32) -> f32 {
        ((x - self.low) / self.width).clamp(0.0, 1.0)
    }

    fn shade(self, x: f32) -> u8 {
        (self.unit(x) * SHADES).round() as u8
    }
}

/// Draws an image; adjacent pixels of one color in a line become one rectangle.
fn picture(svg: &mut String, sample: &[f32], height: usize, width: usize, channels: usize, scale: Scale) {
    let (w, h) = (CELL / width as f64, CELL / height as f64);
    push(svg, format_args!("<g transform=\"scale({w:.4} {h:.4})\" shape-rendering=\"crispEdges\">"));
    let color = |row: usize, column: usize| {
        let at = (row * width + column) * channels;
        let shade = |channel: usize| scale.shade(sample[at + channel]);
        if channels >= 3 { [shade(0), shade(1), shade(2)] } else { [shade(0); 3] }
    };
    for row in 0..height {
        let mut column = 0;
        while column < width {
            let here = color(row, column);
            let run = (column..width).take_while(|&c| color(row, c) == here).count();
            let [r, g, b] = here;
            push(
                svg,
                format_args!(
                    "<rect x=\"{column}\" y=\"{row}\" width=\"{run}\" height=\"1\" fill=\"#{r:x}{g:x}{b:x}\"/>"
                ),
            );
            column += run;
        }
    }
    svg.push_str("</g>");
}

fn lines(svg: &mut String, sample: &[f32], channels: usize, scale: Scale) {
    let steps = sample.len() / channels;
    for channel in 0..channels {
        let color = COLORS[channel % COLORS.len()];
        push(svg, format_args!("<polyline fill=\"none\" stroke=\"{color}\" points=\""));
        for step in 0..steps {
            let x = CELL * step as f64 / (steps.max(2) - 1) as f64;
            let y = CELL * (1.0 - f64::from(scale.unit(sample[step * channels + channel])));
            push(svg, format_args!("{x:.1},{y:.1} "));
        }
        svg.push_str("\"/>");
    }
}

fn push(svg: &mut String, text: std::fmt::Arguments<'_>) {
    svg.write_fmt(text).expect("invariant: writing to a string succeeds");
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
