//! Cross-validation, against scikit-learn's folds.

use proptest::prelude::*;
use tinsmith_data::Dataset;
use tinsmith_data::folds::{grouped_folds, k_folds, stratified_folds};
use tinsmith_foundation::Seed;

use crate::{golden, labelled};

#[test]
fn golden_folds_are_equal_index_for_index() {
    let text = std::fs::read_to_string(golden("metrics").join("stratified_kfold.json")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let cases = json["cases"].as_array().unwrap();
    assert!(cases.len() >= 12);
    let (mut compared, mut refused, mut warned) = (0, 0, 0);
    for case in cases {
        let id = &case["id"];
        let labels: Vec<u32> = serde_json::from_value(case["y"].clone()).unwrap();
        let splits = case["n_splits"].as_u64().unwrap() as usize;
        let want = |key: &str| serde_json::from_value::<Vec<Vec<usize>>>(case[key].clone()).unwrap();

        match stratified_folds(&labels, splits, None) {
            Ok(folds) => {
                assert!(case["error"].is_null(), "case {id} must be refused");
                assert_eq!(folds.test, want("test_folds"), "case {id}");
                assert_eq!(folds.warning.is_some(), !case["warning"].is_null(), "case {id}");
                compared += 1;
                warned += usize::from(folds.warning.is_some());
            }
            Err(error) => {
                assert!(!case["error"].is_null(), "case {id}: {error}");
                refused += 1;
            }
        }
        match k_folds(labels.len(), splits, None) {
            Ok(folds) => assert_eq!(folds.test, want("kfold_test_folds"), "case {id}"),
            Err(error) => assert!(!case["kfold_error"].is_null(), "case {id}: {error}"),
        }
    }
    assert!(compared >= 9 && refused >= 3 && warned >= 4, "{compared} {refused} {warned}");
}

#[test]
fn refusals_say_what_would_be_right() {
    let text = |result: tinsmith_data::Result<tinsmith_data::Folds>| result.unwrap_err().to_string();
    let labels = [0, 0, 0, 1, 1];
    assert_eq!(
        text(stratified_folds(&labels, 1, None)),
        "cannot make folds: 1 folds requested, want at least 2"
    );
    assert_eq!(
        text(stratified_folds(&labels, 6, None)),
        "cannot make folds: 6 folds requested, but there are only 5 rows"
    );
    assert_eq!(
        text(stratified_folds(&labels, 4, None)),
        "cannot make folds: the largest class has 3 rows, want at least 4"
    );
    assert_eq!(
        text(grouped_folds(&[7, 7, 7, 9], 3, None)),
        "cannot make folds: there are 2 groups, want at least 3"
    );
}

#[test]
fn data_with_subjects_is_folded_by_them() {
    let data: Dataset = labelled(&[0, 1, 0, 1, 0, 1, 0, 1], 2);
    let data = data.with_group("subjects", vec![3, 3, 1, 1, 1, 2, 2, 2]).unwrap();
    let folds = data.folds(3, None).unwrap();
    assert_eq!(folds.test, [vec![2, 3, 4], vec![5, 6, 7], vec![0, 1]]);
    let (train, val) = data.fold(&folds, 2).unwrap();
    assert_eq!((train.len(), val.group("subjects").unwrap()), (6, [3, 3].as_slice()));
    assert!(data.fold(&folds, 3).unwrap_err().to_string().contains("fold 3 requested, there are 3"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn folds_part_the_rows(labels in prop::collection::vec(0_u32..4, 8..60), splits in 2_usize..6, seed: Option<u64>) {
        let shuffle = seed.map(Seed::new);
        let groups: Vec<i64> = labels.iter().enumerate().map(|(row, &label)| i64::from(label) + (row % 3) as i64).collect();
        let all = [stratified_folds(&labels, splits, shuffle), k_folds(labels.len(), splits, shuffle),
            grouped_folds(&groups, splits, shuffle)];
        for folds in all.into_iter().flatten() {
            let mut rows: Vec<usize> = folds.test.concat();
            rows.sort_unstable();
            prop_assert_eq!(rows, (0..labels.len()).collect::<Vec<_>>());
            for (fold, test) in folds.test.iter().enumerate() {
                let train = folds.train(fold).unwrap();
                prop_assert!(train.iter().all(|row| !test.contains(row)));
                prop_assert_eq!(train.len() + test.len(), labels.len());
            }
        }
        // Shuffling moves rows between folds, never a fold's share of a class.
        if let (Ok(a), Ok(b)) = (stratified_folds(&labels, splits, shuffle), stratified_folds(&labels, splits, None)) {
            let shares = |folds: &tinsmith_data::Folds| -> Vec<Vec<usize>> {
                let count = |test: &Vec<usize>, class| test.iter().filter(|&&row| labels[row] == class).count();
                folds.test.iter().map(|test| (0..4).map(|class| count(test, class)).collect()).collect()
            };
            prop_assert_eq!(shares(&a), shares(&b));
        }
        if let Ok(folds) = grouped_folds(&groups, splits, shuffle) {
            for test in &folds.test {
                prop_assert!(!test.is_empty());
                let inside = |row: usize| test.contains(&row);
                prop_assert!((0..groups.len()).all(|a| !inside(a) || (0..groups.len()).all(|b| groups[a] != groups[b] || inside(b))));
            }
        }
    }
}
