//! Space-filling designs: points in the unit cube that cover it well with few. [`Space::from_unit`] makes candidates
//! of them, [`crate::Sequence`] tries them.
//!
//! ```
//! use tinsmith_foundation::Seed;
//! use tinsmith_study::{Domain, Space, design};
//!
//! let space = Space::new([("bits", Domain::int(2, 8)), ("rate", Domain::log_float(1e-4, 0.1))])?;
//! let plan = design::latin_hypercube(14, space.dimensions(), 200, &mut Seed::new(1).rng());
//! let candidates: Vec<_> = plan.iter().map(|point| space.from_unit(point)).collect();
//! let twos = candidates.iter().filter(|c| c.i64("bits") == Some(2)).count();
//! assert_eq!(twos, 2); // every seventh, for seven values
//! # Ok::<(), tinsmith_study::StudyError>(())
//! ```
//!
//! [`Space::from_unit`]: crate::Space::from_unit

mod sobol;

use tinsmith_foundation::Rng;

pub use self::sobol::{SOBOL_DIMENSIONS, sobol};

/// Draws a Latin hypercube: each coordinate has one point in each of `points` equal intervals of [0, 1), at a
/// random position within it. Then, `swaps` times, two points exchange a random coordinate if that lowers the
/// [`centered_discrepancy`]. The design stays a Latin hypercube.
///
/// Source: `McKay` et al., 1979; improvement by coordinate exchange as in SciPy's
/// `LatinHypercube(optimization="random-cd")`.
///
/// # Shapes
/// `points` rows of `dimensions`.
pub fn latin_hypercube(points: usize, dimensions: usize, swaps: usize, rng: &mut Rng) -> Vec<Vec<f64>> {
    let mut design = vec![vec![0.0; dimensions]; points];
    for d in 0..dimensions {
        for (row, cell) in design.iter_mut().zip(rng.permutation(points)) {
            row[d] = (cell as f64 + rng.uniform()) / points as f64;
        }
    }
    if points < 2 || dimensions < 2 {
        return design;
    }
    for _ in 0..swaps {
        let d = rng.index(dimensions);
        let first = rng.index(points);
        let second = (first + 1 + rng.index(points - 1)) % points;
        let before = share(&design, first, second);
        let swap = |design: &mut Vec<Vec<f64>>| {
            let x = design[first][d];
            design[first][d] = design[second][d];
            design[second][d] = x;
        };
        swap(&mut design);
        if share(&design, first, second) >= before {
            swap(&mut design);
        }
    }
    design
}

/// Returns the unevenness of a design in the unit cube; 0 is ideal. Hickernell's centered L2 discrepancy ("A
/// generalized discrepancy and quadrature error bound", 1998, eq. 5), squared, as returned by SciPy's
/// `qmc.discrepancy`.
#[must_use]
pub fn centered_discrepancy(design: &[Vec<f64>]) -> f64 {
    let n = design.len() as f64;
    let dimensions = design.first().map_or(0, Vec::len);
    let ones: f64 = design.iter().map(|x| single(x)).sum();
    let twos: f64 = design.iter().flat_map(|a| design.iter().map(|b| pair(a, b))).sum();
    (13.0_f64 / 12.0).powi(dimensions as i32) - 2.0 / n * ones + twos / (n * n)
}

/// Returns all combinations of `counts` levels, the last varying fastest. Coordinate i takes the midpoints of
/// `counts[i]` equal intervals, which [`crate::Domain::from_unit`] maps to each value of a finite domain
/// once.
///
/// # Shapes
/// As many rows as the product of `counts`; none if a count is 0.
#[must_use]
pub fn cartesian(counts: &[usize]) -> Vec<Vec<f64>> {
    let mut rows = vec![Vec::new()];
    for &count in counts {
        let longer = |row: &Vec<f64>, level: usize| {
            let mut row = row.clone();
            row.push((level as f64 + 0.5) / count as f64);
            row
        };
        rows = rows.iter().flat_map(|row| (0..count).map(move |level| longer(row, level))).collect();
    }
    rows
}

fn single(x: &[f64]) -> f64 {
    x.iter().map(|x| (x - 0.5).abs()).map(|d| 1.0 + 0.5 * d - 0.5 * d * d).product()
}

fn pair(a: &[f64], b: &[f64]) -> f64 {
    let term =
        |(x, y): (&f64, &f64)| 1.0 + 0.5 * (x - 0.5).abs() + 0.5 * (y - 0.5).abs() - 0.5 * (x - y).abs();
    a.iter().zip(b).map(term).product()
}

/// Returns the term of two points in the discrepancy, times the squared number of points.
fn share(design: &[Vec<f64>], first: usize, second: usize) -> f64 {
    let n = design.len() as f64;
    let (a, b) = (&design[first], &design[second]);
    let others = design.iter().enumerate().filter(|&(i, _)| i != first && i != second);
    let cross: f64 = others.map(|(_, x)| pair(a, x) + pair(b, x)).sum();
    2.0 * (cross + pair(a, b)) + pair(a, a) + pair(b, b) - 2.0 * n * (single(a) + single(b))
}
