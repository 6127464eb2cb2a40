//! Data sets by name or path: built-in ones, folders of IDX or NPY files, NPZ archives, tables.
//!
//! A folder is laid out like that of MNIST:
//!
//! | file | contents |
//! | --- | --- |
//! | `train-images-idx3-ubyte`, `train-images-idx4-ubyte` | images (N, H, W) or (N, H, W, C) |
//! | `train-data-idx3-float32`, `train-data-idx2-float32` | series (N, T, C), rows of a table (N, F) |
//! | `train-labels-idx1-ubyte` | classes |
//! | `train-targets-idx2-float32` | instead of labels: one array per sample |
//! | `train-subjects-idx1-ubyte`, any other word | group columns |
//! | `test-…` or `t10k-…` | the same arrays of the test part |
//! | `val-…` | a validation part; it is joined with the training part |
//! | `classes.txt` | class names, one per line; optional |
//!
//! Element types are free, each file may end in `.gz`, `.idx3-ubyte` is read like `-idx3-ubyte`, words before the part
//! are allowed (`emnist-letters-train-…`), `train-images.npy` is read like an IDX file, other files are ignored.
//!
//! In names of NPY files and of arrays in an archive, `x_train` and `y_train` are understood too, in any case of letters,
//! and `X` and `y` without a part. Bytes of three dimensions are images, other samples data. `y` holds classes if it is
//! text, one-hot, or has numbers that are classes by the rule of [`table`]. `labels` always holds classes. Labels
//! that do not count from 0 without gaps are renumbered and keep their old values as names, unless `classes.txt` names
//! them. An archive without a test part is split: 20 % of the rows become the test part, by a fixed seed.
//!
//! A folder with `train.csv` and `test.csv` (or `.tsv`, or these with `.gz`), and a single table, are read as
//! [`table`] documents.

mod names;
mod parts;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use tinsmith_foundation::Seed;

use self::names::{PartName, array_name, idx_name};
use self::parts::{ArrayPart, Source, assemble, file_name};
use crate::dataset::{Dataset, Splits};
use crate::error::{DataError, Result};
use crate::locate::{BUILTIN, find};
use crate::notes::Notes;
use crate::npy::Decoded;
use crate::table::{self, TableOptions, is_table_name};
use crate::targets::TargetChoice;
use crate::{idx, npy, npz};

/// Fraction of the rows that becomes the test part of a data set without one.
const TEST_FRACTION: f64 = 0.2;

/// Loads a data set with default options: a built-in one by its name ([`BUILTIN`]), otherwise a folder, an `.npz`
/// archive or a table by its path. A folder with the name of a built-in data set is reached by `./name`.
///
/// A single table has no test part: 20 % of its rows are split off by
/// [`Dataset::validation_split`] with seed 0, the same ones every time.
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
/// As [`load_with`].
pub fn load(name_or_path: &str) -> Result<Splits> {
    load_with(name_or_path, None, &TableOptions::default())
}

/// Loads a data set like [`load`]; a name that is neither built in nor a path is looked up in the folder `root`.
///
/// # Errors
/// As [`load_with`].
pub fn load_in(name_or_path: &str, root: Option<&Path>) -> Result<Splits> {
    load_with(name_or_path, root, &TableOptions::default())
}

/// Loads a data set by name or path with options. [`TableOptions::targets`] acts on data of every kind, the other
/// settings on tables only.
///
/// # Errors
/// [`DataError::UnknownName`] for a name that is neither built in nor on disk; [`DataError::Impossible`] for data of a
/// single class, for settings of tables on data of another kind, and for targets that cannot be converted; otherwise
/// as [`load_folder`], [`load_npz`] and [`table::read`].
pub fn load_with(name_or_path: &str, root: Option<&Path>, options: &TableOptions) -> Result<Splits> {
    let Some(path) = find(name_or_path, root)? else {
        options.require_no_table_settings(name_or_path)?;
        return finish(builtin(name_or_path)?, &options.targets);
    };
    if is_table_name(&path) && path.is_file() {
        return finish(split(&table::read(&path, options)?)?, &TargetChoice::Auto);
    }
    if let Some([train, test]) = table_pair(&path) {
        let name = folder_name(&path)?;
        return finish(table::read_pair(&name, &train, &test, options)?, &TargetChoice::Auto);
    }
    options.require_no_table_settings(name_or_path)?;
    if path.is_dir() {
        return finish(read_folder(&path)?, &options.targets);
    }
    match extension(&path).as_str() {
        "npz" => finish(read_npz(&path)?, &options.targets),
        other => {
            let want = "want a folder, an .npz archive or a table (.csv, .tsv, also with .gz)";
            let kind = match other {
                "xlsx" | "xls" | "ods" => "is a spreadsheet: save it as CSV; ",
                "parquet" | "arrow" | "feather" | "h5" | "hdf5" | "mat" | "pkl" | "pt" => {
                    "is of a kind that is not read: write NPZ or CSV; "
                }
                "npy" | "idx" | "gz" => "is a single array: put it into a folder with its labels; ",
                _ => "is no data set, ",
            };
            Err(DataError::layout(&path, format!("{kind}{want}")))
        }
    }
}

