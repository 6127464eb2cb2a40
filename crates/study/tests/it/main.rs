//! Integration tests of the study crate, one binary.

#[cfg(test)]
mod closed_form;
#[cfg(test)]
mod resume;
#[cfg(test)]
mod search;
