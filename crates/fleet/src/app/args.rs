//! Arguments of the subcommands.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use tinsmith_foundation::ByteSize;

use super::table::ValueTableArgs;
use crate::models::{ModelList, ModelName};
use crate::outcome::Cause;
use crate::plan::MOST_RUNS;
use crate::report::Format;
use crate::submission::Ranges;

/// Subcommands of a fleet.
#[derive(Debug, Subcommand)]
#[expect(clippy::large_enum_variant, reason = "one value per process")]
pub enum FleetCommand {
    /// Create a project: a folder with a plan of many trainings
    Generate(GenerateArgs),
    /// Add trainings to the plan of a project
    Add(AddArgs),
    /// List projects: description, models, progress, notes
    Show(ShowArgs),
    /// Show the state of each run: state, job, node, reason, log
    Status(StatusArgs),
    /// Submit open runs to Slurm, or train them in this process
    Submit(SubmitArgs),
    /// Train open runs in this process
    Run(RunArgs),
    /// Retry failed runs
    Retry(RetryArgs),
    /// Cancel submitted runs
    Cancel(CancelArgs),
    /// Write a note about a project or a run
    Annotate(AnnotateArgs),
    /// Compare models, or values of a sweep, by a score
    Compare(CompareArgs),
    /// Write every run as a row
    Export(ExportArgs),
    /// Fold results into the index and write results.csv; the last job of a submission runs this
    Collect(ProjectArgs),
    /// Train the runs of one array task
    #[command(hide = true)]
    Task(TaskArgs),
}

/// The project that a command acts on.
#[derive(Debug, Args)]
pub struct ProjectArgs {
    /// The project's folder
    pub(crate) project: PathBuf,
}

/// Selection of runs.
#[derive(Debug, Args)]
pub(crate) struct SelectArgs {
    /// Only runs of this model
    #[arg(long, value_name = "CLASS.ARCHITECTURE")]
    pub(crate) only: Option<ModelName>,
    /// Only runs with these numbers, such as 0-99,105
    #[arg(long, value_name = "NUMBERS")]
    pub(crate) runs: Option<Ranges>,
}

/// Contents of one part of the plan.
#[derive(Debug, Args)]
pub(crate) struct PartArgs {
    /// Comma-separated models, each class.architecture=count: networks of it trained by one array element.
    /// Count defaults to 1, the class to that of the previous entry
    #[arg(long)]
    pub(crate) models: ModelList,
    /// Folder with one folder per class; each architecture is a specification in its class's folder
    #[arg(long, value_name = "DIR", default_value = "models")]
    pub(crate) models_folder: PathBuf,
    /// Array elements, at least 1; each trains every model count times
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=MOST_RUNS))]
    pub(crate) array: u64,
    /// Passes over the training rows [default: 30, or the value in --training]
    #[arg(long, alias = "nb_epoch", value_name = "N")]
    pub(crate) epochs: Option<u32>,
    /// Samples per epoch, drawn anew for each epoch; 0 means all rows [default: 0, or the value in
    /// --training]
    #[arg(long, alias = "epoch_samples", value_name = "N")]
    pub(crate) epoch_samples: Option<usize>,
    /// Stop a training early once it stops improving, and keep its best weights
    #[arg(long, num_args = 0..=1, default_missing_value = "true", default_value = "false", value_parser = truth)]
    pub(crate) intelligent: bool,
    /// YAML file with the training configuration (losses, optimizers, schedules, augmentation)
    #[arg(long, value_name = "FILE")]
    pub(crate) training: Option<PathBuf>,
    /// YAML file with a sweep: a design and a space of configuration keys
    #[arg(long, value_name = "FILE")]
    pub(crate) sweep: Option<PathBuf>,
}

/// Parses `true` and `false` as people write them. Refuses any other word.
fn truth(text: &str) -> Result<bool, String> {
    match text.to_lowercase().as_str() {
        "true" | "yes" | "1" => Ok(true),
        "false" | "no" | "0" | "none" => Ok(false),
        _ => Err("want True or False".to_owned()),
    }
}

