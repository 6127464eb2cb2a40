//! Types, operators and energy against the reference figures.

use std::collections::BTreeMap;

use serde_json::Value;
use tinsmith_cost::autoqkeras::energy::{Energy, EnergyConfig, Memory};
use tinsmith_cost::autoqkeras::estimate::{Mode, operations};
use tinsmith_cost::autoqkeras::float_twin;
use tinsmith_cost::autoqkeras::operators::{
    Family, Gate, MergeKind, Operator, Type, accumulator, add_energy_pj, merge, multiplier,
};
use tinsmith_cost::autoqkeras::widths::{Arithmetic, Assignment, LayerWidths, Precision, widths};
use tinsmith_network::{ModelSpec, Quantizer};

use crate::golden;

fn named(text: &str) -> Type {
    match text {
        "fp32" => Precision::Fp32.as_type(),
        "fp16" => Precision::Fp16.as_type(),
        "int32" => Precision::Int32.as_type(),
        "int8" => Precision::Int8.as_type(),
        _ => Type::of(&text.parse::<Quantizer>().unwrap()),
    }
}

fn truth(value: &Value) -> bool {
    value.as_bool().unwrap_or_else(|| value.as_u64() == Some(1))
}

#[track_caller]
fn same_type(ours: &Type, wanted: &Value, what: &str) {
    let mode = match ours.family {
        Family::Fixed => 0,
        Family::PowerOfTwo => 1,
        Family::Ternary => 2,
        Family::Binary => 3,
        Family::ZeroOne => 4,
        Family::Float => 5,
    };
    assert_eq!(wanted["mode"], mode, "{what}: {ours:?}");
    assert_eq!(wanted["name"], ours.name, "{what}");
    assert_eq!(wanted["bits"], ours.bits, "{what}: {ours:?}");
    assert_eq!(truth(&wanted["is_signed"]), ours.is_signed, "{what}");
    if ours.family == Family::PowerOfTwo {
        // Bits before the point mean nothing here; the reference has them equal to the width but in one merge.
        assert_eq!(wanted["max_val_po2"].as_f64(), Some(ours.max_value.unwrap_or(-1.0)), "{what}");
        if let Some(exponents) = wanted.get("min_max_exp") {
            assert_eq!(*exponents, serde_json::json!([ours.exponents().0, ours.exponents().1]), "{what}");
        }
    } else {
        assert_eq!(wanted["int_bits"], ours.int_bits, "{what}: {ours:?}");
    }
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1e-9)
}

#[track_caller]
fn same_operator(ours: &Operator, wanted: &Value, what: &str) {
    assert_eq!(wanted["op_type"], serde_json::to_value(ours.gate).unwrap(), "{what}: {ours:?}");
    assert!(close(wanted["gate_bits"].as_f64().unwrap(), ours.gate_bits), "{what}: {ours:?}");
    assert!(close(wanted["gate_factor"].as_f64().unwrap(), ours.gate_factor), "{what}: {ours:?}");
    if let Some(energy) = wanted["energy"].as_f64() {
        assert!(close(energy, ours.energy_pj()), "{what}: {energy} {}", ours.energy_pj());
    }
}

#[test]
fn golden_hardware_operators() {
    let golden = golden::json("hardware/operators.json");
    for (text, wanted) in golden["quantizers"].as_object().unwrap() {
        same_type(&named(text), wanted, text);
    }
    for case in golden["cases"].as_array().unwrap() {
        let (weight, input) = (case["weight"].as_str().unwrap(), case["input"].as_str().unwrap());
        let what = format!("{weight} x {input}");
        let operator = multiplier(&named(weight), &named(input));
        same_type(&operator.output, &case["multiplier"], &what);
        same_operator(&operator, &case["multiplier"], &what);
        for wanted in case["accumulators"].as_array().unwrap() {
            let kernel: Vec<u64> = serde_json::from_value(wanted["kernel"].clone()).unwrap();
            let products: u64 = kernel[..kernel.len() - 1].iter().product();
            let sum = accumulator(&operator.output, products + u64::from(truth(&wanted["use_bias"])));
            same_type(&sum, wanted, &what);
            assert!(close(add_energy_pj(&sum), wanted["energy_per_add"].as_f64().unwrap()), "{what}");
        }
    }
    for case in golden["merges"].as_array().unwrap() {
        let layer = case["layer"].as_str().unwrap();
        let kind = match layer {
            "Add" => MergeKind::Add,
            "Multiply" => MergeKind::Multiply,
            "Maximum" => MergeKind::Maximum,
            "Average" => MergeKind::Average,
            "Concatenate" => MergeKind::Concatenate,
            other => panic!("{other}"),
        };
        let inputs: Vec<Type> =
            case["inputs"].as_array().unwrap().iter().map(|v| named(v.as_str().unwrap())).collect();
        let what = format!("{layer} {}", case["inputs"]);
        let operator = merge(kind, &inputs).unwrap();
        same_type(&operator.output, &case["output"], &what);
        same_operator(&operator, case, &what);
    }
}

