//! The choice of targets: classes, values, the sample itself, a column by name.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::dataset::{Dataset, Splits, Targets};
use crate::error::{DataError, Result};
use crate::labels::{NumericClasses, one_hot_labels};

/// Kind of targets to read, as an option or a setting: `auto`, `classes`, `values`, `samples` or `column:NAME`.
///
/// ```
/// use tinsmith_data::TargetChoice;
/// assert_eq!("column:age".parse::<TargetChoice>().unwrap(), TargetChoice::Column("age".to_owned()));
/// assert_eq!(TargetChoice::Samples.to_string(), "samples");
/// assert!("clases".parse::<TargetChoice>().is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum TargetChoice {
    /// Decided by the data, as the front page of [`load`](mod@crate::load) documents.
    #[default]
    Auto,
    /// Classes, also of fractions and of many different numbers.
    Classes,
    /// Values to predict, also of few whole numbers.
    Values,
    /// The sample itself: an autoencoder.
    Samples,
    /// The column of a table, or the array of a folder or archive, with this name; its kind is decided by the data.
    Column(String),
}

impl fmt::Display for TargetChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Classes => f.write_str("classes"),
            Self::Values => f.write_str("values"),
            Self::Samples => f.write_str("samples"),
            Self::Column(name) => write!(f, "column:{name}"),
        }
    }
}

impl FromStr for TargetChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "classes" => Ok(Self::Classes),
            "values" => Ok(Self::Values),
            "samples" => Ok(Self::Samples),
            _ => match text.strip_prefix("column:").map(str::trim) {
                Some(name) if !name.is_empty() => Ok(Self::Column(name.to_owned())),
                _ => Err(format!("is `{text}`, want auto, classes, values, samples or column:NAME")),
            },
        }
    }
}

impl TryFrom<String> for TargetChoice {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<TargetChoice> for String {
    fn from(choice: TargetChoice) -> Self {
        choice.to_string()
    }
}

impl JsonSchema for TargetChoice {
    fn schema_name() -> Cow<'static, str> {
        "TargetChoice".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "auto, classes, values, samples or column:NAME",
            "type": "string",
            "pattern": "^(auto|classes|values|samples|column:.+)$"
        })
    }
}

impl Splits {
    /// Replaces the targets of both parts by those of another kind.
    ///
    /// Classes become values by their names, which must be numbers. Values become classes if each row has one number,
    /// or a single 1 among zeros. [`TargetChoice::Column`] makes classes of a group column.
    ///
    /// # Errors
    /// [`DataError::NoClasses`] and [`DataError::Impossible`] for targets that cannot be converted,
    /// [`DataError::UnknownGroup`] for an unknown column.
    pub fn with_target_choice(self, choice: &TargetChoice) -> Result<Self> {
        match choice {
            TargetChoice::Auto => Ok(self),
            TargetChoice::Samples => Ok(Self {
                train: self.train.with_targets(Targets::Samples)?,
                test: self.test.with_targets(Targets::Samples)?,
            }),
            TargetChoice::Values => {
                Ok(Self { train: with_values(self.train)?, test: with_values(self.test)? })
            }
            TargetChoice::Classes => self.with_classes(),
            TargetChoice::Column(name) => {
                let column = |data: &Dataset| -> Result<Vec<f64>> {
                    Ok(data.group(name)?.iter().map(|&value| value as f64).collect())
                };
                let numbers = [column(&self.train)?, column(&self.test)?];
                self.with_numeric_classes(&numbers)
            }
        }
    }

    fn with_classes(self) -> Result<Self> {
        let hot = |data: &Dataset| one_hot_labels(&target_values(data), data.target_shape().iter().product());
        match (self.train.targets(), self.train.target_shape().as_slice()) {
            (Targets::Labels { .. }, _) => Ok(self),
            (Targets::Arrays { .. }, [1]) => {
                let numbers = [&self.train, &self.test]
                    .map(|data| target_values(data).into_iter().map(f64::from).collect::<Vec<_>>());
                self.with_numeric_classes(&numbers)
            }
            (Targets::Arrays { .. }, shape) => match (hot(&self.train), hot(&self.test)) {
                (Some(train), Some(test)) => {
                    let count: usize = shape.iter().product();
                    let names: Vec<String> = (0..count).map(|class| class.to_string()).collect();
                    let targets = |labels: Vec<u32>| Targets::Labels {
                        labels: labels.into(),
                        names: names.as_slice().into(),
                    };
                    Ok(Self {
                        train: self.train.with_targets(targets(train))?,
                        test: self.test.with_targets(targets(test))?,
                    })
                }
                _ => Err(no_classes(&self.train)),
            },
            (Targets::Samples, _) => Err(no_classes(&self.train)),
        }
    }

    /// Classes of one number per row, numbered alike in both parts.
    fn with_numeric_classes(self, [train, test]: &[Vec<f64>; 2]) -> Result<Self> {
        let classes = NumericClasses::of(train.iter().chain(test).copied());
        let names = classes.names();
        let targets = |numbers: &[f64]| Targets::Labels {
            labels: numbers.iter().map(|&x| classes.label(x)).collect(),
            names: names.as_slice().into(),
        };
        Ok(Self {
            train: self.train.with_targets(targets(train))?,
            test: self.test.with_targets(targets(test))?,
        })
    }
}

fn no_classes(data: &Dataset) -> DataError {
    DataError::NoClasses { operation: "`targets: classes`", name: data.name().to_owned() }
}

/// All target arrays of a data set, in the order of its rows.
fn target_values(data: &Dataset) -> Vec<f32> {
    (0..data.len()).flat_map(|row| data.target(row)).copied().collect()
}

fn with_values(data: Dataset) -> Result<Dataset> {
    let Some(labels) = data.labels() else { return Ok(data) };
    let number = |name: &String| {
        name.parse::<f32>().map_err(|_| DataError::Impossible {
            operation: "take classes as values",
            reason: format!("class `{name}` of `{}` is not a number", data.name()),
        })
    };
    let numbers = data.class_names().iter().map(number).collect::<Result<Vec<f32>>>()?;
    let values = labels.iter().map(|&label| numbers[label as usize]).collect();
    data.with_targets(Targets::Arrays { shape: vec![1], values })
}
