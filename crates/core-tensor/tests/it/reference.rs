//! Seeded inputs, comparisons, and a run for every instruction set.

use tinsmith_core_tensor::{Device, Tensor};
use tinsmith_foundation::Seed;
use tinsmith_kernels::dispatch::InstructionSet;

/// Standard normal values that depend on the seed only.
pub(crate) fn normal(seed: u64, count: usize) -> Vec<f32> {
    let mut rng = Seed::new(seed).rng();
    (0..count).map(|_| rng.normal() as f32).collect()
}

pub(crate) fn normal_tensor(seed: u64, dims: &[usize]) -> Tensor {
    Tensor::from_vec(normal(seed, dims.iter().product()), dims, &Device::Cpu).unwrap()
}

pub(crate) fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// Asserts that `got` equals `want` within `tolerance`, relative to the largest value.
#[track_caller]
pub(crate) fn assert_close(what: &str, got: &[f32], want: &[f64], tolerance: f64) {
    assert_eq!(got.len(), want.len(), "{what}: lengths");
    let scale = want.iter().fold(1.0_f64, |a, b| a.max(b.abs()));
    for (i, (g, w)) in got.iter().zip(want).enumerate() {
        assert!((f64::from(*g) - w).abs() <= tolerance * scale, "{what}[{i}]: {g} for {w}");
    }
}

/// Runs `body` once per instruction set of this processor.
pub(crate) fn on_every_path(mut body: impl FnMut(InstructionSet)) {
    for set in [InstructionSet::Portable, InstructionSet::Avx2, InstructionSet::Avx512] {
        if set <= InstructionSet::detect() {
            set.limit(|| body(set));
        }
    }
}
