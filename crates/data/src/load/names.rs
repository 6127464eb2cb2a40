//! Names of files and arrays: the part of the data set, and the meaning within the part.

use std::path::Path;

use crate::gzip::is_gzip_name;

/// Part of a data set that a name belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum PartName {
    Train,
    Validation,
    /// `test`
    Test,
    /// `t10k`, MNIST's name of the test part
    TenThousand,
    /// No part named: all rows.
    Whole,
}

impl PartName {
    fn of(word: &str) -> Option<Self> {
        match word {
            "train" | "training" => Some(Self::Train),
            "val" | "valid" | "validation" => Some(Self::Validation),
            "test" => Some(Self::Test),
            "t10k" => Some(Self::TenThousand),
            _ => None,
        }
    }

    /// Name in messages and in file names.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Validation => "val",
            Self::Test => "test",
            Self::TenThousand => "t10k",
            Self::Whole => "all",
        }
    }
}

/// Splits `emnist-letters-train-images-idx3-ubyte.gz` into the training part and `images`; `None` for other forms.
pub(super) fn idx_name(name: &str) -> Option<(PartName, String)> {
    let name = if is_gzip_name(Path::new(name)) { &name[..name.len() - 3] } else { name };
    let at = name.rfind("idx").filter(|&at| at > 1 && matches!(name.as_bytes()[at - 1], b'-' | b'.'))?;
    let rank = name[at + 3..].split(['-', '.']).next()?;
    if rank.is_empty() || !rank.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let words: Vec<&str> = name[..at - 1].split('-').collect();
    let (place, part) = words.iter().enumerate().find_map(|(i, word)| Some((i, PartName::of(word)?)))?;
    let word = words[place + 1..].join("-");
    (!word.is_empty()).then_some((part, word))
}

/// Splits `train-images`, `train_images` and `X_train` into the part and the word, in any case of letters; `X`, `y`,
/// `images` and the like alone belong to [`PartName::Whole`]. `None` for other names.
pub(super) fn array_name(name: &str) -> Option<(PartName, String)> {
    let name = name.to_ascii_lowercase();
    let Some((first, rest)) = name.split_once(['-', '_']) else {
        let known = ["x", "y", "images", "data", "labels", "targets"].contains(&plain(&name));
        return known.then(|| (PartName::Whole, plain(&name).to_owned()));
    };
    let (part, word) = match PartName::of(first) {
        Some(part) => (part, rest),
        None => (PartName::of(rest)?, first),
    };
    (!word.is_empty()).then(|| (part, plain(word).to_owned()))
}

/// Other names of the usual words.
fn plain(word: &str) -> &str {
    match word {
        "features" | "samples" => "data",
        "image" => "images",
        "label" => "labels",
        "target" => "targets",
        word => word,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_understood() {
        let own = |part: PartName, word: &str| Some((part, word.to_owned()));
        for (name, want) in [
            ("train-images-idx3-ubyte", own(PartName::Train, "images")),
            ("t10k-labels.idx1-ubyte.gz", own(PartName::TenThousand, "labels")),
            ("emnist-letters-test-images-idx3-ubyte.gz", own(PartName::Test, "images")),
            ("val-some-word-idx1-ubyte", own(PartName::Validation, "some-word")),
            ("images-idx3-ubyte", None),
            ("train-notes.txt", None),
        ] {
            assert_eq!(idx_name(name), want, "{name}");
        }
        for (name, want) in [
            ("x_train", own(PartName::Train, "x")),
            ("X_train", own(PartName::Train, "x")),
            ("val_labels", own(PartName::Validation, "labels")),
            ("test-images", own(PartName::Test, "images")),
            ("X", own(PartName::Whole, "x")),
            ("notes", None),
            ("a_b", None),
        ] {
            assert_eq!(array_name(name), want, "{name}");
        }
    }
}