/// Arguments of `generate`.
#[derive(Debug, Args)]
pub struct GenerateArgs {
    #[command(flatten)]
    pub(crate) part: PartArgs,
    /// Description of the project
    #[arg(long, default_value = "")]
    pub(crate) desc: String,
    /// Folder of the project [default: today's date and a number, below --root]
    #[arg(long, alias = "out", value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
    /// Folder below which projects are created
    #[arg(long, value_name = "DIR", default_value = "fleets")]
    pub(crate) root: PathBuf,
    /// A built-in data set, a folder of IDX or NPY files, an .npz archive, a table (.csv, .tsv, also with .gz), or the name
    /// of one of these in the folder `$TINSMITH_DATA`
    #[arg(long, default_value = "digits8x8")]
    pub(crate) data: String,
    #[command(flatten)]
    pub(crate) table: ValueTableArgs,
    /// Fraction of training rows held out for validation; 0 trains on all rows
    #[arg(long, default_value_t = 0.2)]
    pub(crate) validation: f64,
    /// Seed of everything random
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    /// Request one GPU per task. Training itself runs on the CPU
    #[arg(long)]
    pub(crate) gpu: bool,
    /// Submit right after creating the project
    #[arg(long, num_args = 0..=1, default_missing_value = "true", default_value = "false", value_parser = truth)]
    pub(crate) run: bool,
    /// YAML file with submission settings, stored as the project's slurm.yaml
    #[arg(long, value_name = "FILE")]
    pub(crate) slurm: Option<PathBuf>,
    /// Template of the batch script, used instead of the built-in one
    #[arg(long, value_name = "FILE")]
    pub(crate) template: Option<PathBuf>,
    /// Use the program at its present path; by default the project gets a copy that later builds do not
    /// change
    #[arg(long)]
    pub(crate) no_copy: bool,
    #[command(flatten)]
    pub(crate) executor: ExecutorArgs,
}

/// Arguments of `add`.
#[derive(Debug, Args)]
pub struct AddArgs {
    /// Folder of the project
    #[arg(long, value_name = "PROJECT")]
    pub(crate) to: PathBuf,
    #[command(flatten)]
    pub(crate) part: PartArgs,
}

/// Arguments of `show`.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// A project, or a folder that holds projects
    #[arg(default_value = "fleets")]
    pub(crate) folder: PathBuf,
    /// Print names only
    #[arg(short, long)]
    pub(crate) names: bool,
}

/// Arguments of `status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    #[command(flatten)]
    pub(crate) project: ProjectArgs,
    #[command(flatten)]
    pub(crate) select: SelectArgs,
    /// List every run, not only those that failed, stalled, run or are submitted
    #[arg(long)]
    pub(crate) all: bool,
    /// Maximum number of rows
    #[arg(long, default_value_t = 50)]
    pub(crate) rows: usize,
    /// Rebuild the index from the runs' folders
    #[arg(long)]
    pub(crate) rebuild: bool,
    /// Repeat every N seconds, at least 30, until no run is open
    #[arg(long, value_name = "SECONDS")]
    pub(crate) follow: Option<u64>,
}

/// Executor of the trainings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExecutorKind {
    /// Slurm if its programs are installed, otherwise this process
    Auto,
    /// This process
    Local,
    /// Slurm jobs
    Slurm,
}

/// Choice of executor.
#[derive(Debug, Args)]
pub(crate) struct ExecutorArgs {
    /// Executor of the trainings
    #[arg(long, value_enum, default_value_t = ExecutorKind::Auto)]
    pub(crate) executor: ExecutorKind,
    /// Networks trained side by side in this process; 0 means one per core
    #[arg(long, default_value_t = 0)]
    pub(crate) jobs: usize,
    /// Print results only, no progress
    #[arg(long)]
    pub(crate) quiet: bool,
}

/// Submission settings that override the project's slurm.yaml.
#[derive(Debug, Args)]
pub(crate) struct OverrideArgs {
    /// Partition
    #[arg(long)]
    pub(crate) partition: Option<String>,
    /// Time limit of a task: minutes, or Slurm's notation (16:10:00, 1-12)
    #[arg(long, value_parser = minutes)]
    pub(crate) time: Option<u32>,
    /// Memory of a task: MiB, or with a unit (500M, 4G)
    #[arg(long, value_parser = mebibytes)]
    pub(crate) mem: Option<u64>,
    /// Cores per task
    #[arg(long)]
    pub(crate) cpus: Option<u32>,
    /// Maximum number of array tasks that run at the same time
    #[arg(long)]
    pub(crate) throttle: Option<u32>,
    /// Runs per task
    #[arg(long)]
    pub(crate) runs_per_task: Option<u64>,
    /// Seconds before its time limit at which a task stops starting new runs
    #[arg(long, value_name = "SECONDS")]
    pub(crate) stop_before_limit: Option<u64>,
    /// Do not requeue tasks
    #[arg(long)]
    pub(crate) no_requeue: bool,
}

/// Parses a duration in Slurm's notation into minutes, rounded up.
fn minutes(text: &str) -> Result<u32, String> {
    let fault =
        || format!("is `{text}`, want minutes, minutes:seconds, hours:minutes:seconds or days-hours:…");
    let (days, rest) = text.split_once('-').map_or((None, text), |(d, r)| (Some(d), r));
    let number = |word: &str| word.parse::<u64>().map_err(|_| fault());
    let parts = rest.split(':').map(number).collect::<Result<Vec<_>, _>>()?;
    let (d, h, m, s) = match (days, &parts[..]) {
        (None, &[m]) => (0, 0, m, 0),
        (None, &[m, s]) => (0, 0, m, s),
        (None, &[h, m, s]) => (0, h, m, s),
        (Some(d), &[h]) => (number(d)?, h, 0, 0),
        (Some(d), &[h, m]) => (number(d)?, h, m, 0),
        (Some(d), &[h, m, s]) => (number(d)?, h, m, s),
        _ => return Err(fault()),
    };
    // 128 bits hold these sums of 64-bit factors without overflow.
    let [d, h, m, s] = [d, h, m, s].map(u128::from);
    let seconds = d * 86_400 + h * 3600 + m * 60 + s;
    u32::try_from(seconds.div_ceil(60)).ok().filter(|&m| m > 0).ok_or_else(fault)
}

