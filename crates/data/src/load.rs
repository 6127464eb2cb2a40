//! Data sets by name or path: the built-in one, folders of IDX or NPY files, NPZ archives, CSV tables.
//!
//! A folder is laid out like those of MNIST:
//!
//! | file | holds |
//! | --- | --- |
//! | `train-images-idx3-ubyte`, `train-images-idx4-ubyte` | images (N, H, W) or (N, H, W, C) |
//! | `train-data-idx3-float32`, `train-data-idx2-float32` | series (N, T, C), rows of a table (N, F) |
//! | `train-labels-idx1-ubyte` | classes, counted from 0 |
//! | `train-targets-idx2-float32` | instead of labels: one array per sample |
//! | `train-subjects-idx1-ubyte`, any other word | group columns |
//! | `test-…` or `t10k-…` | the same for the held-back part |
//! | `classes.txt` | names of the classes, one per line; may be missing |
//!
//! Element types are free, each file may end in `.gz`, `.idx3-ubyte` is read like `-idx3-ubyte`, `train-images.npy`
//! like either, other files are ignored. In NPY names and NPZ archives `x_train` and `y_train` are understood too:
//! bytes of three dimensions are images, other samples data; integers, one per sample, are labels, other answers
//! targets.
//!
//! A folder with `train.csv` and `test.csv`, and a CSV file alone, are read as [`table`] says.

mod parts;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use tinsmith_foundation::Seed;

pub(crate) use self::parts::MAX_CLASSES;
use self::parts::{Part, Source, assemble, file_name};
use crate::array::{Array, ElementType, Values};
use crate::dataset::Splits;
use crate::error::{DataError, Result};
use crate::idx::{self, is_gzip_name};
use crate::table::{self, TableConfig};
use crate::{npy, npz};

/// The names that [`builtin`] knows.
pub const BUILTIN: &[&str] = &["digits8x8"];

/// Of a table alone, without a test part: this share is held back, chosen by a fixed seed.
const HELD_BACK: f64 = 0.2;

/// Loads a data set: a built-in one by its name ([`BUILTIN`]), else a folder, an `.npz` archive or a `.csv` table by
/// its path. A folder that has a built-in's name is meant by `./name`.
///
/// A single table has no test part, so 20 % of its rows are held back by
/// [`Dataset::validation_split`](crate::Dataset::validation_split) with seed 0: always the same ones.
///
/// ```
/// # fn main() -> tinsmith_data::Result<()> {
/// let digits = tinsmith_data::load("digits8x8")?;
/// assert_eq!((digits.train.len(), digits.test.len()), (1437, 360));
/// assert_eq!(digits.train.sample_shape(), [8, 8, 1]);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`DataError::UnknownName`] for neither; as [`load_folder`], [`load_npz`], [`table::read`].
pub fn load(name_or_path: &str) -> Result<Splits> {
    if BUILTIN.contains(&name_or_path) {
        return builtin(name_or_path);
    }
    let path = Path::new(name_or_path);
    if !path.exists() {
        return Err(DataError::UnknownName { name: name_or_path.to_owned(), known: BUILTIN });
    }
    if path.is_dir() {
        return load_folder(path);
    }
    match extension(path).as_str() {
        "npz" => load_npz(path),
        "csv" => {
            let (train, test) =
                table::read(path, &TableConfig::default())?.validation_split(HELD_BACK, Seed::new(0))?;
            Ok(Splits { train, test })
        }
        _ => {
            let reason = "is no data set, want a folder, an .npz archive or a .csv table";
            Err(DataError::layout(path, reason))
        }
    }
}

/// As [`load`], where what is neither built in nor a path here is looked for in the folder `root` too: `mnist` there is the
/// data set `mnist`.
///
/// # Errors
/// As [`load`].
pub fn load_in(name_or_path: &str, root: Option<&Path>) -> Result<Splits> {
    let there = root.map(|root| root.join(name_or_path)).filter(|path| path.exists());
    match there.as_deref().and_then(Path::to_str) {
        Some(path) if !BUILTIN.contains(&name_or_path) && !Path::new(name_or_path).exists() => load(path),
        _ => load(name_or_path),
    }
}

