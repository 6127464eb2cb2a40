//! Held-out rows and groups, shares, parts.

use proptest::prelude::*;
use tinsmith_data::{DataError, Dataset, Normalizer, Targets};
use tinsmith_foundation::Seed;

use crate::{labelled, numbers};

#[test]
fn digits_are_held_out_class_by_class() {
    let train = tinsmith_data::builtin("digits8x8").unwrap().train;
    let (rest, held) = train.holdout(0.2, Seed::new(5)).unwrap();
    assert_eq!((rest.len(), held.len()), (1150, 287));
    for (all, held) in train.class_counts().into_iter().zip(held.class_counts()) {
        assert!(held.abs_diff((all as f64 * 0.2).round() as usize) <= 1, "{held} of {all}");
    }
    let other = train.holdout(0.2, Seed::new(6)).unwrap().1;
    assert_ne!(held.labels(), other.labels());
}

#[test]
fn whole_subjects_are_held_out() {
    let subjects: Vec<i64> = (0..70).map(|row| row / 10).collect();
    let data = labelled(&[0; 70], 1).with_group("subjects", subjects).unwrap();
    let (rest, held) = data.validation_split(0.28, Seed::new(1)).unwrap();
    assert_eq!((rest.len(), held.len()), (50, 20));
    assert!(held.group("subjects").unwrap().iter().all(|s| !rest.group("subjects").unwrap().contains(s)));
    let error = data.holdout_groups("sides", 0.2, Seed::new(1)).unwrap_err();
    assert_eq!(error.to_string(), "no group column `sides`: the data set has subjects");
    assert!(matches!(error, DataError::UnknownGroup { .. }));
}

#[test]
fn one_subject_cannot_be_split() {
    let data = labelled(&[0, 1], 2).with_group("subjects", vec![4, 4]).unwrap();
    let error = data.validation_split(0.5, Seed::new(1)).unwrap_err().to_string();
    assert_eq!(error, "cannot hold out groups: group column `subjects` has 1 values, want at least 2");
}

#[test]
fn wrong_fractions_and_too_few_rows_are_refused() {
    let data = labelled(&[0, 0, 1, 1], 2);
    for fraction in [0.0, 1.0, -0.5, f64::NAN] {
        let error = data.holdout(fraction, Seed::new(1)).unwrap_err().to_string();
        assert!(error.contains("want more than 0 and less than 1"), "{error}");
    }
    let error = labelled(&[0, 1], 2).holdout(0.5, Seed::new(1)).unwrap_err().to_string();
    assert_eq!(error, "cannot hold out rows: 2 rows cannot be split without leaving a class empty");
    assert!(labelled(&[], 2).holdout(0.5, Seed::new(1)).is_err());
    assert!(data.share(0.0, Seed::new(1)).is_err());
    assert!(data.equal_parts(0, Seed::new(1)).is_err());
    assert!(data.equal_parts(5, Seed::new(1)).is_err());
}

#[test]
fn arrays_follow_their_samples_through_views() {
    let samples: Vec<f32> = (0..20).map(|i| i as f32).collect();
    let values: Vec<f32> = samples.iter().flat_map(|x| [x * 10.0, x * 100.0]).collect();
    let targets = Targets::Arrays { shape: vec![2], values: values.into() };
    let data = Dataset::new("line", vec![1], samples, targets).unwrap();
    let (rest, held) = data.holdout(0.25, Seed::new(2)).unwrap();
    assert_eq!((rest.len(), held.len()), (15, 5));
    let check = |data: &Dataset| {
        for row in 0..data.len() {
            let x = data.sample(row)[0];
            assert_eq!(data.target(row), [x * 10.0, x * 100.0]);
        }
    };
    check(&rest);
    check(&held.subset(&[3, 1, 1]).unwrap());
    check(&held.subset(&[4, 0]).unwrap().contiguous());
    // New arrays given to a view are in the view's order.
    let view = data.subset(&[7, 3]).unwrap();
    let again = Targets::Arrays { shape: vec![1], values: vec![70.0, 30.0].into() };
    let view = view.with_targets(again).unwrap();
    assert_eq!((view.sample(0), view.target(0)), ([7.0].as_slice(), [70.0].as_slice()));
    assert_eq!((view.sample(1), view.target(1)), ([3.0].as_slice(), [30.0].as_slice()));
}

#[test]
fn views_share_the_samples_and_refuse_rows_outside() {
    let data = labelled(&[0, 1, 2], 3);
    let view = data.subset(&[2, 0]).unwrap();
    assert!(std::ptr::eq(view.sample(0), data.sample(2)));
    assert_eq!(view.labels().unwrap(), [2, 0]);
    assert!(view.as_slice().is_none());
    assert_eq!(view.contiguous().as_slice().unwrap(), [2.0, 20.0, 0.0, 0.0]);
    assert_eq!(view.subset(&[2]).unwrap_err().to_string(), "row 2 is outside the data set of 2 rows");
    assert!(view.sample(2).is_empty());
}

#[test]
fn samples_are_reshaped_where_they_have_as_many_values() {
    let data = labelled(&[0, 1], 2).reshaped(vec![2, 1]).unwrap();
    assert_eq!((data.sample_shape(), data.sample(1)), ([2, 1].as_slice(), [1.0, 10.0].as_slice()));
    let error = data.reshaped(vec![3]).unwrap_err().to_string();
    assert_eq!(error, "reshaping: sample shape is [2, 1], want as many values as [3]");
}

