//! Batches and augmentation.

use proptest::prelude::*;
use tinsmith_data::{Augment, Batches, Dataset, Targets, one_hot};
use tinsmith_foundation::Seed;

use crate::labelled;

const ALL: Augment = Augment {
    gain: 0.1,
    offset: 0.1,
    stretch: 0.0,
    rotate: 15.0,
    shift: 1,
    mirror: true,
    scale: 0.1,
    noise: 0.05,
    cutout: 2,
    fill: 0.0,
    mix_up: 0.3,
};

/// Everything that the batches hold, each row with its number, in the order of rows.
fn by_row(mut batches: Batches) -> Vec<(usize, Vec<u32>, Vec<f32>)> {
    let mut rows = Vec::new();
    while let Some(batch) = batches.next_batch() {
        let size = batch.samples.len() / batch.len;
        for (i, &row) in batch.rows.iter().enumerate() {
            let sample = &batch.samples[i * size..(i + 1) * size];
            let label = batch.labels.get(i).copied().into_iter().collect();
            rows.push((row, label, sample.to_vec()));
        }
    }
    rows.sort_by_key(|(row, ..)| *row);
    rows
}

#[test]
fn an_epoch_has_every_row_once_in_another_order_each_time() {
    let labels: Vec<u32> = (0..103).map(|row| row % 7).collect();
    let data = labelled(&labels, 7);
    let order = |seed, epoch| {
        let mut batches = data.batches(10, Seed::new(seed), epoch, &Augment::default()).unwrap();
        assert_eq!(batches.count(), 11);
        let mut rows = Vec::new();
        while let Some(batch) = batches.next_batch() {
            assert_eq!(batch.len, if rows.len() == 100 { 3 } else { 10 });
            for (i, &row) in batch.rows.iter().enumerate() {
                assert_eq!(batch.labels[i], labels[row]);
                assert_eq!(batch.samples[2 * i], row as f32);
            }
            assert!(batch.targets.is_empty());
            rows.extend_from_slice(batch.rows);
        }
        rows
    };
    assert_eq!(order(1, 0), order(1, 0));
    assert_ne!(order(1, 0), order(1, 1));
    assert_ne!(order(1, 0), order(2, 0));
    let mut rows = order(1, 0);
    rows.sort_unstable();
    assert_eq!(rows, (0..103).collect::<Vec<_>>());
}

#[test]
fn the_last_batch_can_be_dropped_and_an_epoch_entered_in_the_middle() {
    let data = labelled(&[0; 25], 1);
    let batches = || data.batches(10, Seed::new(1), 4, &Augment::default()).unwrap();
    assert_eq!(batches().drop_last().count(), 2);
    assert_eq!(by_row(batches().drop_last()).len(), 20);
    let mut whole = batches();
    whole.next_batch().unwrap();
    let second = whole.next_batch().unwrap().rows.to_vec();
    assert_eq!(batches().starting_at(1).next_batch().unwrap().rows, second);
    assert!(batches().starting_at(3).next_batch().is_none());
    let ordered = data.ordered_batches(25).unwrap().next_batch().unwrap().rows.to_vec();
    assert_eq!(ordered, (0..25).collect::<Vec<_>>());
    assert!(data.ordered_batches(0).unwrap_err().to_string().contains("want at least 1"));
}

#[test]
fn augmentation_hangs_on_epoch_and_row_not_on_the_batch() {
    let digits =
        tinsmith_data::builtin("digits8x8").unwrap().train.subset(&(0..40).collect::<Vec<_>>()).unwrap();
    let rows =
        |size, epoch, augment: &Augment| by_row(digits.batches(size, Seed::new(3), epoch, augment).unwrap());
    assert_eq!(rows(7, 0, &ALL), rows(40, 0, &ALL));
    let plain = rows(8, 0, &Augment::default());
    let off = Augment::default();
    let each = [
        Augment { rotate: 20.0, ..off },
        Augment { shift: 2, ..off },
        Augment { mirror: true, ..off },
        Augment { scale: 0.5, ..off },
        Augment { noise: 0.1, ..off },
        Augment { cutout: 4, ..off },
        Augment { mix_up: 0.5, ..off },
    ];
    for augment in &each {
        assert!(!augment.is_off());
        assert_ne!(rows(8, 0, augment), plain, "{augment:?}");
        assert_ne!(rows(8, 0, augment), rows(8, 1, augment), "{augment:?}");
    }
    assert!(Augment { fill: 1.0, ..off }.is_off());
}

#[test]
fn series_are_shifted_in_time_and_cut() {
    let steps: Vec<f32> = (1..=6).flat_map(|t| [t as f32, -t as f32]).collect();
    let data = Dataset::labelled("series", vec![6, 2], steps, vec![0], 1).unwrap();
    let mut shifts = Vec::new();
    for epoch in 0..40 {
        let augment = Augment { shift: 2, ..Augment::default() };
        let (_, _, sample) = by_row(data.batches(1, Seed::new(1), epoch, &augment).unwrap()).remove(0);
        let times: Vec<f32> = sample.iter().step_by(2).copied().collect();
        assert!(sample.chunks(2).all(|pair| (pair[0] + pair[1]).abs() < 1e-9), "channels stay together");
        let shift = times[2] - 3.0;
        assert!(
            times.iter().zip(1..=6).all(|(t, at)| (t - (at as f32 + shift).clamp(1.0, 6.0)).abs() < 1e-9),
            "{times:?}"
        );
        shifts.push(shift as i32);
    }
    shifts.sort_unstable();
    shifts.dedup();
    assert_eq!(shifts, [-2, -1, 0, 1, 2]);
}

