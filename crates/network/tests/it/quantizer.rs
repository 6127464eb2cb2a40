//! The textual and stored forms of quantizers.

use proptest::prelude::*;
use serde_json::{Map, Value};
use tinsmith_network::Quantizer;
use tinsmith_network::quantizer::{Alpha, QuantizedBits, QuantizedRelu};

use crate::golden;

/// Texts that are read here as what they say, and by QKeras otherwise or not at all; with a text that QKeras reads
/// as that.
const READ_AS_SAID: [(&str, &str); 5] = [
    ("quantized_bits(4,0,1,alpha=None)", "quantized_bits(4,0,1)"),
    ("quantized_bits(4,0,1,alpha=auto)", "quantized_bits(4,0,1,alpha='auto')"),
    ("quantized_bits(4,0,1,alpha='auto' )", "quantized_bits(4,0,1,alpha='auto')"),
    ("binary(alpha=auto)", "binary(alpha='auto')"),
    (" quantized_bits(4)", "quantized_bits(4)"),
];

/// Texts that QKeras reads by leaving something out, or to something that it cannot compute with, and that are
/// refused here.
const REFUSED: [&str; 10] = [
    "quantized_bits(4.5)",
    "quantized_bits(-4)",
    "quantized_bits('4')",
    "binary(alpha='other')",
    "quantized_bits(4,0,1)extra",
    "quantized_bits((4),0)",
    "quantized_bits(4,0))",
    "quantized_bits(4;0)",
    "quantized_bits(abc)",
    "relu(6)",
];

fn stored(class: &Value, config: &Value) -> Result<Quantizer, String> {
    let config = config.as_object().unwrap();
    let quantizer = Quantizer::from_config(class.as_str().unwrap(), config).map_err(|e| e.to_string())?;
    quantizer.validate().map(|()| quantizer)
}

fn read(input: &Value) -> Result<Quantizer, String> {
    match input {
        Value::String(text) => {
            let quantizer: Quantizer = text.parse().map_err(|e| format!("{e}"))?;
            quantizer.validate().map(|()| quantizer)
        }
        map => stored(&map["class_name"], &map["config"]),
    }
}

#[test]
fn golden_quantizers_parse() {
    for case in golden::json("quantizers/parse.json")["cases"].as_array().unwrap() {
        let input = &case["input"];
        let text = input.as_str().unwrap_or_default();
        let found = read(input);
        if let Some((_, same)) = READ_AS_SAID.iter().find(|(said, _)| *said == text) {
            assert_eq!(found.as_ref(), Ok(&same.parse().unwrap()), "{input}");
        } else if text == "quantized_bits (4)" {
            assert_eq!(found, Ok("quantized_bits(4)".parse().unwrap()));
        } else if case.get("config").is_some() && !REFUSED.contains(&text) {
            let mut wanted = stored(&case["class"], &case["config"]).unwrap();
            // QKeras does not store this one.
            if let (Quantizer::Bernoulli(wanted), Ok(Quantizer::Bernoulli(found))) = (&mut wanted, &found) {
                wanted.temperature = found.temperature;
            }
            assert_eq!(found, Ok(wanted), "{input}");
        } else {
            assert!(found.is_err(), "{input}: {found:?}");
        }
    }
}

#[test]
fn golden_quantizers_defaults_and_stored_forms() {
    for case in golden::json("quantizers/elementwise.json")["cases"].as_array().unwrap() {
        let (Some(class), Some(config)) = (case.get("class"), case.get("config")) else { continue };
        let mut given = stored(class, &case["kwargs"]).unwrap();
        let wanted = stored(class, config).unwrap();
        let again = Quantizer::from_config(wanted.kind(), &wanted.to_config()).unwrap();
        assert_eq!(again, wanted, "{config}");
        // QKeras stores none of these but the symmetry, which an automatic scale forces.
        match (&mut given, &wanted) {
            (Quantizer::QuantizedBits(given), Quantizer::QuantizedBits(wanted)) => {
                (given.use_ste, given.scale_axis) = (wanted.use_ste, wanted.scale_axis);
                given.symmetric |= matches!(given.alpha, Alpha::Auto | Alpha::AutoPo2);
            }
            (Quantizer::QuantizedRelu(given), Quantizer::QuantizedRelu(wanted)) => {
                (given.use_ste, given.is_quantized_clip) = (wanted.use_ste, wanted.is_quantized_clip);
            }
            (Quantizer::QuantizedPo2(given), Quantizer::QuantizedPo2(wanted)) => {
                given.use_ste = wanted.use_ste;
            }
            (Quantizer::QuantizedReluPo2(given), Quantizer::QuantizedReluPo2(wanted)) => {
                given.use_ste = wanted.use_ste;
            }
            _ => {}
        }
        assert_eq!(given, wanted, "{class} {}", case["kwargs"]);
    }
}

