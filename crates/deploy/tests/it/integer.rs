//! Integer inference compared with the fake quantization of training.

use tinsmith_deploy::{Arithmetic, DeployError, ExportOptions, IntegerModel, export_c};

use crate::compile::{compare, expected, has_compiler, inputs, run, values};
use crate::networks::{QUANTIZED, model};

fn named(name: &str) -> &'static str {
    QUANTIZED.iter().find(|(n, _)| *n == name).map(|(_, layers)| *layers).expect("a network")
}

#[test]
fn powers_of_two_are_bit_exact() {
    for name in ["fixed", "residual"] {
        let model = model(named(name));
        let integer = IntegerModel::new(&model).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(integer.is_exact(), "{name}");
        let x = inputs(&model, 128, 7);
        let got = integer.run(&values(&x)).expect("whole samples");
        let (equal, largest) = compare(&got, &expected(&model, &x));
        println!("{name}: {:.2} % equal", 100.0 * equal);
        assert_eq!((equal, largest), (1.0, 0.0), "{name}");
    }
}

#[test]
fn squashing_functions_become_thresholds_and_stay_exact() {
    let model = model(
        "layers:
- {name: x, input: {shape: [12, 3], quantizer: 'quantized_bits(6,2,alpha=1.0)'}}
- {name: c1, conv1d: {filters: 6, kernel: 3, padding: causal, kernel_quantizer: 'ternary(alpha=1.0)', use_bias: false, activation: 'quantized_tanh(6)'}}
- {name: n1, batch_norm: {}}
- {name: a1, activation: 'quantized_bits(5,1,alpha=1.0)'}
- {name: d1, depthwise_conv1d: {kernel: 2, depthwise_quantizer: 'quantized_po2(4)', bias_quantizer: 'quantized_bits(6,3,alpha=1.0)', activation: 'quantized_sigmoid(5)'}}
- {name: p, average_pool1d: {size: 3, stride: 2, padding: same, activation: 'quantized_bits(6,0,alpha=1.0)'}}
- {name: m, max_pool1d: {size: 2, activation: 'ternary(alpha=1.0)'}}
- {name: f, flatten: {}}
- {name: out, dense: {units: 3, kernel_quantizer: 'binary(alpha=0.5)', activation: sigmoid}}
",
    );
    let integer = IntegerModel::new(&model).unwrap_or_else(|e| panic!("{e}"));
    let x = inputs(&model, 128, 8);
    let got = integer.run(&values(&x)).expect("whole samples");
    let (equal, largest) = compare(&got, &expected(&model, &x));
    assert!(integer.is_exact());
    println!("thresholds: {:.2} % equal, largest difference {largest:e}", 100.0 * equal);
    // The final sigmoid comes from two math libraries.
    assert!(largest <= 1e-6, "{largest}");
}

