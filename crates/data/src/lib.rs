//! Data sets for small networks, without a tensor library: strict readers, splits that do not leak, normalization fitted
//! on the training part alone, and batches that depend on a seed alone.
//!
//! For training on sensor data, images or tables, with Tinsmith's trainer or another one.
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
//! | module | contents |
//! | --- | --- |
//! | [`dataset`] | [`Dataset`], [`Splits`], [`Targets`]: samples in shared memory, views by index |
//! | [`load`](mod@load) | built-in data sets, folders of IDX or NPY files, NPZ archives, tables |
//! | [`table`] | CSV, TSV and similar; [`TableOptions`] |
//! | [`targets`] | [`TargetChoice`]: classes, values, the sample itself |
//! | [`notes`] | [`Notes`]: the decisions made while a data set was read |
//! | [`array`](mod@array) | [`Array`]: the contents of a file |
//! | [`idx`], [`npy`], [`npz`] | readers and writers of these formats |
//! | [`splits`] | held-out rows and groups, random fractions, equal parts; [`Parts`]: the input of a training |
//! | [`folds`] | cross-validation, equal to scikit-learn's folds |
//! | [`classes`] | views by class: selected, renumbered, mixed in a ratio |
//! | [`normalize`] | [`Normalizer`] |
//! | [`augment`] | [`Augment`]: shift, rotation, noise, cut-out, mix-up |
//! | [`batches`] | [`Batches`], seeded by epoch |
//! | [`describe`] | [`Description`]: counts, ranges, balance, columns |
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
mod gzip;
pub mod idx;
mod input;
mod inspect;
mod labels;
pub mod load;
mod locate;
pub mod normalize;
pub mod notes;
pub mod npy;
pub mod npz;
pub mod splits;
pub mod table;
pub mod targets;

pub use array::{Array, ElementType, Values};
pub use augment::Augment;
pub use batches::{Batch, Batches, one_hot};
pub use dataset::{Dataset, Splits, Targets};
pub use describe::{ClassCount, Description};
pub use error::{DataError, Result};
pub use folds::Folds;
pub use load::{builtin, load, load_folder, load_in, load_npz, load_with};
pub use locate::{BUILTIN, locate};
pub use normalize::{Normalization, Normalizer, ScaleRule};
pub use notes::{ColumnNote, ColumnRole, Notes};
pub use splits::Parts;
pub use table::{Missing, TableOptions};
pub use targets::TargetChoice;

/// Runs the example of the README as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
