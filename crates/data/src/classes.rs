//! Views by class, for experiments on forgetting and on merging: restricted, without, renumbered, mixed in a ratio.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tinsmith_foundation::Seed;

use crate::dataset::{Dataset, Targets};
use crate::error::{DataError, Result};

impl Dataset {
    /// The rows of the given classes. Class numbers and their count stay; see [`Dataset::renumbered`].
    ///
    /// # Errors
    /// [`DataError::NoClasses`], [`DataError::Class`] for one that does not exist.
    pub fn only_classes(&self, classes: &[u32]) -> Result<Self> {
        let (inside, _) = self.by_classes("selecting classes", classes)?;
        Ok(self.view(&inside))
    }

    /// The rows of all but the given classes.
    ///
    /// # Errors
    /// As [`Dataset::only_classes`].
    pub fn without_classes(&self, classes: &[u32]) -> Result<Self> {
        let (_, outside) = self.by_classes("removing classes", classes)?;
        Ok(self.view(&outside))
    }

    /// The same rows with the classes numbered anew: class `order[i]` becomes `i` and keeps its name, so that a
    /// restricted data set can train a network of as many outputs. Rows of classes not listed are left out.
    ///
    /// # Errors
    /// As [`Dataset::only_classes`]; [`DataError::Impossible`] where a class is listed twice.
    pub fn renumbered(&self, order: &[u32]) -> Result<Self> {
        let numbers: BTreeMap<u32, u32> = order.iter().zip(0..).map(|(&from, to)| (from, to)).collect();
        if numbers.len() < order.len() {
            let reason = format!("a class occurs twice in {order:?}");
            return Err(DataError::Impossible { operation: "number classes anew", reason });
        }
        let names =
            order.iter().filter_map(|&class| self.class_names().get(class as usize).cloned()).collect();
        self.only_classes(order)?.relabelled(&numbers, names)
    }

    /// The same rows with every class replaced by what `to` says (classes may be joined); a class that it does not
    /// name keeps its number. `names` are the new classes'.
    ///
    /// # Errors
    /// [`DataError::NoClasses`]; [`DataError::Class`] where a new number has no name.
    pub fn relabelled(&self, to: &BTreeMap<u32, u32>, names: Vec<String>) -> Result<Self> {
        let labels = self.shared_labels("relabelling")?;
        let labels: Arc<[u32]> =
            labels.iter().map(|label| to.get(label).copied().unwrap_or(*label)).collect();
        self.clone().with_targets(Targets::Labels { labels, names: names.into() })
    }

    /// `len` rows of which `round(len * ratio)` are of the given classes and the others are not, in random order.
    /// Rows are drawn without repetition until all were drawn, then again from all.
    ///
    /// # Errors
    /// As [`Dataset::only_classes`]; [`DataError::Impossible`] where `ratio` is not in [0, 1], or rows are wanted of
    /// a side that has none.
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
                let reason = format!("{count} rows {side_name} classes {classes:?} wanted, there are none");
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
