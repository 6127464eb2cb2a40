//! Roles of the columns, by their names and by the settings.

use std::path::Path;

use crate::error::{DataError, Result};
use crate::labels::NameHint;
use crate::splits::SUBJECTS;
use crate::table::TARGET_NAMES;
use crate::table::options::TableOptions;
use crate::targets::TargetChoice;

/// Names of columns that number or identify the rows. Pandas writes its index without a name.
const INDEX_NAMES: [&str; 11] =
    ["", "unnamed: 0", "index", "id", "row", "rowid", "row_id", "row_number", "sample_id", "uuid", "guid"];

/// Endings of columns that repeat a target in words, such as `target_name` beside `target`.
const ALIASES: [&str; 4] = ["_name", "_names", "_label", "_labels"];

/// Role of a column before its cells were looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PlannedRole {
    Feature,
    /// Dropped if all its values differ.
    Index,
    Target,
    Group,
    Dropped,
}

/// Roles of all columns with their reasons.
#[derive(Debug)]
pub(super) struct ColumnPlan {
    pub(super) roles: Vec<(PlannedRole, String)>,
    /// Places of the target columns, in the order of the target's values.
    pub(super) targets: Vec<usize>,
    pub(super) hint: NameHint,
    /// Columns such as `y_red`, `y_blue` that are targets only if they are one-hot.
    pub(super) must_be_one_hot: bool,
}

pub(super) fn plan(path: &Path, columns: &[String], options: &TableOptions) -> Result<ColumnPlan> {
    let named = options.group.iter().chain(&options.ignore).chain(&options.label).chain(&options.target);
    let by_choice = match &options.targets {
        TargetChoice::Column(name) => Some(name),
        _ => None,
    };
    for name in named.chain(by_choice) {
        match columns.iter().filter(|column| *column == name).count() {
            1 => {}
            0 => {
                let reason = format!("has no column `{name}`, want one of {}", columns.join(", "));
                return Err(DataError::layout(path, reason));
            }
            _ => return Err(twice(path, name)),
        }
    }
    let chosen = choose_targets(path, columns, options)?;
    let mut roles = Vec::new();
    for (place, name) in columns.iter().enumerate() {
        let is_named = |list: &[String]| list.contains(name);
        let lower = name.to_ascii_lowercase();
        let alias = chosen.places.iter().any(|&target| {
            let base = columns[target].to_ascii_lowercase();
            target != place && lower.strip_prefix(&base).is_some_and(|rest| ALIASES.contains(&rest))
        });
        roles.push(if chosen.places.contains(&place) {
            (PlannedRole::Target, chosen.reason.clone())
        } else if is_named(&options.ignore) {
            (PlannedRole::Dropped, "`ignore`".to_owned())
        } else if is_named(&options.group) {
            (PlannedRole::Group, "`group`".to_owned())
        } else if name == SUBJECTS {
            (PlannedRole::Group, format!("called {SUBJECTS}"))
        } else if chosen.left_out.contains(&place) {
            (PlannedRole::Dropped, "a target, but the targets are the samples".to_owned())
        } else if alias {
            (PlannedRole::Dropped, "repeats the target in words".to_owned())
        } else if INDEX_NAMES.contains(&lower.as_str()) {
            (PlannedRole::Index, "named as a row number or identifier".to_owned())
        } else {
            (PlannedRole::Feature, String::new())
        });
    }
    let hint = match chosen.places.as_slice() {
        [place] => NameHint::of(&columns[*place]),
        _ => NameHint::Neutral,
    };
    Ok(ColumnPlan { roles, targets: chosen.places, hint, must_be_one_hot: chosen.must_be_one_hot })
}

fn twice(path: &Path, name: &str) -> DataError {
    DataError::layout(path, format!("has two columns `{name}`, want one"))
}

struct ChosenTargets {
    places: Vec<usize>,
    reason: String,
    /// Targets that an autoencoder does not take as features.
    left_out: Vec<usize>,
    must_be_one_hot: bool,
}

impl ChosenTargets {
    fn of(places: Vec<usize>, reason: impl Into<String>) -> Self {
        Self { places, reason: reason.into(), left_out: Vec::new(), must_be_one_hot: false }
    }
}

