//! Reads and writes configuration. One function parses YAML and JSON (a subset of YAML 1.2). Faults of syntax, of type
//! and of value all carry a line and a column.
//!
//! A configuration type derives `Deserialize` with `deny_unknown_fields` and checks its values in a function that
//! records [`Faults`] by path (`layers[2].conv2d.kernel`). [`from_str`] and [`load`] parse the text, run the check and
//! look up the position of each path.
//!
//! ```
//! use serde::Deserialize;
//! use tinsmith_foundation::{Faults, config};
//!
//! #[derive(Debug, Deserialize)]
//! #[serde(deny_unknown_fields)]
//! struct Training { epochs: u32 }
//!
//! let check = |t: &Training, faults: &mut Faults| {
//!     if t.epochs == 0 { faults.add("epochs", "is 0, want at least 1"); }
//! };
//! let error = config::from_str("# passes over the data\nepochs: 0\n", "train.yaml", check).unwrap_err();
//! assert_eq!(error.to_string(), "train.yaml:2:9: `epochs` is 0, want at least 1");
//! ```

use std::fmt;
use std::path::Path;

use serde::de::{DeserializeOwned, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_yaml::Spanned;

use crate::error::{FoundationError, Result};
use crate::faults::{ConfigErrors, Fault, Faults, Position};
use crate::files;
use crate::quote::{QUOTE_LIMIT, cut_quotations, quote};

/// Parses a YAML or JSON text and checks its values. `origin` names the text in errors; `check` records faults by path.
///
/// # Errors
/// [`ConfigErrors`] with positions for syntax, for a wrong type or key, and for the faults that `check` recorded.
pub fn from_str<T: DeserializeOwned>(
    text: &str,
    origin: &str,
    check: impl FnOnce(&T, &mut Faults),
) -> std::result::Result<T, ConfigErrors> {
    let value: T = parse(text, origin)?;
    let mut faults = Faults::new();
    check(&value, &mut faults);
    faults.into_result(origin).map_err(|errors| with_positions(errors, text))?;
    Ok(value)
}

/// Reads a file with [`from_str`]; errors name its path.
///
/// # Errors
/// [`FoundationError::Read`] if the file cannot be read; [`FoundationError::Config`] as [`from_str`].
pub fn load<T: DeserializeOwned>(path: &Path, check: impl FnOnce(&T, &mut Faults)) -> Result<T> {
    let text = files::read_text(path)?;
    Ok(from_str(&text, &path.display().to_string(), check)?)
}

/// Adds the positions that the faults' paths have in `text`. A path that is not in the text (a value left to its
/// default) gets the position of its longest prefix that is.
#[must_use]
pub fn with_positions(mut errors: ConfigErrors, text: &str) -> ConfigErrors {
    if let Ok(root) = serde_yaml::from_str_with_options::<Spanned<Node>>(text, options()) {
        for fault in &mut errors.faults {
            fault.position = fault.position.or_else(|| locate(&root, &fault.path));
        }
    }
    errors
}

/// Writes a value as YAML text.
///
/// # Errors
/// [`FoundationError::Serialize`] if the value has no YAML form.
pub fn to_yaml<T: Serialize>(what: &'static str, value: &T) -> Result<String> {
    serde_yaml::to_string(value).map_err(|e| FoundationError::Serialize { what, reason: e.to_string() })
}

/// Writes a value as indented JSON text that ends in a newline.
///
/// # Errors
/// [`FoundationError::Serialize`] if the value has no JSON form.
pub fn to_json<T: Serialize>(what: &'static str, value: &T) -> Result<String> {
    serde_json::to_string_pretty(value)
        .map(|text| text + "\n")
        .map_err(|e| FoundationError::Serialize { what, reason: e.to_string() })
}

fn options() -> serde_yaml::Options {
    serde_yaml::options! { strict_booleans: true, with_snippet: false }
}

/// Parses YAML. Every other function of the workspace that reads YAML calls this one.
fn parse<T: DeserializeOwned>(text: &str, origin: &str) -> std::result::Result<T, ConfigErrors> {
    serde_yaml::from_str_with_options(text, options()).map_err(|error| {
        let position = error
            .location()
            .filter(|at| at.line() > 0)
            .map(|at| Position { line: at.line(), column: at.column() });
        let message = error.without_snippet().to_string();
        // The parser repeats the position at the end of its message; ours stands in front.
        let message = message.split(" at line ").next().unwrap_or(&message);
        let token = position.and_then(|at| token_at(text, at)).filter(|token| !message.contains(token));
        // The parser quotes the input in full, and a line may be as long as the file.
        let mut message = cut_quotations(message, QUOTE_LIMIT);
        if let Some(token) = token {
            message = format!("{message}: `{}`", quote(token, QUOTE_LIMIT));
        }
        ConfigErrors {
            origin: origin.to_owned(),
            faults: vec![Fault { path: String::new(), position, message }],
        }
    })
}

/// Returns the token at a position, to be quoted.
fn token_at(text: &str, at: Position) -> Option<&str> {
    let line = text.lines().nth(usize::try_from(at.line).ok()?.checked_sub(1)?)?;
    let skip = usize::try_from(at.column).ok()?.checked_sub(1)?;
    let rest = line.char_indices().nth(skip).map(|(i, _)| &line[i..])?;
    let end = rest.find([',', '}', ']', '#']).unwrap_or(rest.len());
    Some(rest[..end].trim()).filter(|t| !t.is_empty())
}

/// Structure of a text with the position of every value. Parsed only if a fault needs a position.
enum Node {
    Leaf,
    List(Vec<Spanned<Self>>),
    Map(Vec<(String, Spanned<Self>)>),
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

macro_rules! leaf {
    ($($name:ident: $kind:ty),*) => { $(
        fn $name<E>(self, _: $kind) -> std::result::Result<Node, E> { Ok(Node::Leaf) }
    )* };
}

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    leaf!(visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64, visit_str: &str, visit_i128: i128,
        visit_u128: u128, visit_bytes: &[u8]);

    fn visit_unit<E>(self) -> std::result::Result<Node, E> {
        Ok(Node::Leaf)
    }

    fn visit_none<E>(self) -> std::result::Result<Node, E> {
        Ok(Node::Leaf)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> std::result::Result<Node, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> std::result::Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Node::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Node, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = map.next_key::<Key>()? {
            match key.0 {
                Some(key) => entries.push((key, map.next_value()?)),
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(Node::Map(entries))
    }
}

/// A map's key as text, or `None` for a key that is not a scalar and cannot be part of a path.
struct Key(Option<String>);

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        Ok(Self(String::deserialize(deserializer).ok()))
    }
}

fn locate(root: &Spanned<Node>, path: &str) -> Option<Position> {
    let mut here = root;
    for step in path.split(['.', '[']).filter(|s| !s.is_empty()) {
        let below = match (&here.value, step.strip_suffix(']')) {
            (Node::List(items), Some(index)) => index.parse::<usize>().ok().and_then(|i| items.get(i)),
            (Node::Map(entries), None) => entries.iter().find(|(key, _)| key == step).map(|(_, node)| node),
            _ => None,
        };
        let Some(below) = below else { break };
        here = below;
    }
    let at = here.referenced;
    (at.line() > 0).then(|| Position { line: at.line(), column: at.column() })
}
