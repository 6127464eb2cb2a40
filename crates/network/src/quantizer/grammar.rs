//! Grammar of quantizer texts:
//!
//! ```text
//! call     = name [ "(" [ argument { "," argument } ] ")" ]
//! argument = [ name "=" ] value
//! value    = number | "True" | "False" | "None" | name | "'" word "'" | '"' word '"'
//! ```
//!
//! Blanks are allowed between any two tokens. Positional arguments precede named ones; parameters after `qnoise_factor`
//! must be named. A whole number may have a decimal point (`4.0`), a boolean may be 0 or 1.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

/// Syntax or parameter error in a quantizer text. `at` counts characters from 0.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GrammarError {
    /// Unexpected character or end.
    #[error("at character {at}: want {wanted}, found {found}")]
    Syntax {
        /// Position in characters.
        at: usize,
        /// Accepted input.
        wanted: &'static str,
        /// Character or word at the position.
        found: String,
    },
    /// Unknown quantizer.
    #[error("at character {at}: no quantizer is called `{found}`; there are {kinds}")]
    Kind {
        /// Position in characters.
        at: usize,
        /// The name.
        found: String,
        /// Known names.
        kinds: String,
    },
    /// Unknown, repeated or surplus parameter.
    #[error("at character {at}: {found}; parameters are {parameters}")]
    Parameter {
        /// Position in characters.
        at: usize,
        /// Description of the fault.
        found: String,
        /// Parameter names, in order.
        parameters: String,
    },
    /// Value out of the parameter's domain.
    #[error("at character {at}: {parameter} is {found}, want {wanted}")]
    Argument {
        /// Position in characters.
        at: usize,
        /// The parameter's name.
        parameter: &'static str,
        /// Accepted input.
        wanted: &'static str,
        /// The value.
        found: String,
    },
    /// Fault in a stored configuration, which has no positions.
    #[error("{0}")]
    Config(String),
}

impl GrammarError {
    /// Converts the error for a stored configuration, which has no positions.
    pub(super) fn without_place(self) -> Self {
        Self::Config(match self {
            Self::Kind { found, kinds, .. } => format!("no quantizer is called `{found}`; there are {kinds}"),
            Self::Parameter { found, parameters, .. } => format!("{found}; parameters are {parameters}"),
            Self::Argument { parameter, wanted, found, .. } => {
                format!("{parameter} is {found}, want {wanted}")
            }
            other => return other,
        })
    }

    /// The message, preceded by the text.
    #[must_use]
    pub fn in_text(&self, text: &str) -> String {
        format!("`{text}`: {self}")
    }
}

/// A value between the parentheses.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Argument {
    Integer(i64),
    Number(f64),
    Bool(bool),
    None,
    Word(String),
}

impl Argument {
    /// Converts a stored scalar; None for lists and maps.
    pub(super) fn from_json(value: &Value) -> Option<Self> {
        Some(match value {
            Value::Null => Self::None,
            Value::Bool(v) => Self::Bool(*v),
            Value::Number(v) => v.as_i64().map(Self::Integer).or_else(|| v.as_f64().map(Self::Number))?,
            Value::String(v) => Self::Word(v.clone()),
            Value::Array(_) | Value::Object(_) => return None,
        })
    }
    pub(super) fn as_integer(&self) -> Option<i64> {
        match *self {
            Self::Integer(v) => Some(v),
            // Python prints whole numbers as 1e1 too. Beyond 2^53 a float no longer identifies one integer.
            Self::Number(v) if v.fract() == 0.0 && v.abs() < 9e15 => Some(v as i64),
            _ => None,
        }
    }

    pub(super) fn as_number(&self) -> Option<f64> {
        match *self {
            Self::Integer(v) => Some(v as f64),
            Self::Number(v) => Some(v),
            _ => None,
        }
    }

    pub(super) fn as_bool(&self) -> Option<bool> {
        match *self {
            Self::Bool(v) => Some(v),
            _ => match self.as_integer() {
                Some(0) => Some(false),
                Some(1) => Some(true),
                _ => None,
            },
        }
    }

    pub(super) fn as_word(&self) -> Option<&str> {
        if let Self::Word(word) = self { Some(word) } else { None }
    }

    pub(super) fn is_none(&self) -> bool {
        *self == Self::None
    }
}

impl fmt::Display for Argument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(v) => write!(f, "{v}"),
            Self::Number(v) => write!(f, "{v:?}"),
            Self::Bool(v) => f.write_str(if *v { "True" } else { "False" }),
            Self::None => f.write_str("None"),
            Self::Word(word) => write!(f, "'{word}'"),
        }
    }
}

/// Parsed text with arguments not yet assigned to parameters.
pub(super) struct Call<'a> {
    pub(super) name: &'a str,
    pub(super) at: usize,
    pub(super) arguments: Vec<(Option<&'a str>, Argument, usize)>,
}

impl<'a> Call<'a> {
    pub(super) fn parse(text: &'a str) -> Result<Self, GrammarError> {
        let mut scanner = Scanner { text, byte: 0 };
        scanner.blanks();
        let at = scanner.at();
        let name = scanner.name().ok_or_else(|| scanner.unexpected("a quantizer's name"))?;
        let mut arguments: Vec<(Option<&str>, Argument, usize)> = Vec::new();
        if scanner.eat('(') && !scanner.eat(')') {
            loop {
                arguments.push(scanner.argument(arguments.last().is_some_and(|(key, ..)| key.is_some()))?);
                if scanner.eat(')') {
                    break;
                }
                if !scanner.eat(',') {
                    return Err(scanner.unexpected("`,` or `)`"));
                }
            }
        }
        scanner.blanks();
        if scanner.byte < text.len() {
            return Err(scanner.unexpected("the end"));
        }
        Ok(Call { name, at, arguments })
    }

