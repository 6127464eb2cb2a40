//! NPY files and NPZ archives.

use std::collections::BTreeMap;
use std::path::Path;

use proptest::prelude::*;
use tinsmith_data::{Array, TableOptions, TargetChoice, Targets, Values, load, load_with, npy, npz};

use crate::golden;

/// An NPY file from its parts.
fn file(header: &str, values: &[u8]) -> Vec<u8> {
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(values);
    bytes
}

fn described(descr: &str, order: &str, shape: &str) -> String {
    format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}\n")
}

/// First values and sums were computed by Python's `struct`, apart from this crate.
#[test]
fn golden_archive_is_read() {
    let arrays = npz::read(&golden("models/qmlp").join("weights.npz")).unwrap();
    let facts: [(&str, &[usize], f64, f64); 6] = [
        ("d1/bias", &[24], -0.036_419_011_652_469_635, 0.047_571_130_096_912_384),
        ("d1/kernel", &[16, 24], -0.271_558_821_201_324_46, -2.465_374_550_549_313_4),
        ("d2/bias", &[12], 0.068_515_241_146_087_65, -0.011_752_776_801_586_151),
        ("d2/kernel", &[24, 12], -0.201_790_913_939_476, 1.701_148_816_471_686_6),
        ("d3/bias", &[5], -0.063_809_953_629_970_55, 0.243_571_545_928_716_66),
        ("d3/kernel", &[12, 5], 0.050_028_126_686_811_45, 1.538_630_492_053_926),
    ];
    assert_eq!(arrays.keys().map(String::as_str).collect::<Vec<_>>(), facts.map(|(name, ..)| name));
    for (name, shape, first, sum) in facts {
        let array = &arrays[name];
        assert_eq!(array.shape(), shape);
        let Values::F32(values) = array.values() else { panic!("{name} is not f32") };
        assert_eq!(f64::from(values[0]).to_bits(), first.to_bits(), "{name}");
        assert!((values.iter().map(|&x| f64::from(x)).sum::<f64>() - sum).abs() < 1e-12, "{name}");
    }
}

#[test]
fn every_archive_of_the_golden_models_is_read() {
    let models = std::fs::read_dir(golden("models")).unwrap();
    let mut count = 0;
    for folder in models.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()) {
        for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.extension().is_some_and(|e| e == "npz") {
                assert!(!npz::read(&path).unwrap().is_empty(), "{}", path.display());
                count += 1;
            }
        }
    }
    assert!(count >= 1);
}

