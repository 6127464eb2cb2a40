//! `tinsmith show`: layers, shapes and cost of a network.

use std::path::PathBuf;

use clap::Args;
use tinsmith_cost::{Cost, Target};
use tinsmith_foundation::files;
use tinsmith_workshop::{WorkshopError, load_spec};

use crate::options::BudgetArgs;
use crate::output::{count, line, table, text};

/// The network that is shown breaks a limit.
#[derive(Debug, thiserror::Error)]
#[error("{path} does not keep the limits", path = .0.display())]
pub(crate) struct OverLimits(PathBuf);

/// Arguments of `show`.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// The specification: YAML or JSON, a model that Keras saved (.keras, .h5), or a Keras model's JSON with --keras
    spec: PathBuf,
    /// The file is the JSON of a Keras or QKeras model
    #[arg(long)]
    keras: bool,
    /// Print the specification itself as YAML
    #[arg(long, conflicts_with_all = ["flash", "ram", "macs", "target"])]
    yaml: bool,
    #[command(flatten)]
    budget: BudgetArgs,
}

pub(crate) fn run(args: &ShowArgs) -> anyhow::Result<()> {
    let spec = if args.keras {
        let source = files::read_text(&args.spec)?;
        tinsmith_keras::read_json(&source, &args.spec.display().to_string()).map_err(WorkshopError::from)?
    } else {
        load_spec(&args.spec)?
    };
    if args.yaml {
        return text(&spec.to_yaml()?);
    }
    let target = Target::load(&args.budget.target).map_err(WorkshopError::from)?;
    let cost = Cost::of(&spec, &target).map_err(WorkshopError::from)?;
    text(&spec.summary()?.to_string())?;
    let rows = cost.layers.iter().map(|layer| {
        vec![
            layer.name.clone(),
            count(layer.cost.macs),
            count(layer.cost.weight_bits),
            count(layer.cost.flash_bytes),
            layer.output_bits.to_string(),
            count(layer.output_bytes),
        ]
    });
    line(format!("\non {}:", cost.target))?;
    table(&["layer", "MACs", "weight bits", "flash bytes", "output bits", "output bytes"], rows.collect())?;
    line(format!("MACs         {}", count(cost.total.macs)))?;
    line(format!(
        "FLOPs        {} (keras-flops counts {})",
        count(cost.total.flops),
        count(cost.total.keras_flops)
    ))?;
    line(format!("BOPs         {:.3e}", cost.total.bops))?;
    line(format!("flash bytes  {}", count(cost.total.flash_bytes)))?;
    line(format!("peak RAM     {} bytes", count(cost.peak_ram.bytes)))?;
    line(format!("hash         {}", spec.structural_hash()?))?;
    let violations = args.budget.limits().check(&cost);
    for violation in &violations {
        line(format!("does not fit: {violation}"))?;
    }
    if violations.is_empty() { Ok(()) } else { Err(OverLimits(args.spec.clone()).into()) }
}
