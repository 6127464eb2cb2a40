//! Splits of a data set: held-out rows, held-out groups, folds, random fractions. All are views of the same memory.

use std::collections::BTreeMap;

use tinsmith_foundation::Seed;

use crate::dataset::{Dataset, Splits, Targets};
use crate::error::{DataError, Result};
use crate::folds::{Folds, grouped_folds, k_folds, stratified_folds};
use crate::normalize::{Normalization, Normalizer};

/// Group column that validation splits respect if a data set has it. Windows of one person resemble each other, so a
/// random split of them would overestimate the accuracy.
pub const SUBJECTS: &str = "subjects";

/// Training, validation and test part of a data set, normalized with constants of the training part.
#[derive(Debug, Clone)]
pub struct Parts {
    /// Training part.
    pub train: Dataset,
    /// Validation part, for decisions during training.
    pub validation: Dataset,
    /// Test part; must not influence any decision.
    pub test: Dataset,
    /// The normalization, fitted on the training part alone.
    pub normalizer: Normalizer,
}

impl Splits {
    /// Splits validation rows off the training part and normalizes all three parts by [`Normalization::Auto`]. The same
    /// seed gives the same rows. A fraction of 0 leaves the validation part empty.
    ///
    /// ```
    /// # fn main() -> tinsmith_data::Result<()> {
    /// let parts = tinsmith_data::load("digits8x8")?.parts(0.2, tinsmith_foundation::Seed::new(7))?;
    /// assert_eq!(parts.train.len() + parts.validation.len(), 1437);
    /// assert_eq!(parts.normalizer.scale, [16.0]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Dataset::validation_split`] and [`Normalizer::fit`].
    pub fn parts(&self, validation: f64, seed: Seed) -> Result<Parts> {
        self.parts_with(validation, seed, Normalization::Auto)
    }

    /// Splits like [`Splits::parts`] and normalizes by a given method.
    ///
    /// # Errors
    /// As [`Splits::parts`].
    pub fn parts_with(&self, validation: f64, seed: Seed, normalization: Normalization) -> Result<Parts> {
        let (train, validation) = if (0.0..=0.0).contains(&validation) {
            (self.train.clone(), self.train.view(&[]))
        } else {
            self.train.validation_split(validation, seed.derive("validation", 0))?
        };
        let normalizer = Normalizer::fit(&train, normalization)?;
        Ok(Parts {
            train: normalizer.apply(&train)?,
            validation: normalizer.apply(&validation)?,
            test: normalizer.apply(&self.test)?,
            normalizer,
        })
    }

    /// Copies all rows into one data set: in the order of the file if the test part was split off a single table or
    /// archive, otherwise training rows before test rows. Group columns are left out.
    ///
    /// ```
    /// # fn main() -> tinsmith_data::Result<()> {
    /// assert_eq!(tinsmith_data::load("digits8x8")?.joined()?.len(), 1797);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`DataError::NoClasses`], [`DataError::Count`] and [`DataError::Class`] if the parts have different kinds of samples
    /// or targets.
    pub fn joined(&self) -> Result<Dataset> {
        let (train, test) = (&self.train, &self.test);
        let rows_of = |part: &'_ Dataset, is_test: bool| (0..part.len()).map(move |row| (is_test, row));
        let mut rows: Vec<(bool, usize)> = rows_of(train, false).chain(rows_of(test, true)).collect();
        let part = |is_test: bool| if is_test { test } else { train };
        if train.shares_storage(test) {
            rows.sort_by_key(|&(is_test, row)| part(is_test).storage_row(row));
        }
        let samples: Vec<f32> =
            rows.iter().flat_map(|&(is_test, row)| part(is_test).sample(row)).copied().collect();
        let targets = match train.targets() {
            Targets::Labels { labels, names } => {
                let others = test.shared_labels("join parts")?;
                let label = |&(is_test, row): &(bool, usize)| if is_test { others[row] } else { labels[row] };
                Targets::Labels { labels: rows.iter().map(label).collect(), names: names.clone() }
            }
            Targets::Arrays { shape, .. } => {
                let values = rows.iter().flat_map(|&(is_test, row)| part(is_test).target(row)).copied();
                Targets::Arrays { shape: shape.clone(), values: values.collect() }
            }
            Targets::Samples => Targets::Samples,
        };
        Dataset::new(train.name(), train.sample_shape().to_vec(), samples, targets)
    }
}