#[test]
fn types_and_orders_are_understood() {
    let read = |descr: &str, order: &str, shape: &str, bytes: &[u8]| {
        npy::decode(&file(&described(descr, order, shape), bytes), Path::new("array.npy")).unwrap()
    };
    assert_eq!(*read("|b1", "False", "(2,)", &[1, 0]).values(), Values::U8(vec![1, 0]));
    assert_eq!(*read(">i2", "False", "(2,)", &[0, 1, 255, 255]).values(), Values::I16(vec![1, -1]));
    assert_eq!(*read("<u2", "False", "(1,)", &[255, 255]).values(), Values::I32(vec![65_535]));
    assert_eq!(*read("<u4", "False", "(1,)", &[255; 4]).values(), Values::I64(vec![4_294_967_295]));
    assert_eq!(*read("<u8", "False", "(1,)", &[7, 0, 0, 0, 0, 0, 0, 0]).values(), Values::I64(vec![7]));
    assert_eq!(*read(">f4", "False", "(1,)", &[0x3f, 0x80, 0, 0]).values(), Values::F32(vec![1.0]));
    // 1.5, -2, the smallest subnormal, infinity.
    let halves = read("<f2", "False", "(4,)", &[0x00, 0x3e, 0x00, 0xc0, 0x01, 0x00, 0x00, 0x7c]);
    assert_eq!(*halves.values(), Values::F32(vec![1.5, -2.0, 2.0_f32.powi(-24), f32::INFINITY]));
    assert_eq!(read("|u1", "False", "()", &[5]).shape(), [1]);
    // Of the array 1 2 3 / 4 5 6, columns first.
    let array = read("|u1", "True", "(2, 3)", &[1, 4, 2, 5, 3, 6]);
    assert_eq!(*array.values(), Values::U8(vec![1, 2, 3, 4, 5, 6]));
    // Keys in another order, without a comma at the end; version 2 has a longer length.
    let mut bytes = b"\x93NUMPY\x02\x00".to_vec();
    let header = "{'shape': (1,), 'fortran_order': False, 'descr': '|i1'}";
    bytes.extend((header.len() as u32).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.push(0xfe);
    assert_eq!(*npy::decode(&bytes, Path::new("v2")).unwrap().values(), Values::I8(vec![-2]));
}

#[test]
fn malformed_files_are_refused_with_the_reason() {
    let refused = |bytes: &[u8], reason: &str| {
        let error = npy::decode(bytes, Path::new("bad.npy")).unwrap_err().to_string();
        assert!(error.starts_with("bad.npy: ") && error.contains(reason), "{error}: want `{reason}`");
    };
    let of = |descr: &str, order: &str, shape: &str, count: usize| {
        file(&described(descr, order, shape), &vec![0; count])
    };
    refused(b"", "ends within its header");
    refused(b"not an array", "does not begin with");
    refused(b"\x93NUMPY\x09\x00\x00\x00", "format version 9");
    refused(b"\x93NUMPY\x02\x00\xff\xff\xff\xff", "claims a header of 4294967295 bytes");
    refused(&file("{}", &[]), "no dictionary of type, order and shape");
    refused(&file("hello", &[]), "no dictionary");
    refused(
        &file("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}", &[0; 4]),
        "structured type",
    );
    refused(&of("|O", "False", "(1,)", 8), "type `|O`");
    refused(&of("<c8", "False", "(1,)", 8), "type `<c8`");
    refused(&of("|O", "False", "(1,)", 8), "Python objects");
    refused(&of("<U3", "False", "(1,)", 12), "holds text, want numbers");
    refused(&of("<U0", "False", "(1000000000000,)", 0), "type `<U0`");
    refused(&of("<f4", "Maybe", "(1,)", 4), "no dictionary");
    refused(&of("<f4", "False", "(-1,)", 4), "no dictionary");
    refused(&of("<f4", "False", "(2,)", 7), "has only 7 bytes of values, want 8");
    refused(&of("<f4", "False", "(2,)", 9), "has more bytes of values, want 8");
    refused(&of("<f8", "False", "(4294967296, 4294967296)", 8), "more than 64 bits count");
    refused(&of("<f8", "False", "(1000000000000,)", 8), "has only 8 bytes of values, want 8000000000000");
    refused(&file(&described("<u8", "False", "(1,)"), &[255; 8]), "does not fit a signed integer");
}

/// Two training images of bytes and one for testing, as Keras packs them.
fn keras() -> BTreeMap<String, Array> {
    let array = |shape: &[usize], values: Values| Array::new(shape.to_vec(), values).unwrap();
    BTreeMap::from([
        ("x_train".to_owned(), array(&[2, 2, 2], Values::U8((0..8).collect()))),
        ("y_train".to_owned(), array(&[2, 1], Values::U8(vec![1, 0]))),
        ("x_test".to_owned(), array(&[1, 2, 2], Values::U8(vec![9; 4]))),
        ("y_test".to_owned(), array(&[1], Values::I64(vec![1]))),
    ])
}

#[test]
fn an_archive_is_a_data_set() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pack.npz");
    let mut arrays = keras();
    npz::write(&path, &arrays).unwrap();
    let splits = load(path.to_str().unwrap()).unwrap();
    assert_eq!((splits.train.name(), splits.train.sample_shape()), ("pack", [2, 2, 1].as_slice()));
    assert_eq!(splits.train.labels().unwrap(), [1, 0]);
    assert_eq!(splits.test.sample(0), [9.0; 4]);

    let refused = |arrays: &BTreeMap<String, Array>, parts: &[&str]| {
        npz::write(&path, arrays).unwrap();
        let error = load(path.to_str().unwrap()).unwrap_err().to_string();
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    };
    let test = arrays.remove("y_test").unwrap();
    refused(&arrays, &["has no labels beside pack.npz[x_test]"]);
    arrays.insert("y_test".to_owned(), Array::new(vec![2], Values::U8(vec![0, 1])).unwrap());
    refused(&arrays, &["pack.npz[y_test]", "has shape [2], want [1]"]);
    arrays.insert("y_test".to_owned(), test);
    arrays.insert("train_images".to_owned(), arrays["x_train"].clone());
    refused(&arrays, &["holds the same as"]);
    std::fs::write(&path, b"PK nothing").unwrap();
    assert!(load(path.to_str().unwrap()).unwrap_err().to_string().contains("is no NPZ archive"));
}

