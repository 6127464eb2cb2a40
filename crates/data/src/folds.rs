//! Folds for cross-validation, equal to those of scikit-learn in the deterministic cases.

use std::collections::BTreeMap;

use tinsmith_foundation::{Rng, Seed};

use crate::error::{DataError, Result};

/// Test rows of every fold; the training rows of a fold are all others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folds {
    /// Test rows, ascending, fold by fold. Every row is in exactly one fold.
    pub test: Vec<Vec<usize>>,
    /// Warning about a class with fewer rows than folds, which some folds therefore lack.
    pub warning: Option<String>,
}

impl Folds {
    /// Training rows of a fold, ascending; `None` if there is no such fold.
    #[must_use]
    pub fn train(&self, fold: usize) -> Option<Vec<usize>> {
        let test = self.test.get(fold)?;
        let rows: usize = self.test.iter().map(Vec::len).sum();
        let mut is_test = vec![false; rows];
        test.iter().for_each(|&row| is_test[row] = true);
        Some((0..rows).filter(|&row| !is_test[row]).collect())
    }

    fn of_assignment(assigned: &[usize], splits: usize, warning: Option<String>) -> Self {
        let mut test = vec![Vec::new(); splits];
        for (row, &fold) in assigned.iter().enumerate() {
            test[fold].push(row);
        }
        Self { test, warning }
    }
}

/// Makes folds of consecutive rows, or of shuffled rows if a seed is given. The first `rows % splits` folds are one row
/// longer.
///
/// # Errors
/// [`DataError::Impossible`] for fewer than two splits or more splits than rows.
///
/// # Source
/// scikit-learn's `KFold`, index for index without a seed.
pub fn k_folds(rows: usize, splits: usize, shuffle: Option<Seed>) -> Result<Folds> {
    check_splits(rows, splits)?;
    let order =
        shuffle.map_or_else(|| (0..rows).collect(), |seed| seed.derive("folds", 0).rng().permutation(rows));
    let mut assigned = vec![0; rows];
    let (size, longer) = (rows / splits, rows % splits);
    let mut places = order.into_iter();
    for fold in 0..splits {
        for row in places.by_ref().take(size + usize::from(fold < longer)) {
            assigned[row] = fold;
        }
    }
    Ok(Folds::of_assignment(&assigned, splits, None))
}

/// Makes stratified folds: every fold has each class in proportion. The counts are those of scikit-learn's
/// `StratifiedKFold`. Within a class, rows are assigned in their order, or in random order if a seed is given.
///
/// # Errors
/// [`DataError::Impossible`] for fewer than two splits, more splits than rows, or more than every class has members.
///
/// # Source
/// scikit-learn's `StratifiedKFold`, index for index without a seed. With a seed the counts per fold and class are the
/// same; the rows are chosen by the generator of this workspace.
pub fn stratified_folds(labels: &[u32], splits: usize, shuffle: Option<Seed>) -> Result<Folds> {
    check_splits(labels.len(), splits)?;
    // scikit-learn numbers classes by first appearance; this order decides on the fold of each surplus row.
    let mut numbers = BTreeMap::new();
    let mut members: Vec<Vec<usize>> = Vec::new();
    for (row, label) in labels.iter().enumerate() {
        let class = *numbers.entry(label).or_insert(members.len());
        if class == members.len() {
            members.push(Vec::new());
        }
        members[class].push(row);
    }
    let largest = members.iter().map(Vec::len).max().unwrap_or(0);
    let smallest = members.iter().map(Vec::len).min().unwrap_or(0);
    if splits > largest {
        return Err(impossible(format!("the largest class has {largest} rows, want at least {splits}")));
    }
    let warning = (smallest < splits)
        .then(|| format!("the smallest class has only {smallest} rows, fewer than the {splits} folds"));

    // The counts per fold: the rows sorted by class, assigned to the folds in turn.
    let mut counts = vec![vec![0_usize; members.len()]; splits];
    let sorted = members.iter().enumerate().flat_map(|(class, rows)| std::iter::repeat_n(class, rows.len()));
    for (place, class) in sorted.enumerate() {
        counts[place % splits][class] += 1;
    }
    let mut rng: Option<Rng> = shuffle.map(|seed| seed.derive("folds", 0).rng());
    let mut assigned = vec![0; labels.len()];
    for (class, rows) in members.iter_mut().enumerate() {
        if let Some(rng) = &mut rng {
            rng.shuffle(rows);
        }
        let mut places = rows.iter();
        for (fold, count) in counts.iter().enumerate() {
            for &row in places.by_ref().take(count[class]) {
                assigned[row] = fold;
            }
        }
    }
    Ok(Folds::of_assignment(&assigned, splits, warning))
}

/// Makes folds that keep all rows of a group together. Groups are assigned from the largest down (ties by value, or in
/// random order if a seed is given), each to the fold with the fewest rows so far (ties: the first).
///
/// # Errors
/// [`DataError::Impossible`] for fewer than two splits or more splits than groups.
///
/// # Source
/// The rule of scikit-learn's `GroupKFold`, which leaves the order of groups of equal size undefined.
pub fn grouped_folds(groups: &[i64], splits: usize, shuffle: Option<Seed>) -> Result<Folds> {
    check_splits(groups.len(), splits)?;
    let mut members: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
    for (row, &group) in groups.iter().enumerate() {
        members.entry(group).or_default().push(row);
    }
    if splits > members.len() {
        return Err(impossible(format!("there are {} groups, want at least {splits}", members.len())));
    }
    let mut order: Vec<Vec<usize>> = members.into_values().collect();
    if let Some(seed) = shuffle {
        seed.derive("folds", 0).rng().shuffle(&mut order);
    }
    order.sort_by_key(|rows| std::cmp::Reverse(rows.len()));
    let mut sizes = vec![0; splits];
    let mut assigned = vec![0; groups.len()];
    for rows in order {
        let lightest = lightest(&sizes);
        sizes[lightest] += rows.len();
        rows.iter().for_each(|&row| assigned[row] = lightest);
    }
    Ok(Folds::of_assignment(&assigned, splits, None))
}

/// The first of the folds with the fewest rows.
fn lightest(sizes: &[usize]) -> usize {
    (0..sizes.len()).min_by_key(|&fold| sizes[fold]).expect("invariant: there are at least two folds")
}

fn check_splits(rows: usize, splits: usize) -> Result<()> {
    if splits < 2 {
        return Err(impossible(format!("{splits} folds requested, want at least 2")));
    }
    if splits > rows {
        return Err(impossible(format!("{splits} folds requested, but there are only {rows} rows")));
    }
    Ok(())
}

const fn impossible(reason: String) -> DataError {
    DataError::Impossible { operation: "make folds", reason }
}
