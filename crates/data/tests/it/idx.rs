//! The IDX format.

use std::path::Path;

use proptest::prelude::*;
use tinsmith_data::array::MAX_RANK;
use tinsmith_data::{Array, ElementType, Values, idx};

use crate::golden;

fn index() -> serde_json::Value {
    let text = std::fs::read_to_string(golden("idx").join("index.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn golden_files_are_read() {
    let index = index();
    let cases = index["cases"].as_array().unwrap();
    assert!(cases.len() >= 13);
    for case in cases {
        let file = case["file"].as_str().unwrap();
        let read = idx::read(&golden("idx").join(file)).unwrap();
        let shape: Vec<usize> = serde_json::from_value(case["shape"].clone()).unwrap();
        assert_eq!(read.shape(), shape, "{file}");
        assert_eq!(read.values().element().name(), case["type"], "{file}");
        assert_eq!(u64::from(idx::encode(&read).unwrap()[2]), case["type_code"].as_u64().unwrap(), "{file}");
        let want: Vec<f64> = serde_json::from_value(case["data"].clone()).unwrap();
        let got: Vec<f64> = match read.values() {
            Values::F32(v) => v.iter().map(|&x| f64::from(x)).collect(),
            Values::F64(v) => v.clone(),
            other => other.to_integers().unwrap().into_iter().map(|x| x as f64).collect(),
        };
        // Written by NumPy as the shortest decimals that give the same number in the array's own type.
        let same = |(a, b): (&f64, &f64)| match read.values() {
            Values::F32(_) => (*a as f32).to_bits() == (*b as f32).to_bits(),
            _ => a.to_bits() == b.to_bits(),
        };
        assert_eq!(got.len(), want.len(), "{file}");
        assert!(got.iter().zip(&want).all(same), "{file}: {got:?} is not {want:?}");
    }
}

#[test]
fn golden_malformed_files_are_refused_with_the_reason() {
    let index = index();
    let reasons = [
        ("bad_empty-idx", "has 0 bytes"),
        ("bad_two_bytes-idx", "has 2 bytes"),
        ("bad_magic_only-idx", "ends after 0 of"),
        ("bad_bad_leading_bytes-idx", "begins with bytes"),
        ("bad_bad_second_byte-idx", "begins with bytes"),
        ("bad_bad_type_code-idx", "has type code"),
        ("bad_type_code_0a-idx", "has type code 0a"),
        ("bad_zero_dims-idx", "has 0 dimensions"),
        ("bad_truncated_dims-idx", "dimensions"),
        ("bad_truncated_data-idx", "bytes of values, want"),
        ("bad_one_byte_short-idx", "bytes of values, want"),
        ("bad_trailing_byte-idx", "bytes of values, want"),
        ("bad_dims_overflow_u64-idx", "more than 64 bits count"),
        ("bad_dims_overflow_times_itemsize-idx", "more than 64 bits count"),
        ("bad_dims_huge_claim-idx", "bytes of values, want"),
        ("bad_little_endian_magic-idx", "begins with bytes"),
        ("bad_many_dims_255-idx", "has 255 dimensions"),
        ("bad_truncated_gzip.gz", "gzip stream"),
        ("bad_not_gzip.gz", "gzip stream"),
        ("bad_f32_unaligned_length-idx", "bytes of values, want"),
    ];
    let malformed = index["malformed"].as_array().unwrap();
    assert!(malformed.len() >= reasons.len());
    for case in malformed {
        let file = case["file"].as_str().unwrap();
        let error = idx::read(&golden("idx").join(file)).unwrap_err().to_string();
        assert!(error.contains(file), "{error}");
        if let Some((_, reason)) = reasons.iter().find(|(name, _)| *name == file) {
            assert!(error.contains(reason), "{error}: want `{reason}`");
        }
    }
}

/// 64 GiB are claimed by a header in a gzip stream of a few bytes: memory for them would end the process.
#[test]
fn a_lying_header_in_a_gzip_stream_costs_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("liar.gz");
    let mut bytes = vec![0, 0, 0x0e, 2];
    bytes.extend([0xff; 4]);
    bytes.extend(2_u32.to_be_bytes());
    bytes.extend([0; 32]);
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut encoder, &bytes).unwrap();
    std::fs::write(&path, encoder.finish().unwrap()).unwrap();
    let error = idx::read(&path).unwrap_err().to_string();
    assert!(error.contains("has only 32 bytes of values, want 68719476720"), "{error}");
}

