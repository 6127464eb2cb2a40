//! The design pipeline and its stages.
//!
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod bench;
mod config;
mod corpus;
mod error;
mod figures;
mod folder;
mod identity;
mod network;
mod page;
mod pipeline;
mod plan;
mod recipe;
mod result;
mod stage;

pub use bench::{BenchOptions, Session, Workbench};
pub use config::{DesignConfig, GenerateOptions, PruneOptions, QuantizeOptions, SearchOptions};
pub use corpus::{CorpusStatus, fit_family, generate_corpus, generate_space_filling_corpus};
pub use error::{ErrorKind, Result, WorkshopError};
pub use figures::{Figures, LayerBits, layer_bits};
pub use folder::DesignFolder;
pub use identity::WORK_RECORD;
pub use network::{load_network, load_spec};
pub use pipeline::{design, resume};
pub use plan::{DesignPlan, PrunePlan, QuantizePlan, SearchPlan};
pub use recipe::TrainingOptions;
pub use result::{Counts, DesignResult};
pub use stage::candidates::CandidateStage;
pub use stage::prune::{PruneOutcome, PruneStage, PrunedNetwork};
pub use stage::quantize::{QuantizeOutcome, QuantizeStage};
pub use stage::search::{SearchOutcome, SearchStage};
pub use stage::train::{FoldStage, TrainOutcome, TrainStage};
pub use tinsmith_foundation::ByteSize;
