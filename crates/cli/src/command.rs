//! The subcommands, one file each.

pub(crate) mod data;
pub(crate) mod design;
pub(crate) mod evaluate;
pub(crate) mod fleet;
pub(crate) mod generate;
pub(crate) mod predict;
pub(crate) mod prune;
pub(crate) mod quantize;
pub(crate) mod schema;
pub(crate) mod search;
pub(crate) mod show;
pub(crate) mod train;
