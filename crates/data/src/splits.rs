//! Parts of a data set: held-out rows, held-out groups, folds, shares. All are views on the same memory.

use std::collections::BTreeMap;

use tinsmith_foundation::Seed;

use crate::dataset::{Dataset, Splits};
use crate::error::{DataError, Result};
use crate::folds::{Folds, grouped_folds, k_folds, stratified_folds};
use crate::normalize::{Normalization, Normalizer};

/// The group column by which validation data are split where a data set has it: windows of one person resemble each
/// other, so a random split of them would overstate what a network can do.
pub const SUBJECTS: &str = "subjects";

/// What a training takes: a data set's parts, normalized by the first of them.
#[derive(Debug, Clone)]
pub struct Parts {
    /// What is trained on.
    pub train: Dataset,
    /// What is decided by.
    pub validation: Dataset,
    /// What nothing is decided by.
    pub test: Dataset,
    /// How they were normalized, fitted on the training part alone.
    pub normalizer: Normalizer,
}

impl Splits {
    /// Splits validation rows off the training part and normalizes all three; the same rows for the same seed, whoever
    /// asks.
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
        let (train, validation) = self.train.validation_split(validation, seed.derive("validation", 0))?;
        let normalizer = Normalizer::fit(&train, Normalization::Auto)?;
        Ok(Parts {
            train: normalizer.apply(&train)?,
            validation: normalizer.apply(&validation)?,
            test: normalizer.apply(&self.test)?,
            normalizer,
        })
    }
}

impl Dataset {
    /// Splits off validation rows: whole [`SUBJECTS`] where the data set has that column, else [`Dataset::holdout`].
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

    /// Splits off about `fraction` of the rows at random, stratified where there are classes. Returns (rest, held
    /// out), both in the order of the data set.
    ///
    /// Of `n` rows `round(n * fraction)` are held out, at least 1 and at most `n - 1`. Classes get their shares of
    /// that number rounded down, what is left goes to the largest remainders (ties: the lower class); a class never
    /// loses its last row.
    ///
    /// # Errors
    /// [`DataError::Impossible`] where `fraction` is not inside (0, 1), or the rows are too few to split.
    pub fn holdout(&self, fraction: f64, seed: Seed) -> Result<(Self, Self)> {
        check_fraction("hold out rows", fraction)?;
        let strata = self.strata();
        let counts: Vec<usize> = strata.iter().map(Vec::len).collect();
        let total = rounded_share(self.len(), fraction).clamp(1, self.len().saturating_sub(1).max(1));
        let shares = allocate(&counts, total, |count| count.saturating_sub(1));
        let held = draw(strata, &shares, seed.derive("holdout", 0));
        if held.is_empty() {
            let reason = format!("{} rows cannot be split without leaving a class empty", self.len());
            return Err(DataError::Impossible { operation: "hold out rows", reason });
        }
        Ok(self.part(&held))
    }

