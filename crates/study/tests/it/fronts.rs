//! Pareto fronts against brute force.

use proptest::prelude::*;
use tinsmith_foundation::Seed;
use tinsmith_study::pareto::{
    constrained_fronts, crowding_distance, dominates, fronts, hypervolume, ranking,
};

/// Points on a small lattice, so that there are ties and repetitions.
fn points(objectives: usize) -> impl Strategy<Value = Vec<Vec<f64>>> {
    prop::collection::vec(prop::collection::vec((0_u8..6).prop_map(f64::from), objectives), 0..24)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn fronts_are_peeled_off(one in points(1), two in points(2), three in points(3)) {
        for points in [one, two, three] {
            let layers = fronts(&points);
            let mut left: Vec<usize> = (0..points.len()).collect();
            for layer in &layers {
                let best: Vec<usize> = left
                    .iter()
                    .copied()
                    .filter(|&i| left.iter().all(|&j| !dominates(&points[j], &points[i])))
                    .collect();
                prop_assert_eq!(layer, &best);
                left.retain(|i| !best.contains(i));
            }
            prop_assert!(left.is_empty());
        }
    }

    #[test]
    fn violation_comes_first(points in points(2), seed in 0_u64..1000) {
        let mut rng = Seed::new(seed).rng();
        let violations: Vec<f64> = points.iter().map(|_| rng.below(3) as f64).collect();
        let order: Vec<usize> = constrained_fronts(&points, &violations).into_iter().flatten().collect();
        prop_assert_eq!(order.len(), points.len());
        for pair in order.windows(2) {
            prop_assert!(violations[pair[0]] <= violations[pair[1]]);
        }
        let mut ranked = ranking(&points, &violations);
        ranked.sort_unstable();
        prop_assert_eq!(ranked, (0..points.len()).collect::<Vec<_>>());
    }

    #[test]
    fn hypervolume_counts_cells(objectives in 1_usize..5, seed in 0_u64..1000) {
        let mut rng = Seed::new(seed).rng();
        let count = rng.index(8);
        let points: Vec<Vec<f64>> =
            (0..count).map(|_| (0..objectives).map(|_| rng.below(6) as f64).collect()).collect();
        let side = 5_usize;
        let reference = vec![side as f64; objectives];
        // A unit cell counts if some point dominates its lower corner.
        let cells = (0..side.pow(objectives as u32)).filter(|&cell| {
            let corner = |d: usize| (cell / side.pow(d as u32) % side) as f64;
            points.iter().any(|p| (0..objectives).all(|d| p[d] <= corner(d)))
        });
        prop_assert!((hypervolume(&points, &reference) - cells.count() as f64).abs() < 1e-9);
    }

    #[test]
    fn crowding_is_the_gap_between_neighbors(seed in 0_u64..1000, count in 3_usize..12) {
        let mut rng = Seed::new(seed).rng();
        let mut xs: Vec<f64> = (0..count).map(|_| rng.uniform()).collect();
        xs.sort_by(f64::total_cmp);
        let points: Vec<Vec<f64>> = xs.iter().map(|&x| vec![x, -2.0 * x]).collect();
        let front: Vec<usize> = (0..count).collect();
        let distance = crowding_distance(&points, &front);
        prop_assert!(distance[0].is_infinite() && distance[count - 1].is_infinite());
        for i in 1..count - 1 {
            // Both objectives have the same relative gap.
            let gap = 2.0 * (xs[i + 1] - xs[i - 1]) / (xs[count - 1] - xs[0]);
            prop_assert!((distance[i] - gap).abs() < 1e-9);
        }
    }
}

#[test]
fn points_outside_the_reference_and_nan_add_nothing() {
    let points = vec![vec![1.0, 1.0], vec![f64::NAN, 0.0], vec![4.0, 0.0], vec![0.0, 3.0]];
    assert!((hypervolume(&points, &[3.0, 3.0]) - 4.0).abs() < 1e-12);
    assert!(hypervolume(&[], &[1.0, 1.0]).abs() < 1e-12);
    assert!(!dominates(&[f64::NAN], &[1.0]) && !dominates(&[1.0], &[1.0, 2.0]));
}
