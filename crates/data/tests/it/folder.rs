//! Folders of IDX files: what is read, and what each wrong one is told.

use std::path::Path;

use tempfile::TempDir;
use tinsmith_data::{Array, ElementType, Targets, Values, idx, load, load_folder, load_in};

/// A folder of small files; names that end in `.gz` are compressed.
fn folder(files: &[(&str, &[usize], Values)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, shape, values) in files {
        write(folder.path(), name, shape, values.clone());
    }
    folder
}

fn write(folder: &Path, name: &str, shape: &[usize], values: Values) {
    idx::write(&folder.join(name), &Array::new(shape.to_vec(), values).unwrap()).unwrap();
}

fn bytes(count: usize) -> Values {
    Values::U8((0..count).map(|i| i as u8).collect())
}

fn labels(values: &[u8]) -> Values {
    Values::U8(values.to_vec())
}

/// Two training images of 2 x 3 and one test image, as MNIST names them.
fn images() -> TempDir {
    folder(&[
        ("train-images-idx3-ubyte", &[2, 2, 3], bytes(12)),
        ("train-labels-idx1-ubyte", &[2], labels(&[0, 1])),
        ("t10k-images-idx3-ubyte.gz", &[1, 2, 3], bytes(6)),
        ("t10k-labels-idx1-ubyte.gz", &[1], labels(&[2])),
    ])
}

#[track_caller]
fn refused(folder: &TempDir, parts: &[&str]) {
    let error = load_folder(folder.path()).unwrap_err().to_string();
    for part in parts {
        assert!(error.contains(part), "`{part}` is missing in: {error}");
    }
    assert!(error.contains(folder.path().to_str().unwrap()), "{error}");
}

#[test]
fn images_get_a_channel_and_parts_share_their_classes() {
    let folder = images();
    std::fs::write(folder.path().join("README.md"), "not data").unwrap();
    std::fs::write(folder.path().join("train-notes.txt"), "not data").unwrap();
    let splits = load(folder.path().to_str().unwrap()).unwrap();
    assert_eq!(splits.train.sample_shape(), [2, 3, 1]);
    assert_eq!(splits.train.sample(1), [6.0, 7.0, 8.0, 9.0, 10.0, 11.0]);
    assert_eq!(splits.train.element(), ElementType::U8);
    assert_eq!((splits.train.class_count(), splits.test.class_count()), (3, 3));
    assert_eq!(splits.train.name(), folder.path().file_name().unwrap().to_str().unwrap());
    assert_ne!(splits.checksum(), splits.train.checksum());
}

#[test]
fn series_keep_their_channels_and_other_words_are_groups() {
    let data = |n: usize| Values::F32((0..n).map(|i| i as f32 / 2.0).collect());
    let folder = folder(&[
        ("train-data.idx3-float32", &[2, 4, 3], data(24)),
        ("train-labels-idx1-ubyte", &[2], labels(&[1, 0])),
        ("train-subjects-idx1-ubyte.gz", &[2], labels(&[7, 8])),
        ("train-recordings-idx1-int32", &[2], Values::I32(vec![-1, 70_000])),
        ("test-data-idx3-float32", &[1, 4, 3], data(12)),
        ("test-labels-idx1-ubyte", &[1], labels(&[1])),
    ]);
    std::fs::write(folder.path().join("classes.txt"), "rest\nlift\n").unwrap();
    let splits = load_folder(folder.path()).unwrap();
    assert_eq!(splits.train.sample_shape(), [4, 3]);
    assert_eq!(splits.train.class_names(), ["rest", "lift"]);
    assert_eq!(splits.train.group_names().collect::<Vec<_>>(), ["recordings", "subjects"]);
    assert_eq!(splits.train.group("recordings").unwrap(), [-1, 70_000]);
    assert_eq!(splits.test.group_names().count(), 0);
    std::fs::write(folder.path().join("classes.txt"), "rest\n").unwrap();
    refused(&folder, &["classes.txt", "names 1 classes, but labels go up to 1"]);
}

#[test]
fn every_rank_has_its_shape() {
    let cases: [(&str, &[usize], &[usize]); 5] = [
        ("data-idx1-ubyte", &[2], &[1]),
        ("data-idx2-ubyte", &[2, 5], &[5]),
        ("images-idx2-ubyte", &[2, 5], &[5]),
        ("images-idx4-ubyte", &[2, 2, 3, 4], &[2, 3, 4]),
        ("data-idx4-ubyte", &[2, 2, 3, 4], &[2, 3, 4]),
    ];
    for (name, shape, want) in cases {
        let folder = tempfile::tempdir().unwrap();
        for part in ["train", "test"] {
            write(folder.path(), &format!("{part}-{name}"), shape, bytes(shape.iter().product()));
            write(folder.path(), &format!("{part}-labels-idx1-ubyte"), &[2], labels(&[0, 1]));
        }
        assert_eq!(load_folder(folder.path()).unwrap().test.sample_shape(), want, "{name}");
    }
}

