//! `tinsmith design`: from a data set and limits to a network that fits.

use std::path::PathBuf;

use clap::Args;
use tinsmith_fleet::TableArgs;
use tinsmith_foundation::ByteSize;
use tinsmith_workshop::{DesignConfig, DesignFolder, DesignResult, Figures, design, resume};

use crate::output::{count, line, percent, table};
use crate::watch::Watch;

/// Arguments of `design`; each overrides the same field of the configuration file.
#[derive(Debug, Args)]
pub(crate) struct DesignArgs {
    /// A built-in data set, a folder of IDX or NPY files, an .npz archive, a table (.csv, .tsv, also with .gz), or the name
    /// of one of these in the folder `$TINSMITH_DATA` [default: digits8x8]
    #[arg(long)]
    data: Option<String>,
    #[command(flatten)]
    table: TableArgs,
    /// Limit of flash for weights [default: 8KiB]
    #[arg(long, value_name = "SIZE")]
    flash: Option<ByteSize>,
    /// Limit of RAM for activations at the peak [default: 2KiB]
    #[arg(long, value_name = "SIZE")]
    ram: Option<ByteSize>,
    /// Limit of multiply-accumulates per inference [default: no limit]
    #[arg(long, value_name = "N")]
    macs: Option<u64>,
    /// The hardware: mcu-int8, mcu-packed, fpga, float32, or a YAML file [default: mcu-packed]
    #[arg(long)]
    target: Option<String>,
    /// Number of architectures that are tried; half as many assignments of bit widths follow [default: 40]
    #[arg(long, value_name = "N")]
    trials: Option<u64>,
    /// Minutes after which the searches start no more trials [default: no limit]
    #[arg(long, value_name = "MINUTES")]
    time: Option<f64>,
    /// Seed of all random choices [default: 0]
    #[arg(long)]
    seed: Option<u64>,
    /// Number of trainings of the winner, each from a seed of its own [default: 3]
    #[arg(long, value_name = "N")]
    seeds: Option<u64>,
    /// Epochs of a full training [default: chosen from the number of training rows]
    #[arg(long, value_name = "N")]
    epochs: Option<u32>,
    /// Number of networks trained side by side; 0 means one per core. Results do not depend on it [default: 0]
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
    /// Folder of the result [default: design-DATA]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// A YAML file with any of these settings and more, see `tinsmith schema design`; options override it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Resume the design in this folder, with the configuration stored there; only --jobs and --quiet may be added
    #[arg(long, value_name = "DIR", conflicts_with_all = ["data", "targets", "label",
        "ignore", "group", "delimiter", "decimal", "header", "missing", "flash", "ram", "macs", "target", "trials", "time",
        "seed", "seeds", "epochs", "out", "config"])]
    resume: Option<PathBuf>,
    /// Hide progress
    #[arg(long)]
    quiet: bool,
}

impl DesignArgs {
    fn config(self) -> anyhow::Result<DesignConfig> {
        let mut config = match &self.config {
            Some(path) => DesignConfig::load(path)?,
            None => DesignConfig::default(),
        };
        macro_rules! overlay {
            ($($field:ident),*) => { $( if let Some(value) = self.$field { config.$field = value; } )* };
        }
        overlay!(data, flash, ram, target, trials, seed, seeds, jobs);
        config.table = self.table.options().over(config.table);
        config.macs = self.macs.or(config.macs);
        config.time = self.time.or(config.time);
        config.epochs = self.epochs.or(config.epochs);
        config.out = self.out.or(config.out);
        config.quiet |= self.quiet;
        Ok(config)
    }
}

pub(crate) fn run(args: DesignArgs) -> anyhow::Result<()> {
    if let Some(path) = &args.resume {
        let watch = Watch::new(args.quiet);
        let result = resume(path, args.jobs, &watch.session()?)?;
        return show(&result, &DesignFolder::new(path));
    }
    let config = args.config()?;
    let folder = DesignFolder::new(config.folder());
    let watch = Watch::new(config.quiet);
    let result = design(config, &watch.session()?)?;
    show(&result, &folder)
}

fn show(result: &DesignResult, folder: &DesignFolder) -> anyhow::Result<()> {
    let (a, b) = (&result.baseline, &result.winner);
    let row = |name: &str, f: &dyn Fn(&Figures) -> String| vec![name.to_owned(), f(b), f(a)];
    let rows = vec![
        row("test accuracy", &|f| format!("{} ± {:.2}", percent(f.mean), 100.0 * f.deviation)),
        row("parameters", &|f| count(f.params)),
        row("nonzero weights", &|f| count(f.non_zeros)),
        row("MACs", &|f| count(f.macs)),
        row("flash, bytes", &|f| count(f.flash_bytes)),
        row("peak RAM, bytes", &|f| count(f.ram_bytes)),
        row("bits per weight", &|f| format!("{:.2}", f.bits_per_weight)),
    ];
    line(format!(
        "{}: mean of {} seeds; the winner is quantized and pruned for {}, the baseline is the same network in float32",
        result.data,
        b.test_accuracy.len(),
        b.target,
    ))?;
    table(&["", "winner", "baseline"], rows)?;
    let layers = result.layers.iter().map(|l| {
        let kept = l.non_zeros as f64 / l.weights.max(1) as f64;
        vec![
            format!("{} ({})", l.layer, l.kind),
            count(l.weights),
            percent(kept),
            l.weight_bits.to_string(),
            l.output_bits.to_string(),
        ]
    });
    table(&["layer", "weights", "nonzero", "bits per weight", "bits per output"], layers.collect())?;
    line(format!("written to {}; open {}", folder.root().display(), folder.report().display()))
}
