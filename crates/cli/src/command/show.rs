//! `tinsmith show`: layers, shapes and cost of a network.

use std::path::PathBuf;

use clap::Args;
use tinsmith_cost::Cost;
use tinsmith_trainer::load_spec;

use super::BudgetArgs;
use crate::output::{count, line, table, text};

/// Arguments of `show`.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// The specification: YAML or JSON, a model that Keras saved (.keras, .h5), or a Keras model's JSON with --keras
    spec: PathBuf,
    /// The file is the JSON of a Keras or QKeras model
    #[arg(long)]
    keras: bool,
    /// Print the specification itself as YAML
    #[arg(long)]
    yaml: bool,
    #[command(flatten)]
    budget: BudgetArgs,
}

pub(crate) fn run(args: &ShowArgs) -> anyhow::Result<()> {
    let spec = if args.keras {
        let source = tinsmith_foundation::files::read_text(&args.spec)?;
        tinsmith_keras::read_json(&source, &args.spec.display().to_string())?
    } else {
        load_spec(&args.spec)?
    };
    if args.yaml {
        text(&spec.to_yaml()?);
        return Ok(());
    }
    text(&spec.summary()?.to_string());
    let target = args.budget.target()?;
    let cost = Cost::of(&spec, &target)?;
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
    line(format!("\non {}:", cost.target));
    table(&["layer", "MACs", "weight bits", "flash bytes", "output bits", "output bytes"], rows.collect());
    line(format!("MACs         {}", count(cost.total.macs)));
    line(format!(
        "FLOPs        {} (keras-flops counts {})",
        count(cost.total.flops),
        count(cost.total.keras_flops)
    ));
    line(format!("BOPs         {:.3e}", cost.total.bops));
    line(format!("flash bytes  {}", count(cost.total.flash_bytes)));
    line(format!("peak RAM     {} bytes", count(cost.peak_ram.bytes)));
    line(format!("hash         {}", spec.structural_hash()?));
    let violations = args.budget.limits().check(&cost);
    for violation in &violations {
        line(format!("does not fit: {violation}"));
    }
    anyhow::ensure!(violations.is_empty(), "{} does not keep the budget", args.spec.display());
    Ok(())
}