    /// Splits off whole groups of `column` until about `fraction` of the rows are held out. Returns (rest, held out).
    ///
    /// Groups come in random order; one is taken if that brings the number of rows closer to `fraction`. If none
    /// does, the smallest is taken. At least one group stays.
    ///
    /// # Errors
    /// [`DataError::UnknownGroup`]; [`DataError::Impossible`] where `fraction` is not inside (0, 1) or there are not
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
        let want = rounded_share(self.len(), fraction);
        let (mut held, mut taken) = (Vec::new(), 0);
        for group in &groups {
            let closer = (held.len() + group.len()).abs_diff(want) < held.len().abs_diff(want);
            if closer && taken + 1 < groups.len() {
                held.extend_from_slice(group);
                taken += 1;
            }
        }
        if held.is_empty() {
            held = groups.into_iter().min_by_key(Vec::len).unwrap_or_default();
        }
        held.sort_unstable();
        Ok(self.part(&held))
    }

    /// Folds for cross-validation: by [`SUBJECTS`] where the data set has that column, else stratified where there
    /// are classes, else plain. Without a seed rows are not shuffled.
    ///
    /// # Errors
    /// [`DataError::Impossible`] where so many folds cannot be made.
    pub fn folds(&self, splits: usize, shuffle: Option<Seed>) -> Result<Folds> {
        if self.has_subjects() {
            return grouped_folds(self.group(SUBJECTS)?, splits, shuffle);
        }
        self.labels().map_or_else(
            || k_folds(self.len(), splits, shuffle),
            |labels| stratified_folds(labels, splits, shuffle),
        )
    }

    /// Training and validation rows of one fold.
    ///
    /// # Errors
    /// [`DataError::Row`] where the folds are another data set's, [`DataError::Impossible`] where there is no such
    /// fold.
    pub fn fold(&self, folds: &Folds, fold: usize) -> Result<(Self, Self)> {
        let (Some(train), Some(test)) = (folds.train(fold), folds.test.get(fold)) else {
            let reason = format!("fold {fold} asked for, there are {}", folds.test.len());
            return Err(DataError::Impossible { operation: "take a fold", reason });
        };
        Ok((self.subset(&train)?, self.subset(test)?))
    }

    /// A random share of the rows, stratified where there are classes, in the order of the data set: `round(n *
    /// fraction)` rows, and at least one of every class that has any. 1 is the data set itself.
    ///
    /// # Errors
    /// [`DataError::Impossible`] where `fraction` is not in (0, 1].
    pub fn share(&self, fraction: f64, seed: Seed) -> Result<Self> {
        if (1.0..=1.0).contains(&fraction) {
            return Ok(self.clone());
        }
        check_fraction("take a share of the rows", fraction)?;
        let strata = self.strata();
        let counts: Vec<usize> = strata.iter().map(Vec::len).collect();
        let mut shares = allocate(&counts, rounded_share(self.len(), fraction), |count| count);
        for (share, &count) in shares.iter_mut().zip(&counts) {
            *share = (*share).max(count.min(1));
        }
        Ok(self.view(&draw(strata, &shares, seed.derive("share", 0))))
    }

    /// Parts of nearly equal size, each row in exactly one, stratified where there are classes: to train several
    /// networks apart and merge them.
    ///
    /// # Errors
    /// [`DataError::Impossible`] for no parts or more parts than rows.
    pub fn equal_parts(&self, parts: usize, seed: Seed) -> Result<Vec<Self>> {
        if parts == 0 || parts > self.len() {
            let reason = format!("{parts} parts of {} rows asked for, want 1 to {}", self.len(), self.len());
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

    /// Rows by class; all in one where there are no classes.
    pub(crate) fn strata(&self) -> Vec<Vec<usize>> {
        let Some(labels) = self.labels() else { return vec![(0..self.len()).collect()] };
        let mut strata = vec![Vec::new(); self.class_count()];
        for (row, &label) in labels.iter().enumerate() {
            strata[label as usize].push(row);
        }
        strata
    }

    /// (all other rows, the rows of `held`, which are ascending).
    fn part(&self, held: &[usize]) -> (Self, Self) {
        let rest: Vec<usize> = (0..self.len()).filter(|row| held.binary_search(row).is_err()).collect();
        (self.view(&rest), self.view(held))
    }
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

fn rounded_share(rows: usize, fraction: f64) -> usize {
    (rows as f64 * fraction).round() as usize
}

/// Divides `total` over classes in proportion to `counts` by largest remainders, no class above its `limit`.
fn allocate(counts: &[usize], total: usize, limit: impl Fn(usize) -> usize) -> Vec<usize> {
    let rows: usize = counts.iter().sum::<usize>().max(1);
    let mut shares: Vec<usize> =
        counts.iter().map(|&count| (count * total / rows).min(limit(count))).collect();
    let mut order: Vec<usize> = (0..counts.len()).collect();
    order.sort_by_key(|&class| std::cmp::Reverse(counts[class] * total % rows));
    let mut left = total.saturating_sub(shares.iter().sum());
    for class in order {
        if left > 0 && shares[class] < limit(counts[class]) {
            shares[class] += 1;
            left -= 1;
        }
    }
    shares
}

/// So many random rows of each stratum, ascending.
fn draw(strata: Vec<Vec<usize>>, shares: &[usize], seed: Seed) -> Vec<usize> {
    let mut drawn = Vec::new();
    for (class, (mut rows, &share)) in strata.into_iter().zip(shares).enumerate() {
        seed.derive("class", class as u64).rng().shuffle(&mut rows);
        drawn.extend(rows.into_iter().take(share));
    }
    drawn.sort_unstable();
    drawn
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up_and_go_to_the_largest_remainders() {
        assert_eq!(allocate(&[50, 30, 20], 10, |c| c), [5, 3, 2]);
        assert_eq!(allocate(&[5, 5, 5], 4, |c| c), [2, 1, 1]);
        assert_eq!(allocate(&[1, 9], 5, |c| c - 1), [0, 5]);
        assert_eq!(allocate(&[], 5, |c| c), [0; 0]);
    }
}
