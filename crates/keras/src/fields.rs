//! Maps of the document, with their path and the set of keys that were read.

use std::collections::BTreeSet;

use serde_json::{Map, Value};
use tinsmith_network::Pair;

/// Fault in the document, with its path.
#[derive(Debug)]
pub(crate) struct Wrong {
    pub(crate) path: String,
    pub(crate) message: String,
}

pub(crate) type Read<T> = Result<T, Wrong>;

/// Keys of any layer that do not affect its function.
const IDLE: [&str; 6] = ["name", "trainable", "batch_input_shape", "batch_shape", "build_config", "seed"];

/// One map of the document.
#[derive(Debug)]
pub(crate) struct Fields<'a> {
    map: &'a Map<String, Value>,
    path: String,
    seen: BTreeSet<&'a str>,
}

impl<'a> Fields<'a> {
    pub(crate) fn new(value: &'a Value, path: impl Into<String>) -> Read<Self> {
        let path = path.into();
        match value {
            Value::Object(map) => Ok(Self { map, path, seen: BTreeSet::new() }),
            other => Err(Wrong { path, message: format!("is {}, want a map", brief(other)) }),
        }
    }

    pub(crate) fn path(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    pub(crate) fn wrong(&self, key: &str, message: impl Into<String>) -> Wrong {
        Wrong { path: self.path(key), message: message.into() }
    }

    fn wants(&self, key: &str, value: &Value, wanted: &str) -> Wrong {
        self.wrong(key, format!("is {}, want {wanted}", brief(value)))
    }

    /// Value of `key`; None if it is null or absent.
    pub(crate) fn value(&mut self, key: &str) -> Option<&'a Value> {
        let (key, value) = self.map.get_key_value(key)?;
        self.seen.insert(key);
        (!value.is_null()).then_some(value)
    }

