//! Costs on the built-in targets, compared with values computed by hand.

use tinsmith_cost::{Cost, CostBasis, Limits, Packing, Scratch, Target};
use tinsmith_network::{ModelSpec, Storage, WeightFacts};

fn spec(layers: &str) -> ModelSpec {
    ModelSpec::parse(&format!("layers:\n{layers}"), "test").unwrap()
}

fn cost(spec: &ModelSpec, target: &str) -> Cost {
    Cost::of(spec, &Target::builtin(target).unwrap()).unwrap()
}

const RESIDUAL: &str = "
  - {name: x, input: {shape: [8, 8, 4]}}
  - {name: c1, conv2d: {filters: 4, kernel: 3, padding: same, use_bias: false}}
  - {name: n1, batch_norm: {}}
  - {name: a1, activation: relu}
  - {name: c2, conv2d: {filters: 4, kernel: 3, padding: same}}
  - {name: s, inputs: [c2, x], add: {}}
  - {name: a2, activation: relu}
  - {name: g, global_average_pool2d: {}}
  - {name: d, dense: {units: 3, activation: softmax}}
";

#[test]
fn batch_norms_are_folded_when_deployed() {
    let spec = spec(RESIDUAL);
    let graph = spec.graph().unwrap();
    let target = Target::builtin("float32").unwrap();
    let trained = Cost::on_basis(&spec, &graph, &target, CostBasis::Trained);
    let deployed = Cost::with_graph(&spec, &graph, &target);
    let kernels = 2 * 9 * 4 * 4 + 4 * 3;
    assert_eq!(trained.total.params, kernels + 4 + 3 + 4 * 4);
    assert_eq!(trained.total.trainable_params, trained.total.params - 2 * 4);
    assert_eq!(trained.total.flash_bytes, 4 * trained.total.params);
    // The first convolution has got a bias.
    assert_eq!(deployed.total.params, kernels + 4 + 4 + 3);
    assert_eq!(deployed.total.macs, trained.total.macs);
    assert_eq!(deployed.total.macs, 2 * 64 * 9 * 16 + 12);
    assert_eq!(deployed.layers[2].cost.params, 0);
    assert_eq!(deployed.layers[2].written_by, 3);
    assert_eq!(deployed.layers[1].output_bytes, 0);
    assert_eq!(deployed.layers[3].output_bytes, 4 * 256);
}

#[test]
fn peak_ram_holds_the_shortcut_and_sums_in_place() {
    let spec = spec(RESIDUAL);
    // While c2 runs: x for the sum, what c1 wrote, what c2 writes. The sum overwrites.
    let int8 = cost(&spec, "mcu-int8");
    assert_eq!(int8.peak_ram.bytes, 3 * 256);
    assert!(int8.peak_ram.is_exact());
    assert_eq!(int8.peak_ram.live.len(), 3);
    assert_eq!(int8.peak_ram.order, [3, 4, 6, 7, 8]);
    assert_eq!(cost(&spec, "float32").peak_ram.bytes, 4 * 3 * 256);
    assert_eq!(cost(&spec, "fpga").peak_ram.bytes, 2 * 3 * 256);
    let own = |change: fn(&mut Target)| {
        let mut target = Target::builtin("mcu-int8").unwrap();
        change(&mut target);
        Cost::of(&spec, &target).unwrap().peak_ram
    };
    assert_eq!(own(|t| t.input_counts = false).bytes, 2 * 256);
    let held = own(|t| t.reuse_input = false);
    // It is held until the end, and nothing may be written over it, though the sum can still overwrite c2.
    assert_eq!((held.bytes, held.live.len()), (3 * 256, 3));
    assert_eq!(own(|t| t.tensor_overhead_bytes = 16).bytes, 3 * (256 + 16));
    let im2col = own(|t| t.scratch = Scratch::Im2col { columns: 2, bytes: 2 });
    assert_eq!((im2col.bytes, im2col.scratch), (3 * 256 + 4 * 36, 4 * 36));
}

#[test]
fn in_place_is_as_the_target_says() {
    let spec = spec(
        "
  - {name: x, input: {shape: [100]}}
  - {name: y, input: {shape: [100]}}
  - {name: m, inputs: [x, y], multiply: {}}
  - {name: s, activation: softmax}
",
    );
    assert_eq!(cost(&spec, "mcu-int8").peak_ram.bytes, 200);
    let mut target = Target::builtin("mcu-int8").unwrap();
    target.in_place.clear();
    assert_eq!(Cost::of(&spec, &target).unwrap().peak_ram.bytes, 300);
}