#[test]
fn mix_up_makes_probabilities_and_mixes_arrays() {
    let labels: Vec<u32> = (0..30).map(|row| row % 3).collect();
    // One-hot samples: a mixed sample must be equal to its mixed target.
    let data = Dataset::labelled("hot", vec![3], one_hot(&labels, 3).unwrap(), labels, 3).unwrap();
    let augment = Augment { mix_up: 0.8, ..Augment::default() };
    let mut batches = data.batches(30, Seed::new(1), 0, &augment).unwrap();
    let batch = batches.next_batch().unwrap();
    assert_eq!(batch.targets.len(), 90);
    let mut mixed = 0;
    for (sample, target) in batch.samples.chunks(3).zip(batch.targets.chunks(3)) {
        assert!(sample.iter().zip(target).all(|(a, b)| (a - b).abs() < 1e-6), "{sample:?} {target:?}");
        assert!((target.iter().sum::<f32>() - 1.0).abs() < 1e-6);
        mixed += usize::from(target.iter().all(|&t| t < 0.999));
    }
    assert!(mixed > 5, "{mixed}");

    let same = data.with_targets(Targets::Samples).unwrap();
    let mut batches = same.batches(30, Seed::new(1), 0, &augment).unwrap();
    let batch = batches.next_batch().unwrap();
    assert!(batch.samples.iter().zip(batch.targets).all(|(a, b)| (a - b).abs() < 1e-6));
}

#[test]
fn an_auto_encoder_is_to_answer_the_unchanged_sample() {
    let data = labelled(&[0, 1, 2], 3).with_targets(Targets::Samples).unwrap();
    let augment = Augment { noise: 1.0, ..Augment::default() };
    let mut batches = data.batches(3, Seed::new(1), 0, &augment).unwrap();
    let batch = batches.next_batch().unwrap();
    assert!(batch.labels.is_empty());
    for (i, &row) in batch.rows.iter().enumerate() {
        assert_eq!(&batch.targets[2 * i..2 * i + 2], data.sample(row));
        assert_ne!(&batch.samples[2 * i..2 * i + 2], data.sample(row));
    }
}

#[test]
fn changes_that_samples_cannot_have_are_refused() {
    let flat = labelled(&[0], 1);
    let text = |augment| flat.batches(1, Seed::new(1), 0, &augment).unwrap_err().to_string();
    let off = Augment::default();
    assert_eq!(
        text(Augment { shift: 1, ..off }),
        "augmentation `shift`: sample shape is [2], want an image (height, width, channels) or a series (time, channels)"
    );
    assert!(text(Augment { rotate: 1.0, ..off }).contains("want an image"));
    assert!(text(Augment { mirror: true, ..off }).contains("`mirror`"));
    assert!(text(Augment { cutout: 1, ..off }).contains("`cutout`"));
    assert_eq!(text(Augment { mix_up: 2.0, ..off }), "augmentation: `mix_up` is 2, want 0 to 1");
    assert!(text(Augment { noise: f64::NAN, ..off }).contains("`noise` is NaN"));
    let unknown = serde_json::from_str::<Augment>(r#"{"shft": 1}"#).unwrap_err().to_string();
    assert!(unknown.contains("unknown field `shft`"), "{unknown}");
    let text = serde_json::to_string(&ALL).unwrap();
    assert_eq!(serde_json::from_str::<Augment>(&text).unwrap(), ALL);
}

#[test]
fn one_hot_has_a_one_for_each_label() {
    assert_eq!(one_hot(&[1, 0], 3).unwrap(), [0.0, 1.0, 0.0, 1.0, 0.0, 0.0]);
    assert!(one_hot(&[3], 3).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn the_same_seed_gives_the_same_batches(rows in 1_usize..30, size in 1_usize..12, seed: u64, epoch: u64) {
        let samples: Vec<f32> = (0..rows * 12).map(|i| (i as f32 * 0.37).sin()).collect();
        let labels = (0..rows as u32).map(|row| row % 3).collect();
        let data = Dataset::labelled("images", vec![3, 4, 1], samples, labels, 3).unwrap();
        let collect = |size| by_row(data.batches(size, Seed::new(seed), epoch, &ALL).unwrap());
        let first = collect(size);
        prop_assert_eq!(first.len(), rows);
        prop_assert!(first.iter().all(|(_, _, sample)| sample.iter().all(|x| x.is_finite())));
        prop_assert_eq!(&first, &collect(size));
        prop_assert_eq!(&first, &collect(size + 1));
    }
}

#[test]
fn batches_made_ahead_are_the_same() {
    let labels: Vec<u32> = (0..103).map(|row| row % 7).collect();
    let data =
        Dataset::labelled("images", vec![4, 4, 1], (0..103 * 16).map(|x| x as f32).collect(), labels, 7)
            .unwrap();
    let batches = || data.batches(10, Seed::new(1), 3, &ALL).unwrap();
    for depth in [0, 1, 2, 40] {
        assert_eq!(by_row(batches().prefetched(depth)), by_row(batches()));
        let rest = by_row(batches().taking(55).starting_at(2).prefetched(depth));
        assert_eq!(rest.len(), 35);
        assert_eq!(rest, by_row(batches().taking(55).starting_at(2)));
    }
    // One that is dropped early ends its thread: the data set's memory is let go.
    let samples: std::sync::Arc<[f32]> = vec![0.0; 1000].into();
    let few = Dataset::new("few", vec![1], samples.clone(), Targets::Samples).unwrap();
    let mut dropped = few.batches(10, Seed::new(1), 0, &Augment::default()).unwrap().prefetched(1);
    assert_eq!(dropped.next_batch().unwrap().len, 10);
    drop((dropped, few));
    for _ in 0..1000 {
        if std::sync::Arc::strong_count(&samples) == 1 {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    assert_eq!(std::sync::Arc::strong_count(&samples), 1);
}
