//! Exported C compared with its model.

use tinsmith_cost::Packing;
use tinsmith_deploy::{Arithmetic, DeployError, ExportOptions, export_c};

use crate::compile::{compare, expected, has_compiler, inputs, run, values};
use crate::networks::{FLOAT, QUANTIZED, model};

#[track_caller]
fn check(name: &str, layers: &str, options: &ExportOptions, tolerance: f32, share: f64) {
    let model = model(layers);
    let x = inputs(&model, 64, 11);
    let sources = export_c(&model, options).unwrap_or_else(|e| panic!("{name}: {e}"));
    let got = run(&sources, &values(&x));
    let (equal, largest) = compare(&got, &expected(&model, &x));
    println!(
        "{name} ({:?}, {:?}): {:.2} % equal, largest difference {largest:e}, {} bytes of constants, {} of arena",
        options.arithmetic,
        options.packing,
        100.0 * equal,
        sources.flash_bytes,
        sources.ram_bytes
    );
    assert!(largest <= tolerance, "{name}: {largest}");
    // Gaps for alignment, and the scratch memory of a separable layer.
    assert!(sources.ram_bytes <= sources.planned_ram_bytes + 64, "{name}");
    assert!(equal >= share, "{name}: {equal}");
}

#[test]
fn float_networks_give_the_model_s_outputs() {
    if !has_compiler() {
        return;
    }
    for (name, layers) in FLOAT {
        check(name, layers, &ExportOptions::default(), 1e-4, 0.0);
    }
}

#[test]
fn quantized_networks_give_the_model_s_outputs() {
    if !has_compiler() {
        return;
    }
    for arithmetic in [Arithmetic::Float, Arithmetic::Integer] {
        for packing in [Packing::Bits, Packing::Bytes] {
            for (name, layers) in QUANTIZED {
                let options = ExportOptions { arithmetic, packing, ..ExportOptions::default() };
                let is_exact = *name != "chosen scales";
                check(
                    name,
                    layers,
                    &options,
                    if is_exact { 0.0 } else { 0.5 },
                    if is_exact { 1.0 } else { 0.5 },
                );
            }
        }
    }
}

#[test]
fn refusals_name_layer_and_kind() {
    let model = model(
        "layers:
- {name: x, input: {shape: [4, 4, 2]}}
- {name: up, up_sampling2d: {}}
",
    );
    let error = export_c(&model, &ExportOptions::default()).expect_err("no such kind");
    assert!(matches!(&error, DeployError::Unsupported { layer, kind: "up_sampling2d", .. } if layer == "up"));
    for name in ["2 fast", "../up", "/etc/x", "con", "Math", "a\"\n#include \"b", ""] {
        let options = ExportOptions { name: name.to_owned(), ..ExportOptions::default() };
        assert!(matches!(export_c(&model, &options), Err(DeployError::Name { .. })), "{name}");
    }
}

#[test]
fn sparse_kernels_are_stored_without_their_zeros() {
    if !has_compiler() {
        return;
    }
    let dense = "layers:
- {name: x, input: {shape: [3, 40], quantizer: 'quantized_bits(6,2,alpha=1.0)'}}
- {name: h, FACTS dense: {units: 30, KERNEL activation: 'quantized_relu(6,2)'}}
- {name: f, flatten: {}}
- {name: out, dense: {units: 2}}
";
    let quantizer = "kernel_quantizer: 'quantized_bits(4,0,alpha=1.0)', use_bias: false,";
    for kernel in ["", quantizer] {
        for arithmetic in [Arithmetic::Float, Arithmetic::Integer] {
            let flash = ["", "facts: [{weight: kernel, storage: csr}],"].map(|facts| {
                let model = model(&dense.replace("FACTS", facts).replace("KERNEL", kernel));
                let param = model.params().get("h.kernel").expect("a kernel");
                let mut values_left = param.values().expect("values");
                values_left.iter_mut().enumerate().filter(|(i, _)| i % 8 != 0).for_each(|(_, v)| *v = 0.0);
                let shape = param.dims().to_vec();
                let tensor = candle_core::Tensor::from_vec(values_left, shape, &candle_core::Device::Cpu);
                param.set(&tensor.expect("a tensor")).expect("a set parameter");
                let sources = export_c(&model, &ExportOptions { arithmetic, ..ExportOptions::default() })
                    .unwrap_or_else(|e| panic!("{e}"));
                let x = inputs(&model, 32, 23);
                let (_, largest) = compare(&run(&sources, &values(&x)), &expected(&model, &x));
                assert!(largest <= 1e-5, "{largest}");
                sources.flash_bytes
            });
            println!("dense {}, sparse {} bytes", flash[0], flash[1]);
            assert!(flash[1] < flash[0] * 3 / 4, "{flash:?}");
        }
    }
}

#[test]
fn learned_kernels_are_shipped_and_learned_activations_are_refused() {
    let layers = "layers:
- {name: x, input: {shape: [6], quantizer: 'quantized_bits(8,2,alpha=1.0)'}}
- {name: h, dense: {units: 8, kernel_quantizer: 'learned_step(4,axis=-1)', bias_quantizer: learned_step(8),
    activation: 'quantized_relu(6,2)'}}
- {name: y, dense: {units: 3, kernel_quantizer: KERNEL}}
";
    if has_compiler() {
        for kernel in ["learned_step(4)", "\"learned_bits(3.0,per='channel')\""] {
            let layers = layers.replace("KERNEL", kernel);
            check(kernel, &layers, &ExportOptions::default(), 1e-4, 0.0);
            let options = ExportOptions { arithmetic: Arithmetic::Integer, ..ExportOptions::default() };
            check(kernel, &layers, &options, 1e-4, 0.0);
        }
        check(
            "a width for each weight",
            &layers.replace("KERNEL", "learned_bits(3.0)"),
            &<_>::default(),
            1e-4,
            0.0,
        );
    }
    let model = model(&layers.replace("KERNEL", "learned_step(4)").replace("quantized_relu(6,2)", "pact(6)"));
    let error = export_c(&model, &ExportOptions::default()).expect_err("no C form").to_string();
    assert!(
        error.contains(
            "layer `h` (dense) cannot be shipped: its activation is pact(6), whose levels are learned"
        ),
        "{error}"
    );
}
