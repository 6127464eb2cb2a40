//! From cells to data sets: features, targets and groups, coded alike in all parts of a data set.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::dataset::{Dataset, Targets};
use crate::error::{DataError, Result};
use crate::inspect::column_warning;
use crate::labels::{MAX_CLASSES, NumericClasses, distinct, one_hot_labels, place_of, rare_label_warning};
use crate::notes::{ColumnNote, ColumnRole, Notes};
use crate::table::cells::Table;
use crate::table::columns::{PlannedRole, stem};
use crate::table::dialect::is_missing;
use crate::table::options::{Missing, TableOptions};
use crate::targets::TargetChoice;

/// Most values of a text column that becomes columns of 0 and 1.
const MAX_CATEGORIES: usize = 50;

/// Coding of one feature column.
enum Feature {
    /// Numbers; missing ones are replaced by the value, if it is given.
    Numbers { fill: Option<f64> },
    /// One column of 0 and 1 for each value, one less for two values; `fill` is the most frequent value.
    Categories { values: Vec<String>, fill: String },
}

/// Final use of each column.
enum Use {
    Feature(Feature),
    Target,
    Group,
    Dropped,
}

/// Data sets of the tables, the training part first.
pub(super) fn datasets(name: &str, mut tables: Vec<Table>, options: &TableOptions) -> Result<Vec<Dataset>> {
    let mut notes = Notes { decisions: tables[0].decisions.clone(), ..Notes::default() };
    let count = tables[0].columns.len();
    let mut dropped: Vec<Option<String>> = vec![None; count];
    for (column, reason) in dropped.iter_mut().enumerate() {
        let (role, why) = &tables[0].plan.roles[column];
        let label = format!("column `{}`", tables[0].columns[column]);
        match role {
            PlannedRole::Dropped => *reason = Some(why.clone()),
            PlannedRole::Index if tables.iter().all(|table| all_differ(table, column)) => {
                let why = format!("{why}, and all values differ (rename it to use it)");
                notes.decisions.push(format!("{label} is dropped: {why}"));
                *reason = Some(why);
            }
            PlannedRole::Index => notes.warnings.push(format!(
                "{label} is {why}, but its values repeat; it is a feature unless `group` or `ignore` names it"
            )),
            PlannedRole::Feature | PlannedRole::Target | PlannedRole::Group => {}
        }
    }
    handle_missing(&mut tables, &dropped, options, &mut notes)?;
    let mut uses = Vec::new();
    for (column, reason) in dropped.iter().enumerate() {
        let (role, why) = tables[0].plan.roles[column].clone();
        let (used, role, reason) = match (reason, role) {
            (Some(reason), _) => (Use::Dropped, ColumnRole::Dropped, reason.clone()),
            (None, PlannedRole::Target) => (Use::Target, ColumnRole::Target, why),
            (None, PlannedRole::Group) => (Use::Group, ColumnRole::Group, why),
            (None, PlannedRole::Feature | PlannedRole::Index | PlannedRole::Dropped) => {
                match feature(&tables, column, options, &mut notes)? {
                    Some((feature, reason)) => (Use::Feature(feature), ColumnRole::Feature, reason),
                    None => (Use::Dropped, ColumnRole::Dropped, "the same value in every row".to_owned()),
                }
            }
        };
        notes.columns.push(ColumnNote { name: tables[0].columns[column].clone(), role, reason });
        uses.push(used);
    }
    let targets = targets(&tables, options, &mut notes)?;
    if !uses.iter().any(|used| matches!(used, Use::Feature(_))) {
        let reason =
            format!("has no features beside the targets; columns are {}", tables[0].columns.join(", "));
        return Err(DataError::layout(&tables[0].path, reason));
    }
    let mut parts = Vec::new();
    for (table, targets) in tables.iter().zip(targets) {
        parts.push(dataset(name, table, &tables, &uses, targets)?.with_notes(notes.clone()));
    }
    Ok(parts)
}

fn all_differ(table: &Table, column: usize) -> bool {
    let texts = &table.cells[column].texts;
    texts.iter().collect::<BTreeSet<_>>().len() == texts.len()
}