#[test]
fn what_is_printed_names_what_is_not_default() {
    let relu = QuantizedRelu { bits: 4, negative_slope: 0.125, ..QuantizedRelu::default() };
    assert_eq!(Quantizer::from(relu).to_string(), "quantized_relu(4,0,negative_slope=0.125)");
    let bits =
        QuantizedBits { alpha: Alpha::AutoPo2, symmetric: true, use_ste: false, ..QuantizedBits::default() };
    assert_eq!(Quantizer::from(bits).to_string(), "quantized_bits(8,0,True,alpha='auto_po2',use_ste=False)");
    assert_eq!(Quantizer::fixed(4, 1).to_string(), "quantized_bits(4,1,alpha=1.0)");
}

#[test]
fn faults_say_where_and_what() {
    let fault = |text: &str| text.parse::<Quantizer>().unwrap_err().to_string();
    assert_eq!(fault("quantized_bits(4,0"), "at character 18: want `,` or `)`, found the end");
    assert_eq!(
        fault("quantized_bits(4,alpha=x)"),
        "at character 23: alpha is 'x', want None, a number, 'auto' or 'auto_po2'"
    );
    assert_eq!(
        fault("quantized_bits(True)"),
        "at character 15: bits is True, want a whole number, 0 or more"
    );
    assert!(
        fault("quantized_bits(8,0,0,1,None,0,None,1.0,True)")
            .starts_with("at character 39: `use_ste` must be given by name")
    );
    assert!(
        fault("quantised_bits(4)").starts_with("at character 0: no quantizer is called `quantised_bits`")
    );
    let mut config = Map::new();
    config.insert("bits".to_owned(), Value::from("many"));
    let stored = Quantizer::from_config("quantized_relu", &config).unwrap_err().to_string();
    assert_eq!(stored, "bits is 'many', want a whole number, 0 or more");
}

#[test]
fn a_kernel_without_a_scale_gets_one() {
    let kernel = |text: &str| text.parse::<Quantizer>().unwrap().for_kernel().to_string();
    assert_eq!(kernel("quantized_bits(4,0)"), "quantized_bits(4,0,True,alpha='auto_po2')");
    assert_eq!(kernel("quantized_bits(4,0,alpha=1.0)"), "quantized_bits(4,0,alpha=1.0)");
    assert_eq!(kernel("ternary()"), "ternary('auto_po2')");
    assert_eq!(kernel("quantized_po2(4)"), "quantized_po2(4)");
}

/// QKeras' constructors: parameters in their order, as far as they are given by place.
const SIGNATURES: [(&str, &[&str]); 13] = [
    (
        "quantized_bits",
        &[
            "bits",
            "integer",
            "symmetric",
            "keep_negative",
            "alpha",
            "use_stochastic_rounding",
            "scale_axis",
            "qnoise_factor",
        ],
    ),
    (
        "quantized_relu",
        &[
            "bits",
            "integer",
            "use_sigmoid",
            "negative_slope",
            "use_stochastic_rounding",
            "relu_upper_bound",
            "is_quantized_clip",
            "qnoise_factor",
        ],
    ),
    ("quantized_tanh", &["bits", "use_stochastic_rounding", "symmetric", "use_real_tanh"]),
    ("quantized_sigmoid", &["bits", "symmetric", "use_real_sigmoid", "use_stochastic_rounding"]),
    ("quantized_ulaw", &["bits", "integer", "symmetric", "u"]),
    (
        "quantized_hswish",
        &["bits", "integer", "symmetric", "alpha", "use_stochastic_rounding", "scale_axis", "qnoise_factor"],
    ),
    (
        "quantized_po2",
        &[
            "bits",
            "max_value",
            "use_stochastic_rounding",
            "quadratic_approximation",
            "log2_rounding",
            "qnoise_factor",
        ],
    ),
    (
        "quantized_relu_po2",
        &[
            "bits",
            "max_value",
            "negative_slope",
            "use_stochastic_rounding",
            "quadratic_approximation",
            "log2_rounding",
            "qnoise_factor",
        ],
    ),
    ("binary", &["use_01", "alpha", "use_stochastic_rounding"]),
    ("ternary", &["alpha", "threshold", "use_stochastic_rounding", "number_of_unrolls"]),
    ("stochastic_binary", &["alpha", "temperature", "use_real_sigmoid"]),
    ("stochastic_ternary", &["alpha", "threshold", "temperature", "use_real_sigmoid", "number_of_unrolls"]),
    ("bernoulli", &["alpha", "temperature", "use_real_sigmoid"]),
];

