//! Sobol sequence.

use tinsmith_foundation::Rng;

use crate::error::{Result, StudyError};

/// Degree, coefficients and first direction numbers of the dimensions after the first: Joe and Kuo, "Constructing
/// Sobol sequences with better two-dimensional projections", 2008, table `new-joe-kuo-6.21201`.
const DIRECTIONS: [(u32, u32, &[u32]); 31] = [
    (1, 0, &[1]),
    (2, 1, &[1, 3]),
    (3, 1, &[1, 3, 1]),
    (3, 2, &[1, 1, 1]),
    (4, 1, &[1, 1, 3, 3]),
    (4, 4, &[1, 3, 5, 13]),
    (5, 2, &[1, 1, 5, 5, 17]),
    (5, 4, &[1, 1, 5, 5, 5]),
    (5, 7, &[1, 1, 7, 11, 19]),
    (5, 11, &[1, 1, 5, 1, 1]),
    (5, 13, &[1, 1, 1, 3, 11]),
    (5, 14, &[1, 3, 5, 5, 31]),
    (6, 1, &[1, 3, 3, 9, 7, 49]),
    (6, 13, &[1, 1, 1, 15, 21, 21]),
    (6, 16, &[1, 3, 1, 13, 27, 49]),
    (6, 19, &[1, 1, 1, 15, 7, 5]),
    (6, 22, &[1, 3, 1, 15, 13, 25]),
    (6, 25, &[1, 1, 5, 5, 19, 61]),
    (7, 1, &[1, 3, 7, 11, 23, 15, 103]),
    (7, 4, &[1, 3, 7, 13, 13, 15, 69]),
    (7, 7, &[1, 1, 3, 13, 7, 35, 63]),
    (7, 8, &[1, 3, 5, 9, 1, 25, 53]),
    (7, 14, &[1, 3, 1, 13, 9, 35, 107]),
    (7, 19, &[1, 3, 1, 5, 27, 61, 31]),
    (7, 21, &[1, 1, 5, 11, 19, 41, 61]),
    (7, 28, &[1, 3, 5, 3, 3, 13, 69]),
    (7, 31, &[1, 1, 7, 13, 1, 19, 1]),
    (7, 32, &[1, 3, 7, 5, 13, 19, 59]),
    (7, 37, &[1, 1, 3, 9, 25, 29, 41]),
    (7, 41, &[1, 3, 5, 13, 23, 1, 55]),
    (7, 42, &[1, 3, 7, 3, 13, 59, 17]),
];

/// Maximum number of dimensions.
pub const SOBOL_DIMENSIONS: usize = DIRECTIONS.len() + 1;

const BITS: u32 = 32;

/// Returns the first `points` points of the Sobol sequence, in Gray-code order (Antonov and Saleev, 1979).
/// The sequence is balanced at powers of two. With `shift`, all points are moved by one random digital shift,
/// which preserves the balance and removes the point at the origin.
///
/// # Shapes
/// `points` rows of `dimensions`.
///
/// # Errors
/// [`StudyError::Design`] for more than [`SOBOL_DIMENSIONS`] dimensions or 2^32 points.
pub fn sobol(points: usize, dimensions: usize, shift: Option<&mut Rng>) -> Result<Vec<Vec<f64>>> {
    if dimensions > SOBOL_DIMENSIONS {
        let reason = format!("Sobol's sequence in {dimensions} dimensions, want at most {SOBOL_DIMENSIONS}");
        return Err(StudyError::Design(reason));
    }
    if u32::try_from(points).is_err() {
        return Err(StudyError::Design(format!("{points} points of Sobol's sequence, want fewer than 2^32")));
    }
    let directions: Vec<[u32; BITS as usize]> = (0..dimensions).map(directions).collect();
    let mut state: Vec<u32> = match shift {
        Some(rng) => (0..dimensions).map(|_| rng.next_u32()).collect(),
        None => vec![0; dimensions],
    };
    let mut design = Vec::with_capacity(points);
    for i in 0..points {
        design.push(state.iter().map(|&x| f64::from(x) / f64::from(BITS).exp2()).collect());
        // The next point differs in the direction number of the index's lowest zero bit.
        let bit = (!i).trailing_zeros() as usize;
        for (x, v) in state.iter_mut().zip(&directions) {
            *x ^= v.get(bit).copied().unwrap_or(0);
        }
    }
    Ok(design)
}

/// Returns the direction numbers of one dimension, by the recurrence of its primitive polynomial.
fn directions(dimension: usize) -> [u32; BITS as usize] {
    let mut v = [0_u32; BITS as usize];
    let Some(&(degree, coefficients, first)) = dimension.checked_sub(1).and_then(|i| DIRECTIONS.get(i))
    else {
        for (i, v) in v.iter_mut().enumerate() {
            *v = 1 << (BITS - 1 - i as u32);
        }
        return v;
    };
    let degree = degree as usize;
    for i in 0..v.len() {
        v[i] = match first.get(i) {
            Some(m) => m << (BITS - 1 - i as u32),
            None => {
                let mut next = v[i - degree] ^ (v[i - degree] >> degree);
                for k in 1..degree {
                    if coefficients >> (degree - 1 - k) & 1 == 1 {
                        next ^= v[i - k];
                    }
                }
                next
            }
        };
    }
    v
}