impl Dataset {
    /// Splits off validation rows: whole [`SUBJECTS`] if the data set has that column, otherwise [`Dataset::holdout`].
    /// Returns (training, validation).
    ///
    /// # Errors
    /// As [`Dataset::holdout`] and [`Dataset::holdout_groups`].
    pub fn validation_split(&self, fraction: f64, seed: Seed) -> Result<(Self, Self)> {
        if self.has_subjects() {
            self.holdout_groups(SUBJECTS, fraction, seed)
        } else {
            self.holdout(fraction, seed)
        }
    }

    /// Splits off about `fraction` of the rows at random, stratified by class. Returns (rest, held out), both in the order
    /// of the data set.
    ///
    /// Of `n` rows `round(n * fraction)` are held out, at least 1 and at most `n - 1`. Each class contributes in
    /// proportion, rounded down; the remaining rows come from the largest remainders (ties: the lower class). A class
    /// never loses its last row. A class of at least two rows contributes at least one, in place of a row of the class
    /// that contributes most; there are more held-out rows than above only if every class contributes a single one.
    ///
    /// # Errors
    /// [`DataError::Impossible`] if `fraction` is not inside (0, 1), or the rows are too few to split.
    pub fn holdout(&self, fraction: f64, seed: Seed) -> Result<(Self, Self)> {
        check_fraction("hold out rows", fraction)?;
        let strata = self.strata();
        let counts: Vec<usize> = strata.iter().map(Vec::len).collect();
        let total = rounded_fraction(self.len(), fraction).clamp(1, self.len().saturating_sub(1).max(1));
        let mut drawn = allocate(&counts, total, |count| count.saturating_sub(1));
        if self.labels().is_some() {
            keep_rare(&counts, &mut drawn);
        }
        let held = draw(strata, &drawn, seed.derive("holdout", 0));
        if held.is_empty() {
            let reason = format!("{} rows cannot be split without leaving a class empty", self.len());
            return Err(DataError::Impossible { operation: "hold out rows", reason });
        }
        Ok(self.part(&held))
    }

    /// Splits off whole groups of `column` until about `fraction` of the rows are held out. Returns (rest, held out).
    ///
    /// Groups are tried in random order; one is taken if that brings the number of rows closer to `fraction`. If none
    /// does, the smallest is taken. At least one group remains.
    ///
    /// # Errors
    /// [`DataError::UnknownGroup`]; [`DataError::Impossible`] if `fraction` is not inside (0, 1) or there are fewer than
    /// two groups.
    pub fn holdout_groups(&self, column: &str, fraction: f64, seed: Seed) -> Result<(Self, Self)> {
        check_fraction("hold out groups", fraction)?;
        let mut members: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
        for (row, &group) in self.group(column)?.iter().enumerate() {
            members.entry(group).or_default().push(row);
        }
        if members.len() < 2 {
            let reason = format!("group column `{column}` has {} values, want at least 2", members.len());
            return Err(DataError::Impossible { operation: "hold out groups", reason });
        }
        let mut groups: Vec<Vec<usize>> = members.into_values().collect();
        seed.derive("holdout_groups", 0).rng().shuffle(&mut groups);
        let want = rounded_fraction(self.len(), fraction);
        let (mut held, mut taken) = (Vec::new(), 0);
        for group in &groups {
            let closer = (held.len() + group.len()).abs_diff(want) < held.len().abs_diff(want);
            if closer && taken + 1 < groups.len() {
                held.extend_from_slice(group);
                taken += 1;
            }
        }
        if held.is_empty() {
            held = smallest(groups);
        }
        held.sort_unstable();
        Ok(self.part(&held))
    }

