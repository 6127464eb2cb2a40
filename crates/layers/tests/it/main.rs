//! Integration tests of the layers.

mod build;
mod data;
mod fold;
mod golden_layers;
mod golden_models;
mod golden_training;
mod gradients;
mod inherit;
mod weights;