fn choose_targets(path: &Path, columns: &[String], options: &TableOptions) -> Result<ChosenTargets> {
    let place = |name: &String| columns.iter().position(|column| column == name);
    let explicit = match &options.targets {
        TargetChoice::Column(name) => Some((vec![name], "`targets: column`")),
        _ => match &options.label {
            Some(name) => Some((vec![name], "`label`")),
            None => (!options.target.is_empty()).then(|| (options.target.iter().collect(), "`target`")),
        },
    };
    let mut chosen = match explicit {
        Some((names, reason)) => ChosenTargets::of(names.into_iter().filter_map(place).collect(), reason),
        None => by_name(path, columns, options)?,
    };
    if options.targets == TargetChoice::Samples {
        chosen.left_out = std::mem::take(&mut chosen.places);
        return Ok(chosen);
    }
    if chosen.places.is_empty() {
        let usable = |name: &String| {
            let index = INDEX_NAMES.contains(&name.to_ascii_lowercase().as_str());
            !index && name != SUBJECTS && !options.ignore.contains(name) && !options.group.contains(name)
        };
        let last = columns.iter().rposition(usable).into_iter().collect();
        chosen = ChosenTargets::of(last, "the last column (`label` overrides)");
    }
    Ok(chosen)
}

/// Targets by the usual names: one of [`TARGET_NAMES`], a numbered family (`y1`, `y2`), or a one-hot family (`y_red`,
/// `y_blue`). Two different names are refused: one of them would become a feature that gives the target away.
fn by_name(path: &Path, columns: &[String], options: &TableOptions) -> Result<ChosenTargets> {
    let open = |name: &String| !options.ignore.contains(name) && !options.group.contains(name);
    let mut plain = Vec::new();
    let mut numbered = Vec::new();
    let mut suffixed = Vec::new();
    for (place, name) in columns.iter().enumerate().filter(|(_, name)| open(name)) {
        let lower = name.to_ascii_lowercase();
        if TARGET_NAMES.contains(&lower.as_str()) {
            plain.push(place);
            continue;
        }
        // Longer words first: `labels` before `label`.
        let Some(rest) = TARGET_NAMES.iter().rev().find_map(|word| lower.strip_prefix(word)) else {
            continue;
        };
        let number = rest.trim_start_matches(['_', ' ', '-']);
        if !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()) {
            numbered.push(place);
        } else if rest.starts_with('_') && !ALIASES.contains(&rest) {
            suffixed.push(place);
        }
    }
    let names = |places: &[usize]| places.iter().map(|&p| columns[p].as_str()).collect::<Vec<_>>().join(", ");
    let base = |place: usize| {
        columns[place]
            .to_ascii_lowercase()
            .trim_end_matches(|c: char| c.is_ascii_digit() || " _-".contains(c))
            .to_owned()
    };
    let family: Vec<usize> = plain.iter().chain(&numbered).copied().collect();
    if family.iter().any(|&place| base(place) != base(family[0])) {
        let reason = format!(
            "has several columns that are named as targets: {}; name one by `label` (or some by `target`) and the \
             others by `ignore`",
            names(&family)
        );
        return Err(DataError::layout(path, reason));
    }
    if plain.len() > 1 {
        return Err(twice(path, &columns[plain[0]]));
    }
    if !family.is_empty() {
        let mut places = family;
        places.sort_unstable();
        let reason =
            if places.len() > 1 { "numbered targets (`target` overrides)" } else { "named as the target" };
        return Ok(ChosenTargets::of(places, reason));
    }
    if suffixed.len() > 1 && suffixed.iter().all(|&p| stem(&columns[p]) == stem(&columns[suffixed[0]])) {
        let mut chosen = ChosenTargets::of(suffixed, "one-hot class");
        chosen.must_be_one_hot = true;
        return Ok(chosen);
    }
    Ok(ChosenTargets::of(Vec::new(), ""))
}

/// `y` of `y_red`.
pub(super) fn stem(name: &str) -> &str {
    name.split_once('_').map_or(name, |(stem, _)| stem)
}
