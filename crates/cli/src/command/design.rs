//! `tinsmith design`: from a data set and a budget to a network that fits.

use std::path::PathBuf;

use clap::Args;
use tinsmith_workshop::{ByteSize, DesignConfig, DesignResult, Folder, Session, design, resume};

use crate::output::{count, line, percent, table};
use crate::watch::{Watch, cancel_on_signal};

/// Arguments of `design`; each overrides the same field of the configuration file.
#[derive(Debug, Args)]
pub(crate) struct DesignArgs {
    /// A built-in data set, or a folder of IDX files [default: digits8x8]
    #[arg(long)]
    data: Option<String>,
    /// Flash for weights [default: 8KiB]
    #[arg(long, value_name = "SIZE")]
    flash: Option<ByteSize>,
    /// Peak RAM for activations [default: 2KiB]
    #[arg(long, value_name = "SIZE")]
    ram: Option<ByteSize>,
    /// Multiply-accumulates of one inference [default: no limit]
    #[arg(long, value_name = "N")]
    macs: Option<u64>,
    /// mcu-int8, mcu-packed, fpga, float32, or a YAML file [default: mcu-packed]
    #[arg(long)]
    target: Option<String>,
    /// Architectures that are tried; half as many assignments of quantizers follow [default: 40]
    #[arg(long, value_name = "N")]
    trials: Option<u64>,
    /// Minutes after which the searches begin no more trials [default: no limit]
    #[arg(long, value_name = "MINUTES")]
    time: Option<f64>,
    /// Seed of everything random [default: 0]
    #[arg(long)]
    seed: Option<u64>,
    /// How often the winner is trained, each time from a seed of its own [default: 3]
    #[arg(long, value_name = "N")]
    seeds: Option<u64>,
    /// Epochs of a full training [default: chosen from the size of the data]
    #[arg(long, value_name = "N")]
    epochs: Option<u32>,
    /// Networks trained side by side; results do not depend on it [default: one for each core]
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
    /// Folder of the result [default: design-DATA]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// A YAML file with any of these and more; see `tinsmith schema design`
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Go on with the design in this folder; only --jobs and --quiet may be given with it
    #[arg(long, value_name = "DIR", conflicts_with_all = ["data", "flash", "ram", "macs", "target", "trials", "time",
        "seed", "seeds", "epochs", "out", "config"])]
    resume: Option<PathBuf>,
    /// Print the result only
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
        config.macs = self.macs.or(config.macs);
        config.time = self.time.or(config.time);
        config.epochs = self.epochs.or(config.epochs);
        config.out = self.out.or(config.out);
        config.quiet |= self.quiet;
        Ok(config)
    }
}

pub(crate) fn run(args: DesignArgs) -> anyhow::Result<()> {
    let cancel = cancel_on_signal()?;
    if let Some(path) = &args.resume {
        let watch = Watch::new(args.quiet);
        let result = resume(path, args.jobs, &Session { progress: &watch, cancel })?;
        show(&result, &Folder::new(path));
        return Ok(());
    }
    let config = args.config()?;
    let folder = Folder::new(config.folder());
    let watch = Watch::new(config.quiet);
    let result = design(config, &Session { progress: &watch, cancel })?;
    show(&result, &folder);
    Ok(())
}

fn show(result: &DesignResult, folder: &Folder) {
    let (a, b) = (&result.baseline, &result.winner);
    let row =
        |name: &str, f: &dyn Fn(&tinsmith_workshop::Figures) -> String| vec![name.to_owned(), f(b), f(a)];
    let rows = vec![
        row("test accuracy", &|f| format!("{} ± {:.2}", percent(f.mean), 100.0 * f.deviation)),
        row("parameters", &|f| count(f.params)),
        row("of these not zero", &|f| count(f.non_zeros)),
        row("MACs", &|f| count(f.macs)),
        row("flash, bytes", &|f| count(f.flash_bytes)),
        row("peak RAM, bytes", &|f| count(f.ram_bytes)),
        row("bits per weight", &|f| format!("{:.2}", f.bits_per_weight)),
    ];
    line(format!(
        "{}: quantized and pruned for {}, mean of {} seeds, beside the same network in float32",
        result.data,
        b.target,
        b.test_accuracy.len()
    ));
    table(&["", "winner", "baseline"], rows);
    let bits = result.layers.iter().map(|l| {
        let kept = l.non_zeros as f64 / l.weights.max(1) as f64;
        vec![
            format!("{} ({})", l.layer, l.kind),
            count(l.weights),
            percent(kept),
            l.weight_bits.to_string(),
            l.output_bits.to_string(),
        ]
    });
    table(&["layer", "weights", "not zero", "bits of a weight", "of an output"], bits.collect());
    line(format!("written to {}; open {}", folder.root().display(), folder.report().display()));
}
