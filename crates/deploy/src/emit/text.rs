//! Indented C source text.

use tinsmith_foundation::quote;

/// Characters of a comment that come from names.
const LONGEST: usize = 500;

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

/// Returns text that is safe within a comment, cut to a readable length: it can neither end the comment, nor continue a
/// line, nor form a trigraph, nor change the direction in which the source is shown.
pub(super) fn comment(text: &str) -> String {
    let is_safe = |c: char| {
        let turns = matches!(c, '\u{61c}' | '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        !c.is_control() && !turns && !matches!(c, '*' | '\\' | '?')
    };
    let safe: String = text.chars().map(|c| if is_safe(c) { c } else { '_' }).collect();
    quote(&safe, LONGEST)
}

#[cfg(test)]
mod tests {
    use super::comment;

    #[test]
    fn a_name_stays_within_its_comment() {
        assert_eq!(comment("dense_1 + relu"), "dense_1 + relu");
        assert_eq!(
            comment("*/ int x;\n#include \\\n\"/etc\" ??/ /*"),
            "_/ int x;_#include __\"/etc\" __/ /_"
        );
        assert_eq!(comment("a\u{202e}b\u{2028}c\r"), "a_b_c_");
        assert!(comment(&"x".repeat(5000)).len() < 600);
    }
}