/// Applies [`TableOptions::missing`]: refuses, or removes rows. Values to fill are found by [`feature`].
fn handle_missing(
    tables: &mut [Table],
    dropped: &[Option<String>],
    options: &TableOptions,
    notes: &mut Notes,
) -> Result<()> {
    let policy = options.missing.unwrap_or_default();
    for table in tables {
        let used: Vec<usize> = (0..dropped.len()).filter(|&column| dropped[column].is_none()).collect();
        if policy == Missing::Refuse {
            let missing = used
                .iter()
                .filter_map(|&column| table.cells[column].first_missing.as_ref().map(|cell| (column, cell)));
            if let Some((column, cell)) = missing.min_by_key(|(_, (line, _))| *line) {
                let want = if cell.1.is_empty() { "a value" } else { "a finite number" };
                return Err(table.wrong(
                    column,
                    cell,
                    &format!("{want} (or `missing: drop` or `missing: fill`)"),
                ));
            }
            continue;
        }
        // Under `fill`, a row without a target or a group still cannot be used.
        let required = |column: &usize| {
            policy == Missing::Drop
                || matches!(table.plan.roles[*column].0, PlannedRole::Target | PlannedRole::Group)
        };
        let columns: Vec<usize> = used.into_iter().filter(required).collect();
        let rows = table.lines.len();
        let whole: Vec<usize> =
            (0..rows).filter(|&row| !columns.iter().any(|&column| table.lacks(column, row))).collect();
        if whole.is_empty() {
            return Err(DataError::layout(&table.path, "has no rows without missing values"));
        }
        if whole.len() < rows {
            let place = table.path.display();
            notes.decisions.push(format!(
                "{} of {rows} rows of {place} with missing values are dropped",
                rows - whole.len()
            ));
            table.keep(&whole);
        }
    }
    Ok(())
}

/// Coding of a feature column with a description, or `None` for text that is the same in every row.
fn feature(
    tables: &[Table],
    column: usize,
    options: &TableOptions,
    notes: &mut Notes,
) -> Result<Option<(Feature, String)>> {
    let all_text = tables.iter().all(|table| table.cells[column].is_text());
    let with_text = tables.iter().find(|table| table.cells[column].first_text.is_some());
    let name = &tables[0].columns[column];
    if let Some(table) = with_text {
        let cell = table.cells[column].first_text.as_ref().expect("invariant: found by its text");
        if !all_text {
            return Err(table.wrong(column, cell, "a finite number"));
        }
        let texts = || {
            tables.iter().flat_map(|t| &t.cells[column].texts).map(String::as_str).filter(|c| !is_missing(c))
        };
        let values = distinct(texts());
        if values.len() < 2 {
            return Ok(None);
        }
        if values.len() > MAX_CATEGORIES {
            let want = format!(
                "a finite number, or text with at most {MAX_CATEGORIES} different values (there are {}; `ignore` \
                 leaves the column out)",
                values.len()
            );
            return Err(table.wrong(column, cell, &want));
        }
        let train = &tables[0].cells[column].texts;
        let rows = |value: &String| train.iter().filter(|text| *text == value).count();
        let fill = values.iter().rev().max_by_key(|value| rows(value)).cloned();
        let fill = fill.expect("invariant: there are at least two values");
        let reason = if values.len() == 2 {
            format!("text: 0 for `{}`, 1 for `{}`", values[0], values[1])
        } else {
            format!("text: a column of 0 and 1 for each of {} values ({})", values.len(), values.join(", "))
        };
        notes.decisions.push(format!("column `{name}` is {reason}"));
        return Ok(Some((Feature::Categories { values, fill }, reason)));
    }
    let numbers = &tables[0].cells[column].numbers;
    notes.warnings.extend(column_warning(&format!("column `{name}`"), numbers));
    let missing = tables.iter().any(|table| table.cells[column].first_missing.is_some());
    if options.missing == Some(Missing::Fill) && missing {
        let Some(median) = median(numbers) else { return Ok(None) };
        let gaps =
            tables.iter().flat_map(|table| &table.cells[column].numbers).filter(|x| x.is_nan()).count();
        let reason = format!("numbers; {gaps} missing values are filled by the median, {median}");
        return Ok(Some((Feature::Numbers { fill: Some(median) }, reason)));
    }
    Ok(Some((Feature::Numbers { fill: None }, "numbers".to_owned())))
}