fn value(parameter: &str) -> BoxedStrategy<String> {
    match parameter {
        "bits" => (1_u32..=32).prop_map(|v| v.to_string()).boxed(),
        "integer" => (-4_i32..8).prop_map(|v| v.to_string()).boxed(),
        "alpha" => prop_oneof![
            Just("None".to_owned()),
            Just("'auto'".to_owned()),
            Just("\"auto_po2\"".to_owned()),
            (0.01_f64..8.0).prop_map(|v| format!("{v:?}")),
        ]
        .boxed(),
        "scale_axis" => prop_oneof![Just("None".to_owned()), (0_u32..4).prop_map(|v| v.to_string())].boxed(),
        "negative_slope" => (1_i32..6).prop_map(|v| format!("{:?}", 0.5_f64.powi(v))).boxed(),
        "log2_rounding" => prop_oneof![Just("'rnd'".to_owned()), Just("'floor'".to_owned())].boxed(),
        "number_of_unrolls" => (1_u32..9).prop_map(|v| v.to_string()).boxed(),
        "qnoise_factor" => (0.0_f64..=1.0).prop_map(|v| format!("{v:?}")).boxed(),
        "max_value" | "relu_upper_bound" | "threshold" | "temperature" | "u" => {
            (0.001_f64..0.999).prop_map(|v| format!("{v:?}")).boxed()
        }
        _ => prop_oneof![Just("True".to_owned()), Just("False".to_owned()), Just("1".to_owned())].boxed(),
    }
}

/// A text with some parameters by place and some of the others by name.
fn texts() -> impl Strategy<Value = String> {
    (0..SIGNATURES.len()).prop_flat_map(|kind| {
        let (name, parameters) = SIGNATURES[kind];
        let values: Vec<_> = parameters.iter().map(|p| (value(p), any::<bool>())).collect();
        (values, 0..=parameters.len()).prop_map(move |(values, by_place)| {
            let arguments: Vec<String> = parameters
                .iter()
                .zip(values)
                .enumerate()
                .filter(|(i, (_, (_, keep)))| *i < by_place || *keep)
                .map(|(i, (p, (value, _)))| if i < by_place { value } else { format!("{p}={value}") })
                .collect();
            format!("{name}({})", arguments.join(","))
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn printed_and_stored_forms_read_back(text in texts()) {
        let quantizer: Quantizer = text.parse().unwrap();
        prop_assert_eq!(quantizer.validate(), Ok(()), "{}", text);
        prop_assert_eq!(quantizer.to_string().parse::<Quantizer>().unwrap(), quantizer, "{}", text);
        let again = Quantizer::from_config(quantizer.kind(), &quantizer.to_config()).unwrap();
        prop_assert_eq!(again, quantizer, "{}", text);
    }

    #[test]
    fn places_are_names(text in texts()) {
        let (name, rest) = text.split_once('(').unwrap();
        let parameters = SIGNATURES.iter().find(|(kind, _)| *kind == name).unwrap().1;
        let arguments: Vec<&str> = rest.trim_end_matches(')').split(',').filter(|a| !a.is_empty()).collect();
        let named: Vec<String> = arguments.iter().enumerate()
            .map(|(i, a)| if a.contains('=') { (*a).to_owned() } else { format!("{} = {a}", parameters[i]) })
            .rev()
            .collect();
        let named = format!("{name} ( {} ) ", named.join(" , "));
        prop_assert_eq!(named.parse::<Quantizer>().unwrap(), text.parse::<Quantizer>().unwrap());
    }

    #[test]
    fn no_text_panics(text in "[a-z_]{0,3}(quantized_bits|binary|ternary)?[(),=0-9.eE'\"a-z é]{0,20}") {
        let _ = text.parse::<Quantizer>();
    }
}