#[test]
fn a_checksum_that_was_asked_for_does_not_outlive_a_change() {
    let fresh = || labelled(&[0, 1, 2, 0, 1, 2], 3);
    let targets = || Targets::Arrays { shape: vec![1], values: vec![0.5; 6].into() };
    let changes: [(&str, &dyn Fn(Dataset) -> Dataset); 6] = [
        ("group", &|d| d.with_group("subjects", vec![1, 1, 2, 2, 3, 3]).unwrap()),
        ("names", &|d| d.with_class_names((0..4).map(|i| i.to_string()).collect()).unwrap()),
        ("targets", &|d| d.with_targets(targets()).unwrap()),
        ("shape", &|d| d.reshaped(vec![1, 2]).unwrap()),
        ("rows", &|d| d.subset(&[0, 3]).unwrap()),
        ("values", &|d| {
            Normalizer { shift: vec![1.0], scale: vec![2.0], rules: Vec::new() }.apply(&d).unwrap()
        }),
    ];
    for (what, change) in changes {
        let asked = fresh();
        let before = asked.checksum();
        assert_eq!(asked.clone().checksum(), before);
        let after = change(asked).checksum();
        assert_ne!(after, before, "{what}");
        assert_eq!(after, change(fresh()).checksum(), "{what}");
    }
}

#[test]
fn the_checksum_is_the_contents() {
    let data = labelled(&[0, 1, 2], 3);
    let same = data.subset(&[0, 1, 2]).unwrap().with_name("other");
    assert_eq!(data.checksum(), same.checksum());
    assert_eq!(data.checksum().len(), 64);
    let others = [
        data.subset(&[0, 2, 1]).unwrap(),
        labelled(&[0, 1, 1], 3),
        labelled(&[0, 1, 2], 4),
        data.clone().with_group("g", vec![0, 0, 0]).unwrap(),
        data.clone().with_targets(Targets::Samples).unwrap(),
    ];
    let mut sums: Vec<String> = others.iter().map(Dataset::checksum).collect();
    sums.push(data.checksum());
    sums.sort_unstable();
    sums.dedup();
    assert_eq!(sums.len(), others.len() + 1);
}

#[test]
fn wrong_pieces_are_refused() {
    let text = |result: tinsmith_data::Result<Dataset>| result.unwrap_err().to_string();
    assert_eq!(
        text(Dataset::labelled("x", vec![2], vec![0.0; 5], vec![0, 0], 1)),
        "values of `x`, whose samples have 2 each: got 5, want 4"
    );
    assert_eq!(
        text(Dataset::labelled("x", vec![2], vec![0.0; 4], vec![0], 1)),
        "labels of `x`: got 1, want 2"
    );
    assert_eq!(
        text(Dataset::labelled("x", vec![2], vec![0.0; 4], vec![0, 3], 3)),
        "label of row 1 of `x`: class 3 is not one of the 3 classes (0..3)"
    );
    assert!(text(Dataset::labelled("x", vec![], vec![], vec![], 1)).contains("at least one dimension"));
    assert!(
        text(labelled(&[0], 1).with_group("g", vec![])).contains("group column `g` of `rows`: got 0, want 1")
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn splits_part_the_rows(labels in prop::collection::vec(0_u32..5, 2..80), fraction in 0.01_f64..0.99, seed: u64) {
        let data = labelled(&labels, 5);
        let seed = Seed::new(seed);
        if let Ok((rest, held)) = data.holdout(fraction, seed) {
            let again = data.holdout(fraction, seed).unwrap();
            prop_assert_eq!((numbers(&rest), numbers(&held)), (numbers(&again.0), numbers(&again.1)));
            let mut rows = [numbers(&rest), numbers(&held)].concat();
            rows.sort_unstable();
            prop_assert_eq!(rows, (0..labels.len()).collect::<Vec<_>>());
            prop_assert!(!held.is_empty());
            prop_assert!(data.class_counts().iter().zip(rest.class_counts()).all(|(all, rest)| (*all == 0) == (rest == 0)));
        }
        let parts = data.equal_parts(2, seed).unwrap();
        let mut rows = [numbers(&parts[0]), numbers(&parts[1])].concat();
        rows.sort_unstable();
        prop_assert_eq!(rows, (0..labels.len()).collect::<Vec<_>>());
        prop_assert!(parts[0].len().abs_diff(parts[1].len()) <= 1);

        let share = data.share(fraction, seed).unwrap();
        prop_assert!(data.class_counts().iter().zip(share.class_counts()).all(|(all, got)| got <= *all && (*all == 0) == (got == 0)));
        prop_assert!(share.len() + 1 >= (labels.len() as f64 * fraction) as usize);
        prop_assert_eq!(numbers(&data.share(1.0, seed).unwrap()), numbers(&data));
    }

    #[test]
    fn groups_are_never_parted(groups in prop::collection::vec(0_i64..6, 2..60), fraction in 0.01_f64..0.99, seed: u64) {
        let data = labelled(&vec![0; groups.len()], 1).with_group("g", groups.clone()).unwrap();
        match data.holdout_groups("g", fraction, Seed::new(seed)) {
            Ok((rest, held)) => {
                prop_assert_eq!(rest.len() + held.len(), groups.len());
                prop_assert!(!rest.is_empty() && !held.is_empty());
                prop_assert!(held.group("g").unwrap().iter().all(|g| !rest.group("g").unwrap().contains(g)));
            }
            Err(_) => prop_assert!(groups.iter().all(|g| *g == groups[0])),
        }
    }
}
