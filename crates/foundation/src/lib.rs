//! What every Tinsmith crate stands on, and nothing that knows of networks: derived seeds and a written-down
//! generator, configuration files whose faults have a line and a column, files that are whole or absent,
//! progress, cancellation, and worker scopes that own the machine's cores.
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
//! | module | what it holds |
//! | --- | --- |
//! | [`seed`] | [`Seed`], [`Rng`]: derivation by SHA-256, draws by ChaCha12, every algorithm stated |
//! | [`clock`] | timestamps in UTC |
//! | [`config`] | YAML and JSON in and out, faults with positions |
//! | [`files`] | atomic replacement, exclusive claims, append-only logs that survive a kill |
//! | [`progress`] | what a long operation tells its caller |
//! | [`cancel`] | how a caller asks a long operation to stop |
//! | [`workers`] | who may use which cores |

#![forbid(unsafe_code)]

mod byte_size;
pub mod cancel;
pub mod clock;
pub mod config;
mod error;
pub mod files;
mod normal;
mod plain_word;
pub mod progress;
pub mod seed;
pub mod workers;

pub use byte_size::{ByteSize, ParseSizeError};
pub use cancel::CancelToken;
pub use config::{ConfigErrors, Fault, Faults, Position};
pub use error::{FoundationError, Result};
pub use plain_word::plain_word;
pub use progress::{Event, Progress, Silent};
pub use seed::{Rng, Seed};
pub use workers::{Grant, WorkerScope};
