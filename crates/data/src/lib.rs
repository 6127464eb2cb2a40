//! Data sets for small networks, without a tensor library: readers that refuse broken files with the reason, splits
//! that do not leak, normalization that is fitted on the training part alone, batches that depend on a seed alone.
//!
//! For whoever trains a network on sensor data, images or tables, with Tinsmith's trainer or without it.
//!
//! ```
//! use tinsmith_data::{Augment, Normalization, Normalizer};
//! use tinsmith_foundation::Seed;
//!
//! # fn main() -> tinsmith_data::Result<()> {
//! let seed = Seed::new(7);
//! let splits = tinsmith_data::load("digits8x8")?; // or the path of a folder, an archive, a table
//! let (train, val) = splits.train.validation_split(0.2, seed)?;
//! let normalizer = Normalizer::fit(&train, Normalization::Auto)?;
//! let (train, val) = (normalizer.apply(&train)?, normalizer.apply(&val)?);
//!
//! let augment = Augment { shift: 1, ..Augment::default() };
//! let mut batches = train.batches(64, seed, 0, &augment)?;
//! while let Some(batch) = batches.next_batch() {
//!     assert_eq!(batch.samples.len(), batch.len * 8 * 8);
//!     assert!(batch.labels.iter().all(|&label| label < 10));
//! }
//! assert_eq!(train.len() + val.len(), 1437);
//! # Ok(())
//! # }
//! ```
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`dataset`] | [`Dataset`], [`Splits`], [`Targets`]: samples in shared memory, views by index |
//! | [`load`](mod@load) | built-in data sets, folders of IDX or NPY files, NPZ archives |
//! | [`table`] | CSV |
//! | [`array`](mod@array) | [`Array`]: what a file holds |
//! | [`idx`], [`npy`], [`npz`] | the formats, in and out |
//! | [`splits`] | held-out rows and groups, shares, equal parts; [`Parts`]: what a training takes |
//! | [`folds`] | cross-validation, index for index scikit-learn's |
//! | [`classes`] | views by class: restricted, renumbered, mixed in a ratio |
//! | [`normalize`] | [`Normalizer`] |
//! | [`augment`] | [`Augment`]: shift, rotation, noise, cut-out, mix-up |
//! | [`batches`] | [`Batches`], seeded by epoch |
//! | [`describe`] | [`Description`]: counts, ranges, balance |
//! | [`contact_sheet`] | the first samples of every class as an SVG |

#![forbid(unsafe_code)]

pub mod array;
pub mod augment;
pub mod batches;
pub mod classes;
pub mod contact_sheet;
pub mod dataset;
pub mod describe;
mod error;
pub mod folds;
pub mod idx;
mod input;
pub mod load;
mod locate;
pub mod normalize;
pub mod npy;
pub mod npz;
pub mod splits;
pub mod table;

pub use array::{Array, ElementType, Values};
pub use augment::Augment;
pub use batches::{Batch, Batches, one_hot};
pub use dataset::{Dataset, Splits, Targets};
pub use describe::{ClassCount, Description};
pub use error::{DataError, Result};
pub use folds::Folds;
pub use load::{BUILTIN, builtin, load, load_folder, load_in, load_npz};
pub use locate::locate;
pub use normalize::{Normalization, Normalizer};
pub use splits::Parts;
pub use table::{TableConfig, TableTargets};

/// Runs the README's example as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