/// Memory as Slurm writes it: MiB without a unit.
fn mebibytes(text: &str) -> Result<u64, String> {
    let fault = || format!("is `{text}`, want MiB such as 500, 500M or 4G");
    let plain = text.bytes().all(|b| b.is_ascii_digit());
    let size = if plain { format!("{text}M") } else { text.to_owned() };
    let ByteSize(bytes) = size.parse().map_err(|_| fault())?;
    if bytes.is_multiple_of(1 << 20) { Ok(bytes >> 20) } else { Err(fault()) }
}

/// Arguments of `submit`.
#[derive(Debug, Args)]
pub struct SubmitArgs {
    #[command(flatten)]
    pub(crate) project: ProjectArgs,
    #[command(flatten)]
    pub(crate) select: SelectArgs,
    #[command(flatten)]
    pub(crate) executor: ExecutorArgs,
    #[command(flatten)]
    pub(crate) slurm: OverrideArgs,
    /// Print the script and the commands without submitting
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// Arguments of `run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    #[command(flatten)]
    pub(crate) project: ProjectArgs,
    #[command(flatten)]
    pub(crate) select: SelectArgs,
    /// Networks trained side by side; 0 means one per core
    #[arg(long, default_value_t = 0)]
    pub(crate) jobs: usize,
    /// Print results only, no progress
    #[arg(long)]
    pub(crate) quiet: bool,
}

/// Arguments of `retry`.
#[derive(Debug, Args)]
pub struct RetryArgs {
    #[command(flatten)]
    pub(crate) submit: SubmitArgs,
    /// Only runs that failed for this cause
    #[arg(long, value_enum)]
    pub(crate) cause: Option<Cause>,
    /// Restart from a new seed, derived from the old one
    #[arg(long)]
    pub(crate) new_seed: bool,
}

/// Arguments of `cancel`.
#[derive(Debug, Args)]
pub struct CancelArgs {
    #[command(flatten)]
    pub(crate) project: ProjectArgs,
    #[command(flatten)]
    pub(crate) select: SelectArgs,
}

/// Arguments of `annotate`.
#[derive(Debug, Args)]
pub struct AnnotateArgs {
    #[command(flatten)]
    pub(crate) project: ProjectArgs,
    /// Text of the note
    pub(crate) text: String,
    /// Run that the note is about [default: the whole project]
    #[arg(long)]
    pub(crate) run: Option<u64>,
}

/// Arguments of `compare`.
#[derive(Debug, Args)]
pub struct CompareArgs {
    #[command(flatten)]
    pub(crate) project: ProjectArgs,
    /// Comma-separated grouping keys: model, class, architecture, replicate, or keys of the sweep
    #[arg(long, value_delimiter = ',', default_value = "model")]
    pub(crate) by: Vec<String>,
    /// Score to compare, such as `val_loss`, or seconds [default: `val_accuracy` for classification, otherwise
    /// `val_loss`]
    #[arg(long)]
    pub(crate) score: Option<String>,
}

/// Arguments of `export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    #[command(flatten)]
    pub(crate) project: ProjectArgs,
    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Csv)]
    pub(crate) format: Format,
    /// Output file [default: standard output]
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

/// Arguments of `task`.
#[derive(Debug, Args)]
pub struct TaskArgs {
    #[command(flatten)]
    pub(crate) project: ProjectArgs,
    #[arg(long)]
    pub(crate) submission: u32,
    #[arg(long)]
    pub(crate) task: u64,
    #[arg(long)]
    pub(crate) job: String,
    #[arg(long, default_value = "")]
    pub(crate) node: String,
    #[arg(long, default_value_t = 0)]
    pub(crate) restarts: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes() {
        for (text, wanted) in [("30", 30), ("16:10:00", 970), ("1-12", 2160), ("0:30", 1), ("1-0:0:1", 1441)]
        {
            assert_eq!(minutes(text), Ok(wanted), "{text}");
        }
        assert!(minutes("x").is_err() && minutes("0").is_err() && minutes("1:2:3:4").is_err());
        assert_eq!((mebibytes("4G"), mebibytes("500M"), mebibytes("7")), (Ok(4096), Ok(500), Ok(7)));
        assert!(mebibytes("4T").is_err() && mebibytes("18446744073709551615G").is_err());
        assert!(minutes("18446744073709551615").is_err() && minutes("18446744073709551615-1").is_err());
        assert!(truth("False") == Ok(false) && truth("yes") == Ok(true) && truth("perhaps").is_err());
    }
}
