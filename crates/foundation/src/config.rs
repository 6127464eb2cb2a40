//! Configuration in and out. YAML and JSON are read by one function (JSON is a subset of YAML 1.2); faults of
//! syntax, of type and of value all come with a line and a column.
//!
//! A type derives `Deserialize` with `deny_unknown_fields`, checks its values in a `validate` that collects
//! [`Faults`] by path (`layers[2].conv2d.kernel`), and is read by [`from_str`] or [`load`], which look the paths
//! up in the text.
//!
//! ```
//! use serde::Deserialize;
//! use tinsmith_foundation::config::{self, Faults};
//!
//! #[derive(Debug, Deserialize)]
//! #[serde(deny_unknown_fields)]
//! struct Training { epochs: u32 }
//!
//! let check = |t: &Training, faults: &mut Faults| {
//!     if t.epochs == 0 { faults.add("epochs", "is 0, want at least 1"); }
//! };
//! let error = config::from_str("# how long\nepochs: 0\n", "train.yaml", check).unwrap_err();
//! assert_eq!(error.to_string(), "train.yaml:2:9: `epochs` is 0, want at least 1");
//! ```

use std::fmt;
use std::path::Path;

use serde::de::{DeserializeOwned, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_yaml::Spanned;

use crate::error::{FoundationError, Result};
use crate::files;

/// A place in a text, both counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Line.
    pub line: u64,
    /// Column, in characters.
    pub column: u64,
}

/// One thing that is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Which value, as a path such as `layers[2].conv2d.kernel`; empty where the whole text is meant.
    pub path: String,
    /// Where it stands, if the configuration came from a text.
    pub position: Option<Position>,
    /// What is wrong and what would be right.
    pub message: String,
}

/// Faults gathered while values are checked; paths are completed by [`Faults::within`].
#[derive(Debug, Default)]
pub struct Faults {
    prefix: String,
    found: Vec<Fault>,
}

impl Faults {
    /// No faults yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes that the value at `path` (below the present prefix) is wrong. Messages go on from the path:
    /// "is 40, want 1..=32".
    pub fn add(&mut self, path: &str, message: impl Into<String>) {
        let path = join(&self.prefix, path);
        self.found.push(Fault { path, position: None, message: message.into() });
    }

    /// Runs `check` with all its paths below `path`.
    pub fn within(&mut self, path: &str, check: impl FnOnce(&mut Self)) {
        let longer = join(&self.prefix, path);
        let shorter = std::mem::replace(&mut self.prefix, longer);
        check(self);
        self.prefix = shorter;
    }

    /// Whether nothing is wrong so far.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// Nothing wrong, or all faults as one error named after `origin`.
    ///
    /// # Errors
    /// [`ConfigErrors`] where a fault was noted.
    pub fn into_result(self, origin: &str) -> std::result::Result<(), ConfigErrors> {
        if self.found.is_empty() {
            return Ok(());
        }
        Err(ConfigErrors { origin: origin.to_owned(), faults: self.found })
    }
}

fn join(prefix: &str, path: &str) -> String {
    match (prefix.is_empty(), path.is_empty()) {
        (true, _) => path.to_owned(),
        (_, true) => prefix.to_owned(),
        _ if path.starts_with('[') => format!("{prefix}{path}"),
        _ => format!("{prefix}.{path}"),
    }
}

/// Everything that is wrong with one configuration, at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors {
    /// What was read: a file name, or a word such as `specification`.
    pub origin: String,
    /// The faults, at least one.
    pub faults: Vec<Fault>,
}

impl std::error::Error for ConfigErrors {}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, fault) in self.faults.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            f.write_str(&self.origin)?;
            if let Some(Position { line, column }) = fault.position {
                write!(f, ":{line}:{column}")?;
            }
            if fault.path.is_empty() {
                write!(f, ": {}", fault.message)?;
            } else {
                write!(f, ": `{}` {}", fault.path, fault.message)?;
            }
        }
        Ok(())
    }
}

/// Reads a YAML or JSON text and checks it. `origin` names the text in errors; `check` notes faults by path.
///
/// # Errors
/// [`ConfigErrors`] with positions, for syntax, for a wrong type or key, and for what `check` found.
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

/// [`from_str`] on a file, named by its path.
///
/// # Errors
/// [`FoundationError::Read`] where the file cannot be read; [`FoundationError::Config`] as [`from_str`].
pub fn load<T: DeserializeOwned>(path: &Path, check: impl FnOnce(&T, &mut Faults)) -> Result<T> {
    let text = files::read_text(path)?;
    Ok(from_str(&text, &path.display().to_string(), check)?)
}

/// Gives the faults of `errors` the places that their paths have in `text`. A path that is not there (a value left
/// out) gets the place of the longest part of it that is.
#[must_use]
pub fn with_positions(mut errors: ConfigErrors, text: &str) -> ConfigErrors {
    if let Ok(root) = serde_yaml::from_str_with_options::<Spanned<Node>>(text, options()) {
        for fault in &mut errors.faults {
            fault.position = fault.position.or_else(|| locate(&root, &fault.path));
        }
    }
    errors
}

/// A value as YAML text.
///
/// # Errors
/// [`FoundationError::Serialize`] where the value has no YAML form.
pub fn to_yaml<T: Serialize>(what: &'static str, value: &T) -> Result<String> {
    serde_yaml::to_string(value).map_err(|e| FoundationError::Serialize { what, reason: e.to_string() })
}

/// A value as indented JSON text that ends in a newline.
///
/// # Errors
/// [`FoundationError::Serialize`] where the value has no JSON form.
pub fn to_json<T: Serialize>(what: &'static str, value: &T) -> Result<String> {
    serde_json::to_string_pretty(value)
        .map(|text| text + "\n")
        .map_err(|e| FoundationError::Serialize { what, reason: e.to_string() })
}

fn options() -> serde_yaml::Options {
    serde_yaml::options! { strict_booleans: true, with_snippet: false }
}

/// The one place where YAML is parsed.
fn parse<T: DeserializeOwned>(text: &str, origin: &str) -> std::result::Result<T, ConfigErrors> {
    serde_yaml::from_str_with_options(text, options()).map_err(|error| {
        let position = error
            .location()
            .filter(|at| at.line() > 0)
            .map(|at| Position { line: at.line(), column: at.column() });
        let message = error.without_snippet().to_string();
        // The parser repeats the position at the end of its message; ours stands in front.
        let mut message = message.split(" at line ").next().unwrap_or_default().to_owned();
        if let Some(token) = position.and_then(|at| token_at(text, at)).filter(|t| !message.contains(t)) {
            message = format!("{message}: `{token}`");
        }
        ConfigErrors {
            origin: origin.to_owned(),
            faults: vec![Fault { path: String::new(), position, message }],
        }
    })
}

/// The word that stands at a place, to be quoted.
fn token_at(text: &str, at: Position) -> Option<&str> {
    let line = text.lines().nth(usize::try_from(at.line).ok()?.checked_sub(1)?)?;
    let skip = usize::try_from(at.column).ok()?.checked_sub(1)?;
    let rest = line.char_indices().nth(skip).map(|(i, _)| &line[i..])?;
    let end = rest.find([',', '}', ']', '#']).unwrap_or(rest.len());
    Some(rest[..end].trim()).filter(|t| !t.is_empty())
}

/// The shape of a text with the place of every value, read only when there is a fault to place.
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

/// A map's key as text; keys that are no scalars cannot be part of a path.
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
