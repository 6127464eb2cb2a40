//! Views by class, for experiments on forgetting and merging: selected, removed, renumbered, mixed in a ratio.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tinsmith_foundation::Seed;

use crate::dataset::{Dataset, Targets};
use crate::error::{DataError, Result};

impl Dataset {
    /// Selects the rows of the given classes. Class numbers and their count are kept; see [`Dataset::renumbered`].
    ///
    /// # Errors
    /// [`DataError::NoClasses`], [`DataError::Class`] for one that does not exist.
    pub fn only_classes(&self, classes: &[u32]) -> Result<Self> {
        let (inside, _) = self.by_classes("selecting classes", classes)?;
        Ok(self.view(&inside))
    }

    /// Removes the rows of the given classes.
    ///
    /// # Errors
    /// As [`Dataset::only_classes`].
    pub fn without_classes(&self, classes: &[u32]) -> Result<Self> {
        let (_, outside) = self.by_classes("removing classes", classes)?;
        Ok(self.view(&outside))
    }

    /// Selects and renumbers classes: class `order[i]` becomes `i` and keeps its name, so that a network needs one output
    /// per selected class. Rows of classes not listed are left out.
    ///
    /// # Errors
    /// As [`Dataset::only_classes`]; [`DataError::Impossible`] if a class is listed twice.
    pub fn renumbered(&self, order: &[u32]) -> Result<Self> {
        let numbers: BTreeMap<u32, u32> = order.iter().zip(0..).map(|(&from, to)| (from, to)).collect();
        if numbers.len() < order.len() {
            let reason = format!("a class occurs twice in {order:?}");
            return Err(DataError::Impossible { operation: "number classes anew", reason });
        }
        // Selected first: this refuses classes that do not exist.
        let selected = self.only_classes(order)?;
        let names = order.iter().map(|&class| self.class_names()[class as usize].clone()).collect();
        selected.relabelled(&numbers, names)
    }

    /// Replaces every class by its entry in `to`, which may join classes; a class without an entry keeps its number.
    /// `names` are the names of the new classes.
    ///
    /// # Errors
    /// [`DataError::NoClasses`]; [`DataError::Class`] if a new number has no name.
    pub fn relabelled(&self, to: &BTreeMap<u32, u32>, names: Vec<String>) -> Result<Self> {
        let labels = self.shared_labels("relabelling")?;
        let labels: Arc<[u32]> =
            labels.iter().map(|label| to.get(label).copied().unwrap_or(*label)).collect();
        self.clone().with_targets(Targets::Labels { labels, names: names.into() })
    }

    /// Draws `len` rows in random order, `round(len * ratio)` of them from the given classes and the rest from the other
    /// classes. Rows are drawn without repetition until all were drawn, then again from all.
    ///
    /// # Errors
    /// As [`Dataset::only_classes`]; [`DataError::Impossible`] if `ratio` is not in [0, 1], or rows are needed from a
    /// side that has none.
    pub fn class_mix(&self, classes: &[u32], ratio: f64, len: usize, seed: Seed) -> Result<Self> {
        const OPERATION: &str = "mix classes";
        if !(0.0..=1.0).contains(&ratio) {
            let reason = format!("ratio is {ratio}, want 0 to 1");
            return Err(DataError::Impossible { operation: OPERATION, reason });
        }
        let (inside, outside) = self.by_classes("mixing classes", classes)?;
        let wanted = (len as f64 * ratio).round() as usize;
        let mut drawn = Vec::with_capacity(len);
        for (side, rows, count, side_name) in
            [(0, inside, wanted, "inside"), (1, outside, len - wanted, "outside")]
        {
            if rows.is_empty() && count > 0 {
                let reason =
                    format!("{count} rows {side_name} classes {classes:?} requested, there are none");
                return Err(DataError::Impossible { operation: OPERATION, reason });
            }
            let mut rng = seed.derive("mix", side).rng();
            let mut left = count;
            while left > 0 {
                let mut round = rows.clone();
                rng.shuffle(&mut round);
                round.truncate(left);
                left -= round.len();
                drawn.extend(round);
            }
        }
        seed.derive("mix", 2).rng().shuffle(&mut drawn);
        Ok(self.view(&drawn))
    }

    fn by_classes(&self, operation: &'static str, classes: &[u32]) -> Result<(Vec<usize>, Vec<usize>)> {
        let labels = self.shared_labels(operation)?;
        let count = self.class_count();
        if let Some(&label) = classes.iter().find(|&&class| class as usize >= count) {
            return Err(DataError::Class { what: operation.to_owned(), label, classes: count });
        }
        let chosen: BTreeSet<u32> = classes.iter().copied().collect();
        Ok((0..self.len()).partition(|&row| chosen.contains(&labels[row])))
    }
}