    /// Makes folds for cross-validation: by [`SUBJECTS`] if the data set has that column, otherwise stratified if there
    /// are classes, otherwise plain. Without a seed rows are not shuffled.
    ///
    /// # Errors
    /// [`DataError::Impossible`] if so many folds cannot be made.
    pub fn folds(&self, splits: usize, shuffle: Option<Seed>) -> Result<Folds> {
        if self.has_subjects() {
            return grouped_folds(self.group(SUBJECTS)?, splits, shuffle);
        }
        self.labels().map_or_else(
            || k_folds(self.len(), splits, shuffle),
            |labels| stratified_folds(labels, splits, shuffle),
        )
    }

    /// Returns training and validation rows of one fold.
    ///
    /// # Errors
    /// [`DataError::Row`] if the folds belong to another data set, [`DataError::Impossible`] if there is no such fold.
    pub fn fold(&self, folds: &Folds, fold: usize) -> Result<(Self, Self)> {
        let (Some(train), Some(test)) = (folds.train(fold), folds.test.get(fold)) else {
            let reason = format!("fold {fold} requested, there are {}", folds.test.len());
            return Err(DataError::Impossible { operation: "take a fold", reason });
        };
        Ok((self.subset(&train)?, self.subset(test)?))
    }

    /// Draws a random fraction of the rows, stratified by class, in the order of the data set: `round(n * fraction)`
    /// rows, and at least one of every class that has any. A fraction of 1 is the data set itself.
    ///
    /// # Errors
    /// [`DataError::Impossible`] if `fraction` is not in (0, 1].
    pub fn share(&self, fraction: f64, seed: Seed) -> Result<Self> {
        if (1.0..=1.0).contains(&fraction) {
            return Ok(self.clone());
        }
        check_fraction("draw a fraction of the rows", fraction)?;
        let strata = self.strata();
        let counts: Vec<usize> = strata.iter().map(Vec::len).collect();
        let mut drawn = allocate(&counts, rounded_fraction(self.len(), fraction), |count| count);
        for (drawn, &count) in drawn.iter_mut().zip(&counts) {
            *drawn = (*drawn).max(count.min(1));
        }
        Ok(self.view(&draw(strata, &drawn, seed.derive("share", 0))))
    }

    /// Divides the rows into parts of nearly equal size, stratified by class: to train several networks separately and
    /// merge them.
    ///
    /// # Errors
    /// [`DataError::Impossible`] for no parts or more parts than rows.
    pub fn equal_parts(&self, parts: usize, seed: Seed) -> Result<Vec<Self>> {
        if parts == 0 || parts > self.len() {
            let reason = format!("{parts} parts of {} rows requested, want 1 to {}", self.len(), self.len());
            return Err(DataError::Impossible { operation: "divide rows", reason });
        }
        let mut rng = seed.derive("parts", 0).rng();
        let mut rows = vec![Vec::new(); parts];
        let mut next = 0;
        for mut stratum in self.strata() {
            rng.shuffle(&mut stratum);
            for row in stratum {
                rows[next % parts].push(row);
                next += 1;
            }
        }
        rows.iter_mut().for_each(|part| part.sort_unstable());
        Ok(rows.iter().map(|part| self.view(part)).collect())
    }

    fn has_subjects(&self) -> bool {
        self.group_names().any(|name| name == SUBJECTS)
    }

    /// Rows by class; all rows as one stratum without classes.
    pub(crate) fn strata(&self) -> Vec<Vec<usize>> {
        let Some(labels) = self.labels() else { return vec![(0..self.len()).collect()] };
        let mut strata = vec![Vec::new(); self.class_count()];
        for (row, &label) in labels.iter().enumerate() {
            strata[label as usize].push(row);
        }
        strata
    }

