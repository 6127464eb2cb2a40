//! Progress for the user: bars on a terminal, plain lines elsewhere, only warnings with `--quiet`.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use tinsmith_foundation::{CancelToken, Event, Progress};
use tinsmith_workshop::Session;

use crate::output::remark;

/// Draws progress events on standard error.
pub(crate) enum Watch {
    /// Warnings only.
    Quiet,
    /// One line per event.
    Lines,
    /// Bars on a terminal.
    Bars { all: MultiProgress, bars: Mutex<BTreeMap<String, ProgressBar>> },
}

impl Watch {
    /// Chooses the form that suits standard error.
    pub(crate) fn new(quiet: bool) -> Self {
        if quiet {
            Self::Quiet
        } else if std::io::stderr().is_terminal() {
            Self::Bars { all: MultiProgress::new(), bars: Mutex::new(BTreeMap::new()) }
        } else {
            Self::Lines
        }
    }

    /// Returns a session that is shown here, is interrupted by signals, and finds data sets in `$TINSMITH_DATA`.
    pub(crate) fn session(&self) -> anyhow::Result<Session<'_>> {
        Ok(Session::new(self, cancel_on_signal()?).with_data_folder(data_folder()))
    }
}

/// Returns the folder of data sets that the user set. Only the command reads the environment.
pub(crate) fn data_folder() -> Option<PathBuf> {
    std::env::var_os("TINSMITH_DATA").map(PathBuf::from)
}

fn style(known: bool) -> ProgressStyle {
    let template = if known {
        "{prefix:>10} {bar:30.cyan/dim} {pos:>4}/{len:<4} {elapsed:>4} {msg:.dim}"
    } else {
        "{prefix:>10} {spinner} {pos} {elapsed:>4} {msg:.dim}"
    };
    ProgressStyle::with_template(template).expect("invariant: both templates are valid")
}

impl Progress for Watch {
    fn event(&self, event: &Event) {
        match self {
            Self::Quiet => {
                if let Event::Warning(warning) = event {
                    remark(warned(warning));
                }
            }
            Self::Lines => lines(event),
            Self::Bars { all, bars } => {
                let mut bars = bars.lock().unwrap_or_else(PoisonError::into_inner);
                draw(all, &mut bars, event);
            }
        }
    }
}

fn warned(warning: &str) -> String {
    format!("warning: {warning}")
}

fn lines(event: &Event) {
    match event {
        Event::Begin { stage, total: Some(total) } => remark(format!("{stage}: {total} to do")),
        Event::Begin { stage, total: None } => remark(stage),
        Event::Step { stage, done, note } if note.is_empty() => remark(format!("{stage}: {done}")),
        Event::Step { stage, done, note } => remark(format!("{stage}: {done}: {note}")),
        Event::End { stage, note } => remark(format!("{stage}: done: {note}")),
        Event::Note(note) => remark(note),
        Event::Warning(warning) => remark(warned(warning)),
        _ => {}
    }
}

fn draw(all: &MultiProgress, bars: &mut BTreeMap<String, ProgressBar>, event: &Event) {
    match event {
        Event::Begin { stage, total } => {
            let bar = total.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
            bar.set_style(style(total.is_some()));
            bar.set_prefix(stage.clone());
            bar.enable_steady_tick(Duration::from_millis(250));
            bars.insert(stage.clone(), all.add(bar));
        }
        Event::Step { stage, done, note } => {
            if let Some(bar) = bars.get(stage) {
                bar.set_position(*done);
                bar.set_message(note.clone());
            }
        }
        Event::End { stage, note } => {
            if let Some(bar) = bars.remove(stage) {
                bar.set_message(note.clone());
                bar.finish();
            }
        }
        Event::Note(note) => drop(all.println(note)),
        Event::Warning(warning) => drop(all.println(warned(warning))),
        _ => {}
    }
}

/// Returns a token that Ctrl-C or a TERM signal cancels. A second signal ends the program at once.
fn cancel_on_signal() -> anyhow::Result<CancelToken> {
    let token = CancelToken::new();
    let seen = token.clone();
    ctrlc::set_handler(move || {
        if seen.is_cancelled() {
            std::process::abort();
        }
        remark("\nstopping at the next safe point; press again to stop at once");
        seen.cancel();
    })?;
    Ok(token)
}