/// Writes an archive of raw members, stored.
fn archive(path: &Path, members: &[(&str, Vec<u8>)]) {
    use std::io::Write;
    let mut writer = zip::ZipWriter::new(std::fs::File::create(path).unwrap());
    let options =
        zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
    for (name, bytes) in members {
        writer.start_file(format!("{name}.npy"), options).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap();
}

/// `rows` images of 2 x 2 bytes, and the bytes of an array of `descr` and `shape`.
fn pictures(rows: usize) -> Vec<u8> {
    let shape = format!("({rows}, 2, 2)");
    file(&described("|u1", "False", &shape), &(0..rows * 4).map(|i| i as u8).collect::<Vec<u8>>())
}

#[test]
fn archives_of_other_forms_are_data_sets_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pack.npz");
    let load = || load(path.to_str().unwrap()).unwrap();
    let column = |values: &[u8]| file(&described("|u1", "False", &format!("({}, 1)", values.len())), values);

    // MedMNIST: three parts, labels of shape (N, 1).
    archive(
        &path,
        &[
            ("train_images", pictures(4)),
            ("train_labels", column(&[0, 1, 0, 1])),
            ("val_images", pictures(2)),
            ("val_labels", column(&[1, 0])),
            ("test_images", pictures(2)),
            ("test_labels", column(&[0, 1])),
        ],
    );
    let splits = load();
    assert_eq!((splits.train.labels().unwrap(), splits.test.len()), ([0, 1, 0, 1, 1, 0].as_slice(), 2));
    assert!(splits.decisions()[0].contains("validation part is joined"), "{:?}", splits.decisions());

    // Text labels, capital letters, no test part.
    let names: Vec<u8> = ["cat", "dog", "cat", "dog", "cat", "dog", "cat", "dog", "cat", "dog"]
        .iter()
        .flat_map(|name| name.chars().flat_map(|c| u32::from(c).to_le_bytes()))
        .collect();
    archive(
        &path,
        &[("X_train", pictures(10)), ("y_train", file(&described("<U3", "False", "(10,)"), &names))],
    );
    let splits = load();
    assert_eq!(
        (splits.train.class_names(), splits.train.len(), splits.test.len()),
        (["cat", "dog"].map(str::to_owned).as_slice(), 8, 2)
    );
    assert!(splits.decisions().iter().any(|d| d.contains("there is no test part")));

    // One-hot floats without parts; labels 1 and 3.
    let hot: Vec<u8> = (0..10)
        .flat_map(|i| if i % 2 == 0 { [1.0_f32, 0.0] } else { [0.0, 1.0] })
        .flat_map(f32::to_le_bytes)
        .collect();
    archive(&path, &[("X", pictures(10)), ("y", file(&described("<f4", "False", "(10, 2)"), &hot))]);
    assert_eq!(load().train.class_counts(), [4, 4]);
    archive(&path, &[("X", pictures(10)), ("y", column(&[1, 3, 1, 3, 1, 3, 1, 3, 1, 3]))]);
    assert_eq!(load().train.class_names(), ["1", "3"]);

    // Ages are values; `targets: classes` overrides.
    let ages: Vec<u8> = (0..60_u8).collect();
    archive(&path, &[("X", pictures(60)), ("y", column(&ages))]);
    assert!(matches!(load().train.targets(), Targets::Arrays { .. }));
    let classes = TableOptions { targets: TargetChoice::Classes, ..TableOptions::default() };
    assert_eq!(load_with(path.to_str().unwrap(), None, &classes).unwrap().train.class_count(), 60);
}