#[test]
fn a_gzip_stream_with_another_name_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let array = Array::new(vec![3], Values::U8(vec![1, 2, 3])).unwrap();
    let (good, bad) = (folder.path().join("a.gz"), folder.path().join("a"));
    idx::write(&good, &array).unwrap();
    std::fs::copy(&good, &bad).unwrap();
    assert_eq!(idx::read(&good).unwrap(), array);
    let error = idx::read(&bad).unwrap_err().to_string();
    assert!(error.contains("is compressed by gzip, want a name that ends in .gz"), "{error}");
}

#[test]
fn arrays_that_no_file_can_hold_are_refused() {
    let refused = |shape: Vec<usize>, count: usize| {
        Array::new(shape, Values::U8(vec![0; count])).unwrap_err().to_string()
    };
    assert_eq!(refused(vec![2, 2], 3), "values of an array of shape [2, 2]: got 3, want 4");
    assert!(refused(vec![], 1).contains("got 0, want 1"));
    assert!(refused(vec![1; MAX_RANK + 1], 1).contains("got 33, want 32"));
    let huge = Array::new(vec![0, 1 << 40], Values::U8(vec![])).unwrap();
    let error = idx::encode(&huge).unwrap_err().to_string();
    assert_eq!(error, "cannot write IDX: dimension 1099511627776 does not fit 32 bits");
    let wide = Array::new(vec![1], Values::I64(vec![1])).unwrap();
    assert_eq!(
        idx::encode(&wide).unwrap_err().to_string(),
        "cannot write IDX: the format has no type for i64 values"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_written_is_read(shape in prop::collection::vec(0_usize..5, 1..5), code in 0_usize..6, zip: bool, salt: u32) {
        let count: usize = shape.iter().product();
        let bits = (0..count as u32).map(|i| i.wrapping_mul(2_654_435_761).wrapping_add(salt));
        let types = [ElementType::U8, ElementType::I8, ElementType::I16, ElementType::I32, ElementType::F32, ElementType::F64];
        let values = match types[code] {
            ElementType::U8 => Values::U8(bits.map(|b| b as u8).collect()),
            ElementType::I8 => Values::I8(bits.map(|b| b as i8).collect()),
            ElementType::I16 => Values::I16(bits.map(|b| b as i16).collect()),
            ElementType::I64 => Values::I64(bits.map(i64::from).collect()),
            ElementType::I32 => Values::I32(bits.map(|b| b as i32).collect()),
            ElementType::F32 => Values::F32(bits.map(|b| b as f32 / 7.0).collect()),
            ElementType::F64 => Values::F64(bits.map(|b| f64::from(b) / 7.0).collect()),
        };
        let array = Array::new(shape, values).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(if zip { "array.gz" } else { "array" });
        idx::write(&path, &array).unwrap();
        prop_assert_eq!(idx::read(&path).unwrap(), array);
    }

    #[test]
    fn no_bytes_make_the_reader_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..40), header: bool) {
        if header && bytes.len() >= 4 {
            bytes[..2].fill(0);
            bytes[3] %= 4;
        }
        let _ = idx::decode(&bytes, Path::new("noise"));
    }
}

#[test]
fn a_file_that_cannot_be_mapped_is_read_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let array = Array::new(vec![3, 2], Values::I16(vec![1, -2, 3, -4, 5, -6])).unwrap();
    let path = dir.path().join("train-data-idx2-short");
    idx::write(&path, &array).unwrap();
    assert_eq!(idx::read(&path).unwrap(), array);
    // Whoever holds the lock may be writing: then the file is read, not mapped.
    let file = std::fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
    file.lock().unwrap();
    assert_eq!(idx::read(&path).unwrap(), array);
}
