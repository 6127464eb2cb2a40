//! Numbers as class labels: the decision between classes and values, and the numbering of the classes.
//!
//! Numbers are classes by this rule, with `k` distinct values in `n` rows:
//!
//! | numbers | in a column called `label`, `labels` or `class` | in any other column |
//! | --- | --- | --- |
//! | whole | `k` at most 20, or 20 rows a value | `k` at most 2; or at most 10 and 2 rows a value; or at most 50 and 5 rows a value; or consecutive and 200 rows a value |
//! | with fractions | `k` at most 20 and 10 rows a value | never |
//!
//! So `1.0` and `2.0`, or `-1` and `1`, are classes, and ages from 0 to 99 in a thousand rows are values.

use std::collections::BTreeSet;

/// Data sets with more classes are refused: their labels are identifiers or values.
pub(crate) const MAX_CLASSES: usize = 65_536;

/// Meaning that the name of a target column suggests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NameHint {
    /// `label`, `labels`, `class`.
    Classes,
    /// Any other name.
    Neutral,
}

impl NameHint {
    pub(crate) fn of(name: &str) -> Self {
        let is = |word: &str| name.eq_ignore_ascii_case(word);
        if is("label") || is("labels") || is("class") { Self::Classes } else { Self::Neutral }
    }
}

/// Distinct numbers in ascending order; class `i` is the `i`-th of them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct NumericClasses {
    values: Vec<f64>,
}

impl NumericClasses {
    pub(crate) fn of(numbers: impl Iterator<Item = f64>) -> Self {
        // Adding 0 turns -0 into 0.
        let mut values: Vec<f64> = numbers.map(|x| x + 0.0).collect();
        values.sort_by(f64::total_cmp);
        values.dedup_by(|a, b| a.total_cmp(b).is_eq());
        Self { values }
    }

    pub(crate) fn count(&self) -> usize {
        self.values.len()
    }

    /// Class of a number that was among those it was made of.
    pub(crate) fn label(&self, number: f64) -> u32 {
        let place = self.values.binary_search_by(|value| value.total_cmp(&(number + 0.0)));
        place.expect("invariant: classes are made of all labels") as u32
    }

    /// The numbers as text, whole ones without a fraction.
    pub(crate) fn names(&self) -> Vec<String> {
        self.values.iter().map(|value| format!("{value}")).collect()
    }

    pub(crate) fn are_whole(&self) -> bool {
        self.values.iter().all(|value| value.fract().abs() < f64::EPSILON)
    }

    fn are_consecutive(&self) -> bool {
        self.values.windows(2).all(|pair| (pair[1] - pair[0] - 1.0).abs() < f64::EPSILON)
    }

    fn start_at_zero(&self) -> bool {
        self.values.first().is_some_and(|first| first.abs() < f64::EPSILON)
    }

    /// The rule of the module's front page. Returns the decision and its reason.
    pub(crate) fn are_classes(&self, rows: usize, hint: NameHint) -> (bool, String) {
        let count = self.count();
        let rows_each = rows / count.max(1);
        let whole = self.are_whole();
        let classes = match (hint, whole) {
            (NameHint::Classes, true) => count <= 20 || rows_each >= 20,
            (NameHint::Classes, false) => count <= 20 && rows_each >= 10,
            (NameHint::Neutral, true) => {
                count <= 2
                    || (count <= 10 && rows_each >= 2)
                    || (count <= 50 && rows_each >= 5)
                    || (rows_each >= 200 && self.are_consecutive())
            }
            (NameHint::Neutral, false) => false,
        };
        let numbers = if whole { "whole numbers" } else { "numbers" };
        let reason = if classes {
            format!("{count} different {numbers} in {rows} rows are classes (`targets: values` overrides)")
        } else {
            format!(
                "{count} different {numbers} in {rows} rows are values to predict (`targets: classes` overrides)"
            )
        };
        (classes, reason)
    }

