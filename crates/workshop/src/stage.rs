//! The stages of a design, one file each: what they take, what they leave.

pub(crate) mod generate;
pub(crate) mod prune;
pub(crate) mod quantize;
pub(crate) mod search;
pub(crate) mod ship;
pub(crate) mod train;
