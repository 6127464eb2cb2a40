//! Drawing of a network as boxes from top to bottom, with the cost of each layer.

mod layout;

use tinsmith_cost::{Cost, LayerCost};
use tinsmith_network::{Graph, ModelSpec, Op, OpFamily, ProductKind};

use crate::error::{ReportError, Result};
use crate::frame;
use crate::number::{bytes, short};
use crate::svg::{SMALL, Svg, color, coordinate};
use crate::text::{shorten, width};

use layout::{BOX_WIDTH, BoxPosition, GraphLayout, RoutedEdge};

const MARGIN: f64 = 16.0;
/// Font size that yields the width of bold text.
const BOLD: f64 = SMALL * 1.12;

/// Drawing of a network: a box per layer with its name, kind, output shape, parameters and bits, and an arrow per
/// connection. Connections that skip layers are routed around them.
///
/// ```
/// use tinsmith_report::NetworkDrawing;
/// use tinsmith_cost::{Cost, Target};
/// use tinsmith_network::ModelSpec;
///
/// let spec = ModelSpec::parse(
///     "layers:
///        - {name: x, input: {shape: [8]}}
///        - {name: hidden, dense: {units: 16, activation: relu}}
///        - {name: classes, dense: {units: 3, activation: softmax}}",
///     "example",
/// )?;
/// let cost = Cost::of(&spec, &Target::builtin("mcu-int8").expect("it is built in"))?;
/// let svg = NetworkDrawing::new("A small one", &spec, &cost).to_svg()?;
/// assert!(svg.contains("hidden"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct NetworkDrawing<'a> {
    /// Title.
    pub title: String,
    /// The network.
    pub spec: &'a ModelSpec,
    /// Cost of the network.
    pub cost: &'a Cost,
}

impl<'a> NetworkDrawing<'a> {
    /// Creates a drawing of `spec` with the figures of `cost`.
    pub fn new(title: impl Into<String>, spec: &'a ModelSpec, cost: &'a Cost) -> Self {
        Self { title: title.into(), spec, cost }
    }

    /// Renders the drawing as SVG.
    ///
    /// # Errors
    /// [`ReportError::Spec`] if the network is invalid, [`ReportError::OtherCost`] if the cost belongs to another network.
    pub fn to_svg(&self) -> Result<String> {
        let graph = self.spec.graph()?;
        self.check()?;
        if graph.nodes.is_empty() {
            return Ok(frame::no_data(&self.title, &[]));
        }
        let layout = GraphLayout::of(&graph, |i| self.is_slim(i));
        let total = layout.width + 2.0 * MARGIN;
        let mut svg = Svg::default();
        let mut top = frame::header(&mut svg, total, &self.title, &[]);
        for line in self.summary() {
            top += 16.0;
            svg.text([MARGIN - 2.0, top], "muted", &shorten(&line, SMALL, total - 2.0 * MARGIN + 4.0));
        }
        top += 16.0;
        for edge in &layout.edges {
            draw_edge(&mut svg, &layout, edge, top);
        }
        for i in 0..graph.nodes.len() {
            self.draw_box(&mut svg, i, &graph, &layout.boxes[i], top);
        }
        let label = format!("{}: {} layers", self.title, graph.nodes.len());
        Ok(svg.finish(total, top + layout.height + MARGIN, (total * 0.65).max(320.0), &label))
    }

    fn check(&self) -> Result<()> {
        let name = |name: Option<&str>| name.unwrap_or("no layer").to_owned();
        for index in 0..self.spec.layers.len().max(self.cost.layers.len()) {
            let spec = self.spec.layers.get(index).map(|l| l.name.as_str());
            let cost = self.cost.layers.get(index).map(|l| l.name.as_str());
            if spec != cost {
                return Err(ReportError::OtherCost { index, spec: name(spec), cost: name(cost) });
            }
        }
        Ok(())
    }

