//! Indented lines of C.

/// Text that grows by lines.
#[derive(Debug, Default)]
pub(super) struct Text {
    lines: String,
    depth: usize,
}

impl Text {
    /// One line at the depth of now; empty ones stay empty.
    pub(super) fn line(&mut self, line: &str) {
        if !line.is_empty() {
            for _ in 0..self.depth {
                self.lines.push_str("    ");
            }
            self.lines.push_str(line);
        }
        self.lines.push('\n');
    }

    /// A function's head and its opening brace.
    pub(super) fn open(&mut self, head: &str) {
        self.line(head);
        self.line("{");
        self.depth += 1;
    }

    /// A statement with its block.
    pub(super) fn block(&mut self, head: &str) {
        self.line(&format!("{head} {{"));
        self.depth += 1;
    }

    /// `for` from 0 to `end`; a loop of one turn too, so that its variable is there.
    pub(super) fn count(&mut self, variable: &str, end: usize) {
        self.block(&format!("for (int32_t {variable} = 0; {variable} < {end}; ++{variable})"));
    }

    /// The closing brace.
    pub(super) fn close(&mut self) {
        self.depth = self.depth.saturating_sub(1);
        self.line("}");
        if self.depth == 0 {
            self.line("");
        }
    }

    /// Another text behind this one.
    pub(super) fn append(&mut self, other: &Self) {
        self.lines.push_str(&other.lines);
    }

    /// The text, without empty lines at its end.
    pub(super) fn finish(self) -> String {
        format!("{}\n", self.lines.trim_end())
    }
}

/// A float literal that reads back as the same number.
pub(super) fn float(value: f32) -> String {
    format!("{value:?}f")
}

/// Text that may stand in a comment.
pub(super) fn comment(text: &str) -> String {
    text.chars().map(|c| if c.is_control() || c == '*' || c == '\\' || c == '?' { '_' } else { c }).collect()
}
