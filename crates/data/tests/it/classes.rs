//! Views by class.

use std::collections::BTreeMap;

use tinsmith_data::{Dataset, Targets};
use tinsmith_foundation::Seed;

use crate::{labelled, numbers};

#[test]
fn classes_are_selected_removed_and_numbered_anew() {
    let data = labelled(&[0, 1, 2, 0, 1, 2], 3);
    let only = data.only_classes(&[2, 0]).unwrap();
    assert_eq!((numbers(&only), only.class_count()), (vec![0, 2, 3, 5], 3));
    let without = data.without_classes(&[0]).unwrap();
    assert_eq!(without.labels().unwrap(), [1, 2, 1, 2]);
    let again = data.renumbered(&[2, 0]).unwrap();
    assert_eq!(again.labels().unwrap(), [1, 0, 1, 0]);
    assert_eq!(again.class_names(), ["2", "0"]);
    assert_eq!(numbers(&again), [0, 2, 3, 5]);
    assert!(data.renumbered(&[1, 1]).unwrap_err().to_string().contains("a class occurs twice in [1, 1]"));
    let error = data.only_classes(&[3]).unwrap_err().to_string();
    assert_eq!(error, "selecting classes: class 3 is not one of the 3 classes (0..3)");
}

#[test]
fn classes_are_joined() {
    let data = labelled(&[0, 1, 2, 3], 4);
    let names = vec!["even".to_owned(), "odd".to_owned()];
    let joined = data.relabelled(&BTreeMap::from([(2, 0), (3, 1)]), names.clone()).unwrap();
    assert_eq!(joined.labels().unwrap(), [0, 1, 0, 1]);
    assert_eq!(joined.class_names(), names);
    assert!(data.relabelled(&BTreeMap::from([(2, 0)]), names).is_err());
}

#[test]
fn a_mix_has_its_ratio_and_repeats_rows_only_when_all_were_drawn() {
    let labels: Vec<u32> = (0..100).map(|row| u32::from(row >= 10)).collect();
    let data = labelled(&labels, 2);
    let mix = data.class_mix(&[0], 0.8, 50, Seed::new(1)).unwrap();
    assert_eq!(mix.class_counts(), [40, 10]);
    let rows = numbers(&mix);
    for row in 0..10 {
        assert_eq!(rows.iter().filter(|&&r| r == row).count(), 4);
    }
    let mut others: Vec<usize> = rows.iter().copied().filter(|&row| row >= 10).collect();
    others.sort_unstable();
    others.dedup();
    assert_eq!(others.len(), 10);
    assert_eq!(rows, numbers(&data.class_mix(&[0], 0.8, 50, Seed::new(1)).unwrap()));
    assert_ne!(rows, numbers(&data.class_mix(&[0], 0.8, 50, Seed::new(2)).unwrap()));
    assert!(
        data.class_mix(&[0, 1], 0.8, 50, Seed::new(1)).unwrap_err().to_string().contains("there are none")
    );
    assert!(data.class_mix(&[0], 1.5, 50, Seed::new(1)).unwrap_err().to_string().contains("want 0 to 1"));
}

#[test]
fn arrays_have_no_classes() {
    let data = Dataset::new("curve", vec![1], vec![1.0, 2.0], Targets::Samples).unwrap();
    let error = data.only_classes(&[0]).unwrap_err().to_string();
    assert_eq!(error, "selecting classes needs class labels, but the targets of `curve` are arrays");
    assert_eq!(data.class_count(), 0);
}
