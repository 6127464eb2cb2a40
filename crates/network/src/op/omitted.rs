//! Defaults of fields that a specification may omit, and the tests for them.

use super::Initializer;
use crate::window::Pair;

pub(super) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that serde's skip_serializing_if wants")]
pub(super) fn is_true(value: &bool) -> bool {
    *value
}

pub(super) fn yes() -> bool {
    true
}

pub(super) fn one() -> usize {
    1
}

pub(super) fn pair_one() -> Pair {
    Pair::ONE
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that serde's skip_serializing_if wants")]
pub(super) fn is_one(value: &usize) -> bool {
    *value == 1
}

pub(super) fn is_pair_one(value: &Pair) -> bool {
    *value == Pair::ONE
}

pub(super) fn zeros() -> Initializer {
    Initializer::Zeros
}

pub(super) fn is_zeros(value: &Initializer) -> bool {
    *value == Initializer::Zeros
}
