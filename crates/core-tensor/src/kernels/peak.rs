//! What a core can do at most, to compare kernels with.

use super::dispatch::multiversion;

const LANES: usize = 16;
/// Chains of sums side by side: more than the latency of a fused multiply-add times the units that compute them.
const CHAINS: usize = 16;

/// Does multiply-adds on registers alone, fused where the processor can, and returns how many. Time it to learn the
/// peak of one core.
#[must_use]
pub fn multiply_adds(rounds: usize) -> usize {
    let (factor, sums) =
        (std::hint::black_box([1.0_f32; LANES]), std::hint::black_box([[0.0_f32; LANES]; CHAINS]));
    std::hint::black_box(chains(rounds, factor, sums));
    rounds * LANES * CHAINS
}

multiversion! {
    fn chains(rounds: usize, factor: [f32; LANES], sums: [[f32; LANES]; CHAINS]) -> f32 {
        let mut sums = sums;
        for _ in 0..rounds {
            for sum in &mut sums {
                for (s, f) in sum.iter_mut().zip(&factor) {
                    *s = if cfg!(target_arch = "x86_64") { s.mul_add(*f, *f) } else { *s * *f + *f };
                }
            }
        }
        sums.iter().flatten().sum()
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn they_are_counted() {
        assert_eq!(super::multiply_adds(10), 10 * 256);
    }
}
