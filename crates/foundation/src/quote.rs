//! Quotations in messages, cut to a readable length.

/// Characters of a user's text that a message quotes at most, unless the caller has a reason for another limit.
pub const QUOTE_LIMIT: usize = 80;

/// Returns `text` if it has at most `limit` characters, otherwise its beginning, an ellipsis and its full length.
///
/// Line breaks and other control characters become spaces, so that a message stays on its line.
///
/// ```
/// use tinsmith_foundation::quote;
/// assert_eq!(quote("dense: 32", 80), "dense: 32");
/// assert_eq!(quote("abcdefgh", 4), "abcd… (8 characters)");
/// ```
#[must_use]
pub fn quote(text: &str, limit: usize) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    let start: String = text.chars().take(limit).map(plain).collect();
    // `nth` walks `limit` characters only; the full count is needed for texts that are cut, which are rare.
    if text.chars().nth(limit).is_none() {
        start
    } else {
        format!("{start}… ({} characters)", text.chars().count())
    }
}

/// Cuts every quotation inside a message, between backticks or double quotes, and every unbroken word to `limit`
/// characters. Parsers quote the input in full; a message of theirs goes through here before it is shown.
pub(crate) fn cut_quotations(message: &str, limit: usize) -> String {
    let mut out = String::new();
    let mut rest = message;
    while let Some(open) = rest.find(['`', '"']) {
        let mark = rest[open..].chars().next().unwrap_or('`');
        out.push_str(&cut_words(&rest[..open], limit));
        out.push(mark);
        let inner = &rest[open + 1..];
        let Some(close) = inner.find(mark) else {
            out.push_str(&quote(inner, limit));
            return out;
        };
        out.push_str(&quote(&inner[..close], limit));
        out.push(mark);
        rest = &inner[close + 1..];
    }
    out.push_str(&cut_words(rest, limit));
    out
}

fn cut_words(text: &str, limit: usize) -> String {
    text.split_inclusive(' ')
        .map(|word| if word.len() > limit { quote(word, limit) } else { word.to_owned() })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotations_are_cut_and_short_ones_kept() {
        assert_eq!(quote("", 3), "");
        assert_eq!(quote("äöü", 3), "äöü");
        assert_eq!(quote("äöüß\n", 3), "äöü… (5 characters)");
        assert_eq!(quote("a\nb", 3), "a b");
        let long = "x".repeat(300_000);
        let cut =
            cut_quotations(&format!("invalid value: string \"{long}\", expected `{long}` or {long}"), 20);
        assert!(cut.len() < 250 && cut.starts_with("invalid value: string \"xxxx"), "{cut}");
        assert_eq!(
            cut_quotations("unknown field `fats`, expected \"a\" ", 20),
            "unknown field `fats`, expected \"a\" "
        );
        assert!(cut_quotations(&format!("odd ` {long}"), 20).len() < 80);
    }
}
