//! The error of this crate.

use tinsmith_foundation::FoundationError;
use tinsmith_network::NetworkError;

/// Why a chart could not be drawn or a page not be saved.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// A list has another length than the labels beside it.
    #[error("chart `{chart}`: {what} has {got} values, want {want}, one for each {each}")]
    Length {
        /// The chart's title.
        chart: String,
        /// The list.
        what: String,
        /// How many values it has.
        got: usize,
        /// How many it should have.
        want: usize,
        /// What each value belongs to.
        each: &'static str,
    },
    /// A limit cannot be shown on its axis.
    #[error(
        "chart `{chart}`: the limit is {limit}, want a finite number{}",
        if *log { " above 0 (the axis is logarithmic)" } else { "" }
    )]
    Limit {
        /// The chart's title.
        chart: String,
        /// The limit.
        limit: f64,
        /// Whether the axis is logarithmic.
        log: bool,
    },
    /// A network and a cost do not belong together.
    #[error(
        "layer {index} is `{spec}` in the network and `{cost}` in its cost, want the cost of the same network"
    )]
    OtherCost {
        /// Number of the first layer in which they differ.
        index: usize,
        /// What the network has there.
        spec: String,
        /// What the cost has there.
        cost: String,
    },
    /// A network cannot be.
    #[error(transparent)]
    Spec(#[from] NetworkError),
    /// A page could not be written.
    #[error(transparent)]
    File(#[from] FoundationError),
}

/// A result whose error is [`ReportError`].
pub type Result<T, E = ReportError> = std::result::Result<T, E>;
