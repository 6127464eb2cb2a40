//! Data sets and journals.

use std::path::Path;

use tinsmith_data::{Array, TableOptions};
use tinsmith_study::journal::Journal;

use crate::folders::with_file;

/// Arrays of the IDX format.
pub(crate) fn idx(data: &[u8]) {
    if let Ok(array) = tinsmith_data::idx::decode(data, Path::new("fuzz")) {
        let again = tinsmith_data::idx::encode(&array).map(|bytes| bytes == data);
        assert_eq!(again.ok(), Some(true), "an array that is written differently");
    }
    // The name decides whether a file is decompressed.
    if data.starts_with(&[0x1f, 0x8b]) {
        with_file(data, "images-idx3-ubyte.gz", |path| drop(tinsmith_data::idx::read(path)));
    }
}

/// Arrays of NumPy.
pub(crate) fn npy(data: &[u8]) {
    if let Ok(array) = tinsmith_data::npy::decode(data, Path::new("fuzz")) {
        let again = tinsmith_data::npy::decode(&tinsmith_data::npy::encode(&array), Path::new("fuzz"));
        assert_eq!(again.ok().map(|a: Array| a.shape().to_vec()), Some(array.shape().to_vec()));
    }
}

/// Archives of NumPy, as weights and as data sets.
pub(crate) fn npz(data: &[u8]) {
    with_file(data, "data.npz", |path| {
        let _ = tinsmith_layers::npz::read(path);
        let _ = tinsmith_data::load::load_npz(path);
    });
}

/// Tables.
pub(crate) fn table(data: &[u8]) {
    with_file(data, "table.csv", |path| {
        if let Ok(data) = tinsmith_data::table::read(path, &TableOptions::default()) {
            assert!(!data.sample_shape().contains(&0));
        }
    });
}

/// Journals of studies.
pub(crate) fn journal(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(journal) = Journal::parse(text, Path::new("fuzz")) else { return };
    for study in &journal.studies {
        for trial in &study.trials {
            let _ = trial.constraints();
        }
    }
}
