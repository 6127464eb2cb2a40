//! Progress reports of long operations. Libraries emit events; only the command draws them.

/// An event of a long operation.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A stage began; `total` counts its steps if that number is known.
    Begin {
        /// Name of the stage, for example `search`.
        stage: String,
        /// Number of steps, if known.
        total: Option<u64>,
    },
    /// Steps of a stage were completed.
    Step {
        /// Name of the stage, as in [`Event::Begin`].
        stage: String,
        /// Number of steps completed so far.
        done: u64,
        /// One line on the latest step.
        note: String,
    },
    /// A stage ended.
    End {
        /// Name of the stage.
        stage: String,
        /// One line on its result.
        note: String,
    },
    /// A line worth reading that belongs to no step.
    Note(String),
    /// A probable mistake of the user; shown even if progress is hidden.
    Warning(String),
}

/// Receives events, called from the thread that does the work.
pub trait Progress: Send + Sync {
    /// Receives one event. Must not block for long: the work waits for it.
    fn event(&self, event: &Event);
}

impl dyn Progress + '_ {
    /// Reports that `stage` begins with `total` steps.
    pub fn begin(&self, stage: &str, total: Option<u64>) {
        self.event(&Event::Begin { stage: stage.to_owned(), total });
    }

    /// Reports that `done` steps of `stage` are complete.
    pub fn step(&self, stage: &str, done: u64, note: impl Into<String>) {
        self.event(&Event::Step { stage: stage.to_owned(), done, note: note.into() });
    }

    /// Reports that `stage` ended.
    pub fn end(&self, stage: &str, note: impl Into<String>) {
        self.event(&Event::End { stage: stage.to_owned(), note: note.into() });
    }

    /// Reports a line that belongs to no step.
    pub fn note(&self, note: impl Into<String>) {
        self.event(&Event::Note(note.into()));
    }

    /// Reports a probable mistake of the user.
    pub fn warn(&self, warning: impl Into<String>) {
        self.event(&Event::Warning(warning.into()));
    }
}

/// Discards all events.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn event(&self, _event: &Event) {}
}