    pub(crate) fn required(&mut self, key: &str) -> Read<&'a Value> {
        self.value(key).ok_or_else(|| self.wrong(key, "is missing"))
    }

    pub(crate) fn text(&mut self, key: &str) -> Read<Option<&'a str>> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(self.wants(key, other, "a text")),
        }
    }

    pub(crate) fn required_text(&mut self, key: &str) -> Read<&'a str> {
        self.text(key)?.ok_or_else(|| self.wrong(key, "is missing"))
    }

    pub(crate) fn flag(&mut self, key: &str, default: bool) -> Read<bool> {
        match self.value(key) {
            None => Ok(default),
            Some(Value::Bool(value)) => Ok(*value),
            Some(other) => Err(self.wants(key, other, "true or false")),
        }
    }

    pub(crate) fn number(&mut self, key: &str) -> Read<Option<f64>> {
        match self.value(key) {
            None => Ok(None),
            Some(value) => value.as_f64().map(Some).ok_or_else(|| self.wants(key, value, "a number")),
        }
    }

    pub(crate) fn count(&mut self, key: &str) -> Read<Option<usize>> {
        match self.value(key) {
            None => Ok(None),
            Some(value) => {
                whole(value).map(Some).ok_or_else(|| self.wants(key, value, "a whole number, 0 or more"))
            }
        }
    }

    pub(crate) fn required_count(&mut self, key: &str) -> Read<usize> {
        self.count(key)?.ok_or_else(|| self.wrong(key, "is missing"))
    }

    /// A number, or a list of `N` of them.
    pub(crate) fn sizes<const N: usize>(&mut self, key: &str) -> Read<Option<[usize; N]>> {
        let Some(value) = self.value(key) else { return Ok(None) };
        let sizes = match value {
            Value::Array(items) => {
                let sizes: Option<Vec<usize>> = items.iter().map(whole).collect();
                sizes.and_then(|sizes| sizes.try_into().ok())
            }
            single => whole(single).map(|n| [n; N]),
        };
        sizes.map(Some).ok_or_else(|| self.wants(key, value, &format!("a whole number or {N} of them")))
    }

    pub(crate) fn single(&mut self, key: &str, default: usize) -> Read<usize> {
        Ok(self.sizes::<1>(key)?.map_or(default, |[n]| n))
    }

    pub(crate) fn pair(&mut self, key: &str, default: Pair) -> Read<Pair> {
        Ok(self.sizes::<2>(key)?.map_or(default, |[height, width]| Pair { height, width }))
    }

    pub(crate) fn integers(&mut self, key: &str) -> Read<Vec<i64>> {
        let value = self.required(key)?;
        let integers: Option<Vec<i64>> = match value {
            Value::Array(items) => items.iter().map(Value::as_i64).collect(),
            single => single.as_i64().map(|n| vec![n]),
        };
        integers.ok_or_else(|| self.wants(key, value, "a list of whole numbers"))
    }

    /// Amounts before and after along each axis: a number, one for each axis, or a pair for each axis.
    pub(crate) fn borders(&mut self, key: &str) -> Read<[[usize; 2]; 2]> {
        let value = self.required(key)?;
        let each = |item: &Value| match item {
            Value::Array(pair) => match pair.as_slice() {
                [before, after] => Some([whole(before)?, whole(after)?]),
                _ => None,
            },
            single => whole(single).map(|n| [n, n]),
        };
        let borders = match value {
            Value::Array(items) => match items.as_slice() {
                [rows, columns] => each(rows).zip(each(columns)).map(|(r, c)| [r, c]),
                _ => None,
            },
            single => whole(single).map(|n| [[n, n]; 2]),
        };
        borders.ok_or_else(|| {
            self.wants(key, value, "a number, [rows, columns] or [[top, bottom], [left, right]]")
        })
    }

    /// Refuses any value of `key` but `allowed` (and null).
    pub(crate) fn only(&mut self, key: &str, allowed: &Value) -> Read<()> {
        match self.value(key) {
            Some(value) if value != allowed => {
                Err(self.wants(key, value, &format!("{}, the only form that is read", brief(allowed))))
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn skip(&mut self, keys: &[&str]) {
        for key in keys {
            self.value(key);
        }
    }

    /// Checks the settings that all layers share: number type, axis order, and training settings.
    pub(crate) fn check_settings(&mut self) -> Read<()> {
        self.skip(&IDLE);
        if let Some(value) = self.value("dtype") {
            let name = value.as_str().or_else(|| value.pointer("/config/name").and_then(Value::as_str));
            if name != Some("float32") {
                return Err(self.wants("dtype", value, "float32"));
            }
        }
        self.only("data_format", &Value::from("channels_last"))?;
        for (key, value) in self.map {
            let known: &[&str] = if key.ends_with("_regularizer") {
                &["L1", "L2", "L1L2", "l1", "l2", "l1_l2"]
            } else if key.ends_with("_constraint") {
                &["Clip"]
            } else {
                continue;
            };
            self.seen.insert(key);
            let class = class_of(value);
            if !value.is_null() && !class.is_some_and(|c| known.contains(&c)) {
                return Err(self.wants(key, value, &format!("none, or {} (which is left out)", known[0])));
            }
        }
        Ok(())
    }

    /// Refuses keys that were not read, unless they are null or false.
    pub(crate) fn finish(&self, class: &str) -> Read<()> {
        let unread = self.map.iter().find(|(key, value)| {
            !self.seen.contains(key.as_str()) && !matches!(value, Value::Null | Value::Bool(false))
        });
        match unread {
            None => Ok(()),
            Some((key, value)) => {
                Err(self.wrong(key, format!("is {}; {class} is not read with this setting", brief(value))))
            }
        }
    }
}

/// Class of a stored object; a text is its own class.
pub(crate) fn class_of(value: &Value) -> Option<&str> {
    value.as_str().or_else(|| value.get("class_name").and_then(Value::as_str))
}

pub(crate) fn whole(value: &Value) -> Option<usize> {
    value.as_u64().and_then(|n| usize::try_from(n).ok())
}

/// A value as text, truncated.
pub(crate) fn brief(value: &Value) -> String {
    if let Some(class) = value.get("class_name").and_then(Value::as_str) {
        return format!("`{class}`");
    }
    let text = value.to_string();
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