/// Loads a data set that is part of this crate.
///
/// # Errors
/// [`DataError::UnknownName`], which lists the known names.
pub fn builtin(name: &str) -> Result<Splits> {
    macro_rules! digits {
        ($part:literal, $word:literal, $suffix:literal) => {{
            const FILE: &str = concat!($part, "-", $word, $suffix);
            let bytes = include_bytes!(concat!("../assets/digits8x8/", $part, "-", $word, $suffix));
            let content = Decoded::Numbers(idx::decode(bytes, Path::new(FILE))?);
            ($word.to_owned(), Source { path: FILE.into(), content })
        }};
    }
    macro_rules! part {
        ($part:literal, $name:expr) => {{
            let words = [digits!($part, "images", "-idx3-ubyte"), digits!($part, "labels", "-idx1-ubyte")];
            ArrayPart { part: $name, place: name.into(), words: BTreeMap::from(words) }
        }};
    }
    match name {
        "digits8x8" => {
            let parts = vec![part!("train", PartName::Train), part!("test", PartName::Test)];
            splits(assemble(name, parts, None, Notes::default())?)
        }
        _ => Err(DataError::UnknownName { name: name.to_owned(), known: BUILTIN }),
    }
}

/// Loads a folder of IDX or NPY files, or of two tables; see the front page for the layout. The data set is named after
/// the folder.
///
/// # Errors
/// [`DataError::Read`] if the folder or a file cannot be read, [`DataError::Malformed`] for a broken file,
/// [`DataError::Layout`] for files that are missing, ambiguous, or do not fit each other.
pub fn load_folder(folder: &Path) -> Result<Splits> {
    if let Some([train, test]) = table_pair(folder) {
        let pair = table::read_pair(&folder_name(folder)?, &train, &test, &TableOptions::default())?;
        return finish(pair, &TargetChoice::Auto);
    }
    finish(read_folder(folder)?, &TargetChoice::Auto)
}

/// Loads an NPZ archive; see the front page for the names of its arrays. The data set is named after the archive.
///
/// # Errors
/// As [`load_folder`].
pub fn load_npz(path: &Path) -> Result<Splits> {
    finish(read_npz(path)?, &TargetChoice::Auto)
}

/// Applies the choice of targets and refuses data of a single class.
fn finish(splits: Splits, choice: &TargetChoice) -> Result<Splits> {
    let splits = splits.with_target_choice(choice)?;
    let counts = splits.train.class_counts();
    let present = counts.iter().filter(|&&rows| rows > 0).count();
    if splits.train.labels().is_some() && present < 2 {
        let class = counts
            .iter()
            .position(|&rows| rows > 0)
            .map_or("none", |at| splits.train.class_names()[at].as_str());
        let reason = format!(
            "all {} training rows of `{}` have the class `{class}`, so there is nothing to learn; choose other targets \
             (`label`, `targets: values`, `targets: samples`)",
            splits.train.len(),
            splits.train.name()
        );
        return Err(DataError::Impossible { operation: "use a single class", reason });
    }
    Ok(splits)
}

/// Splits a test part off a data set without one.
fn split(data: &Dataset) -> Result<Splits> {
    let (train, test) = data.validation_split(TEST_FRACTION, Seed::new(0))?;
    let mut notes = data.notes().clone();
    notes.decisions.push(format!(
        "there is no test part: {} of {} rows are held back as one, chosen by seed 0",
        test.len(),
        data.len()
    ));
    Ok(Splits { train: train.with_notes(notes.clone()), test: test.with_notes(notes) })
}

fn splits(mut datasets: Vec<Dataset>) -> Result<Splits> {
    let last = datasets.pop().expect("invariant: a data set has one part or two");
    match datasets.pop() {
        Some(train) => Ok(Splits { train, test: last }),
        None => split(&last),
    }
}

fn read_folder(folder: &Path) -> Result<Splits> {
    let mut found = FoundParts::new();
    for (path, (part, word)) in scan(folder)? {
        let content = if extension(&path) == "npy" {
            npy::read_any(&path)?
        } else {
            Decoded::Numbers(idx::read(&path)?)
        };
        part_of(&mut found, part, folder).insert(&word, Source { path, content })?;
    }
    let mut notes = Notes::default();
    let is_archive = false;
    let parts = pick_parts(folder, found, is_archive, &mut notes)?;
    let names = class_names(folder)?;
    let names = names.as_ref().map(|(path, names)| (path.as_path(), names.clone()));
    splits(assemble(&folder_name(folder)?, parts, names, notes)?)
}

