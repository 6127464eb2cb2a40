//! Options that several subcommands share.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use tinsmith_cost::Limits;
use tinsmith_fleet::{TableArgs, ValueTableArgs};
use tinsmith_foundation::ByteSize;
use tinsmith_workshop::{BenchOptions, DataPart, InferenceInput, TrainingOptions};

/// Limits and target of a network.
#[derive(Debug, Args)]
pub(crate) struct BudgetArgs {
    /// Limit of flash for weights, for example 64KiB [default: no limit]
    #[arg(long, value_name = "SIZE")]
    flash: Option<ByteSize>,
    /// Limit of RAM for activations at the peak, for example 16KiB [default: no limit]
    #[arg(long, value_name = "SIZE")]
    ram: Option<ByteSize>,
    /// Limit of multiply-accumulates per inference [default: no limit]
    #[arg(long, value_name = "N")]
    macs: Option<u64>,
    /// The hardware: mcu-int8, mcu-packed, fpga, float32, or a YAML file
    #[arg(long, default_value = "mcu-packed")]
    pub(crate) target: String,
}

impl BudgetArgs {
    pub(crate) fn limits(&self) -> Limits {
        Limits {
            flash: self.flash.map(|b| b.0),
            ram: self.ram.map(|b| b.0),
            macs: self.macs,
            ..Limits::default()
        }
    }
}

/// The data set, and the seed, of a command that needs classes.
#[derive(Debug, Args)]
pub(crate) struct DataArgs {
    /// A built-in data set, a folder of IDX or NPY files, an .npz archive, a table (.csv, .tsv, also with .gz), or the name
    /// of one of these in the folder `$TINSMITH_DATA`
    #[arg(long, default_value = "digits8x8")]
    data: String,
    #[command(flatten)]
    table: TableArgs,
    /// Fraction of training rows held out for validation
    #[arg(long, default_value_t = 0.2)]
    validation: f64,
    /// Seed of all random choices
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

impl DataArgs {
    /// Returns the settings of a bench over `jobs` cores.
    pub(crate) fn bench(self, jobs: usize, limits: Limits, target: String) -> BenchOptions {
        BenchOptions {
            data: self.data,
            table: self.table.options(),
            validation: self.validation,
            seed: self.seed,
            jobs,
            limits,
            target,
        }
    }
}

/// A trained network, and the data set that it is applied to.
#[derive(Debug, Args)]
pub(crate) struct InferenceArgs {
    /// The trained network: a weight file that Tinsmith wrote, or a model that Keras saved (.keras, .h5)
    weights: PathBuf,
    /// A built-in data set, a folder of IDX or NPY files, an .npz archive, a table (.csv, .tsv, also with .gz), or the name
    /// of one of these in the folder `$TINSMITH_DATA`
    #[arg(long, default_value = "digits8x8")]
    data: String,
    #[command(flatten)]
    table: ValueTableArgs,
    /// Normalization of the samples [default: normalizer.yaml beside the weights]
    #[arg(long, value_name = "FILE")]
    normalizer: Option<PathBuf>,
}

impl InferenceArgs {
    /// Returns the input of an inference on a part of the data.
    pub(crate) fn input(self, part: PartChoice) -> InferenceInput {
        InferenceInput {
            weights: self.weights,
            normalizer: self.normalizer,
            data: self.data,
            table: self.table.options(),
            part: match part {
                PartChoice::Test => DataPart::Test,
                PartChoice::Train => DataPart::Train,
                PartChoice::All => DataPart::All,
            },
        }
    }
}

/// Rows of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PartChoice {
    /// The test rows
    Test,
    /// The training rows
    Train,
    /// All rows
    All,
}

/// A training from scratch.
#[derive(Debug, Args)]
pub(crate) struct TrainingArgs {
    /// Passes over the training rows [default: 20]
    #[arg(long)]
    epochs: Option<u32>,
    /// Samples in one batch [default: 32]
    #[arg(long)]
    batch_size: Option<usize>,
    /// Learning rate of Adam at the start of its cosine schedule [default: 0.004]
    #[arg(long)]
    learning_rate: Option<f64>,
    /// A YAML file of the whole recipe, see `tinsmith schema training`; --epochs, --batch-size and --learning-rate override
    /// it
    #[arg(long, value_name = "FILE")]
    training: Option<PathBuf>,
}

impl From<TrainingArgs> for TrainingOptions {
    fn from(args: TrainingArgs) -> Self {
        Self {
            file: args.training,
            epochs: args.epochs,
            batch_size: args.batch_size,
            learning_rate: args.learning_rate,
        }
    }
}

/// A fine-tuning of trained weights.
#[derive(Debug, Args)]
pub(crate) struct FineTuningArgs {
    /// Passes over the training rows in one trial [default: 20]
    #[arg(long)]
    epochs: Option<u32>,
    /// Samples in one batch [default: 32]
    #[arg(long)]
    batch_size: Option<usize>,
    /// Learning rate of Adam at the start of its cosine schedule [default: 0.002, half of that from scratch]
    #[arg(long)]
    learning_rate: Option<f64>,
    /// A YAML file of the whole recipe, see `tinsmith schema training`; --epochs, --batch-size and --learning-rate override
    /// it
    #[arg(long, value_name = "FILE")]
    training: Option<PathBuf>,
}

impl From<FineTuningArgs> for TrainingOptions {
    fn from(args: FineTuningArgs) -> Self {
        Self {
            file: args.training,
            epochs: args.epochs,
            batch_size: args.batch_size,
            learning_rate: args.learning_rate,
        }
    }
}

/// Networks trained side by side.
#[derive(Debug, Args)]
pub(crate) struct JobsArgs {
    /// Number of networks trained side by side; 0 means one per core. Results do not depend on it
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) jobs: usize,
}
