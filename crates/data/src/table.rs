//! Tables in CSV files: a line of column names, then one sample per line.
//!
//! One column holds the answers, some may hold groups, all others are features, numbers in the order of the columns.
//! Answers that are whole numbers from 0 are classes by number, other numbers are values to be predicted, text is
//! classes in alphabetical order; [`TableConfig::targets`] can decide it. Groups may be numbers or text.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::dataset::{Dataset, Splits, Targets};
use crate::error::{DataError, Result};
use crate::load::MAX_CLASSES;
use crate::splits::SUBJECTS;

/// Names of a column that is taken for the answers where none is given, in this order; else the last column is.
pub const ANSWERS: [&str; 5] = ["label", "labels", "class", "target", "y"];

/// Which columns mean what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TableConfig {
    /// The column of the answers. Default empty: the first of [`ANSWERS`] that there is, else the last column.
    pub label: String,
    /// What the answers are. Default `auto`.
    pub targets: TableTargets,
    /// Columns of groups. Default empty; a column `subjects` is one in any case.
    pub groups: Vec<String>,
    /// Columns that are left out. Default empty.
    pub ignore: Vec<String>,
    /// What separates the columns, one ASCII character. Default `,`.
    pub delimiter: char,
}

impl Default for TableConfig {
    fn default() -> Self {
        Self {
            label: String::new(),
            targets: TableTargets::Auto,
            groups: Vec::new(),
            ignore: Vec::new(),
            delimiter: ',',
        }
    }
}

/// What the answers of a table are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TableTargets {
    /// As they look; see the module's front page.
    #[default]
    Auto,
    /// Classes, even if they are fractions.
    Classes,
    /// Values to be predicted, even if they are whole numbers.
    Values,
}

/// Reads a table as one data set, named after the file.
///
/// # Errors
/// [`DataError::Malformed`] with the line for a cell that cannot be read, [`DataError::Layout`] for a column that is
/// missing.
pub fn read(path: &Path, config: &TableConfig) -> Result<Dataset> {
    let table = Table::read(path, config)?;
    let name = path.file_stem().map_or_else(|| "table".into(), |n| n.to_string_lossy());
    let coding = Coding::of(&[&table], config)?;
    coding.dataset(&name, table)
}

/// Reads a training and a held-back table with the same columns, whose classes and groups are numbered alike.
///
/// # Errors
/// As [`read`]; [`DataError::Layout`] where the columns differ.
pub fn read_pair(name: &str, train: &Path, test: &Path, config: &TableConfig) -> Result<Splits> {
    let (train, test) = (Table::read(train, config)?, Table::read(test, config)?);
    if train.columns != test.columns {
        let reason =
            format!("has columns {:?}, want those of the training part: {:?}", test.columns, train.columns);
        return Err(DataError::layout(&test.path, reason));
    }
    let coding = Coding::of(&[&train, &test], config)?;
    Ok(Splits { train: coding.dataset(name, train)?, test: coding.dataset(name, test)? })
}

/// A table with its cells sorted by meaning.
struct Table {
    path: PathBuf,
    columns: Vec<String>,
    features: Vec<f32>,
    width: usize,
    /// With the line each stands in.
    answers: Vec<(u64, String)>,
    groups: BTreeMap<String, Vec<String>>,
}

/// What a column holds.
enum Column {
    Feature,
    Answer,
    Group(String),
    Ignored,
}

impl Table {
    fn read(path: &Path, config: &TableConfig) -> Result<Self> {
        let delimiter = u8::try_from(config.delimiter).ok().filter(u8::is_ascii).ok_or_else(|| {
            DataError::layout(path, format!("delimiter is `{}`, want one ASCII character", config.delimiter))
        })?;
        let file = std::fs::File::open(path).map_err(DataError::read(path))?;
        let mut reader =
            csv::ReaderBuilder::new().delimiter(delimiter).trim(csv::Trim::All).from_reader(file);
        let broken = |e: csv::Error| DataError::malformed(path, e.to_string());
        let columns: Vec<String> = reader.headers().map_err(broken)?.iter().map(str::to_owned).collect();
        let meanings = meanings(path, &columns, config)?;
        let width = meanings.iter().filter(|m| matches!(m, Column::Feature)).count();
        let mut table = Self {
            path: path.to_owned(),
            columns,
            features: Vec::new(),
            width,
            answers: Vec::new(),
            groups: BTreeMap::new(),
        };
        for record in reader.records() {
            let record = record.map_err(broken)?;
            let line = record.position().map_or(0, csv::Position::line);
            for ((cell, meaning), column) in record.iter().zip(&meanings).zip(&table.columns) {
                let wrong = |want: &str| {
                    DataError::malformed(
                        path,
                        format!("line {line}, column `{column}`: `{cell}`, want {want}"),
                    )
                };
                match meaning {
                    Column::Ignored => {}
                    _ if cell.is_empty() => return Err(wrong("a value")),
                    Column::Feature => {
                        let number: Option<f32> = cell.parse().ok().filter(|x: &f32| x.is_finite());
                        table.features.push(number.ok_or_else(|| wrong("a finite number"))?);
                    }
                    Column::Answer => table.answers.push((line, cell.to_owned())),
                    Column::Group(name) => {
                        table.groups.entry(name.clone()).or_default().push(cell.to_owned());
                    }
                }
            }
        }
        if table.answers.is_empty() {
            return Err(DataError::layout(path, "has no rows, want at least one below the column names"));
        }
        Ok(table)
    }
}

