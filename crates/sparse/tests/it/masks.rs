//! Masks prune exactly the requested fraction, the smallest weights first, for good.

use proptest::prelude::*;
use tinsmith_cost::{Cost, Target};
use tinsmith_network::{ModelSpec, Storage};
use tinsmith_sparse::{PruneConfig, Scope, SparseError, mask, with_smallest_storage};

use crate::model;

#[test]
fn patterns_leave_kernels_whole() {
    let names = |exclude: &[&str]| {
        let exclude = exclude.iter().map(|&p| p.to_owned()).collect();
        mask::prunable(&model(), &PruneConfig { exclude, ..PruneConfig::default() })
    };
    assert_eq!(names(&[]).unwrap(), ["c.kernel", "h.kernel", "y.kernel"]);
    assert_eq!(names(&["c\\..*", "y.kernel"]).unwrap(), ["h.kernel"]);
    let error = names(&[".*"]).unwrap_err();
    assert!(matches!(error, SparseError::NothingToPrune { .. }), "{error}");
    let error = names(&["("]).unwrap_err().to_string();
    assert!(error.contains("`exclude[0]` is no regular expression"), "{error}");
}

#[test]
fn zeros_are_held_after_reading() {
    let mut model = model();
    let names = mask::prunable(&model, &PruneConfig::default()).unwrap();
    mask::prune_smallest(&mut model, &names, 0.5, Scope::Layer).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("w.safetensors");
    model.save_weights(&path, &std::collections::BTreeMap::new()).unwrap();
    let mut again = crate::model();
    again.load_weights(&path).unwrap();
    mask::hold_zeros(&mut again, &names).unwrap();
    assert!((mask::sparsity(&again, &names).unwrap() - 0.5).abs() < 0.01);
    for name in &names {
        assert!(again.params().get(name).unwrap().prune_mask().is_some());
    }
}

#[test]
fn the_cheapest_storage_is_chosen() {
    let target = Target::load("mcu-packed").unwrap();
    let storage = |sparsity: f64| {
        let mut model = model();
        let names = vec!["h.kernel".to_owned()];
        mask::prune_smallest(&mut model, &names, sparsity, Scope::Layer).unwrap();
        let spec = with_smallest_storage(&model, &target).unwrap();
        let flash = |spec: &ModelSpec| Cost::of(spec, &target).unwrap().total.flash_bytes;
        let fact = spec.layer("h").unwrap().facts[0].clone();
        (fact.storage, flash(&spec), flash(&crate::spec()))
    };
    // With 4-bit weights a bitmap pays from a quarter of zeros on, CSR (a byte of index each) later.
    let (none, flash, before) = storage(0.1);
    assert_eq!((none, flash), (Storage::Dense, before));
    let (some, flash, _) = storage(0.5);
    assert_eq!(some, Storage::Bitmap);
    assert!(flash < before);
    let (most, least, _) = storage(0.97);
    assert_ne!(most, Storage::Dense);
    assert!(least < flash);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn the_smallest_go(sparsity in 0.0..1.0_f64, is_global in any::<bool>()) {
        let mut model = model();
        let names = mask::prunable(&model, &PruneConfig::default()).unwrap();
        let before: Vec<Vec<f32>> = names.iter().map(|n| model.params().get(n).unwrap().values().unwrap()).collect();
        let scope = if is_global { Scope::Global } else { Scope::Layer };
        mask::prune_smallest(&mut model, &names, sparsity, scope).unwrap();
        let after: Vec<Vec<f32>> = names.iter().map(|n| model.params().get(n).unwrap().values().unwrap()).collect();
        let mut cut: f32 = 0.0;
        let (mut zeros, mut all) = (0, 0);
        for (before, after) in before.iter().zip(&after) {
            let mut own_cut: f32 = 0.0;
            let own_zeros = after.iter().filter(|v| **v == 0.0).count();
            for (b, a) in before.iter().zip(after) {
                prop_assert!(*a == 0.0 || a == b);
                if *a == 0.0 { own_cut = own_cut.max(b.abs()); }
            }
            if !is_global {
                prop_assert_eq!(own_zeros, (before.len() as f64 * sparsity).floor() as usize);
                let kept = before.iter().zip(after).filter(|(_, a)| **a != 0.0).map(|(b, _)| b.abs());
                prop_assert!(kept.fold(f32::INFINITY, f32::min) >= own_cut);
            }
            cut = cut.max(own_cut);
            zeros += own_zeros;
            all += before.len();
        }
        if is_global {
            prop_assert_eq!(zeros, (all as f64 * sparsity).floor() as usize);
            let kept = before.iter().flatten().zip(after.iter().flatten()).filter(|(_, a)| **a != 0.0);
            prop_assert!(kept.map(|(b, _)| b.abs()).fold(f32::INFINITY, f32::min) >= cut);
        }
    }
}
