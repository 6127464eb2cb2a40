//! Charts as SVG and self-contained HTML pages of studies, runs and networks.

mod bars;
mod error;
mod frame;
mod heatmap;
mod lines;
mod network;
pub mod number;
mod page;
mod scale;
mod scatter;
mod study;
mod svg;
mod text;

pub use bars::Bars;
pub use error::{ReportError, Result};
pub use heatmap::Heatmap;
pub use lines::{LineSeries, Lines};
pub use network::NetworkDrawing;
pub use number::Unit;
pub use page::{Page, Table};
pub use scale::Axis;
pub use scatter::{Marks, Scatter, ScatterSeries};
pub use study::pareto_scatter;