#[test]
fn other_scales_are_at_most_a_level_off() {
    let model = model(
        "layers:
- {name: x, input: {shape: [10], quantizer: 'quantized_bits(8,2,alpha=1.0)'}}
- {name: h, dense: {units: 12, kernel_quantizer: \"quantized_bits(4,0,alpha='auto')\", activation: 'quantized_relu(6,2)'}}
",
    );
    let integer = IntegerModel::new(&model).unwrap_or_else(|e| panic!("{e}"));
    let x = inputs(&model, 256, 9);
    let got = integer.run(&values(&x)).expect("whole samples");
    let (equal, largest) = compare(&got, &expected(&model, &x));
    println!("chosen scale: {:.2} % equal, largest difference {largest}", 100.0 * equal);
    assert!(largest <= 1.0 / 16.0, "{largest}");
    assert!(equal > 0.99, "{equal}");

    let chain = crate::networks::model(named("chosen scales"));
    let integer = IntegerModel::new(&chain).unwrap_or_else(|e| panic!("{e}"));
    assert!(!integer.is_exact());
    let x = inputs(&chain, 256, 9);
    let got = integer.run(&values(&x)).expect("whole samples");
    let (equal, largest) = compare(&got, &expected(&chain, &x));
    println!("chain of chosen scales: {:.2} % equal, largest difference {largest:e}", 100.0 * equal);
    assert!(largest <= 0.2, "{largest}");
}

#[test]
fn refusals_say_what_a_layer_lacks() {
    let cases = [
        ("{name: d, dense: {units: 2, kernel_quantizer: 'binary(alpha=1.0)'}}", "", "input is float"),
        ("{name: d, dense: {units: 2}}", ", quantizer: 'quantized_bits(8,2,alpha=1.0)'", "no integer levels"),
        (
            "{name: d, dense: {units: 2, kernel_quantizer: 'binary(alpha=1.0)'}}\n- {name: e, dense: {units: 2}}",
            ", quantizer: 'quantized_bits(8,2,alpha=1.0)'",
            "not quantized",
        ),
    ];
    for (layer, quantizer, want) in cases {
        let model = model(&format!("layers:\n- {{name: x, input: {{shape: [4]{quantizer}}}}}\n- {layer}\n"));
        let error = IntegerModel::new(&model).expect_err("no integers");
        let DeployError::NotInteger { layer, kind: "dense", reason } = &error else { panic!("{error}") };
        assert!(layer == "d" && reason.contains(want), "{error}");
    }
    let model = model(named("fixed"));
    let integer = IntegerModel::new(&model).expect("an integer model");
    assert!(matches!(integer.run(&[0.0; 5]), Err(DeployError::InputLength { want: 128, got: 5 })));
}

#[test]
fn learned_levels_without_integers_are_refused_not_shipped_as_floats() {
    let layers = |kernel: &str| {
        format!(
            "layers:
- {{name: x, input: {{shape: [6], quantizer: 'quantized_bits(8,2,alpha=1.0)'}}}}
- {{name: h, dense: {{units: 4, kernel_initializer: {{random_normal: 20.0}}, kernel_quantizer: {kernel}, activation: 'quantized_relu(6,2)'}}}}
- {{name: y, dense: {{units: 3, kernel_quantizer: 'ternary(alpha=1.0)'}}}}
"
        )
    };
    let integer = ExportOptions { arithmetic: Arithmetic::Integer, ..ExportOptions::default() };
    for kernel in ["learned_bits(3.0,per='channel')", "learned_bits(3.0,per='tensor')", "learned_step(4)"] {
        let model = model(&layers(&format!("\"{kernel}\"")));
        let sources = export_c(&model, &integer).unwrap_or_else(|e| panic!("{kernel}: {e}"));
        // Sums of integers in both layers.
        assert_eq!(sources.files[1].1.matches("_t sum = 0;").count(), 2, "{kernel}: {}", sources.files[1].1);
        IntegerModel::new(&model).unwrap_or_else(|e| panic!("{kernel}: {e}"));
    }
    for (kernel, want) in [
        (
            "learned_bits(3.0)",
            "its `kernel` is learned_bits(3.0), which gives every weight a unit of its own",
        ),
        (
            "learned_step(4,axis=0)",
            "its `kernel` is learned_step(4,axis=0), whose units differ within an output",
        ),
        ("learned_bits(23.0,per='tensor')", "codes of which take more than 24 bits"),
    ] {
        let model = model(&layers(&format!("\"{kernel}\"")));
        for error in [
            export_c(&model, &integer).expect_err("no integer C"),
            IntegerModel::new(&model).expect_err("no integers"),
        ] {
            let DeployError::NotInteger { layer, kind: "dense", reason } = &error else { panic!("{error}") };
            assert!(layer == "h" && reason.contains(want), "{error}");
        }
        // Floats need no common unit.
        export_c(&model, &ExportOptions::default()).unwrap_or_else(|e| panic!("{kernel}: {e}"));
    }
}

#[test]
fn c_computes_the_same_integers() {
    if !has_compiler() {
        return;
    }
    let other = "layers:
- {name: x, input: {shape: [8, 4], quantizer: 'quantized_bits(6,2,alpha=0.7)'}}
- {name: c1, conv1d: {filters: 4, kernel: 3, kernel_quantizer: \"quantized_bits(4,0,alpha='auto')\", activation: 'quantized_bits(6,2,alpha=0.3)'}}
- {name: n1, batch_norm: {}}
- {name: a1, activation: 'quantized_relu(6,1)'}
- {name: p1, average_pool1d: {size: 3, stride: 1, activation: 'quantized_bits(6,1,alpha=1.0)'}}
- {name: a2, activation: 'quantized_tanh(4)'}
- {name: f, flatten: {}}
- {name: out, dense: {units: 2, kernel_quantizer: 'ternary(alpha=1.0)'}}
";
    let networks = ["fixed", "residual", "chosen scales"].map(|name| (name, named(name)));
    for (name, layers) in networks.into_iter().chain([("other", other)]) {
        let model = model(layers);
        let x = values(&inputs(&model, 256, 13));
        let integer = IntegerModel::new(&model).unwrap_or_else(|e| panic!("{name}: {e}"));
        let options = ExportOptions { arithmetic: Arithmetic::Integer, ..ExportOptions::default() };
        let sources = export_c(&model, &options).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(run(&sources, &x), integer.run(&x).expect("whole samples"), "{name}");
    }
}
