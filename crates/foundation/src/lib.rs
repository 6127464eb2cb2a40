//! Foundation of all Tinsmith crates, independent of networks and tensors: derived seeds and a specified random number
//! generator, configuration files with positioned faults, durable files, bounded decompression, progress, cancellation,
//! and worker scopes that own the machine's cores.
//!
//! ```
//! use tinsmith_foundation::{Seed, WorkerScope};
//!
//! let study = Seed::new(7);
//! let trial = study.derive("trial", 3);
//! assert_eq!(trial, Seed::new(7).derive("trial", 3)); // by name, not by order of use
//!
//! let scope = WorkerScope::new(2);
//! let squares = scope.map(vec![1, 2, 3], |_grant, x| x * x); // results keep the order of the items
//! assert_eq!(squares, [1, 4, 9]);
//! ```
//!
//! | module | contents |
//! | --- | --- |
//! | [`seed`] | [`Seed`], [`Rng`]: derivation by SHA-256, draws by ChaCha12, every algorithm specified |
//! | [`clock`] | timestamps in UTC |
//! | [`config`] | reads and writes YAML and JSON; faults carry positions |
//! | [`faults`] | [`Faults`], [`ConfigErrors`]: all faults of a configuration as one error |
//! | [`files`] | atomic replacement, exclusive claims, append-only logs that survive a kill |
//! | [`expansion`] | a bound on the decompressed size of a file |
//! | [`file_name`] | names that may become files |
//! | [`quote`](mod@quote) | quotations of user input, cut to a readable length |
//! | [`progress`] | events of a long operation |
//! | [`cancel`] | a flag that asks a long operation to stop |
//! | [`workers`] | distribution of cores among workers |

#![forbid(unsafe_code)]

mod byte_size;
pub mod cancel;
pub mod clock;
pub mod config;
mod error;
pub mod expansion;
pub mod faults;
pub mod file_name;
pub mod files;
mod normal;
mod plain_word;
pub mod progress;
pub mod quote;
pub mod seed;
pub mod workers;

pub use byte_size::{ByteSize, ParseSizeError};
pub use cancel::CancelToken;
pub use error::{FoundationError, Result};
pub use expansion::ExpansionBudget;
pub use faults::{ConfigErrors, Fault, Faults, Position};
pub use file_name::is_safe_file_name;
pub use plain_word::plain_word;
pub use progress::{Event, Progress, Silent};
pub use quote::{QUOTE_LIMIT, quote};
pub use seed::{Rng, Seed};
pub use workers::{Grant, WorkerScope};
