//! Integration tests of the layers.
#![expect(clippy::panic, clippy::print_stdout, reason = "a test says what is wrong and what it covered")]

mod build;
mod candle_module;
mod data;
mod degenerate;
mod fold;
mod generated;
mod golden_layers;
mod golden_models;
mod golden_training;
mod gradients;
mod hostile;
mod inherit;
mod keras;
mod learned;
mod plan;
mod plan_description;
mod rescaling;
mod weights;