fn meanings(path: &Path, columns: &[String], config: &TableConfig) -> Result<Vec<Column>> {
    let have = |name: &str| columns.iter().any(|column| column == name);
    if columns.iter().all(|column| column.parse::<f64>().is_ok()) {
        let reason =
            "line 1 holds no names of columns, want a line of names, then one of numbers for each sample";
        return Err(DataError::malformed(path, reason));
    }
    let named =
        config.groups.iter().chain(&config.ignore).chain(Some(&config.label).filter(|l| !l.is_empty()));
    for name in named {
        if !have(name) {
            let reason = format!("has no column `{name}`, want one of {}", columns.join(", "));
            return Err(DataError::layout(path, reason));
        }
    }
    let usual = || ANSWERS.into_iter().find(|name| have(name) && !config.ignore.iter().any(|i| i == name));
    let last = || columns.iter().rfind(|c| !config.ignore.contains(c) && !config.groups.contains(c));
    let answer = if config.label.is_empty() {
        usual().or_else(|| last().map(String::as_str)).unwrap_or_default()
    } else {
        &config.label
    };
    let meaning = |name: &String| {
        if name == answer {
            Column::Answer
        } else if config.ignore.contains(name) {
            Column::Ignored
        } else if config.groups.contains(name) || name == SUBJECTS {
            Column::Group(name.clone())
        } else {
            Column::Feature
        }
    };
    let meanings: Vec<Column> = columns.iter().map(meaning).collect();
    let count = |test: fn(&Column) -> bool| meanings.iter().filter(|m| test(m)).count();
    let (answers, features) =
        (count(|m| matches!(m, Column::Answer)), count(|m| matches!(m, Column::Feature)));
    if answers != 1 || features == 0 {
        let reason = format!(
            "has {answers} columns of answers and {features} of features, want one and at least one; columns are {}",
            columns.join(", ")
        );
        return Err(DataError::layout(path, reason));
    }
    Ok(meanings)
}

/// How text becomes numbers, the same for both parts.
struct Coding {
    /// The classes' names; none where the answers are values.
    classes: Option<Vec<String>>,
    /// By group column: all values in order, where they are not whole numbers.
    groups: BTreeMap<String, Vec<String>>,
    targets: TableTargets,
}

impl Coding {
    fn of(tables: &[&Table], config: &TableConfig) -> Result<Self> {
        let answers = || tables.iter().flat_map(|table| &table.answers).map(|(_, cell)| cell.as_str());
        let whole = answers().map(|cell| cell.parse::<u32>().ok()).collect::<Option<Vec<u32>>>();
        let numbers = answers().all(|cell| cell.parse::<f32>().is_ok());
        let classes = match (config.targets, whole) {
            (TableTargets::Values, _) => None,
            (_, Some(whole)) => {
                let highest = whole.into_iter().max().unwrap_or(0);
                if highest >= MAX_CLASSES {
                    let path = tables.first().map_or(Path::new("table"), |table| &table.path);
                    let reason = format!(
                        "answers go up to {highest}: too many classes (at most {MAX_CLASSES}), want `targets: values`"
                    );
                    return Err(DataError::layout(path, reason));
                }
                Some((0..=highest).map(|class| class.to_string()).collect())
            }
            (TableTargets::Auto, None) if numbers => None,
            (TableTargets::Auto | TableTargets::Classes, None) => Some(distinct(answers())),
        };
        let mut groups = BTreeMap::new();
        for name in tables.iter().flat_map(|table| table.groups.keys()) {
            let cells =
                || tables.iter().filter_map(|table| table.groups.get(name)).flatten().map(String::as_str);
            if !cells().all(|cell| cell.parse::<i64>().is_ok()) {
                groups.insert(name.clone(), distinct(cells()));
            }
        }
        Ok(Self { classes, groups, targets: config.targets })
    }

    fn dataset(&self, name: &str, table: Table) -> Result<Dataset> {
        let place =
            |values: &[String], cell: &str| values.binary_search_by(|v| v.as_str().cmp(cell)).unwrap_or(0);
        let targets = if let Some(names) = &self.classes {
            let by_number = table.answers.iter().all(|(_, cell)| cell.parse::<u32>().is_ok());
            // Numbered classes are named 0, 1, 2, …, which is not the order of the alphabet from 10 on.
            let label = |(_, cell): &(u64, String)| cell.parse().ok().filter(|_| by_number);
            let label =
                |answer: &(u64, String)| label(answer).unwrap_or_else(|| place(names, &answer.1) as u32);
            Targets::Labels { labels: table.answers.iter().map(label).collect(), names: names.clone().into() }
        } else {
            let value = |(line, cell): &(u64, String)| {
                cell.parse::<f32>().ok().filter(|x| x.is_finite()).ok_or_else(|| {
                    let reason =
                        format!("line {line}: answer `{cell}`, want a finite number ({:?})", self.targets);
                    DataError::malformed(&table.path, reason)
                })
            };
            let values = table.answers.iter().map(value).collect::<Result<_>>()?;
            Targets::Arrays { shape: vec![1], values }
        };
        let mut dataset = Dataset::new(name, vec![table.width], table.features, targets)?;
        for (column, cells) in table.groups {
            let text = self.groups.get(&column);
            let number =
                |cell: &String| text.map_or_else(|| cell.parse().unwrap_or(0), |v| place(v, cell) as i64);
            dataset = dataset.with_group(&column, cells.iter().map(number).collect())?;
        }
        Ok(dataset)
    }
}

fn distinct<'a>(cells: impl Iterator<Item = &'a str>) -> Vec<String> {
    cells.collect::<BTreeSet<&str>>().into_iter().map(str::to_owned).collect()
}
