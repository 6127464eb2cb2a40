//! `tinsmith schema`: the JSON schema of a file format, for editors.

use clap::{Args, ValueEnum};

use crate::output::line;

/// Arguments of `schema`.
#[derive(Debug, Args)]
pub(crate) struct SchemaArgs {
    /// The format
    #[arg(value_enum, default_value_t = Format::Model)]
    format: Format,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// A network's specification
    Model,
    /// The configuration of `tinsmith design`
    Design,
    /// A family of networks: the settings of the generator
    Generator,
    /// The configuration of `tinsmith generate`
    Corpus,
    /// The configuration of `tinsmith generate --design`
    Designed,
    /// A training recipe: loss, optimizer, schedule, augmentation
    Training,
    /// The settings of a submission to Slurm: `slurm.yaml`
    Slurm,
    /// A sweep: the values that a fleet tries
    Sweep,
}

pub(crate) fn run(args: &SchemaArgs) -> anyhow::Result<()> {
    let schema = match args.format {
        Format::Model => tinsmith_network::json_schema(),
        Format::Design => serde_json::to_value(schemars::schema_for!(tinsmith_workshop::DesignConfig))?,
        Format::Generator => serde_json::to_value(schemars::schema_for!(tinsmith_modelgen::GeneratorConfig))?,
        Format::Corpus => serde_json::to_value(schemars::schema_for!(tinsmith_modelgen::CorpusConfig))?,
        Format::Designed => {
            serde_json::to_value(schemars::schema_for!(tinsmith_modelgen::SpaceFillingConfig))?
        }
        Format::Training => serde_json::to_value(schemars::schema_for!(tinsmith_trainer::TrainConfig))?,
        Format::Slurm => serde_json::to_value(schemars::schema_for!(tinsmith_fleet::slurm::SlurmConfig))?,
        Format::Sweep => serde_json::to_value(schemars::schema_for!(tinsmith_fleet::Sweep))?,
    };
    line(serde_json::to_string_pretty(&schema)?)
}