#[test]
fn flash_follows_widths_and_packing() {
    let spec = spec(
        "
  - {name: x, input: {shape: [10], quantizer: 'quantized_bits(4,0,alpha=1.0)'}}
  - {name: d1, dense: {units: 7, kernel_quantizer: 'quantized_bits(3,0,alpha=1.0)', bias_quantizer: 'quantized_bits(12,0,alpha=1.0)', activation: 'quantized_relu(5)'}}
  - {name: d2, dense: {units: 2, kernel_quantizer: 'quantized_bits(9,0)', use_bias: false}}
",
    );
    let flash = |target| cost(&spec, target).total.flash_bytes;
    // A scale for the whole of d1, one per unit of d2, whose kernel has automatic scales.
    assert_eq!(flash("mcu-int8"), 70 + 7 * 4 + 8 + 14 * 2 + 2 * 8);
    assert_eq!(flash("mcu-packed"), 27 + 7 * 4 + 8 + 16 + 2 * 8);
    assert_eq!(flash("fpga"), 27 + 11 + 16);
    assert_eq!(flash("float32"), 4 * (70 + 7 + 14));
    let fpga = cost(&spec, "fpga");
    assert_eq!(fpga.total.weight_bits, 70 * 3 + 7 * 12 + 14 * 9);
    assert_eq!(fpga.total.activation_bits, 10 * 4 + 7 * 5 + 2 * 16);
    let bops = |macs: f64, a: f64, w: f64, n: f64| macs * (a * w + a + w + n.log2());
    let expected = bops(70.0, 4.0, 3.0, 10.0) + bops(14.0, 5.0, 9.0, 7.0);
    assert!((fpga.total.bops - expected).abs() < 1e-9 * expected);
}

#[test]
fn sparse_storage_is_counted_with_its_indices() {
    let mut spec = spec(
        "
  - {name: x, input: {shape: [40]}}
  - {name: d, dense: {units: 10, use_bias: false, kernel_quantizer: 'quantized_bits(4,0,alpha=1.0)'}}
",
    );
    let mut flash = |target: &str, storage, total_bits| {
        let fact = WeightFacts { weight: "kernel".to_owned(), non_zeros: Some(50), storage, total_bits };
        spec.layers[1].facts = vec![fact];
        let total = cost(&spec, target).total;
        (total.flash_bytes, total.sparse_macs)
    };
    assert_eq!(flash("fpga", Storage::Dense, None), (200, 400));
    // 50 values of 4 bits, 50 columns below 256, 11 starts.
    assert_eq!(flash("fpga", Storage::Csr, None), (25 + 50 + 22, 50));
    assert_eq!(flash("mcu-int8", Storage::Csr, None), (50 + 50 + 22 + 8, 50));
    assert_eq!(flash("fpga", Storage::Bitmap, None), (25 + 50, 50));
    assert_eq!(flash("fpga", Storage::NOfM { n: 1, m: 8 }, None), (25 + 19, 50));
    assert_eq!(flash("fpga", Storage::Dense, Some(1001)), (126, 400));
    assert_eq!(flash("mcu-int8", Storage::Dense, Some(3300)), (800 + 8, 400));
}

#[test]
fn limits_name_what_is_broken() {
    let cost = cost(&spec(RESIDUAL), "mcu-int8");
    let limits = Limits { ram: Some(768), flash: Some(100), macs: Some(18_443), ..Limits::default() };
    let broken: Vec<&str> = limits.check(&cost).iter().map(|v| v.what).collect();
    assert_eq!(broken, ["flash", "macs"]);
    let constraints = limits.constraints(&cost);
    assert_eq!(constraints[1], ("ram", 0.0));
    assert_eq!(constraints[2], ("macs", 1.0));
    assert!(Limits::default().check(&cost).is_empty());
}

#[test]
fn targets_are_data() {
    for name in Target::BUILTIN {
        let target = Target::builtin(name).unwrap();
        assert_eq!(target.name, *name);
        let text = serde_json::to_string(&target).unwrap();
        assert_eq!(Target::parse(&text, "again").unwrap(), target);
    }
    let own =
        Target::parse("{name: mine, weight_packing: bits, scratch: {im2col: {columns: 2, bytes: 1}}}", "t");
    let own = own.unwrap();
    assert_eq!(own.weight_packing, Packing::Bits);
    assert_eq!(own.scratch, Scratch::Im2col { columns: 2, bytes: 1 });
    let error =
        Target::parse("name: mine\nin_place: [add, ad]\nbias_bits: 0\n", "t").unwrap_err().to_string();
    assert!(error.contains("`in_place[1]` is `ad`"), "{error}");
    assert!(error.contains("`bias_bits` is 0"), "{error}");
    assert!(Target::load("no-such-target.yaml").is_err());
}

#[test]
fn learned_widths_count_by_their_bits() {
    let bits = |quantizer: &str, facts: &[WeightFacts]| {
        let text = format!(
            "layers: [{{name: x, input: {{shape: [16]}}}}, {{name: y, dense: {{units: 10, use_bias: false, \
             kernel_quantizer: \"{quantizer}\"}}}}]"
        );
        let mut spec = ModelSpec::parse(&text, "m").unwrap();
        spec.layers[1].facts = facts.to_vec();
        Cost::of(&spec, &Target::builtin("fpga").unwrap()).unwrap().total.weight_bits
    };
    assert_eq!(bits("learned_step(4)", &[]), 160 * 4);
    assert_eq!(bits("learned_bits(6.0)", &[]), 160 * 7);
    let facts = WeightFacts {
        weight: "kernel".to_owned(),
        non_zeros: None,
        storage: <_>::default(),
        total_bits: Some(321),
    };
    assert_eq!(bits("learned_bits(6.0)", &[facts]), 321);
}
