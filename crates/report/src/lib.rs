//! SVG charts and self-contained HTML pages of studies, runs and networks: plain data in, strings out.
//!
//! Use it for result pages of a search, figures of a paper, or drawings of a network. A page is one file without scripts,
//! fonts or network access. It is legible on light and dark backgrounds, on paper and on phones. The same data give the
//! same bytes.
//!
//! ```
//! use tinsmith_report::{Axis, LineSeries, Lines, NetworkDrawing, Page, Table, Unit};
//! use tinsmith_cost::{Cost, Target};
//! use tinsmith_network::ModelSpec;
//!
//! let spec = ModelSpec::parse(
//!     "layers:
//!        - {name: x, input: {shape: [16, 16, 1]}}
//!        - {name: c1, conv2d: {filters: 8, kernel: 3, activation: relu}}
//!        - {name: f, flatten: {}}
//!        - {name: d, dense: {units: 4, activation: softmax}}",
//!     "example",
//! )?;
//! let cost = Cost::of(&spec, &Target::builtin("mcu-int8").expect("it is built in"))?;
//! let learning = Lines {
//!     title: "Learning curve".to_owned(),
//!     x: Axis::linear("epoch"),
//!     y: Axis::linear("accuracy").with_unit(Unit::Percent),
//!     series: vec![LineSeries {
//!         name: "validation".to_owned(),
//!         points: vec![(1.0, 0.71), (2.0, 0.88), (3.0, 0.93)],
//!         ..LineSeries::default()
//!     }],
//! };
//!
//! let mut page = Page::new("Gestures", "on a wrist, in 64 KiB");
//! page.heading("Result").table(&Table {
//!     header: vec!["measure".to_owned(), "value".to_owned()],
//!     rows: vec![vec!["parameters".to_owned(), cost.total.params.to_string()]],
//!     caption: "The winner".to_owned(),
//! });
//! page.chart_row([
//!     ("Learning curve.", learning.to_svg()?),
//!     ("Network.", NetworkDrawing::new("The winner", &spec, &cost).to_svg()?),
//! ]);
//! page.details("Specification", &spec.to_yaml()?);
//! let html = page.to_html(); // or `page.save(path)`
//! assert!(html.starts_with("<!DOCTYPE html>") && html.contains("93"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | item | purpose |
//! | --- | --- |
//! | [`Scatter`], [`pareto_scatter`] | points, a Pareto front, a limit; from plain data or from the trials of a study |
//! | [`Lines`] | curves, such as accuracy over epochs |
//! | [`Bars`] | values by category, such as flash by layer; grouped or stacked |
//! | [`Heatmap`] | a matrix, such as a confusion matrix |
//! | [`NetworkDrawing`] | a network with the cost of each layer |
//! | [`Page`], [`Table`] | one HTML page with all of these |
//! | [`number`] | numbers formatted for people: `1.23k`, `64 KiB`, `98.8%` |
//!
//! Values that cannot be shown (non-finite ones, and those not above 0 on a logarithmic axis) are omitted and counted in
//! the legend. A chart without data says "no data".

#![forbid(unsafe_code)]

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

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