    /// Assigns arguments to parameters, positional ones by their position.
    pub(super) fn arguments(
        &self,
        parameters: &'static [&'static str],
    ) -> Result<BTreeMap<&'static str, (Argument, usize)>, GrammarError> {
        let mut found = BTreeMap::new();
        for (place, (key, value, at)) in self.arguments.iter().enumerate() {
            let wrong =
                |found: String| GrammarError::Parameter { at: *at, found, parameters: parameters.join(", ") };
            let parameter = match key {
                Some(key) => parameters
                    .iter()
                    .find(|p| *p == key)
                    .ok_or_else(|| wrong(format!("no parameter `{key}`"))),
                None => match parameters.get(place) {
                    Some(parameter) if is_named_only(parameters, place) => {
                        Err(wrong(format!("`{parameter}` must be given by name")))
                    }
                    Some(parameter) => Ok(parameter),
                    None => Err(wrong(format!("{} arguments are too many", place + 1))),
                },
            }?;
            if found.insert(*parameter, (value.clone(), *at)).is_some() {
                return Err(wrong(format!("`{parameter}` is given twice")));
            }
        }
        Ok(found)
    }
}

struct Scanner<'a> {
    text: &'a str,
    byte: usize,
}

impl<'a> Scanner<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.byte..]
    }

    fn at(&self) -> usize {
        self.text[..self.byte].chars().count()
    }

    fn blanks(&mut self) {
        self.byte = self.text.len() - self.rest().trim_start().len();
    }

    fn eat(&mut self, wanted: char) -> bool {
        self.blanks();
        let there = self.rest().starts_with(wanted);
        if there {
            self.byte += wanted.len_utf8();
        }
        there
    }

    fn take_while(&mut self, accept: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|c| !accept(c)).unwrap_or(rest.len());
        self.byte += end;
        &rest[..end]
    }

    fn name(&mut self) -> Option<&'a str> {
        self.blanks();
        if !self.rest().starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
            return None;
        }
        Some(self.take_while(|c| c.is_ascii_alphanumeric() || c == '_'))
    }

    fn unexpected(&self, wanted: &'static str) -> GrammarError {
        let found = self.rest().chars().next().map_or("the end".to_owned(), |c| format!("`{c}`"));
        GrammarError::Syntax { at: self.at(), wanted, found }
    }

    fn argument(&mut self, after_named: bool) -> Result<(Option<&'a str>, Argument, usize), GrammarError> {
        self.blanks();
        let start = self.byte;
        let at = self.at();
        let key = self.name();
        if key.is_some() && self.eat('=') {
            self.blanks();
            let at = self.at();
            return Ok((key, self.value()?, at));
        }
        self.byte = start;
        if after_named {
            return Err(self.unexpected("a named argument, since one stands before it"));
        }
        Ok((None, self.value()?, at))
    }

    fn value(&mut self) -> Result<Argument, GrammarError> {
        self.blanks();
        for quote in ['\'', '"'] {
            if self.eat(quote) {
                let word = self.take_while(|c| c != quote).to_owned();
                return if self.eat(quote) {
                    Ok(Argument::Word(word))
                } else {
                    Err(self.unexpected("a closing quote"))
                };
            }
        }
        if let Some(name) = self.name() {
            return Ok(match name {
                "True" => Argument::Bool(true),
                "False" => Argument::Bool(false),
                "None" => Argument::None,
                _ => Argument::Word(name.to_owned()),
            });
        }
        let start = self.byte;
        let mut before = ' ';
        let rest = self.rest();
        let end = rest
            .find(|c: char| {
                let part = c.is_ascii_digit()
                    || c == '.'
                    || matches!(c, 'e' | 'E')
                    || (matches!(c, '+' | '-') && matches!(before, ' ' | 'e' | 'E'));
                before = c;
                !part
            })
            .unwrap_or(rest.len());
        self.byte += end;
        let number = &rest[..end];
        let parsed = number.parse().map(Argument::Integer).ok();
        parsed
            .or_else(|| number.parse().ok().filter(|v: &f64| v.is_finite()).map(Argument::Number))
            .ok_or_else(|| {
                self.byte = start;
                self.unexpected("a number, True, False, None or a word")
            })
    }
}

/// True for parameters that must be given by name. After `qnoise_factor` QKeras has a further parameter (`var_name`), so
/// positions differ from there on.
fn is_named_only(parameters: &[&str], place: usize) -> bool {
    parameters.iter().position(|p| *p == LAST_BY_PLACE).is_some_and(|last| place > last)
}

const LAST_BY_PLACE: &str = "qnoise_factor";

/// Writes the separators of an argument list: positional until an argument is omitted, named from then on.
pub(super) struct ListWriter {
    written: bool,
    skipped: bool,
}

impl ListWriter {
    pub(super) const fn new() -> Self {
        Self { written: false, skipped: false }
    }

    pub(super) fn next(&mut self, f: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
        if self.written {
            f.write_str(",")?;
        }
        self.written = true;
        let result = if self.skipped { write!(f, "{name}=") } else { Ok(()) };
        self.skipped |= name == LAST_BY_PLACE;
        result
    }

    pub(super) const fn skip(&mut self) {
        self.skipped = true;
    }
}

/// True for widths, which are printed even at their defaults for readability.
pub(super) fn always_written(parameter: &str) -> bool {
    matches!(parameter, "bits" | "integer")
}