    fn summary(&self) -> [String; 3] {
        let total = &self.cost.total;
        let (params, macs) = (short(total.params as f64), short(total.macs as f64));
        let (flash, ram) = (bytes(total.flash_bytes as f64), bytes(self.cost.peak_ram.bytes as f64));
        [
            format!("{params} parameters, {macs} MACs"),
            format!("{flash} flash, {ram} RAM ({})", self.cost.target),
            "bar: share of flash; bits: mean with biases".to_owned(),
        ]
    }

    /// Reports if layer `i` is fused into the layer before it.
    fn is_fused(&self, i: usize, graph: &Graph) -> bool {
        let writer = |k: usize| self.cost.layers[k].written_by;
        let op = &self.spec.layers[i].op;
        (op.is_activation() || op.batch_norm().is_some())
            && graph.nodes[i].inputs.iter().any(|&k| writer(k) == writer(i))
    }

    /// Reports if layer `i` has no cost of its own, and thus gets a box of a single line.
    fn is_slim(&self, i: usize) -> bool {
        let cost = &self.cost.layers[i].cost;
        cost.params == 0 && cost.macs == 0
    }

    fn draw_box(&self, svg: &mut Svg, i: usize, graph: &Graph, at: &BoxPosition, top: f64) {
        let (x, y) = (at.x + MARGIN, at.y + top);
        let layer = &self.spec.layers[i];
        let cost = &self.cost.layers[i];
        let kind = describe(&layer.op, self.is_fused(i, graph));
        let shape = shape_text(cost);
        svg.rect([x, y, BOX_WIDTH, at.height], r#"class="box" rx="5""#, &tooltip(cost, &kind));
        let accent = format!(r#"class="{}" fill="currentColor" rx="2""#, color(family(&layer.op)));
        svg.rect([x, y + 3.0, 4.0, at.height - 6.0], &accent, "");
        let (left, right) = (x + 13.0, x + BOX_WIDTH - 10.0);
        let room = right - left - 10.0;
        let quiet = |class: &str| format!(r#"class="{class}" pointer-events="none""#);
        if self.is_slim(i) {
            let shape = shorten(&shape, SMALL, room * 0.4);
            let name = shorten(&layer.name, BOLD, (room - width(&shape, SMALL)) * 0.55);
            let next = left + width(&name, BOLD) + 10.0;
            let kind = shorten(&kind, SMALL, right - width(&shape, SMALL) - 8.0 - next);
            svg.text_with([left, y + 18.0], &quiet("strong"), &name, "");
            svg.text_with([next, y + 18.0], &quiet("muted"), &kind, "");
            svg.text_with([right, y + 18.0], &quiet("muted end"), &shape, "");
            return;
        }
        // The name takes precedence, up to three fifths of the width.
        let name = shorten(&layer.name, BOLD, (room * 0.6).max(room - width(&kind, SMALL)));
        let kind = shorten(&kind, SMALL, room - width(&name, BOLD));
        svg.text_with([left, y + 19.0], &quiet("strong"), &name, "");
        svg.text_with([right, y + 19.0], &quiet("muted end"), &kind, "");
        let weights = weights_text(cost);
        let shape = shorten(&shape, SMALL, room - width(&weights, SMALL));
        svg.text_with([left, y + 36.0], &quiet("muted"), &shape, "");
        svg.text_with([right, y + 36.0], &quiet("end"), &weights, "");
        let bar = [left, y + at.height - 9.0, right - left, 3.0];
        svg.rect(bar, r#"class="track" rx="1.5""#, "");
        let fraction = cost.cost.flash_bytes as f64 / (self.cost.total.flash_bytes as f64).max(1.0);
        svg.rect(
            [bar[0], bar[1], bar[2] * fraction.min(1.0), bar[3]],
            &accent.replace(r#"rx="2""#, r#"rx="1.5""#),
            "",
        );
    }
}

fn shape_text(cost: &LayerCost) -> String {
    let shape: Vec<String> = cost.shape.iter().map(ToString::to_string).collect();
    format!("{} · {} bit", shape.join("×"), cost.output_bits)
}

fn weights_text(cost: &LayerCost) -> String {
    let (params, bits) = (cost.cost.params, cost.cost.weight_bits);
    match params {
        0 => format!("{} MACs", short(cost.cost.macs as f64)),
        1 => format!("1 param · {bits} bit"),
        n => format!("{} params · {} bit", short(n as f64), short(bits as f64 / n as f64)),
    }
}

fn tooltip(cost: &LayerCost, kind: &str) -> String {
    let c = &cost.cost;
    format!(
        "{}\n{kind}\noutput: {}\nparameters: {}\nMACs: {}\nweight bits: {}\nflash: {}",
        cost.name,
        shape_text(cost),
        c.params,
        c.macs,
        c.weight_bits,
        bytes(c.flash_bytes as f64)
    )
}

/// Describes a layer: its kind with kernel size, activation and fusion.
fn describe(op: &Op, is_fused: bool) -> String {
    format!("{}{}", op.description(), if is_fused { ", fused" } else { "" })
}

/// Returns the color index of a kind of layer.
fn family(op: &Op) -> usize {
    match op.family() {
        OpFamily::Product if op.product().is_some_and(|p| p.kind == ProductKind::Dense) => 3,
        OpFamily::Product => 0,
        OpFamily::Merge => 1,
        OpFamily::Pooling => 2,
        OpFamily::Activation => 4,
        OpFamily::Normalization => 6,
        _ => 7,
    }
}

fn draw_edge(svg: &mut Svg, layout: &GraphLayout, edge: &RoutedEdge, top: f64) {
    let (a, b) = (&layout.boxes[edge.from], &layout.boxes[edge.to]);
    let (ax, bx) = (a.middle() + MARGIN, b.middle() + MARGIN);
    let Some(around) = edge.around else {
        let (from, to) = (a.y + a.height + top, b.y + top - 5.0);
        let bend = f64::midpoint(from, to);
        let [ax, bx, from, bend, to] = [ax, bx, from, bend, to].map(coordinate);
        svg.path(&format!("M{ax},{from}C{ax},{bend},{bx},{bend},{bx},{to}"), r#"class="edge""#, "");
        arrow(svg, b.middle() + MARGIN, b.y + top, [0.0, 1.0]);
        return;
    };
    let x = around + MARGIN;
    let is_left = x < ax;
    let side = |p: &BoxPosition| MARGIN + if is_left { p.x } else { p.x + BOX_WIDTH };
    let out = if is_left { -1.0 } else { 1.0 };
    let (from, to) = (a.y + a.height / 2.0 + top, b.y + b.height / 2.0 + top);
    let round = (to - from).min(24.0) / 2.0;
    let command = format!(
        "M{},{}H{}Q{x},{},{x},{}V{}Q{x},{},{},{}H{}",
        coordinate(side(a)),
        coordinate(from),
        coordinate(x - out * round.min((x - side(a)).abs())),
        coordinate(from),
        coordinate(from + round),
        coordinate(to - round),
        coordinate(to),
        coordinate(x - out * round.min((x - side(b) - out * 5.0).abs())),
        coordinate(to),
        coordinate(side(b) + out * 5.0),
        x = coordinate(x),
    );
    svg.path(&command, r#"class="edge""#, "");
    arrow(svg, side(b), to, [-out, 0.0]);
}

/// Draws an arrowhead at (`x`, `y`) in direction (`dx`, `dy`).
fn arrow(svg: &mut Svg, x: f64, y: f64, [dx, dy]: [f64; 2]) {
    let (bx, by) = (x - 7.0 * dx, y - 7.0 * dy);
    let command = format!(
        "M{},{}L{},{}L{},{}Z",
        coordinate(x),
        coordinate(y),
        coordinate(bx - 4.0 * dy),
        coordinate(by + 4.0 * dx),
        coordinate(bx + 4.0 * dy),
        coordinate(by - 4.0 * dx)
    );
    svg.path(&command, r#"class="tip""#, "");
}
