//! Networks measured with the peers.

use tinsmith_network::ModelSpec;

/// A network with its batch size.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    pub(crate) shape: &'static [usize],
    pub(crate) classes: usize,
    pub(crate) batch: usize,
    /// Resident rows.
    pub(crate) rows: usize,
    /// Bit width of weights and activations with `--quantized`.
    bits: Option<u32>,
}

pub(crate) const ALL: [Workload; 6] = [
    Workload { name: "jet_mlp", shape: &[16], classes: 5, batch: 1024, rows: 65_536, bits: Some(6) },
    Workload { name: "sparana_mlp", shape: &[784], classes: 10, batch: 128, rows: 8192, bits: None },
    Workload { name: "mnist_cnn", shape: &[28, 28, 1], classes: 10, batch: 128, rows: 4096, bits: Some(4) },
    Workload { name: "ds_cnn", shape: &[49, 10, 1], classes: 12, batch: 100, rows: 3200, bits: None },
    Workload { name: "har_cnn1d", shape: &[128, 9], classes: 6, batch: 64, rows: 4096, bits: Some(8) },
    Workload { name: "resnet8", shape: &[32, 32, 3], classes: 10, batch: 32, rows: 1024, bits: None },
];

pub(crate) fn find(name: &str) -> Option<Workload> {
    ALL.into_iter().find(|w| w.name == name)
}

/// Lines of a specification, layer by layer.
struct Layers {
    lines: Vec<String>,
    bits: Option<u32>,
}

impl Layers {
    fn add(&mut self, name: &str, op: &str, after: Option<&str>) {
        let inputs = after.map(|a| format!(", inputs: [{a}]")).unwrap_or_default();
        self.lines.push(format!("- {{name: {name}, {op}{inputs}}}"));
    }

    fn quantizers(bits: Option<u32>) -> String {
        let quantizer = |b| format!("'quantized_bits({b},0,alpha=1)'");
        bits.map(|b| format!(", kernel_quantizer: {0}, bias_quantizer: {0}", quantizer(b)))
            .unwrap_or_default()
    }

    fn dense(&mut self, name: &str, units: usize) {
        self.add(name, &format!("dense: {{units: {units}{}}}", Self::quantizers(self.bits)), None);
    }

    fn conv(
        &mut self,
        name: &str,
        kind: &str,
        filters: usize,
        kernel: &str,
        stride: usize,
        after: Option<&str>,
    ) {
        let quantizers = Self::quantizers(self.bits);
        let op = format!(
            "{kind}: {{filters: {filters}, kernel: {kernel}, stride: {stride}, padding: same{quantizers}}}"
        );
        self.add(name, &op, after);
    }

    fn relu(&mut self, name: &str) {
        let op =
            self.bits.map_or("activation: relu".to_owned(), |b| format!("activation: 'quantized_relu({b})'"));
        self.add(name, &op, None);
    }

    fn norm_relu(&mut self, name: &str) {
        self.add(&format!("{name}_norm"), "batch_norm: {}", None);
        self.relu(&format!("{name}_relu"));
    }
}

impl Workload {
    pub(crate) fn spec(&self, quantized: bool) -> anyhow::Result<ModelSpec> {
        let bits = if quantized { self.bits } else { None };
        if quantized && bits.is_none() {
            anyhow::bail!(
                "{} is not measured with quantizers, want jet_mlp, mnist_cnn or har_cnn1d",
                self.name
            );
        }
        let mut l = Layers { lines: Vec::new(), bits };
        l.add("x", &format!("input: {{shape: {:?}}}", self.shape), None);
        match self.name {
            "jet_mlp" | "sparana_mlp" => {
                let widths: &[usize] = if self.name == "jet_mlp" { &[64, 32, 32] } else { &[1000, 800, 400] };
                for (i, &units) in widths.iter().enumerate() {
                    l.dense(&format!("d{i}"), units);
                    l.relu(&format!("r{i}"));
                }
            }
            "mnist_cnn" | "har_cnn1d" => {
                let (kind, kernel, pool, hidden) = if self.name == "mnist_cnn" {
                    ("conv2d", "3", "max_pool2d", 128)
                } else {
                    ("conv1d", "5", "max_pool1d", 64)
                };
                for filters in [32, 64] {
                    l.conv(&format!("c{filters}"), kind, filters, kernel, 1, None);
                    l.relu(&format!("r{filters}"));
                    l.add(&format!("p{filters}"), &format!("{pool}: {{}}"), None);
                }
                l.add("flat", "flatten: {}", None);
                l.dense("hidden", hidden);
                l.relu("r");
            }
            "ds_cnn" => {
                l.conv("c", "conv2d", 64, "[10, 4]", 2, None);
                l.norm_relu("c");
                for i in 0..4 {
                    l.add(&format!("d{i}"), "depthwise_conv2d: {kernel: 3, padding: same}", None);
                    l.norm_relu(&format!("d{i}"));
                    l.conv(&format!("p{i}"), "conv2d", 64, "1", 1, None);
                    l.norm_relu(&format!("p{i}"));
                }
                l.add("pool", "global_average_pool2d: {}", None);
            }
            _ => {
                l.conv("c", "conv2d", 16, "3", 1, None);
                l.norm_relu("c");
                let mut before = "c_relu".to_owned();
                for (i, filters) in [16, 32, 64].into_iter().enumerate() {
                    let stride = if i == 0 { 1 } else { 2 };
                    let name = |part: &str| format!("b{i}{part}");
                    l.conv(&name("a"), "conv2d", filters, "3", stride, Some(&before));
                    l.norm_relu(&name("a"));
                    l.conv(&name("b"), "conv2d", filters, "3", 1, None);
                    l.add(&name("b_norm"), "batch_norm: {}", None);
                    let shortcut = if stride == 1 {
                        before
                    } else {
                        l.conv(&name("s"), "conv2d", filters, "1", stride, Some(&before));
                        name("s")
                    };
                    l.lines.push(format!(
                        "- {{name: {}, add: {{}}, inputs: [{}, {shortcut}]}}",
                        name("sum"),
                        name("b_norm")
                    ));
                    l.relu(&name("relu"));
                    before = name("relu");
                }
                l.add("pool", "global_average_pool2d: {}", None);
            }
        }
        l.dense("y", self.classes);
        Ok(ModelSpec::parse(&format!("name: {}\nlayers:\n{}\n", self.name, l.lines.join("\n")), self.name)?)
    }
}