    /// The remark on labels that do not count from 0 without gaps.
    pub(crate) fn renumbering(&self) -> Option<String> {
        if self.start_at_zero() && self.are_consecutive() {
            return None;
        }
        let names = self.names();
        let shown = if names.len() > 8 {
            format!("{}, …, {}", names[..6].join(", "), names[names.len() - 1])
        } else {
            names.join(", ")
        };
        Some(format!(
            "labels {shown} are numbered 0 to {}; the old values are the class names",
            names.len() - 1
        ))
    }
}

/// Returns the class of every row if each of `rows` rows of `width` values has a single 1 and zeros otherwise.
pub(crate) fn one_hot_labels(values: &[f32], width: usize) -> Option<Vec<u32>> {
    if width < 2 || values.is_empty() {
        return None;
    }
    let label = |row: &[f32]| {
        let is = |x: f32, y: f32| x.to_bits() == y.to_bits();
        let one = row.iter().position(|&x| is(x, 1.0))?;
        let rest = row.iter().enumerate().all(|(at, &x)| at == one || is(x.abs(), 0.0));
        rest.then_some(one as u32)
    };
    values.chunks_exact(width).map(label).collect()
}

/// Distinct texts in alphabetical order; class `i` is the `i`-th of them.
pub(crate) fn distinct<'a>(cells: impl Iterator<Item = &'a str>) -> Vec<String> {
    cells.collect::<BTreeSet<&str>>().into_iter().map(str::to_owned).collect()
}

/// Place of a text among the [`distinct`] ones.
pub(crate) fn place_of(values: &[String], cell: &str) -> u32 {
    let place = values.binary_search_by(|value| value.as_str().cmp(cell));
    place.expect("invariant: the list is made of all cells") as u32
}

/// The warning for labels of which most occur once.
pub(crate) fn rare_label_warning(classes: usize, rows: usize) -> Option<String> {
    (classes > 20 && rows < 2 * classes).then(|| {
        format!(
            "{classes} classes in {rows} rows: most have a single row; are the labels identifiers or values?"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(values: &[f64], times: usize, hint: NameHint, want: bool) {
        let classes = NumericClasses::of(values.iter().copied());
        assert_eq!(classes.are_classes(values.len() * times, hint).0, want, "{values:?} {times} {hint:?}");
    }

    #[test]
    fn the_rule_is_the_one_documented() {
        let upto = |n: u32| (0..n).map(f64::from).collect::<Vec<_>>();
        for hint in [NameHint::Classes, NameHint::Neutral] {
            check(&[1.0, 2.0, 3.0], 40, hint, true);
            check(&[-1.0, 1.0], 1, hint, true);
            check(&upto(100), 10, hint, false);
            check(&upto(26), 600, hint, true);
        }
        check(&[0.5, 1.5, 2.5], 40, NameHint::Classes, true);
        check(&[0.5, 1.5, 2.5], 40, NameHint::Neutral, false);
        check(&upto(100), 100, NameHint::Neutral, false);
        check(&upto(100), 500, NameHint::Neutral, true);
        check(&upto(15), 2, NameHint::Neutral, false);
    }

    #[test]
    fn renumbered_labels_keep_their_old_values_as_names() {
        let classes = NumericClasses::of([3.0, 1.0, 2.0, 1.0].into_iter());
        assert_eq!((classes.label(3.0), classes.names()), (2, vec!["1".into(), "2".into(), "3".into()]));
        assert!(classes.renumbering().unwrap().starts_with("labels 1, 2, 3 are numbered 0 to 2"));
        assert_eq!(NumericClasses::of([0.0, -0.0, 1.0].into_iter()).renumbering(), None);
        assert!(NumericClasses::of([0.0, 2.0].into_iter()).renumbering().is_some());
        assert_eq!(one_hot_labels(&[0.0, 1.0, 1.0, 0.0], 2), Some(vec![1, 0]));
        assert_eq!(one_hot_labels(&[0.0, 1.0, 1.0, 1.0], 2), None);
    }
}