#[test]
fn golden_hardware_memory() {
    for case in golden::json("hardware/operators.json")["memory"].as_array().unwrap() {
        let shape: Vec<u64> = serde_json::from_value(case["shape"].clone()).unwrap();
        let config = EnergyConfig {
            min_sram_size: case["min_sram_size"].as_u64().unwrap(),
            rd_wr_on_io: truth(&case["rd_wr_on_io"]),
            ..EnergyConfig::default()
        };
        let memory: Memory = serde_json::from_value(case["mode"].clone()).unwrap();
        let bits = shape.iter().product::<u64>() * case["bits"].as_u64().unwrap();
        let energy = config.access_pj(bits, memory, truth(&case["is_edge_layer"]));
        for which in ["read", "write"] {
            assert!(close(energy, case[which].as_f64().unwrap()), "{energy} {case}");
        }
    }
}

/// A type as models' reports write it: bits before the point of `quantized_bits` include the sign.
#[track_caller]
fn same_report(ours: &Type, wanted: &Value, what: &str) {
    assert_eq!(wanted["quantizer_type"], ours.name, "{what}: {ours:?} {wanted}");
    assert_eq!(wanted["bits"], ours.bits, "{what}: {ours:?} {wanted}");
    if let Some(int_bits) = wanted["int_bits"].as_i64() {
        let sign = i64::from(ours.family == Family::Fixed && ours.is_signed);
        assert_eq!(int_bits, i64::from(ours.int_bits) + sign, "{what}: {ours:?} {wanted}");
    }
    if let Some(is_signed) = wanted.get("is_signed") {
        assert_eq!(truth(is_signed), ours.is_signed, "{what}: {ours:?} {wanted}");
    }
    if let Some(max_value) = wanted["max_value"].as_f64() {
        assert_eq!(max_value, ours.max_value.unwrap_or(-1.0), "{what}");
    }
    if let Some(gate) = wanted.get("op_type") {
        assert!(gate.is_string(), "{what}");
    }
}

fn gate_name(gate: Gate) -> String {
    serde_json::to_value(gate).unwrap().as_str().unwrap().to_owned()
}

fn check_layer(ours: &LayerWidths, wanted: &Value, what: &str) {
    let inputs = wanted["input_quantizer_list"].as_array().unwrap();
    assert_eq!(inputs.len(), ours.inputs.len(), "{what}");
    // The reference lists inputs in an order of its own.
    let mut mine: Vec<&Type> = ours.inputs.iter().collect();
    for input in inputs {
        let at = mine.iter().position(|t| input["bits"] == t.bits && input["quantizer_type"] == t.name);
        same_report(mine.remove(at.unwrap_or(0)), input, what);
    }
    same_report(&ours.output, &wanted["output_quantizer"], what);
    for (name, key) in [
        ("kernel", "weight_quantizer"),
        ("depthwise_kernel", "weight_quantizer"),
        ("bias", "bias_quantizer"),
        ("gamma", "gamma_quantizer"),
        ("beta", "beta_quantizer"),
        ("moving_mean", "mean_quantizer"),
        ("moving_variance", "variance_quantizer"),
    ] {
        if let Some(weight) = ours.weights.iter().find(|w| w.name == name) {
            same_report(&weight.kind, &wanted[key], &format!("{what} {name}"));
            let elements: u64 = match &wanted[key]["shape"] {
                Value::Null => weight.elements,
                Value::Array(sizes) => sizes.iter().map(|v| v.as_u64().unwrap()).product(),
                size => size.as_u64().unwrap(),
            };
            assert_eq!(elements, weight.elements, "{what} {name}");
        }
    }
    match &ours.arithmetic {
        Arithmetic::Products(stages) => {
            assert_eq!(stages.len(), 1, "{what}");
            let stage = stages[0];
            same_report(&stage.multiplier.output, &wanted["multiplier"], what);
            assert_eq!(wanted["multiplier"]["op_type"], gate_name(stage.multiplier.gate), "{what}");
            same_report(&stage.accumulator, &wanted["accumulator"], what);
            assert_eq!(wanted["operation_count"], stage.operations, "{what}");
        }
        Arithmetic::Norm { divider, multiplier, accumulator } => {
            same_report(&divider.output, &wanted["internal_divide_quantizer"], what);
            assert_eq!(wanted["internal_divide_quantizer"]["op_type"], gate_name(divider.gate), "{what}");
            same_report(&multiplier.output, &wanted["internal_multiplier"], what);
            assert_eq!(wanted["internal_multiplier"]["op_type"], gate_name(multiplier.gate), "{what}");
            same_report(accumulator, &wanted["internal_accumulator"], what);
        }
        Arithmetic::Pool { accumulator, operations, .. } => {
            same_report(accumulator, &wanted["accumulator"], what);
            assert_eq!(wanted["operation_count"], *operations, "{what}");
        }
        Arithmetic::Merge(operator) => same_report(&operator.output, &wanted["Add_quantizer"], what),
        Arithmetic::None => assert!(wanted.get("multiplier").is_none(), "{what}"),
    }
}