fn median(numbers: &[f64]) -> Option<f64> {
    let mut values: Vec<f64> = numbers.iter().copied().filter(|x| !x.is_nan()).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

/// Targets of each table, coded alike.
fn targets(tables: &[Table], options: &TableOptions, notes: &mut Notes) -> Result<Vec<Targets>> {
    let plan = &tables[0].plan;
    let parts = tables.len();
    match plan.targets.as_slice() {
        [] if options.targets == TargetChoice::Samples => Ok(vec![Targets::Samples; parts]),
        [] => {
            let reason = format!("has no column of targets; columns are {}", tables[0].columns.join(", "));
            Err(DataError::layout(&tables[0].path, reason))
        }
        [column] => one_target(tables, *column, options, notes),
        columns => many_targets(tables, columns, options, notes),
    }
}

fn one_target(
    tables: &[Table],
    column: usize,
    options: &TableOptions,
    notes: &mut Notes,
) -> Result<Vec<Targets>> {
    let rows: usize = tables.iter().map(|table| table.lines.len()).sum();
    let name = &tables[0].columns[column];
    if let Some(table) = tables.iter().find(|table| table.cells[column].first_text.is_some()) {
        let cell = table.cells[column].first_text.as_ref().expect("invariant: found by its text");
        if options.targets == TargetChoice::Values {
            return Err(table.wrong(column, cell, "a finite number (`targets: values`)"));
        }
        let names = distinct(tables.iter().flat_map(|t| &t.cells[column].texts).map(String::as_str));
        note_target(notes, name, &format!("text: {} classes", names.len()));
        check_classes(tables, names.len(), rows, notes)?;
        let names: Arc<[String]> = names.into();
        let labels =
            |table: &Table| table.cells[column].texts.iter().map(|cell| place_of(&names, cell)).collect();
        return Ok(tables
            .iter()
            .map(|t| Targets::Labels { labels: labels(t), names: Arc::clone(&names) })
            .collect());
    }
    let classes = NumericClasses::of(tables.iter().flat_map(|table| &table.cells[column].numbers).copied());
    let (as_classes, reason) = match options.targets {
        TargetChoice::Classes => (true, format!("{} classes (`targets: classes`)", classes.count())),
        TargetChoice::Values => (false, "values to predict (`targets: values`)".to_owned()),
        TargetChoice::Auto | TargetChoice::Column(_) | TargetChoice::Samples => {
            classes.are_classes(rows, plan_hint(tables))
        }
    };
    note_target(notes, name, &reason);
    if !as_classes {
        let values = |table: &Table| table.cells[column].numbers.iter().map(|&x| x as f32).collect();
        return Ok(tables.iter().map(|t| Targets::Arrays { shape: vec![1], values: values(t) }).collect());
    }
    check_classes(tables, classes.count(), rows, notes)?;
    notes.decisions.extend(classes.renumbering());
    let names: Arc<[String]> = classes.names().into();
    let labels = |table: &Table| table.cells[column].numbers.iter().map(|&x| classes.label(x)).collect();
    Ok(tables.iter().map(|t| Targets::Labels { labels: labels(t), names: Arc::clone(&names) }).collect())
}

fn plan_hint(tables: &[Table]) -> crate::labels::NameHint {
    tables[0].plan.hint
}

fn many_targets(
    tables: &[Table],
    columns: &[usize],
    options: &TableOptions,
    notes: &mut Notes,
) -> Result<Vec<Targets>> {
    for table in tables {
        for &column in columns {
            if let Some(cell) = &table.cells[column].first_text {
                return Err(table.wrong(column, cell, "a finite number: there are several targets"));
            }
        }
    }
    let width = columns.len();
    let values = |table: &Table| -> Vec<f32> {
        (0..table.lines.len())
            .flat_map(|row| columns.iter().map(move |&column| (row, column)))
            .map(|(row, column)| table.cells[column].numbers[row] as f32)
            .collect()
    };
    let values: Vec<Vec<f32>> = tables.iter().map(values).collect();
    let labels: Option<Vec<Vec<u32>>> = values.iter().map(|values| one_hot_labels(values, width)).collect();
    let names: Vec<&str> = columns.iter().map(|&column| tables[0].columns[column].as_str()).collect();
    let wants_values = options.targets == TargetChoice::Values;
    match labels {
        Some(labels) if !wants_values => {
            let short = |name: &&str| {
                name.strip_prefix(stem(name))
                    .and_then(|rest| rest.strip_prefix('_'))
                    .unwrap_or(name)
                    .to_owned()
            };
            let classes: Arc<[String]> = names.iter().map(short).collect();
            let reason = format!("one-hot: {width} classes (`targets: values` overrides)");
            names.iter().for_each(|name| note_target(notes, name, &reason));
            notes.decisions.push(format!("columns {} are {reason}", names.join(", ")));
            Ok(labels
                .into_iter()
                .map(|l| Targets::Labels { labels: l.into(), names: Arc::clone(&classes) })
                .collect())
        }
        None if tables[0].plan.must_be_one_hot || options.targets == TargetChoice::Classes => {
            let reason = format!(
                "has several columns that may be targets: {}; they are not one-hot. Name one by `label`, or all by `target`, \
                 and the others by `ignore`",
                names.join(", ")
            );
            Err(DataError::layout(&tables[0].path, reason))
        }
        _ => {
            names.iter().for_each(|name| note_target(notes, name, "a value to predict"));
            notes.decisions.push(format!("columns {} are {width} values to predict", names.join(", ")));
            let arrays = |values: Vec<f32>| Targets::Arrays { shape: vec![width], values: values.into() };
            Ok(values.into_iter().map(arrays).collect())
        }
    }
}

/// Adds to the note of a target column, and to the decisions if the target is the only one.
fn note_target(notes: &mut Notes, name: &str, reason: &str) {
    let note = notes.columns.iter_mut().find(|note| note.name == name && note.role == ColumnRole::Target);
    if let Some(note) = note {
        note.reason = format!("{}; {reason}", note.reason);
    }
}

fn check_classes(tables: &[Table], classes: usize, rows: usize, notes: &mut Notes) -> Result<()> {
    if classes > MAX_CLASSES {
        let reason = format!("has {classes} classes, want at most {MAX_CLASSES} (or `targets: values`)");
        return Err(DataError::layout(&tables[0].path, reason));
    }
    notes.warnings.extend(rare_label_warning(classes, rows));
    Ok(())
}

/// The data set of one table.
fn dataset(name: &str, table: &Table, tables: &[Table], uses: &[Use], targets: Targets) -> Result<Dataset> {
    let width: usize = uses.iter().map(Use::width).sum();
    let rows = table.lines.len();
    let mut features = vec![0.0_f32; rows * width];
    let mut place = 0;
    for (used, cells) in uses.iter().zip(&table.cells) {
        let Use::Feature(feature) = used else { continue };
        for row in 0..rows {
            let at = row * width + place;
            match feature {
                Feature::Numbers { fill } => {
                    let x = cells.numbers[row];
                    features[at] = if x.is_nan() { fill.unwrap_or(x) } else { x } as f32;
                }
                Feature::Categories { values, fill } => {
                    let text = &cells.texts[row];
                    let value = place_of(values, if is_missing(text) { fill } else { text }) as usize;
                    match used.width() {
                        1 => features[at] = value as f32,
                        _ => features[at + value] = 1.0,
                    }
                }
            }
        }
        place += used.width();
    }
    if let Some(at) = features.iter().position(|x| !x.is_finite()) {
        let reason = format!("line {}: a value is too large for 32-bit floats", table.lines[at / width]);
        return Err(DataError::malformed(&table.path, reason));
    }
    let mut dataset = Dataset::new(name, vec![width], features, targets)?;
    for (column, _) in uses.iter().enumerate().filter(|(_, used)| matches!(used, Use::Group)) {
        let cells = || tables.iter().flat_map(|table| &table.cells[column].texts);
        let values: Vec<i64> = if cells().all(|cell| cell.parse::<i64>().is_ok()) {
            table.cells[column].texts.iter().filter_map(|cell| cell.parse().ok()).collect()
        } else {
            let values = distinct(cells().map(String::as_str));
            table.cells[column].texts.iter().map(|cell| i64::from(place_of(&values, cell))).collect()
        };
        dataset = dataset.with_group(&table.columns[column], values)?;
    }
    Ok(dataset)
}

impl Use {
    /// Features that the column becomes.
    fn width(&self) -> usize {
        match self {
            Self::Feature(Feature::Numbers { .. }) => 1,
            Self::Feature(Feature::Categories { values, .. }) if values.len() == 2 => 1,
            Self::Feature(Feature::Categories { values, .. }) => values.len(),
            Self::Target | Self::Group | Self::Dropped => 0,
        }
    }
}
