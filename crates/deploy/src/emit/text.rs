//! Indented C source text.

/// Source text that grows by lines.
#[derive(Debug, Default)]
pub(super) struct Text {
    lines: String,
    depth: usize,
}

impl Text {
    /// Appends a line at the current indentation; empty lines stay empty.
    pub(super) fn line(&mut self, line: &str) {
        if !line.is_empty() {
            for _ in 0..self.depth {
                self.lines.push_str("    ");
            }
            self.lines.push_str(line);
        }
        self.lines.push('\n');
    }

    /// Opens a function.
    pub(super) fn open(&mut self, head: &str) {
        self.line(head);
        self.line("{");
        self.depth += 1;
    }

    /// Opens a block after a statement.
    pub(super) fn block(&mut self, head: &str) {
        self.line(&format!("{head} {{"));
        self.depth += 1;
    }

    /// Opens a `for` loop from 0 to `end`. Loops of one turn are written too, because they declare their variable.
    pub(super) fn count(&mut self, variable: &str, end: usize) {
        self.block(&format!("for (int32_t {variable} = 0; {variable} < {end}; ++{variable})"));
    }

    /// Closes a block or function.
    pub(super) fn close(&mut self) {
        self.depth = self.depth.saturating_sub(1);
        self.line("}");
        if self.depth == 0 {
            self.line("");
        }
    }

    /// Appends another text.
    pub(super) fn append(&mut self, other: &Self) {
        self.lines.push_str(&other.lines);
    }

    /// Returns the text without trailing empty lines.
    pub(super) fn finish(self) -> String {
        format!("{}\n", self.lines.trim_end())
    }
}

/// Returns a float literal that reads back as the same number.
pub(super) fn float(value: f32) -> String {
    format!("{value:?}f")
}

/// Returns text that is safe within a comment.
pub(super) fn comment(text: &str) -> String {
    text.chars().map(|c| if c.is_control() || c == '*' || c == '\\' || c == '?' { '_' } else { c }).collect()
}