fn read(name: &str) -> (ModelSpec, Value) {
    let text = golden::text(&format!("models/{name}/architecture.json"));
    (tinsmith_keras::read_json(&text, name).unwrap(), golden::json(&format!("models/{name}/hardware.json")))
}

/// Layers whose class our kinds do not tell.
fn classes(hardware: &Value) -> BTreeMap<String, String> {
    let layers = hardware["layers"].as_array().unwrap();
    let text = |v: &Value| v.as_str().unwrap().to_owned();
    layers.iter().filter(|l| l["class"] == "ReLU").map(|l| (text(&l["name"]), text(&l["class"]))).collect()
}

#[test]
fn golden_hardware_widths() {
    for name in golden::models() {
        let (spec, hardware) = read(&name);
        let graph = spec.graph().unwrap();
        // The float network of `qtools_reference` has an 8-bit input too.
        for (which, spec) in [("qtools_trial", spec.clone()), ("qtools_reference", float_twin(&spec))] {
            let Some(wanted) = hardware.get(which) else { continue };
            let ours = widths(&spec, &graph, Assignment::default(), &classes(&hardware));
            for (i, layer) in spec.layers.iter().enumerate() {
                if let Some(wanted) = wanted.get(&layer.name) {
                    check_layer(&ours[i], wanted, &format!("{name} {which} {}", layer.name));
                }
            }
            assert_eq!(wanted["source_quantizers"].as_array().unwrap().len(), 1);
        }
    }
}

/// Settings come in pairs: of the reference and of the trial.
fn power_config(kwargs: &Value, which: usize, classes: BTreeMap<String, String>) -> EnergyConfig {
    let of = |key: &str| kwargs.get(key).map(|pair| pair[which].clone());
    let memory = |key, default| of(key).map_or(default, |v| serde_json::from_value(v).unwrap());
    EnergyConfig {
        parameters_on_memory: memory("parameters_on_memory", Memory::Fixed),
        activations_on_memory: memory("activations_on_memory", Memory::Dram),
        min_sram_size: of("min_sram_size").map_or(0, |v| v.as_u64().unwrap()),
        rd_wr_on_io: of("rd_wr_on_io").is_none_or(|v| truth(&v)),
        classes,
    }
}

