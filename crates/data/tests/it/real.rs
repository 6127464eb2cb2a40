//! Data sets as people have them: the built-in one always, all folders below `TINSMITH_DATA` where it is set.

use std::path::{Path, PathBuf};

use tinsmith_data::{Normalization, Normalizer, Splits, builtin, load_folder};
use tinsmith_foundation::Seed;

#[test]
fn the_built_in_digits_are_the_ones_described() {
    let digits = builtin("digits8x8").unwrap();
    assert_eq!((digits.train.len(), digits.test.len()), (1437, 360));
    assert_eq!(digits.train.class_counts(), [143, 146, 142, 146, 144, 145, 144, 143, 141, 143]);
    assert_eq!(digits.test.class_counts(), [35, 36, 35, 37, 37, 37, 37, 36, 33, 37]);
    assert_eq!(digits.train.sample(0)[..8], [0.0, 0.0, 5.0, 13.0, 9.0, 1.0, 0.0, 0.0]);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/digits8x8");
    assert_eq!(load_folder(&folder).unwrap().checksum(), digits.checksum());
}

#[test]
fn data_sets_on_disk_are_what_their_names_say() {
    let Some(root) = std::env::var_os("TINSMITH_DATA").map(PathBuf::from) else { return };
    type Facts = (&'static str, usize, usize, &'static [usize], usize);
    let facts: [Facts; 9] = [
        ("mnist", 60_000, 10_000, &[28, 28, 1], 10),
        ("fashion-mnist", 60_000, 10_000, &[28, 28, 1], 10),
        ("watch-shoulder", 2_460, 1_145, &[128, 6], 7),
        ("digits8x8", 1_437, 360, &[8, 8, 1], 10),
        ("letter", 16_000, 4_000, &[16], 26),
        ("dna-splice", 2_000, 1_186, &[180], 3),
        ("breast-cancer", 456, 113, &[30], 2),
        ("wine", 144, 34, &[13], 3),
        ("iris", 120, 30, &[4], 3),
    ];
    let mut found = 0;
    for (name, train, test, shape, classes) in facts {
        let folder = root.join(name);
        if !folder.exists() {
            continue;
        }
        let splits = load_folder(&folder).unwrap();
        assert_eq!((splits.train.len(), splits.test.len()), (train, test), "{name}");
        assert_eq!((splits.train.sample_shape(), splits.train.class_count()), (shape, classes), "{name}");
        usable(&splits);
        found += 1;
    }
    assert!(found > 0, "{} has none of the data sets", root.display());
}

fn usable(splits: &Splits) {
    let name = splits.train.name();
    let (train, val) = splits.train.validation_split(0.2, Seed::new(1)).unwrap();
    let share = val.len() as f64 / splits.train.len() as f64;
    assert!((0.1..0.3).contains(&share), "{name}: {share}");
    if train.group_names().any(|group| group == "subjects") {
        let (a, b) = (train.group("subjects").unwrap(), val.group("subjects").unwrap());
        assert!(b.iter().all(|subject| !a.contains(subject)), "{name}");
        assert_eq!(splits.train.group_names().count(), 3);
    }
    let val = Normalizer::fit(&train, Normalization::Auto).unwrap().apply(&val).unwrap();
    let figures = val.describe();
    assert!(figures.mean.abs() < 1.0 && figures.deviation < 5.0, "{}", figures.to_text());
    assert!(splits.train.folds(5, None).unwrap().test.iter().all(|fold| !fold.is_empty()));
}
