//! Space-filling designs.

use tinsmith_foundation::Seed;
use tinsmith_study::design::{SOBOL_DIMENSIONS, cartesian, centered_discrepancy, latin_hypercube, sobol};

#[test]
fn sobol_is_the_published_sequence() {
    // Point 37 of SciPy 1.17.1's `qmc.Sobol(31, scramble=False)`, which uses the same table.
    let wanted = [
        0.921875, 0.640625, 0.578125, 0.921875, 0.765625, 0.296875, 0.171875, 0.796875, 0.609375, 0.171875,
        0.015625, 0.078125, 0.578125, 0.859375, 0.109375, 0.484375, 0.796875, 0.421875, 0.046875, 0.140625,
        0.953125, 0.078125, 0.546875, 0.640625, 0.296875, 0.359375, 0.796875, 0.390625, 0.515625, 0.109375,
        0.359375,
    ];
    assert_eq!(sobol(64, 31, None).unwrap()[37], wanted);
}

#[test]
fn every_dimension_of_sobol_is_balanced() {
    for shift in [None, Some(&mut Seed::new(3).rng())] {
        let design = sobol(256, SOBOL_DIMENSIONS, shift).unwrap();
        for d in 0..SOBOL_DIMENSIONS {
            let mut cells: Vec<usize> = design.iter().map(|x| (x[d] * 256.0) as usize).collect();
            cells.sort_unstable();
            assert_eq!(cells, (0..256).collect::<Vec<_>>(), "dimension {d}");
        }
    }
    assert!(sobol(1, SOBOL_DIMENSIONS + 1, None).is_err());
}

#[test]
fn discrepancy_is_scipys() {
    let design = [vec![0.1, 0.9, 0.3], vec![0.5, 0.2, 0.7], vec![0.95, 0.45, 0.05]];
    assert!((centered_discrepancy(&design) - 0.112_953_994_936_342_5).abs() < 1e-14);
    let mut design = sobol(32, 5, None).unwrap();
    design.iter_mut().flatten().for_each(|x| *x += 1.0 / 128.0);
    assert!((centered_discrepancy(&design) - 0.008_404_104_969_830_684).abs() < 1e-14);
}

#[test]
fn latin_hypercubes_stay_latin_while_they_improve() {
    let make = |swaps| latin_hypercube(25, 4, swaps, &mut Seed::new(9).rng());
    let (plain, improved) = (make(0), make(2000));
    for design in [&plain, &improved] {
        for d in 0..4 {
            let mut cells: Vec<usize> = design.iter().map(|x| (x[d] * 25.0) as usize).collect();
            cells.sort_unstable();
            assert_eq!(cells, (0..25).collect::<Vec<_>>());
        }
    }
    let (before, after) = (centered_discrepancy(&plain), centered_discrepancy(&improved));
    assert!(after < 0.6 * before, "{before} to {after}");
    assert!(latin_hypercube(0, 3, 5, &mut Seed::new(1).rng()).is_empty());
}

#[test]
fn cartesian_products_are_whole() {
    let design = cartesian(&[2, 3]);
    assert_eq!(design.len(), 6);
    assert_eq!(design[0], [0.25, 1.0 / 6.0]);
    assert_eq!(design[5], [0.75, 5.0 / 6.0]);
    assert_eq!(cartesian(&[]), [Vec::<f64>::new()]);
    assert!(cartesian(&[2, 0]).is_empty());
}