#[test]
fn archives_that_expand_without_bound_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bomb.npz");
    let zeros = |megabytes: usize| {
        file(&described("|u1", "False", &format!("({},)", megabytes << 20)), &vec![0; megabytes << 20])
    };
    archive(&path, &[("a", zeros(10)), ("b", zeros(10))]);
    let error = npz::read(&path).unwrap_err().to_string();
    assert!(
        error.contains("bomb.npz[b]") && error.contains("`b.npy` expands beyond 16777216 bytes"),
        "{error}"
    );
    archive(&path, &[("a", zeros(10))]);
    assert_eq!(npz::read(&path).unwrap()["a"].shape(), [10 << 20]);
}

#[test]
fn a_folder_of_arrays_is_a_data_set() {
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, shape: &[usize], values: Values| {
        npy::write(&folder.path().join(name), &Array::new(shape.to_vec(), values).unwrap()).unwrap();
    };
    put("x_train.npy", &[2, 3, 2], Values::F64((0..12).map(f64::from).collect()));
    put("y_train.npy", &[2, 2], Values::F32(vec![0.5, 1.0, 1.5, 2.0]));
    put("train-subjects.npy", &[2], Values::I64(vec![5, 6]));
    put("test_data.npy", &[1, 3, 2], Values::F32(vec![0.0; 6]));
    put("test_targets.npy", &[1, 2], Values::F32(vec![0.0; 2]));
    let splits = load(folder.path().to_str().unwrap()).unwrap();
    assert_eq!(splits.train.sample_shape(), [3, 2]);
    assert!(matches!(splits.train.targets(), Targets::Arrays { .. }));
    assert_eq!(splits.train.target(1), [1.5, 2.0]);
    assert_eq!(splits.train.group("subjects").unwrap(), [5, 6]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_written_is_read(shape in prop::collection::vec(0_usize..5, 1..5), kind in 0_usize..7, salt: u32) {
        let count: usize = shape.iter().product();
        let bits = (0..count as u32).map(|i| i.wrapping_mul(2_654_435_761).wrapping_add(salt));
        let values = match kind {
            0 => Values::U8(bits.map(|b| b as u8).collect()),
            1 => Values::I8(bits.map(|b| b as i8).collect()),
            2 => Values::I16(bits.map(|b| b as i16).collect()),
            3 => Values::I32(bits.map(|b| b as i32).collect()),
            4 => Values::I64(bits.map(|b| -i64::from(b)).collect()),
            5 => Values::F32(bits.map(|b| b as f32 / 7.0).collect()),
            _ => Values::F64(bits.map(|b| f64::from(b) / 7.0).collect()),
        };
        let array = Array::new(shape, values).unwrap();
        let bytes = npy::encode(&array);
        prop_assert_eq!(bytes.len() % 64, array.values().len() * array.element().size() % 64);
        prop_assert_eq!(npy::decode(&bytes, Path::new("array")).unwrap(), array);
    }

    #[test]
    fn no_header_makes_the_reader_panic(text in "[{}()\\[\\]',: 0-9a-z<|]{0,60}", at in 0_usize..60) {
        let mut header = described("<f4", "False", "(2, 3)");
        header.replace_range(at.min(header.len() - 1).., &text);
        let _ = npy::decode(&file(&header, &[0; 24]), Path::new("noise"));
        let _ = npy::decode(text.as_bytes(), Path::new("noise"));
    }
}
