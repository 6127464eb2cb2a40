//! Command line of fleets, shared by `tinsmith fleet` and by a user's own program.

mod args;
mod control;
mod inspect;
mod make;
mod table;

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use tinsmith_foundation::{Event, Progress};

pub use self::args::FleetCommand;
pub use self::table::{TableArgs, ValueTableArgs};
use crate::configurator::{ModelConfigurator, SpecFolder};
use crate::error::{FleetError, Result};

/// A program that manages fleets of networks.
///
/// A user's program implements [`ModelConfigurator`] and ends in `Fleet::new(configurator).run()`. It then
/// offers the subcommands of `tinsmith fleet`, and the jobs that it submits start that same program.
#[derive(Clone, Copy)]
pub struct Fleet<C = SpecFolder> {
    configurator: C,
    prefix: &'static [&'static str],
    specifications: bool,
}

impl<C> std::fmt::Debug for Fleet<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fleet").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

/// Exit status of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit(pub u8);

impl Exit {
    /// Everything succeeded.
    pub const SUCCESS: Self = Self(0);
    /// At least one run failed.
    pub const FAILURE: Self = Self(1);
}

/// Output, progress and identity that a command runs with.
pub struct Surroundings<'a> {
    /// Receives results.
    pub out: &'a mut dyn Write,
    /// Receives progress events.
    pub progress: &'a dyn Progress,
    /// The running program, to be copied into projects.
    pub program: Option<PathBuf>,
    /// The command line, for the record.
    pub command: Vec<String>,
    /// Folder in which names of data sets are looked up.
    pub data_folder: Option<PathBuf>,
}

impl std::fmt::Debug for Surroundings<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Surroundings").field("program", &self.program).finish_non_exhaustive()
    }
}

impl Surroundings<'_> {
    fn line(&mut self, text: impl std::fmt::Display) -> Result<()> {
        match writeln!(self.out, "{text}") {
            // A reader that has seen enough, such as `head`, is no fault.
            Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
            written => written.map_err(FleetError::write("standard output".as_ref())),
        }
    }
}

impl Fleet<SpecFolder> {
    /// The fleets of `tinsmith fleet`: models are specifications in folders.
    pub const TINSMITH: Self = Self { configurator: SpecFolder, prefix: &["fleet"], specifications: true };
}

impl<C: ModelConfigurator> Fleet<C> {
    /// Creates a program whose models are configured by `configurator`.
    #[must_use]
    pub const fn new(configurator: C) -> Self {
        Self { configurator, prefix: &[], specifications: false }
    }

    /// Runs the program with the arguments that it was started with, prints, and returns its exit status: 0 where all went
    /// well, 1 where something failed, 2 for wrong use.
    #[must_use]
    pub fn run(&self) -> ExitCode {
        self.run_with(std::env::args_os())
    }

    /// Runs the program with the process's arguments and prints to standard output and standard error.
    /// Returns exit status 0 on success, 1 if something failed, 2 for wrong usage.
    #[must_use]
    pub fn run_with(&self, args: impl IntoIterator<Item = OsString>) -> ExitCode {
        #[derive(Parser)]
        #[command(about = "Train many networks and keep track of them", max_term_width = 110)]
        struct Args {
            #[command(subcommand)]
            command: FleetCommand,
        }
        let args: Vec<OsString> = args.into_iter().collect();
        let parsed = match Args::try_parse_from(&args) {
            Ok(parsed) => parsed,
            Err(error) => {
                // Help and usage errors alike. If even this cannot be printed, nothing can be reported.
                let _ = error.print();
                return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
            }
        };
        let mut surroundings = Surroundings {
            out: &mut std::io::stdout(),
            progress: &Lines,
            program: std::env::current_exe().ok(),
            command: args.iter().map(|a| a.to_string_lossy().into_owned()).collect(),
            data_folder: None,
        };
        match self.execute(&parsed.command, &mut surroundings) {
            Ok(exit) => ExitCode::from(exit.0),
            Err(error) => {
                let _ = writeln!(std::io::stderr(), "error: {error}");
                ExitCode::from(if error.is_usage() { 2 } else { 1 })
            }
        }
    }

    /// Executes a command.
    ///
    /// # Errors
    /// [`FleetError`]. Failed runs are not an error; they give [`Exit::FAILURE`].
    pub fn execute(&self, command: &FleetCommand, surroundings: &mut Surroundings<'_>) -> Result<Exit> {
        match command {
            FleetCommand::Generate(args) => self.generate(args, surroundings),
            FleetCommand::Add(args) => make::add(args, surroundings),
            FleetCommand::Show(args) => inspect::show(args, surroundings),
            FleetCommand::Status(args) => inspect::status(args, surroundings),
            FleetCommand::Compare(args) => inspect::compare(args, surroundings),
            FleetCommand::Export(args) => inspect::export(args, surroundings),
            FleetCommand::Annotate(args) => inspect::annotate(args, surroundings),
            FleetCommand::Collect(args) => inspect::collect(args, surroundings),
            FleetCommand::Submit(args) => self.submit(args, surroundings),
            FleetCommand::Run(args) => self.train_here(args, surroundings),
            FleetCommand::Retry(args) => self.retry(args, surroundings),
            FleetCommand::Cancel(args) => control::cancel(args, surroundings),
            FleetCommand::Task(args) => self.task(args, surroundings),
        }
    }
}

/// Progress as lines on standard error.
struct Lines;

impl Progress for Lines {
    fn event(&self, event: &Event) {
        let text = match event {
            Event::Begin { stage, total: Some(total) } => format!("{stage}: {total} to do"),
            Event::Begin { stage, total: None } => stage.clone(),
            Event::Step { stage, done, note } => format!("{stage}: {done}: {note}"),
            Event::End { stage, note } => format!("{stage}: done: {note}"),
            Event::Note(note) => note.clone(),
            Event::Warning(warning) => format!("warning: {warning}"),
            _ => return,
        };
        // Progress that cannot be shown must not end a training.
        let _ = writeln!(std::io::stderr(), "{text}");
    }
}