#[test]
fn golden_hardware_forgiving_power() {
    for name in golden::models() {
        let (spec, hardware) = read(&name);
        let graph = spec.graph().unwrap();
        let twin = float_twin(&spec);
        for case in hardware["forgiving_power"].as_array().unwrap() {
            let kwargs = &case["kwargs"];
            let precision = |key: &str| {
                kwargs.get(key).map_or(Precision::Fp32, |v| serde_json::from_value(v.clone()).unwrap())
            };
            let (internal, sums) = (precision("reference_internal"), precision("reference_accumulator"));
            let known = ["quantized_bits(8,0,1)"];
            if let Some(sources) = kwargs["source_quantizers"].as_array() {
                assert_eq!(*sources, known);
            }
            let mut sizes = [0.0; 2];
            for (at, (which, spec, assignment)) in [
                ("reference", &twin, Assignment::reference(internal, sums)),
                ("trial", &spec, Assignment::trial(internal, sums)),
            ]
            .into_iter()
            .enumerate()
            {
                let config = power_config(kwargs, at, classes(&hardware));
                let energy = Energy::of(spec, &graph, assignment, &config);
                let wanted = &case[format!("{which}_energy")];
                for (i, layer) in spec.layers.iter().enumerate() {
                    let Some(wanted) = wanted.get(&layer.name) else {
                        assert!(energy.layers[i].is_none(), "{name} {}", layer.name);
                        continue;
                    };
                    let ours = energy.layers[i].unwrap();
                    // The reference rounds to two places.
                    for (part, value) in [
                        ("inputs", ours.inputs),
                        ("outputs", ours.outputs),
                        ("parameters", ours.parameters),
                        ("op_cost", ours.op_cost),
                    ] {
                        let wanted = wanted["energy"][part].as_f64().unwrap();
                        let difference = (wanted - value).abs();
                        assert!(
                            difference <= 0.005_01,
                            "{name} {which} {} {part} {kwargs}: {wanted} {value}",
                            layer.name
                        );
                    }
                }
                // Sums of rounded parts, cut to whole numbers.
                let slack = 1.0 + 0.02 * spec.layers.len() as f64;
                assert!((wanted["total_cost"].as_f64().unwrap() - energy.total_pj).abs() < slack, "{name}");
                assert!(
                    (case[format!("{which}_size")].as_f64().unwrap() - energy.size_pj).abs() < slack,
                    "{name}"
                );
                sizes[at] = energy.size_pj;
            }
            // The reference compares the whole numbers, and takes the logarithm of the rate in single precision.
            let size = |which: &str| case[format!("{which}_size")].as_f64().unwrap();
            let forgiving: tinsmith_cost::ForgivingFactor = serde_json::from_value(serde_json::json!({
                "delta_p": case["delta_p"], "delta_n": case["delta_n"], "rate": case["rate"], "stress": case["stress"],
            }))
            .unwrap();
            let delta = forgiving.delta(size("reference"), size("trial"));
            assert!(
                (delta - case["delta"].as_f64().unwrap()).abs() < 1e-7,
                "{name} {delta} {}",
                case["delta"]
            );
            assert!((forgiving.delta(sizes[0], sizes[1]) - delta).abs() < 1e-3, "{name}");
        }
    }
}

/// A mode of the estimator, by its number.
fn number(mode: Mode) -> Value {
    let family = match mode.family {
        Family::Fixed => 0,
        Family::PowerOfTwo => 1,
        Family::Ternary => 2,
        Family::Binary => 3,
        Family::ZeroOne => 4,
        Family::Float => 5,
    };
    serde_json::json!([family, mode.bits, u8::from(mode.is_signed)])
}

#[test]
fn golden_hardware_estimated_operations() {
    for name in golden::models() {
        let (spec, hardware) = read(&name);
        let all = operations(&spec, &spec.graph().unwrap());
        let wanted = hardware["model_operations"].as_object().unwrap();
        assert_eq!(wanted.len(), all.len(), "{name}");
        for ours in &all {
            let layer = &spec.layers[ours.layer].name;
            let wanted = &wanted[layer];
            let (weight, input) = (number(ours.weight), number(ours.input));
            let kind = serde_json::json!([
                ours.kind,
                [weight[0], input[0]],
                [weight[1], input[1]],
                [weight[2], input[2]],
            ]);
            assert_eq!(wanted["type"], kind, "{name} {layer}");
            assert_eq!(wanted["number_of_operations"], ours.operations, "{name} {layer}");
            assert_eq!(wanted["number_of_weights"], ours.weights, "{name} {layer}");
            assert_eq!(wanted["number_of_bias"], ours.biases, "{name} {layer}");
            assert_eq!(wanted["type_of_weights"], weight, "{name} {layer}");
            assert_eq!(wanted["type_of_bias"], number(ours.bias), "{name} {layer}");
            let line = format!("    {layer:<30}: {:<5} ({})", ours.operations, ours.name());
            let lines = hardware["print_qstats"].as_array().unwrap();
            assert!(lines.iter().any(|l| *l == line), "{name}: no line `{line}`");
        }
    }
}