    /// Returns (all other rows, the rows of `held`, which are ascending).
    fn part(&self, held: &[usize]) -> (Self, Self) {
        let rest: Vec<usize> = (0..self.len()).filter(|row| held.binary_search(row).is_err()).collect();
        (self.view(&rest), self.view(held))
    }
}

fn smallest(groups: Vec<Vec<usize>>) -> Vec<usize> {
    groups.into_iter().min_by_key(Vec::len).expect("invariant: there are at least two groups")
}

fn check_fraction(operation: &'static str, fraction: f64) -> Result<()> {
    if fraction > 0.0 && fraction < 1.0 {
        return Ok(());
    }
    Err(DataError::Impossible {
        operation,
        reason: format!("fraction is {fraction}, want more than 0 and less than 1"),
    })
}

fn rounded_fraction(rows: usize, fraction: f64) -> usize {
    (rows as f64 * fraction).round() as usize
}

/// Distributes `total` over classes in proportion to `counts` by largest remainders, no class above its `limit`.
fn allocate(counts: &[usize], total: usize, limit: impl Fn(usize) -> usize) -> Vec<usize> {
    let rows: usize = counts.iter().sum::<usize>().max(1);
    let mut taken: Vec<usize> =
        counts.iter().map(|&count| (count * total / rows).min(limit(count))).collect();
    let mut order: Vec<usize> = (0..counts.len()).collect();
    order.sort_by_key(|&class| std::cmp::Reverse(counts[class] * total % rows));
    let mut left = total.saturating_sub(taken.iter().sum());
    for class in order {
        if left > 0 && taken[class] < limit(counts[class]) {
            taken[class] += 1;
            left -= 1;
        }
    }
    taken
}

/// Gives each class of at least two rows one held-out row, taken from the class with the most.
fn keep_rare(counts: &[usize], drawn: &mut [usize]) {
    for class in 0..counts.len() {
        if drawn[class] > 0 || counts[class] < 2 {
            continue;
        }
        // The first of the largest, so that the choice does not depend on the order of iteration.
        let most = (0..drawn.len()).rev().max_by_key(|&other| drawn[other]);
        if let Some(most) = most.filter(|&other| drawn[other] > 1) {
            drawn[most] -= 1;
        }
        drawn[class] = 1;
    }
}

/// Draws the given number of rows of each stratum; returns all, ascending.
fn draw(strata: Vec<Vec<usize>>, counts: &[usize], seed: Seed) -> Vec<usize> {
    let mut drawn = Vec::new();
    for (class, (mut rows, &count)) in strata.into_iter().zip(counts).enumerate() {
        seed.derive("class", class as u64).rng().shuffle(&mut rows);
        drawn.extend(rows.into_iter().take(count));
    }
    drawn.sort_unstable();
    drawn
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rare_classes_are_held_out_too() {
        let counts = [100, 2, 3, 1, 0];
        let mut drawn = allocate(&counts, 21, |count| count.saturating_sub(1));
        keep_rare(&counts, &mut drawn);
        assert_eq!(drawn, [19, 1, 1, 0, 0]);
        // More than was asked for, rather than a class without a row.
        let mut few = vec![1, 0, 0];
        keep_rare(&[4, 4, 4], &mut few);
        assert_eq!(few, [1, 1, 1]);
    }

    #[test]
    fn counts_add_up_and_go_to_the_largest_remainders() {
        assert_eq!(allocate(&[50, 30, 20], 10, |c| c), [5, 3, 2]);
        assert_eq!(allocate(&[5, 5, 5], 4, |c| c), [2, 1, 1]);
        assert_eq!(allocate(&[1, 9], 5, |c| c - 1), [0, 5]);
        assert_eq!(allocate(&[], 5, |c| c), [0; 0]);
    }
}
