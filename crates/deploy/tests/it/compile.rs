//! Exported C, compiled and run.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use candle_core::{Device, Tensor};
use tinsmith_deploy::CSources;
use tinsmith_foundation::Seed;
use tinsmith_layers::{Mode, Model};

/// Returns true if there is a C compiler; prints a note if not.
pub(crate) fn has_compiler() -> bool {
    let found = Command::new("cc").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    let found = found.is_ok_and(|status| status.success());
    if !found {
        println!("skipped: there is no C compiler called cc");
    }
    found
}

const MAIN: &str = r#"
#include <stdio.h>
#include "network.h"

int main(void)
{
    static float input[NETWORK_INPUT_SIZE];
    static float output[NETWORK_OUTPUT_SIZE];
    while (fread(input, sizeof input, 1, stdin) == 1) {
        network_run(input, output);
        if (fwrite(output, sizeof output, 1, stdout) != 1) {
            return 1;
        }
    }
    return 0;
}
"#;

fn cc(folder: &Path, arguments: &[&str]) {
    let mut command = Command::new("cc");
    command
        .current_dir(folder)
        .args(["-std=c99", "-Wall", "-Wextra", "-pedantic", "-Werror"])
        .args(arguments);
    let done = command.output().expect("a compiler that runs");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

/// Compiles `sources` with warnings as errors and runs them on samples that lie end to end.
pub(crate) fn run(sources: &CSources, inputs: &[f32]) -> Vec<f32> {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in &sources.files {
        std::fs::write(folder.path().join(name), text).expect("a written file");
    }
    std::fs::write(folder.path().join("main.c"), MAIN).expect("a written file");
    let sanitize = ["-O2", "-fsanitize=undefined,address", "-fno-sanitize-recover=all"];
    cc(folder.path(), &[&sanitize[..1], &["network.c", "main.c", "-o", "main", "-lm"]].concat());
    let output = pipe(&folder.path().join("main"), inputs);
    if std::env::var_os("RUN_SLOW_TESTS").is_some() {
        cc(folder.path(), &[&sanitize[..], &["network.c", "main.c", "-o", "checked", "-lm"]].concat());
        assert_eq!(pipe(&folder.path().join("checked"), inputs), output);
    }
    output
}

fn pipe(program: &Path, inputs: &[f32]) -> Vec<f32> {
    let mut child = Command::new(program)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a program that starts");
    let bytes: Vec<u8> = inputs.iter().flat_map(|v| v.to_ne_bytes()).collect();
    let mut stdin = child.stdin.take().expect("its input");
    let writer = std::thread::spawn(move || stdin.write_all(&bytes));
    let done = child.wait_with_output().expect("a program that ends");
    writer.join().expect("a writer").expect("bytes that are read");
    assert!(done.status.success());
    let words = done.stdout.chunks_exact(4);
    words.map(|b| f32::from_ne_bytes([b[0], b[1], b[2], b[3]])).collect()
}

/// Returns normally distributed inputs of a network, `samples` of them.
pub(crate) fn inputs(model: &Model, samples: usize, seed: u64) -> Tensor {
    let graph = model.graph();
    let mut shape = vec![samples];
    shape.extend_from_slice(graph.shape(graph.inputs[0]));
    let mut rng = Seed::new(seed).derive("inputs", 0).rng();
    let count = shape.iter().product();
    let values: Vec<f32> = (0..count).map(|_| rng.normal() as f32).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).expect("values of their shape")
}

pub(crate) fn values(x: &Tensor) -> Vec<f32> {
    x.flatten_all().and_then(|x| x.to_vec1()).expect("floats")
}

/// Returns the outputs of the model itself.
pub(crate) fn expected(model: &Model, x: &Tensor) -> Vec<f32> {
    values(&model.forward(x, Mode::Infer).unwrap_or_else(|e| panic!("{e}")))
}

/// Returns the fraction of equal values and the largest difference.
pub(crate) fn compare(got: &[f32], want: &[f32]) -> (f64, f32) {
    assert_eq!(got.len(), want.len());
    let equal = got.iter().zip(want).filter(|(a, b)| a == b).count();
    let largest = got.iter().zip(want).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    (equal as f64 / want.len() as f64, largest)
}