fn read_npz(path: &Path) -> Result<Splits> {
    let mut found = FoundParts::new();
    for (name, content) in npz::read_any(path)? {
        let Some((part, word)) = array_name(&name) else { continue };
        let file = format!("{}[{name}]", path.display());
        part_of(&mut found, part, path).insert(&word, Source { path: file.into(), content })?;
    }
    let mut notes = Notes::default();
    let is_archive = true;
    let parts = pick_parts(path, found, is_archive, &mut notes)?;
    let name = path.file_stem().map_or_else(|| "data".into(), |n| n.to_string_lossy());
    splits(assemble(&name, parts, None, notes)?)
}

/// The parts of a folder or archive.
type FoundParts = BTreeMap<PartName, ArrayPart>;

fn part_of<'a>(found: &'a mut FoundParts, part: PartName, place: &Path) -> &'a mut ArrayPart {
    found.entry(part).or_insert_with(|| ArrayPart { part, place: place.to_owned(), words: BTreeMap::new() })
}

/// The files of a folder that belong to a data set, in alphabetical order.
fn scan(folder: &Path) -> Result<Vec<(PathBuf, (PartName, String))>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(DataError::read(folder))? {
        paths.push(entry.map_err(DataError::read(folder))?.path());
    }
    // The system lists files in any order; a message must not depend on it.
    paths.sort();
    let mut files: Vec<(PathBuf, (PartName, String))> = Vec::new();
    for path in paths {
        let Some(name) = path.file_name().and_then(|n| n.to_str()) else { continue };
        let npy = name.strip_suffix(".npy").map(array_name);
        let Some(meaning) = npy.unwrap_or_else(|| idx_name(name)) else { continue };
        if let Some((other, _)) = files.iter().find(|(_, known)| *known == meaning) {
            let reason = format!("{name} holds the same as {}, want one of them", file_name(other));
            return Err(DataError::layout(folder, reason));
        }
        files.push((path, meaning));
    }
    Ok(files)
}

/// `train.csv` and `test.csv`, or the same with another ending, if the folder has no arrays.
fn table_pair(folder: &Path) -> Option<[PathBuf; 2]> {
    let find = |stem: &str| {
        let endings = ["csv", "tsv", "csv.gz", "tsv.gz"];
        endings.iter().map(|ending| folder.join(format!("{stem}.{ending}"))).find(|path| path.is_file())
    };
    let pair = [find("train")?, find("test")?];
    scan(folder).is_ok_and(|files| files.is_empty()).then_some(pair)
}

/// The training and the test part. A validation part is joined with the training part, or becomes the test part if there
/// is no other. Without either, one part is returned for archives, to be split.
fn pick_parts(
    place: &Path,
    mut found: FoundParts,
    is_archive: bool,
    notes: &mut Notes,
) -> Result<Vec<ArrayPart>> {
    let has = |part: PartName| found.contains_key(&part);
    if has(PartName::Test) && has(PartName::TenThousand) {
        let reason = "has both test-… and t10k-… arrays, want one test part";
        return Err(DataError::layout(place, reason));
    }
    let has_test = has(PartName::Test) || has(PartName::TenThousand);
    let has_train = has(PartName::Train);
    let has_validation = has(PartName::Validation);
    if !has_train
        && !has_test
        && let Some(whole) = found.remove(&PartName::Whole)
    {
        return Ok(vec![whole]);
    }
    let missing = |part: &str, example: &str| {
        let of = |part: &ArrayPart| -> Vec<String> {
            part.words.keys().map(|word| format!("{}-{word}", part.part.name())).collect()
        };
        let names: Vec<String> = found.values().flat_map(of).collect();
        let names = if names.is_empty() { "no arrays of such names".to_owned() } else { names.join(", ") };
        let reason =
            format!("has no {part} part, want {example} and labels beside it (IDX or NPY); found {names}");
        DataError::layout(place, reason)
    };
    if !has_train {
        let (part, example) = if has_test {
            ("train", "train-images-… or train-data-…")
        } else {
            ("test", "test-images-… (or t10k-images-…, test-data-…)")
        };
        return Err(missing(part, example));
    }
    if !has_test && !has_validation && !is_archive {
        return Err(missing("test", "test-images-… (or t10k-images-…, test-data-…)"));
    }
    let mut train = found.remove(&PartName::Train).expect("invariant: looked up above");
    let test = found.remove(&PartName::Test).or_else(|| found.remove(&PartName::TenThousand));
    let parts = match (test, found.remove(&PartName::Validation)) {
        (Some(test), None) => vec![train, test],
        (Some(test), Some(validation)) => {
            train.append(validation)?;
            notes.decisions.push("the validation part is joined with the training part".to_owned());
            vec![train, test]
        }
        (None, Some(validation)) => {
            notes.decisions.push("there is no test part: the validation part is used as one".to_owned());
            vec![train, validation]
        }
        (None, None) => vec![train],
    };
    Ok(parts)
}

fn folder_name(folder: &Path) -> Result<String> {
    let canonical = fs::canonicalize(folder).map_err(DataError::read(folder))?;
    Ok(canonical.file_name().map_or_else(|| "data".to_owned(), |name| name.to_string_lossy().into_owned()))
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