/// A data set that is part of this crate.
///
/// # Errors
/// [`DataError::UnknownName`], which lists those there are.
pub fn builtin(name: &str) -> Result<Splits> {
    macro_rules! digits {
        ($part:literal, $word:literal, $suffix:literal) => {{
            const FILE: &str = concat!($part, "-", $word, $suffix);
            let bytes = include_bytes!(concat!("../assets/digits8x8/", $part, "-", $word, $suffix));
            let source = Source { path: FILE.into(), array: idx::decode(bytes, Path::new(FILE))? };
            ($word.to_owned(), source)
        }};
    }
    macro_rules! part {
        ($part:literal) => {{
            let words = [digits!($part, "images", "-idx3-ubyte"), digits!($part, "labels", "-idx1-ubyte")];
            Part { prefix: $part.to_owned(), place: name.into(), words: BTreeMap::from(words) }
        }};
    }
    match name {
        "digits8x8" => assemble(name, part!("train"), part!("test"), None),
        _ => Err(DataError::UnknownName { name: name.to_owned(), known: BUILTIN }),
    }
}

/// Loads a folder of IDX or NPY files, or of `train.csv` and `test.csv`; see the module's front page for the layout.
/// The data set is named after the folder.
///
/// # Errors
/// [`DataError::Read`] where the folder or a file cannot be read, [`DataError::Malformed`] for a broken file,
/// [`DataError::Layout`] where files are missing, double, or do not fit each other.
pub fn load_folder(folder: &Path) -> Result<Splits> {
    let files = scan(folder)?;
    let canonical = fs::canonicalize(folder).map_err(DataError::read(folder))?;
    let name = canonical.file_name().map_or_else(|| "data".into(), |n| n.to_string_lossy());
    let (train_table, test_table) = (folder.join("train.csv"), folder.join("test.csv"));
    if files.is_empty() && train_table.exists() && test_table.exists() {
        return table::read_pair(&name, &train_table, &test_table, &TableConfig::default());
    }
    let [train, test] = pick_parts(folder, &files)?;
    let read = |prefix: String| {
        let mut words = BTreeMap::new();
        for (word, path) in &files[&prefix] {
            let array = if extension(path) == "npy" { npy::read(path)? } else { idx::read(path)? };
            insert(&mut words, word, Source { path: path.clone(), array })?;
        }
        Ok::<Part, DataError>(Part { prefix, place: folder.to_owned(), words })
    };
    let names = class_names(folder)?;
    let names = names.as_ref().map(|(path, names)| (path.as_path(), names.clone()));
    assemble(&name, read(train)?, read(test)?, names)
}

/// Loads an NPZ archive with the arrays of both parts, named as the module's front page says. The data set is named
/// after the archive.
///
/// # Errors
/// As [`load_folder`].
pub fn load_npz(path: &Path) -> Result<Splits> {
    let mut parts: BTreeMap<String, BTreeMap<String, Source>> = BTreeMap::new();
    for (name, array) in npz::read(path)? {
        let Some((prefix, word)) = array_name(&name) else { continue };
        let file = format!("{}[{name}]", path.display());
        insert(parts.entry(prefix).or_default(), &word, Source { path: file.into(), array })?;
    }
    let [train, test] = pick_parts(path, &parts)?;
    let mut take = |prefix: String| {
        let words = parts.remove(&prefix).unwrap_or_default();
        Part { prefix, place: path.to_owned(), words }
    };
    let name = path.file_stem().map_or_else(|| "data".into(), |n| n.to_string_lossy());
    assemble(&name, take(train), take(test), None)
}

/// The files of a folder by prefix (`train`, `test`, `t10k`), then by word (`images`, `labels`, …).
type Files = BTreeMap<String, BTreeMap<String, PathBuf>>;

fn scan(folder: &Path) -> Result<Files> {
    let mut files = Files::new();
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(DataError::read(folder))? {
        paths.push(entry.map_err(DataError::read(folder))?.path());
    }
    // In a fixed order, whatever order the system lists them in.
    paths.sort();
    for path in paths {
        let Some(name) = path.file_name().and_then(|n| n.to_str()) else { continue };
        let npy = name.strip_suffix(".npy").map(array_name);
        let Some((prefix, word)) = npy.unwrap_or_else(|| idx_name(name)) else { continue };
        let words = files.entry(prefix).or_default();
        if let Some(other) = words.get(&word) {
            let reason = format!("{name} holds the same as {}, want one of them", file_name(other));
            return Err(DataError::layout(folder, reason));
        }
        words.insert(word, path);
    }
    Ok(files)
}

