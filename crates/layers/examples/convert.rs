//! Converts a Keras model to another of its formats, or its weights to safetensors or npz: `cargo run -p
//! tinsmith-layers --example convert -- model.keras model.h5`
#![expect(clippy::print_stdout, reason = "a command")]

use std::collections::BTreeMap;
use std::path::PathBuf;

use tinsmith_layers::{BuildOptions, keras};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut paths = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(from), Some(to)) = (paths.next(), paths.next()) else {
        return Err("want two files: a model of Keras, and what to write".into());
    };
    let model = keras::load(&from, &BuildOptions::default())?;
    model.save_weights(&to, &BTreeMap::new())?;
    println!("{}", model.summary()?);
    Ok(())
}
