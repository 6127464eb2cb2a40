//! Initializers: import and export.

use serde_json::{Value, json};
use tinsmith_network::op::Initializer;

use crate::fields::{Fields, Read, brief, class_of};

/// Initializers without parameters: Keras' class, Keras' short name, ours.
const PLAIN: [(&str, &str, Initializer); 8] = [
    ("GlorotUniform", "glorot_uniform", Initializer::GlorotUniform),
    ("GlorotNormal", "glorot_normal", Initializer::GlorotNormal),
    ("HeUniform", "he_uniform", Initializer::HeUniform),
    ("HeNormal", "he_normal", Initializer::HeNormal),
    ("LecunUniform", "lecun_uniform", Initializer::LecunUniform),
    ("LecunNormal", "lecun_normal", Initializer::LecunNormal),
    ("Zeros", "zeros", Initializer::Zeros),
    ("Ones", "ones", Initializer::Ones),
];

/// Reads the initializer under `key`; `default` if it is missing.
pub(crate) fn read(fields: &mut Fields<'_>, key: &str, default: Initializer) -> Read<Initializer> {
    let Some(value) = fields.value(key) else { return Ok(default) };
    from_value(value).ok_or_else(|| {
        let names: Vec<&str> = PLAIN.iter().map(|(class, ..)| *class).collect();
        fields.wrong(
            key,
            format!(
                "is {}, want {}, Constant, or RandomNormal or RandomUniform around 0",
                brief(value),
                names.join(", ")
            ),
        )
    })
}

/// Refuses any initializer but `only`, the one that the weight always has here.
pub(crate) fn expect(fields: &mut Fields<'_>, key: &str, only: Initializer) -> Read<()> {
    let found = read(fields, key, only)?;
    // A constant 0 or 1 is another spelling of zeros and ones.
    let same = found == only
        || matches!((found, only), (Initializer::Constant(v), Initializer::Zeros) if v == 0.0)
        || matches!((found, only), (Initializer::Constant(v), Initializer::Ones) if (v - 1.0).abs() < f64::EPSILON);
    if same {
        Ok(())
    } else {
        Err(fields.wrong(key, format!("is {found:?}, want {only:?}, the only one that is read")))
    }
}

fn from_value(value: &Value) -> Option<Initializer> {
    let class = class_of(value)?;
    if let Some((.., found)) = PLAIN.iter().find(|(long, short, _)| *long == class || *short == class) {
        return Some(*found);
    }
    let config = value.get("config")?;
    let number = |key: &str| config.get(key).and_then(Value::as_f64);
    match class {
        "QInitializer" => from_value(config.get("initializer")?),
        "Constant" => number("value").map(Initializer::Constant),
        "RandomNormal" => (number("mean")? == 0.0).then_some(Initializer::RandomNormal(number("stddev")?)),
        "RandomUniform" => {
            let (low, high) = (number("minval")?, number("maxval")?);
            (low + high == 0.0 && high > 0.0).then_some(Initializer::RandomUniform(high))
        }
        "VarianceScaling" => {
            let is_uniform = match config.get("distribution")?.as_str()? {
                "uniform" => true,
                "truncated_normal" | "normal" => false,
                _ => return None,
            };
            let scale = number("scale")?;
            let is = |wanted: f64| (scale - wanted).abs() < f64::EPSILON;
            match (config.get("mode")?.as_str()?, is_uniform) {
                ("fan_avg", true) if is(1.0) => Some(Initializer::GlorotUniform),
                ("fan_avg", false) if is(1.0) => Some(Initializer::GlorotNormal),
                ("fan_in", true) if is(2.0) => Some(Initializer::HeUniform),
                ("fan_in", false) if is(2.0) => Some(Initializer::HeNormal),
                ("fan_in", true) if is(1.0) => Some(Initializer::LecunUniform),
                ("fan_in", false) if is(1.0) => Some(Initializer::LecunNormal),
                _ => None,
            }
        }
        _ => None,
    }
}

/// Stored form of Keras 2.15.
pub(crate) fn write(initializer: Initializer) -> Value {
    let (class, config) = match initializer {
        Initializer::Zeros => ("Zeros", json!({})),
        Initializer::Ones => ("Ones", json!({})),
        Initializer::Constant(value) => ("Constant", json!({ "value": value })),
        Initializer::RandomNormal(stddev) => {
            ("RandomNormal", json!({ "mean": 0.0, "stddev": stddev, "seed": null }))
        }
        Initializer::RandomUniform(bound) => {
            ("RandomUniform", json!({ "minval": -bound, "maxval": bound, "seed": null }))
        }
        other => {
            let class = PLAIN.iter().find(|(.., i)| *i == other).map_or("GlorotUniform", |(class, ..)| class);
            (class, json!({ "seed": null }))
        }
    };
    json!({ "module": "keras.initializers", "class_name": class, "config": config, "registered_name": null })
}
