//! Enum variants written as plain words in configuration files: `schedule: cosine` for `schedule: {cosine: {}}`.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::{Error as ValueError, MapAccessDeserializer, MapDeserializer};
use serde::de::{DeserializeOwned, Deserializer, IntoDeserializer, MapAccess, Visitor};

/// Deserializes an externally tagged enum, and takes a plain word for a variant whose fields all have defaults.
///
/// Use it on a field with `#[serde(deserialize_with = "tinsmith_foundation::plain_word")]`. A word that names a variant with
/// required fields is refused at its own place, with the form that is wanted.
///
/// ```
/// use serde::Deserialize;
/// use tinsmith_foundation::config;
///
/// #[derive(Debug, Deserialize, PartialEq)]
/// #[serde(rename_all = "snake_case")]
/// enum Schedule {
///     Constant,
///     Cosine { #[serde(default)] floor: f64 },
///     Step { every: f64 },
/// }
///
/// #[derive(Debug, Deserialize)]
/// struct Training {
///     #[serde(deserialize_with = "tinsmith_foundation::plain_word")]
///     schedule: Schedule,
/// }
///
/// let read = |text| config::from_str::<Training>(text, "t.yaml", |_, _| {});
/// assert_eq!(read("schedule: constant").unwrap().schedule, Schedule::Constant);
/// assert_eq!(read("schedule: cosine").unwrap().schedule, Schedule::Cosine { floor: 0.0 });
/// assert_eq!(read("schedule: {step: {every: 2}}").unwrap().schedule, Schedule::Step { every: 2.0 });
/// let error = read("# the schedule\nschedule: step\n").unwrap_err().to_string();
/// assert_eq!(error, "t.yaml:2:11: `step` alone has a missing field `every`, want {step: {...}}");
/// ```
///
/// # Errors
/// The deserializer's error: for an unknown variant, a missing or unknown field, or a value of another type.
pub fn plain_word<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned,
{
    deserializer.deserialize_any(WordOrMap(PhantomData))
}

struct WordOrMap<T>(PhantomData<T>);

impl<'de, T: DeserializeOwned> Visitor<'de> for WordOrMap<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a word, or a map with one key")
    }

    fn visit_str<E: serde::de::Error>(self, word: &str) -> Result<T, E> {
        // A variant without fields deserializes from the word alone, every other variant from a map.
        let unit: Result<T, ValueError> = T::deserialize(word.into_deserializer());
        let Err(unit_error) = unit else { return unit.map_err(E::custom) };
        let variant = MapDeserializer::new(std::iter::once((word, EmptyMap)));
        match T::deserialize(MapAccessDeserializer::new(variant)) {
            Ok(value) => Ok(value),
            Err::<_, ValueError>(_) if is_unknown_variant(&unit_error) => Err(E::custom(unit_error)),
            Err(error) => Err(E::custom(format!("`{word}` alone has a {error}, want {{{word}: {{...}}}}"))),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map))
    }
}

fn is_unknown_variant(error: &ValueError) -> bool {
    error.to_string().starts_with("unknown variant")
}

/// A map without entries, as the content of a variant.
struct EmptyMap;

type NoEntries<'de> = MapDeserializer<'de, std::iter::Empty<(&'static str, &'static str)>, ValueError>;

impl<'de> IntoDeserializer<'de, ValueError> for EmptyMap {
    type Deserializer = MapAccessDeserializer<NoEntries<'de>>;

    fn into_deserializer(self) -> Self::Deserializer {
        MapAccessDeserializer::new(MapDeserializer::new(std::iter::empty()))
    }
}