/// `train-images-idx3-ubyte.gz` into `train` and `images`; none for names that are not of this form.
fn idx_name(name: &str) -> Option<(String, String)> {
    let name = if is_gzip_name(Path::new(name)) { &name[..name.len() - 3] } else { name };
    let at = name.rfind("idx").filter(|&at| at > 1 && matches!(name.as_bytes()[at - 1], b'-' | b'.'))?;
    let rank = name[at + 3..].split(['-', '.']).next()?;
    let (prefix, word) = name[..at - 1].split_once('-')?;
    let valid = !rank.is_empty() && rank.bytes().all(|b| b.is_ascii_digit()) && !word.is_empty();
    (valid && is_prefix(prefix)).then(|| (prefix.to_owned(), word.to_owned()))
}

/// `train-images`, `train_images`, `x_train` into `train` and the word; none for names that are not of this form.
fn array_name(name: &str) -> Option<(String, String)> {
    let (first, second) = name.split_once(['-', '_'])?;
    let (prefix, word) = if is_prefix(first) { (first, second) } else { (second, first) };
    (is_prefix(prefix) && !word.is_empty()).then(|| (prefix.to_owned(), word.to_owned()))
}

fn is_prefix(text: &str) -> bool {
    ["train", "test", "t10k"].contains(&text)
}

/// Adds an array by its word. What `x` and `y` are can be seen from their arrays only; labels of shape (N, 1) become
/// (N).
fn insert(words: &mut BTreeMap<String, Source>, word: &str, source: Source) -> Result<()> {
    let (shape, element) = (source.array.shape(), source.array.element());
    let (word, source) = match word {
        "x" if shape.len() == 3 && element == ElementType::U8 => ("images", source),
        "x" => ("data", source),
        "y" if element.is_integer() && matches!(shape, [_] | [_, 1]) => ("labels", flat(source)),
        "y" => ("targets", source),
        word => (word, source),
    };
    if let Some(other) = words.get(word) {
        let reason = format!("holds the same as {}, want one of them", file_name(&other.path));
        return Err(DataError::layout(&source.path, reason));
    }
    words.insert(word.to_owned(), source);
    Ok(())
}

fn flat(source: Source) -> Source {
    let values: &Values = source.array.values();
    let array = Array::new(vec![values.len()], values.clone()).unwrap_or(source.array);
    Source { array, ..source }
}

/// The prefixes of the training and the held-back part.
fn pick_parts<T>(place: &Path, found: &BTreeMap<String, BTreeMap<String, T>>) -> Result<[String; 2]> {
    let has = |prefix: &str| found.contains_key(prefix);
    let missing = |part: &str, example: &str| {
        let of = |(prefix, words): (&String, &BTreeMap<String, T>)| -> Vec<String> {
            words.keys().map(|word| format!("{prefix}-{word}")).collect()
        };
        let names: Vec<String> = found.iter().flat_map(of).collect();
        let names = if names.is_empty() { "no arrays of such names".to_owned() } else { names.join(", ") };
        let reason =
            format!("has no {part} part, want {example} and labels beside it (IDX or NPY); found {names}");
        DataError::layout(place, reason)
    };
    let test = match (has("test"), has("t10k")) {
        (true, false) => "test",
        (false, true) => "t10k",
        (false, false) => return Err(missing("test", "test-images-… (or t10k-images-…, test-data-…)")),
        (true, true) => {
            let reason = "has both test-… and t10k-… arrays, want one held-back part";
            return Err(DataError::layout(place, reason));
        }
    };
    if !has("train") {
        return Err(missing("train", "train-images-… or train-data-…"));
    }
    Ok(["train".to_owned(), test.to_owned()])
}

fn class_names(folder: &Path) -> Result<Option<(PathBuf, Vec<String>)>> {
    let path = folder.join("classes.txt");
    if !path.exists() {
        return Ok(None);
    }
    let text = fs::read_to_string(&path).map_err(DataError::read(&path))?;
    let names = text.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect();
    Ok(Some((path, names)))
}

fn extension(path: &Path) -> String {
    path.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default()
}
