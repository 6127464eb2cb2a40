//! Heat maps, such as a confusion matrix.

use crate::error::{ReportError, Result};
use crate::frame::{self, LEAST_WIDTH, WIDTH};
use crate::number::short;
use crate::svg::{SMALL, Svg, color, coordinate};
use crate::text::{shorten, width};

const LONGEST_LABEL: f64 = 110.0;

/// A heat map. The opacity of a cell is the square root of its magnitude relative to the largest one, so that a few
/// errors remain visible beside many hits. Negative values have another color.
///
/// ```
/// use tinsmith_report::Heatmap;
///
/// let confusion = Heatmap {
///     title: "Confusion matrix".to_owned(),
///     row_title: "truth".to_owned(),
///     column_title: "predicted".to_owned(),
///     rows: vec!["cat".to_owned(), "dog".to_owned()],
///     columns: vec!["cat".to_owned(), "dog".to_owned()],
///     values: vec![48.0, 2.0, 5.0, 45.0],
///     show_numbers: true,
/// };
/// assert!(confusion.to_svg()?.contains(">48<"));
/// # Ok::<(), tinsmith_report::ReportError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Heatmap {
    /// Title.
    pub title: String,
    /// Meaning of the rows, for example `truth`.
    pub row_title: String,
    /// Meaning of the columns, for example `predicted`.
    pub column_title: String,
    /// Row labels, from top to bottom.
    pub rows: Vec<String>,
    /// Column labels, from left to right.
    pub columns: Vec<String>,
    /// Values in row-major order. Non-finite values stay empty and are counted below the chart.
    pub values: Vec<f64>,
    /// Writes the numbers into cells that are large enough.
    pub show_numbers: bool,
}

impl Heatmap {
    /// Renders the chart as SVG.
    ///
    /// # Errors
    /// [`ReportError::Length`] if there is not one value per cell.
    pub fn to_svg(&self) -> Result<String> {
        let cells = self.rows.len().saturating_mul(self.columns.len());
        if self.values.len() != cells {
            return Err(ReportError::Length {
                chart: self.title.clone(),
                what: "the list of values".to_owned(),
                got: self.values.len(),
                want: cells,
                each: "cell",
            });
        }
        let finite = self.values.iter().filter(|v| v.is_finite()).count();
        if finite == 0 {
            return Ok(frame::no_data(&self.title, &[]));
        }
        let mut svg = Svg::default();
        let mut top = frame::header(&mut svg, WIDTH, &self.title, &[]);
        if !self.row_title.is_empty() || !self.column_title.is_empty() {
            top += 14.0;
            let text = format!("rows: {}, columns: {}", self.row_title, self.column_title);
            svg.text([14.0, top], "muted", &shorten(&text, SMALL, WIDTH - 28.0));
        }
        let widest = |labels: &[String]| {
            labels.iter().map(|l| width(l, SMALL)).fold(12.0, f64::max).min(LONGEST_LABEL)
        };
        let left = 14.0 + widest(&self.rows) + 8.0;
        let cell_width = ((WIDTH - 20.0 - left) / self.columns.len() as f64).clamp(4.0, 64.0);
        let cell_height = (cell_width * 0.75).clamp(cell_width.min(18.0), 44.0);
        let is_flat = self.columns.iter().all(|c| width(c, SMALL) + 4.0 <= cell_width);
        top += 12.0 + if is_flat { 16.0 } else { widest(&self.columns) * 0.71 + 12.0 };
        let grid = CellGrid { left, top, cell_width, cell_height };
        self.draw_labels(&mut svg, &grid, is_flat);
        self.draw_cells(&mut svg, &grid);
        let mut height = top + cell_height * self.rows.len() as f64 + 14.0;
        if finite < cells {
            height += 18.0;
            let missing = cells - finite;
            let are = if missing == 1 { "is" } else { "are" };
            let text = format!("{missing} of {cells} values {are} not finite and left out");
            svg.text([14.0, height - 10.0], "muted", &text);
        }
        // Slanted labels extend to the right of their columns.
        let lean = if is_flat { 0.0 } else { widest(&self.columns) * 0.71 };
        // Many columns widen the drawing; the page then scrolls it.
        let total = WIDTH.max(left + cell_width * self.columns.len() as f64 + lean + 14.0);
        Ok(svg.finish(total, height, LEAST_WIDTH, &self.title))
    }

    fn draw_labels(&self, svg: &mut Svg, grid: &CellGrid, is_flat: bool) {
        // If cells are smaller than text, only every n-th label fits.
        let every = |room: f64| (14.0 / room).ceil().max(1.0) as usize;
        for (i, label) in self.rows.iter().enumerate().step_by(every(grid.cell_height)) {
            let y = grid.top + (i as f64 + 0.5) * grid.cell_height + 4.0;
            svg.text([grid.left - 8.0, y], "end", &shorten(label, SMALL, LONGEST_LABEL));
        }
        for (k, label) in self.columns.iter().enumerate().step_by(every(grid.cell_width)) {
            let middle = grid.left + (k as f64 + 0.5) * grid.cell_width;
            let y = grid.top - 8.0;
            if is_flat {
                svg.text([middle, y], "middle", label);
            } else {
                let turn = format!(r#"transform="rotate(-45 {} {})""#, coordinate(middle), coordinate(y));
                svg.text_with([middle, y], &turn, &shorten(label, SMALL, LONGEST_LABEL), "");
            }
        }
    }

    fn draw_cells(&self, svg: &mut Svg, grid: &CellGrid) {
        let largest = self.values.iter().filter(|v| v.is_finite()).fold(0.0_f64, |m, v| m.max(v.abs()));
        for (row, (label, values)) in
            self.rows.iter().zip(self.values.chunks(self.columns.len().max(1))).enumerate()
        {
            for (column, (other, &value)) in self.columns.iter().zip(values).enumerate() {
                let x = grid.left + column as f64 * grid.cell_width;
                let y = grid.top + row as f64 * grid.cell_height;
                let strength =
                    if value.is_finite() && largest > 0.0 { (value.abs() / largest).sqrt() } else { 0.0 };
                let class = color(usize::from(value < 0.0));
                let fill = format!(
                    r#"class="cell {class}" fill="currentColor" fill-opacity="{}""#,
                    coordinate(strength)
                );
                let tooltip = format!(
                    "{} {label}\n{} {other}\n{}",
                    self.row_title,
                    self.column_title,
                    cell_text(value)
                );
                svg.rect([x, y, grid.cell_width, grid.cell_height], &fill, &tooltip);
                let number = cell_text(value);
                let fits = width(&number, SMALL) + 2.0 <= grid.cell_width && grid.cell_height >= 14.0;
                if self.show_numbers && fits {
                    let class = if strength > 0.6 { "on middle" } else { "middle" };
                    let at = [x + grid.cell_width / 2.0, y + grid.cell_height / 2.0 + 4.0];
                    svg.text_with(at, &format!(r#"class="{class}" pointer-events="none""#), &number, "");
                }
            }
        }
    }
}

/// Formats small counts exactly, other values with three significant digits.
fn cell_text(value: f64) -> String {
    if !value.is_finite() {
        "–".to_owned()
    } else if value.fract() == 0.0 && value.abs() < 1e5 {
        // Adding 0 turns -0 into 0.
        format!("{}", value + 0.0)
    } else {
        short(value)
    }
}

struct CellGrid {
    left: f64,
    top: f64,
    cell_width: f64,
    cell_height: f64,
}
