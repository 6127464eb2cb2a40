//! Escaping, measuring and shortening of text.

/// Escapes `text` for elements and attributes of XML and HTML. Characters outside XML 1.0 become U+FFFD.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\t' | '\n' | '\r' => out.push(c),
            '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            other => out.push(other),
        }
    }
    out
}

/// Estimates the width of `text` at font size `size`. The reader's font is unknown, so this sums rough width classes of
/// Helvetica and errs on the wide side.
pub(crate) fn width(text: &str, size: f64) -> f64 {
    let em: f64 = text
        .chars()
        .map(|c| match c {
            'i' | 'j' | 'l' | '.' | ',' | ':' | ';' | '\'' | '|' | '!' => 0.29,
            'f' | 't' | 'r' | 'I' | ' ' | '(' | ')' | '[' | ']' | '-' | '/' | '·' => 0.37,
            'm' | 'w' | 'M' | 'W' | '@' | '%' | '…' => 0.95,
            'A'..='Z' | '_' | '×' | '+' | '=' | '<' | '>' | '~' => 0.68,
            c if (c as u32) < 0x1100 => 0.58,
            _ => 1.05,
        })
        .sum();
    em * size
}

/// Returns `text`, cut and ended with an ellipsis if it is wider than `room`.
pub(crate) fn shorten(text: &str, size: f64, room: f64) -> String {
    if width(text, size) <= room {
        return text.to_owned();
    }
    let mut short = String::new();
    for c in text.chars() {
        // Measured with the ellipsis, which must fit too.
        short.push(c);
        if width(&short, size) + width("…", size) > room {
            short.pop();
            break;
        }
    }
    short.push('…');
    short
}

#[cfg(test)]
mod tests {
    use super::{escape, shorten, width};

    #[test]
    fn everything_that_could_end_an_element_or_attribute_is_escaped() {
        assert_eq!(escape("<a href=\"x\">&'\u{0}"), "&lt;a href=&quot;x&quot;&gt;&amp;&#39;\u{fffd}");
    }

    #[test]
    fn shortened_text_fits() {
        for room in [0.0, 10.0, 40.0, 80.0] {
            let short = shorten("a_rather_long_layer_name", 13.0, room);
            assert!(short == "…" || width(&short, 13.0) <= room, "{short} in {room}");
        }
        assert_eq!(shorten("abc", 13.0, 100.0), "abc");
    }
}