#[test]
fn targets_take_the_place_of_labels() {
    let values = |n: usize| Values::F32((0..n).map(|i| i as f32).collect());
    let folder = folder(&[
        ("train-data-idx2-float32", &[3, 2], values(6)),
        ("train-targets-idx3-float32", &[3, 2, 2], values(12)),
        ("test-data-idx2-float32", &[1, 2], values(2)),
        ("test-targets-idx3-float32", &[1, 2, 2], values(4)),
    ]);
    let splits = load_folder(folder.path()).unwrap();
    assert!(matches!(splits.train.targets(), Targets::Arrays { .. }));
    assert_eq!(splits.train.target_shape(), [2, 2]);
    assert_eq!(splits.train.target(2), [8.0, 9.0, 10.0, 11.0]);
    write(folder.path(), "train-targets-idx3-float32", &[2, 2, 2], values(8));
    refused(&folder, &["train-targets-idx3-float32", "has 2 targets, want 3"]);
    write(folder.path(), "train-targets-idx3-float32", &[3, 4], values(12));
    refused(&folder, &["target shapes", "[4]", "[2, 2]"]);
    write(folder.path(), "train-labels-idx1-ubyte", &[3], labels(&[0, 0, 0]));
    refused(&folder, &["has both train-labels and train-targets"]);
}

#[test]
fn missing_files_are_named() {
    let empty = tempfile::tempdir().unwrap();
    refused(&empty, &["has no test part", "found no arrays of such names"]);
    let folder = images();
    std::fs::remove_file(folder.path().join("train-labels-idx1-ubyte")).unwrap();
    refused(&folder, &["has no labels beside train-images-idx3-ubyte, want train-labels-idx1-ubyte"]);
    std::fs::remove_file(folder.path().join("train-images-idx3-ubyte")).unwrap();
    refused(&folder, &["has no train part", "found t10k-images, t10k-labels"]);
    write(folder.path(), "train-labels-idx1-ubyte", &[2], labels(&[0, 1]));
    refused(&folder, &["has no samples for train, want train-images-idx3-ubyte or train-data-idx2-float32"]);
    let folder = images();
    std::fs::remove_file(folder.path().join("t10k-labels-idx1-ubyte.gz")).unwrap();
    refused(&folder, &["has no labels beside t10k-images-idx3-ubyte.gz, want t10k-labels"]);
    std::fs::remove_file(folder.path().join("t10k-images-idx3-ubyte.gz")).unwrap();
    refused(
        &folder,
        &[
            "has no test part, want test-images-… (or t10k-images-…, test-data-…)",
            "found train-images, train-labels",
        ],
    );
}

#[test]
fn double_files_are_named() {
    let folder = images();
    write(folder.path(), "train-images-idx3-ubyte.gz", &[2, 2, 3], bytes(12));
    refused(
        &folder,
        &["train-images-idx3-ubyte.gz holds the same as train-images-idx3-ubyte, want one of them"],
    );
    let folder = images();
    write(folder.path(), "train-data-idx3-ubyte", &[2, 2, 3], bytes(12));
    refused(&folder, &["has both train-images and train-data"]);
    let folder = images();
    write(folder.path(), "test-images-idx3-ubyte", &[2, 2, 3], bytes(12));
    refused(&folder, &["has both test-… and t10k-… arrays"]);
}

#[test]
fn files_that_do_not_fit_are_named() {
    let folder = images();
    write(folder.path(), "train-labels-idx1-ubyte", &[3], labels(&[0, 1, 2]));
    refused(
        &folder,
        &["train-labels-idx1-ubyte", "has shape [3], want [2]: one value for each sample of train-images"],
    );
    write(folder.path(), "train-labels-idx1-ubyte", &[2], Values::F32(vec![0.0, 0.5]));
    refused(&folder, &["train-labels-idx1-ubyte", "label of sample 1 is 0.5, want whole numbers"]);
    std::fs::write(folder.path().join("classes.txt"), "rest\nlift\nturn\n").unwrap();
    write(folder.path(), "train-labels-idx1-ubyte", &[2], Values::I8(vec![0, -1]));
    refused(&folder, &["label -1 of sample 1 is no class, want 0 to 2"]);
    std::fs::remove_file(folder.path().join("classes.txt")).unwrap();
    write(folder.path(), "train-labels-idx1-ubyte", &[2], labels(&[0, 1]));
    write(folder.path(), "train-sides-idx1-ubyte", &[1], labels(&[0]));
    refused(&folder, &["train-sides-idx1-ubyte", "has shape [1], want [2]"]);
    std::fs::remove_file(folder.path().join("train-sides-idx1-ubyte")).unwrap();
    write(folder.path(), "train-images-idx3-ubyte", &[2, 3, 3], bytes(18));
    refused(
        &folder,
        &["sample shapes differ: [3, 3, 1] in train-images-idx3-ubyte, [2, 3, 1] in t10k-images"],
    );
    write(folder.path(), "train-images-idx3-ubyte", &[2, 3, 0], bytes(0));
    refused(&folder, &["has shape [2, 3, 0], want at least one sample and no empty one"]);
    write(folder.path(), "train-images-idx3-ubyte", &[2, 1, 1, 1, 1], bytes(2));
    refused(&folder, &["has 5 dimensions, want 1 to 4"]);
    write(folder.path(), "train-images-idx3-ubyte", &[2, 1, 2], Values::F32(vec![0.0, 1.0, f32::NAN, 3.0]));
    refused(&folder, &["train-images-idx3-ubyte", "value 0 of sample 1 is NaN, want finite numbers"]);
    std::fs::write(folder.path().join("train-images-idx3-ubyte"), [0, 0, 8]).unwrap();
    refused(&folder, &["train-images-idx3-ubyte", "has 3 bytes, want at least a header of 8"]);
}

