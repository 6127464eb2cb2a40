//! Errors of this crate.

use tinsmith_foundation::FoundationError;
use tinsmith_network::NetworkError;

/// Failure to draw a chart or save a page.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// A list and its labels differ in length.
    #[error("chart `{chart}`: {what} has {got} values, want {want}, one per {each}")]
    Length {
        /// Title of the chart.
        chart: String,
        /// Name of the list.
        what: String,
        /// Number of values.
        got: usize,
        /// Expected number of values.
        want: usize,
        /// Item that each value belongs to.
        each: &'static str,
    },
    /// A limit cannot be shown on its axis.
    #[error(
        "chart `{chart}`: the limit is {limit}, want a finite number{}",
        if *log { " above 0 (the axis is logarithmic)" } else { "" }
    )]
    Limit {
        /// Title of the chart.
        chart: String,
        /// The limit.
        limit: f64,
        /// Set for a logarithmic axis.
        log: bool,
    },
    /// The cost belongs to another network.
    #[error(
        "layer {index} is `{spec}` in the network and `{cost}` in its cost, want the cost of the same network"
    )]
    OtherCost {
        /// Index of the first layer that differs.
        index: usize,
        /// Layer of the network.
        spec: String,
        /// Layer of the cost.
        cost: String,
    },
    /// The network is invalid.
    #[error(transparent)]
    Spec(#[from] NetworkError),
    /// Writing the page failed.
    #[error(transparent)]
    File(#[from] FoundationError),
}

/// Result with [`ReportError`] as its error.
pub type Result<T, E = ReportError> = std::result::Result<T, E>;
