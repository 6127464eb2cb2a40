//! Progress as the user sees it: bars on a terminal, plain lines elsewhere, nothing with `--quiet`.

#![expect(clippy::print_stderr, reason = "progress goes to stderr")]

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use tinsmith_foundation::{CancelToken, Event, Progress};

/// Draws events.
pub(crate) enum Watch {
    /// Nothing.
    Quiet,
    /// Lines on stderr.
    Lines,
    /// Bars on a terminal.
    Bars { all: MultiProgress, bars: Mutex<BTreeMap<String, ProgressBar>> },
}

impl Watch {
    /// What fits where stderr goes.
    pub(crate) fn new(quiet: bool) -> Self {
        match () {
            () if quiet => Self::Quiet,
            () if std::io::stderr().is_terminal() => {
                Self::Bars { all: MultiProgress::new(), bars: Mutex::new(BTreeMap::new()) }
            }
            () => Self::Lines,
        }
    }
}

fn style(known: bool) -> ProgressStyle {
    let template = if known {
        "{prefix:>10} {bar:30.cyan/dim} {pos:>4}/{len:<4} {elapsed:>4} {msg:.dim}"
    } else {
        "{prefix:>10} {spinner} {pos} {elapsed:>4} {msg:.dim}"
    };
    // The templates are fixed texts; should one be wrong, the default style serves.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

impl Progress for Watch {
    fn event(&self, event: &Event) {
        match self {
            Self::Quiet => {}
            Self::Lines => lines(event),
            Self::Bars { all, bars } => {
                let mut bars = bars.lock().unwrap_or_else(PoisonError::into_inner);
                draw(all, &mut bars, event);
            }
        }
    }
}

fn lines(event: &Event) {
    match event {
        Event::Begin { stage, total: Some(total) } => eprintln!("{stage}: {total} to do"),
        Event::Begin { stage, total: None } => eprintln!("{stage}"),
        Event::Step { stage, done, note } if note.is_empty() => eprintln!("{stage}: {done}"),
        Event::Step { stage, done, note } => eprintln!("{stage}: {done}: {note}"),
        Event::End { stage, note } => eprintln!("{stage}: done: {note}"),
        Event::Note(note) => eprintln!("{note}"),
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
        _ => {}
    }
}

/// A token that Ctrl-C (or a TERM signal) cancels; pressed again, it ends the program at once.
pub(crate) fn cancel_on_signal() -> anyhow::Result<CancelToken> {
    let token = CancelToken::new();
    let seen = token.clone();
    ctrlc::set_handler(move || {
        if seen.is_cancelled() {
            std::process::abort();
        }
        eprintln!("\nstopping at the next safe point; press again to stop at once");
        seen.cancel();
    })?;
    Ok(token)
}
