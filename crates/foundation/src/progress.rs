//! What a long operation tells its caller. Libraries emit events; only the command draws them.

/// Something that happened in a long operation.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A stage began; `total` counts its steps where that is known.
    Begin {
        /// The stage's name, for example `search`.
        stage: String,
        /// How many steps it has, if known.
        total: Option<u64>,
    },
    /// Steps of a stage are done.
    Step {
        /// The stage's name, as in [`Event::Begin`].
        stage: String,
        /// How many steps are done by now.
        done: u64,
        /// One line on the newest step.
        note: String,
    },
    /// A stage ended.
    End {
        /// The stage's name.
        stage: String,
        /// One line on what came out.
        note: String,
    },
    /// A line worth reading that belongs to no step.
    Note(String),
}

/// Receives events; called from whichever thread the work runs on.
pub trait Progress: Send + Sync {
    /// Takes one event. Must not block for long: the work waits for it.
    fn event(&self, event: &Event);
}

impl dyn Progress + '_ {
    /// Tells that `stage` begins and has `total` steps.
    pub fn begin(&self, stage: &str, total: Option<u64>) {
        self.event(&Event::Begin { stage: stage.to_owned(), total });
    }

    /// Tells that `done` steps of `stage` are over.
    pub fn step(&self, stage: &str, done: u64, note: impl Into<String>) {
        self.event(&Event::Step { stage: stage.to_owned(), done, note: note.into() });
    }

    /// Tells that `stage` is over.
    pub fn end(&self, stage: &str, note: impl Into<String>) {
        self.event(&Event::End { stage: stage.to_owned(), note: note.into() });
    }

    /// Tells something that belongs to no step.
    pub fn note(&self, note: impl Into<String>) {
        self.event(&Event::Note(note.into()));
    }
}

/// Progress that nobody watches.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn event(&self, _event: &Event) {}
}
