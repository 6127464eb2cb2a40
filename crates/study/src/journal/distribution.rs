//! Domains as Optuna's distributions: JSON inside a string.

use serde_json::{Value, json};

use super::{number, quote_literals};
use crate::parameter::{CategoricalDomain, Domain, FloatDomain, IntDomain, ParamValue};

/// Formats a domain in the full form, the only one that Rustuna reads too.
pub(crate) fn to_distribution(domain: &Domain) -> String {
    let (name, attributes) = match domain {
        Domain::Float(d) => {
            // Optuna stores the upper end rounded down to a full step.
            let high = d.step.and(domain.at(u64::MAX)).and_then(|v| v.as_f64()).unwrap_or(d.high);
            let high = if d.low < d.high { high } else { d.high };
            ("FloatDistribution", json!({"step": d.step, "low": d.low, "high": high, "log": d.log}))
        }
        Domain::Int(d) => {
            let high = domain.at(u64::MAX).and_then(|v| v.as_i64()).unwrap_or(d.high);
            ("IntDistribution", json!({"log": d.log, "step": d.step, "low": d.low, "high": high}))
        }
        Domain::Categorical(d) => ("CategoricalDistribution", json!({"choices": d.choices})),
    };
    json!({"name": name, "attributes": attributes}).to_string()
}

/// Returns a value as the format stores it: a number, or the index of a choice.
pub(crate) fn internal_value(domain: &Domain, value: &ParamValue) -> Option<Value> {
    match domain {
        Domain::Categorical(_) => domain.index_of(value).map(Value::from),
        _ => match value {
            ParamValue::Int(i) => Some((*i).into()),
            ParamValue::Float(x) if x.is_finite() => Some((*x).into()),
            _ => None,
        },
    }
}

/// Returns the value represented by a stored number.
pub(super) fn external_value(domain: &Domain, internal: &Value) -> Result<ParamValue, String> {
    let x = number(internal).ok_or_else(|| format!("parameter value {internal} is no number"))?;
    match domain {
        Domain::Float(_) => Ok(ParamValue::Float(x)),
        Domain::Int(_) => Ok(ParamValue::Int(internal.as_i64().unwrap_or(x as i64))),
        Domain::Categorical(d) => {
            let choice = (x >= 0.0).then(|| d.choices.get(x as usize)).flatten();
            choice.cloned().ok_or_else(|| format!("choice {x} does not exist, want 0..{}", d.choices.len()))
        }
    }
}

/// Parses a distribution in the full form, the short form, or under a name from before Optuna 3.
pub(super) fn from_distribution(text: &str) -> Result<Domain, String> {
    let value: Value =
        serde_json::from_str(&quote_literals(text)).map_err(|e| format!("distribution: {e}"))?;
    let (name, attributes) = match (value.get("name"), value.get("type")) {
        (Some(Value::String(name)), _) => (name.as_str(), value.get("attributes").unwrap_or(&Value::Null)),
        (None, Some(Value::String(kind))) => (kind.as_str(), &value),
        _ => return Err(format!("distribution {text} has neither name nor type")),
    };
    let float = |key: &str| {
        attributes
            .get(key)
            .and_then(number)
            .ok_or_else(|| format!("distribution {name}: `{key}` is no number"))
    };
    let int = |key: &str| float(key).map(|x| x as i64);
    let flag = |key: &str| attributes.get(key).and_then(Value::as_bool).unwrap_or(false);
    let optional = |key: &str| attributes.get(key).and_then(number);
    let domain = match name {
        "FloatDistribution" | "float" => Domain::Float(FloatDomain {
            low: float("low")?,
            high: float("high")?,
            log: flag("log"),
            step: optional("step"),
        }),
        "UniformDistribution" => {
            Domain::Float(FloatDomain { low: float("low")?, high: float("high")?, log: false, step: None })
        }
        "LogUniformDistribution" => {
            Domain::Float(FloatDomain { low: float("low")?, high: float("high")?, log: true, step: None })
        }
        "DiscreteUniformDistribution" => {
            let step = Some(float("q")?);
            Domain::Float(FloatDomain { low: float("low")?, high: float("high")?, log: false, step })
        }
        "IntDistribution" | "IntUniformDistribution" | "IntLogUniformDistribution" | "int" => {
            Domain::Int(IntDomain {
                low: int("low")?,
                high: int("high")?,
                log: flag("log") || name == "IntLogUniformDistribution",
                step: optional("step").map_or(1, |s| s as i64),
            })
        }
        "CategoricalDistribution" | "categorical" => {
            let choices = attributes.get("choices").and_then(Value::as_array);
            let choices = choices.ok_or_else(|| format!("distribution {name}: `choices` is no list"))?;
            Domain::Categorical(CategoricalDomain { choices: choices.iter().map(choice).collect() })
        }
        _ => return Err(format!("distribution `{name}` is not known")),
    };
    Ok(domain)
}

/// Converts a choice. Anything but the five kinds that Optuna stores faithfully is kept as its JSON text.
fn choice(value: &Value) -> ParamValue {
    match value {
        Value::Null => ParamValue::Null,
        Value::Bool(b) => ParamValue::Bool(*b),
        Value::Number(n) => {
            n.as_i64().map_or_else(|| ParamValue::Float(n.as_f64().unwrap_or(f64::NAN)), ParamValue::Int)
        }
        Value::String(s) => ParamValue::Str(s.clone()),
        Value::Array(_) | Value::Object(_) => ParamValue::Str(value.to_string()),
    }
}

/// Returns true if trials of one study may use both domains under one name: the same class and scale, and the
/// same choices in the same order.
pub(super) fn is_compatible(a: &Domain, b: &Domain) -> bool {
    match (a, b) {
        (Domain::Float(a), Domain::Float(b)) => a.log == b.log,
        (Domain::Int(a), Domain::Int(b)) => a.log == b.log,
        (Domain::Categorical(a), Domain::Categorical(b)) => a == b,
        _ => false,
    }
}
