//! Admissible sizes on a grid within bounds.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tinsmith_foundation::Rng;

/// Grid of admissible sizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SizeGrid {
    /// Powers of two.
    #[default]
    PowersOfTwo,
    /// Multiples of the given number.
    MultiplesOf(usize),
}

/// Distribution over the admissible sizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SizeLaw {
    /// All sizes equally likely.
    #[default]
    Uniform,
    /// Probability proportional to `1 / size`, which favors small sizes.
    LogUniform,
}

/// Admissible sizes between two bounds: `unit * k` or `2^k` for k in `low..=high`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sizes {
    grid: SizeGrid,
    law: SizeLaw,
    low: usize,
    high: usize,
}

impl Sizes {
    /// Returns the sizes of `grid` in `lb..=ub`, or `None` if there are none.
    pub(crate) fn new(grid: SizeGrid, law: SizeLaw, lb: usize, ub: usize) -> Option<Self> {
        if lb == 0 || ub < lb {
            return None;
        }
        let (low, high) = match grid {
            SizeGrid::PowersOfTwo => (lb.checked_next_power_of_two()?.ilog2() as usize, ub.ilog2() as usize),
            SizeGrid::MultiplesOf(0) => return None,
            SizeGrid::MultiplesOf(unit) => (lb.div_ceil(unit), ub / unit),
        };
        (low <= high).then_some(Self { grid, law, low, high })
    }

    fn value(self, k: usize) -> usize {
        match self.grid {
            SizeGrid::PowersOfTwo => 1 << k,
            SizeGrid::MultiplesOf(unit) => unit * k,
        }
    }

    /// Reports if `size` is admissible.
    pub(crate) fn contains(self, size: usize) -> bool {
        let (on_grid, k) = match self.grid {
            SizeGrid::PowersOfTwo => (size.is_power_of_two(), size.max(1).ilog2() as usize),
            SizeGrid::MultiplesOf(unit) => (size.is_multiple_of(unit), size / unit),
        };
        on_grid && (self.low..=self.high).contains(&k)
    }

    /// Iterates over all sizes, ascending.
    pub(crate) fn all(self) -> impl Iterator<Item = usize> {
        (self.low..=self.high).map(move |k| self.value(k))
    }

    pub(crate) fn draw(self, rng: &mut Rng) -> usize {
        match self.law {
            SizeLaw::Uniform => self.value(self.low + rng.index(self.high - self.low + 1)),
            SizeLaw::LogUniform => {
                let total: f64 = self.all().map(|size| 1.0 / size as f64).sum();
                let mut left = rng.uniform() * total;
                for size in self.all() {
                    left -= 1.0 / size as f64;
                    if left < 0.0 {
                        return size;
                    }
                }
                // Rounding may leave a tiny positive rest.
                self.value(self.high)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tinsmith_foundation::Seed;

    #[test]
    fn grids_lie_within_their_bounds() {
        let sizes =
            |grid, lb, ub| Sizes::new(grid, SizeLaw::Uniform, lb, ub).map(|s| s.all().collect::<Vec<_>>());
        assert_eq!(sizes(SizeGrid::PowersOfTwo, 3, 64), Some(vec![4, 8, 16, 32, 64]));
        assert_eq!(sizes(SizeGrid::PowersOfTwo, 30, 150), Some(vec![32, 64, 128]));
        assert_eq!(sizes(SizeGrid::PowersOfTwo, 1, 1), Some(vec![1]));
        assert_eq!(sizes(SizeGrid::PowersOfTwo, 33, 60), None);
        assert_eq!(sizes(SizeGrid::MultiplesOf(4), 3, 13), Some(vec![4, 8, 12]));
        assert_eq!(sizes(SizeGrid::MultiplesOf(0), 3, 13), None);
    }

    #[test]
    fn drawn_sizes_are_admissible() {
        let mut rng = Seed::new(1).rng();
        for law in [SizeLaw::Uniform, SizeLaw::LogUniform] {
            for grid in [SizeGrid::PowersOfTwo, SizeGrid::MultiplesOf(6)] {
                let sizes = Sizes::new(grid, law, 5, 100).unwrap();
                for _ in 0..500 {
                    let size = sizes.draw(&mut rng);
                    assert!((5..=100).contains(&size) && sizes.contains(size));
                }
                assert!(!sizes.contains(5) && !sizes.contains(128));
            }
        }
    }
}