#[test]
fn an_unknown_name_lists_what_there_is() {
    let error = load("no-such-set").unwrap_err().to_string();
    assert_eq!(error, "no data set `no-such-set`: it is no file or folder; built in: digits8x8");
    assert!(tinsmith_data::builtin("mnist").is_err());
    let file = tempfile::NamedTempFile::new().unwrap();
    let error = load(file.path().to_str().unwrap()).unwrap_err().to_string();
    assert!(error.contains("is no data set, want a folder, an .npz archive or a table"), "{error}");
}

#[test]
fn labels_that_do_not_count_from_zero_are_renumbered() {
    let folder = images();
    for values in [Values::U8(vec![1, 2]), Values::F64(vec![1.0, 2.0]), Values::I8(vec![-1, 2])] {
        write(folder.path(), "train-labels-idx1-ubyte", &[2], values.clone());
        let splits = load_folder(folder.path()).unwrap();
        let names = splits.train.class_names().join(" ");
        assert!(["1 2", "-1 2"].contains(&names.as_str()), "{names}");
        assert_eq!(
            (splits.train.labels().unwrap(), splits.test.labels().unwrap()),
            ([0, 1].as_slice(), [1].as_slice())
        );
        assert!(splits.decisions()[0].contains("are numbered 0 to 1"), "{:?}", splits.decisions());
        assert_eq!(splits.warnings().len(), 1, "class 0 has no test row");
    }
}

#[test]
fn names_of_emnist_and_padded_gzip_files_are_read() {
    let source = images();
    let folder = tempfile::tempdir().unwrap();
    for (name, emnist) in [
        ("train-images-idx3-ubyte", "emnist-letters-train-images-idx3-ubyte"),
        ("train-labels-idx1-ubyte", "emnist-letters-train-labels-idx1-ubyte"),
        ("t10k-images-idx3-ubyte.gz", "emnist-letters-test-images-idx3-ubyte.gz"),
        ("t10k-labels-idx1-ubyte.gz", "emnist-letters-test-labels-idx1-ubyte.gz"),
    ] {
        let mut bytes = std::fs::read(source.path().join(name)).unwrap();
        if name.ends_with(".gz") {
            bytes.extend([0; 512]);
        }
        std::fs::write(folder.path().join(emnist), bytes).unwrap();
    }
    let splits = load_folder(folder.path()).unwrap();
    assert_eq!(splits.checksum(), load_folder(source.path()).unwrap().checksum());
    write(folder.path(), "emnist-digits-train-labels-idx1-ubyte", &[2], labels(&[0, 1]));
    refused(
        &folder,
        &["emnist-letters-train-labels-idx1-ubyte holds the same as emnist-digits-train-labels"],
    );
}

#[test]
fn a_single_class_and_channels_in_front_are_noticed() {
    let folder = images();
    write(folder.path(), "train-labels-idx1-ubyte", &[2], labels(&[2, 2]));
    let error = load_folder(folder.path()).unwrap_err().to_string();
    assert!(error.contains("have the class `2`, so there is nothing to learn"), "{error}");
    write(folder.path(), "train-labels-idx1-ubyte", &[2], labels(&[0, 2]));
    for part in ["train", "t10k"] {
        let rows = if part == "train" { 2 } else { 1 };
        for ending in ["", ".gz"] {
            let _ = std::fs::remove_file(folder.path().join(format!("{part}-images-idx3-ubyte{ending}")));
        }
        write(folder.path(), &format!("{part}-images-idx4-ubyte"), &[rows, 3, 12, 12], bytes(rows * 432));
    }
    let splits = load_folder(folder.path()).unwrap();
    assert!(splits.warnings().iter().any(|w| w.contains("channels come first")), "{:?}", splits.warnings());
}

#[test]
fn a_name_is_looked_for_in_a_folder_of_data_sets() {
    let root = tempfile::tempdir().unwrap();
    let own = images();
    std::fs::create_dir(root.path().join("tiny")).unwrap();
    for entry in std::fs::read_dir(own.path()).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, root.path().join("tiny").join(path.file_name().unwrap())).unwrap();
    }
    let found = load_in("tiny", Some(root.path())).unwrap();
    assert_eq!((found.train.name(), found.train.len()), ("tiny", 2));
    // A path, and what is built in, mean what they mean without the folder.
    assert_eq!(load_in(own.path().to_str().unwrap(), Some(root.path())).unwrap().train.len(), 2);
    assert_eq!(load_in("digits8x8", Some(root.path())).unwrap().train.len(), 1437);
    assert!(load_in("tiny", None).unwrap_err().to_string().starts_with("no data set `tiny`"));
}
