//! Dense layers and convolutions in C.

use super::writer::{Writer, c_name};
use crate::kernel::{Kernel, Rows};
use crate::network::{Element, Product};
use crate::pointwise::Quantization;
use crate::sum::{INEXACT_LIFT, IntegerSum, integer_sum, multiplier, plain_rounding, shifts};

/// Returns the index of the kernel element at taps `ky`, `kx`, channel `c` and output `f`.
fn kernel_index(product: &Product) -> String {
    let width = product.windows.size[1];
    let tap = match product.windows.size {
        [1, 1] => String::new(),
        [1, _] => "kx".to_owned(),
        _ => format!("(ky * {width} + kx)"),
    };
    let depth = product.depth();
    let row = match (tap.is_empty(), depth) {
        // A depthwise sum has no channels to go over: its output is its channel.
        (true, _) if product.groups.is_none() => return "f".to_owned(),
        (true, _) => "c".to_owned(),
        (false, _) if product.groups.is_none() => tap,
        (false, _) => format!("({tap} * {depth} + c)"),
    };
    format!("{row} * {} + f", product.outputs)
}

/// Returns the index of the input element at `iy`, `ix`, channel `c` of the group of output `f`.
fn input_index(product: &Product) -> String {
    let [_, width, channels] = product.windows.input;
    let first = match product.groups {
        Some(1) => "c".to_owned(),
        Some(groups) => format!("f / {} * {} + c", product.outputs / groups, product.depth()),
        None if product.outputs == channels => "f".to_owned(),
        None => format!("f / {}", product.outputs / channels),
    };
    if product.windows.is_point() { first } else { format!("(iy * {width} + ix) * {channels} + {first}") }
}

/// Writes the loops of the sum around `body`, which gets the input and the kernel element.
fn accumulate(
    writer: &mut Writer<'_>,
    product: &Product,
    body: impl Fn(&str, &str) -> String,
    name: &str,
    input: &str,
) {
    if let Some(rows) = product.kernel.rows(product.outputs).filter(|_| product.is_sparse) {
        accumulate_rows(writer, product, &rows, body, name, input);
        return;
    }
    let weight = writer.data.kernel(name, &product.kernel).at(&kernel_index(product));
    writer.open_taps(&product.windows);
    let depth = product.depth();
    let has_channels = product.groups.is_some();
    if has_channels {
        writer.out.count("c", depth);
    }
    let x = format!("{input}[{}]", input_index(product));
    let line = body(&x, &weight);
    writer.out.line(&line);
    if has_channels {
        writer.out.close();
    }
    writer.close_taps(&product.windows);
}

/// Writes the sum over the non-zero elements of a matrix.
fn accumulate_rows(
    writer: &mut Writer<'_>,
    product: &Product,
    rows: &Rows,
    body: impl Fn(&str, &str) -> String,
    name: &str,
    input: &str,
) {
    let weight = writer.data.kernel(name, &rows.kernel).at("j");
    let starts = writer.data.integers(&format!("{name}_starts"), &rows.starts);
    let column = writer.data.integers(&format!("{name}_columns"), &rows.columns).at("j");
    let [_, width, channels] = product.windows.input;
    writer.out.block(&format!("for (int32_t j = {}; j < {}; ++j)", starts.at("f"), starts.at("f + 1")));
    let place = if product.windows.is_point() {
        String::new()
    } else {
        format!("(oy * {width} + ox) * {channels} + ")
    };
    let line = body(&format!("{input}[{place}{column}]"), &weight);
    writer.out.line(&line);
    writer.out.close();
}

/// Writes a dense layer or a convolution, depthwise or not.
pub(super) fn product(writer: &mut Writer<'_>, product: &Product) {
    if integer(writer, product) {
        return;
    }
    writer.open_positions(&product.windows);
    writer.out.count("f", product.outputs);
    float_sum(writer, product, "x0", writer.inputs[0], "");
    writer.number(&product.windows, product.outputs, "f");
    writer.finish();
    writer.out.close();
    writer.close_positions(&product.windows);
}

/// Writes `float v`: the sum with scale and bias.
fn float_sum(writer: &mut Writer<'_>, product: &Product, input: &str, element: Element, suffix: &str) {
    let name = format!("w{}{suffix}", writer.number);
    writer.out.line("float v = 0.0f;");
    let is_integer = matches!(product.kernel, Kernel::Integer(_));
    let cast = if is_integer { "(float)" } else { "" };
    let unit = match element {
        Element::Float => 1.0,
        Element::Code { unit, .. } => unit,
    };
    let plain = if element == Element::Float { "" } else { "(float)" };
    accumulate(writer, product, |x, w| format!("v += {plain}{x} * {cast}{w};"), &name, input);
    let scales: Vec<f32> = match &product.kernel {
        Kernel::Integer(kernel) => kernel.scales.iter().map(|s| s * kernel.unit * unit).collect(),
        Kernel::Float(_) => vec![unit],
    };
    if scales != [1.0] {
        let scale = writer.data.floats(&format!("s{}{suffix}", writer.number), &scales).at("f");
        writer.out.line(&format!("v = v * {scale};"));
    }
    if let Some(bias) = &product.bias {
        let bias = writer.data.floats(&format!("b{}{suffix}", writer.number), bias).at("f");
        writer.out.line(&format!("v = v + {bias};"));
    }
}

/// Writes the product with integers; returns false if it has no integer form.
fn integer(writer: &mut Writer<'_>, product: &Product) -> bool {
    let rounding = plain_rounding(&writer.step.pointwise).filter(|_| writer.output != Element::Float);
    let lift = if rounding.is_some() { INEXACT_LIFT } else { 0 };
    let Some(sum) = integer_sum(product, writer.inputs[0], lift) else { return false };
    let rule = rounding.and_then(|(q, unit)| Some((q, Rule::new(&sum, unit)?)));
    // Left shifts need headroom that the bound of the sum does not include.
    let bits = match &rule {
        Some((_, Rule::Shifts(shifts))) if shifts.iter().any(|shift| *shift < 0) => 64,
        _ if sum.fits_32() => 32,
        _ => 64,
    };
    let number = writer.number;
    writer.open_positions(&product.windows);
    writer.out.count("f", product.outputs);
    writer.out.line(&format!("int{bits}_t sum = 0;"));
    accumulate(
        writer,
        product,
        |x, w| format!("sum += (int{bits}_t){x} * {w};"),
        &format!("w{number}"),
        "x0",
    );
    writer.number(&product.windows, product.outputs, "f");
    if (sum.is_exact || rule.is_some()) && !sum.bias.is_empty() {
        let bias = writer.data.integers(&format!("b{number}"), &sum.bias).at("f");
        let lift = if sum.lift > 0 { format!("sum * {}", 1_u32 << sum.lift) } else { "sum".to_owned() };
        writer.out.line(&format!("sum = {lift} + {bias};"));
    }
    match rule {
        Some((q, rule)) => requantize(writer, &q, &rule, bits),
        None => float_finish(writer, product, &sum),
    }
    writer.out.close();
    writer.close_positions(&product.windows);
    true
}

/// Rule from sums to codes, on integers alone.
enum Rule {
    /// Right shifts, one per output or one for all.
    Shifts(Vec<i32>),
    /// Multipliers and right shifts.
    Multipliers(Vec<(i64, i32)>),
}

impl Rule {
    fn new(sum: &IntegerSum, unit: f32) -> Option<Self> {
        if let Some(shifts) = shifts(&sum.step_size, unit) {
            return Some(Self::Shifts(shifts));
        }
        // A 32-bit sum times a 30-bit multiplier fits into 64 bits.
        let multipliers: Option<Vec<_>> =
            sum.step_size.iter().map(|step_size| multiplier(*step_size, unit)).collect();
        multipliers.filter(|_| sum.fits_32()).map(Self::Multipliers)
    }
}

fn requantize(writer: &mut Writer<'_>, q: &Quantization, rule: &Rule, bits: u32) {
    let number = writer.number;
    match rule {
        Rule::Shifts(shifts) => {
            let up = shifts.iter().map(|shift| (-shift).max(0)).max().unwrap_or(0);
            if up > 0 {
                // A negative shift is a multiplication, so all sums move to the finest unit first.
                writer.out.line(&format!("sum *= INT64_C({});", 1_i64 << up));
            }
            let down: Vec<i64> = shifts.iter().map(|shift| i64::from(shift + up)).collect();
            if down.iter().any(|shift| *shift != 0) {
                writer.data.shifter(bits);
                let shift = writer.data.integers(&format!("shift{number}"), &down).at("f");
                writer.out.line(&format!("sum = shift_down{bits}(sum, {shift});"));
            }
            writer.out.line(&format!("sum = {};", clamp("sum", q)));
            writer.out.line(&format!("y[o] = ({})sum;", c_name(writer.output)));
        }
        Rule::Multipliers(multipliers) => {
            writer.data.shifter(64);
            let mantissas: Vec<i64> = multipliers.iter().map(|(mantissa, _)| *mantissa).collect();
            let shifts: Vec<i64> = multipliers.iter().map(|(_, shift)| i64::from(*shift)).collect();
            let mantissa = writer.data.integers(&format!("m{number}"), &mantissas).at("f");
            let shift = writer.data.integers(&format!("shift{number}"), &shifts).at("f");
            writer.out.line(&format!("int64_t code = shift_down64((int64_t)sum * {mantissa}, {shift});"));
            writer.out.line(&format!("code = {};", clamp("code", q)));
            writer.out.line(&format!("y[o] = ({})code;", c_name(writer.output)));
        }
    }
}

fn clamp(variable: &str, q: &Quantization) -> String {
    let (low, high) = (q.low, q.high);
    format!("{variable} < {low} ? {low} : {variable} > {high} ? {high} : {variable}")
}

/// Writes the sum as a float, and its element-wise functions.
fn float_finish(writer: &mut Writer<'_>, product: &Product, sum: &IntegerSum) {
    let number = writer.number;
    let step_size: Vec<f32> = sum.step_size.iter().map(|w| *w as f32).collect();
    let step_size = writer.data.floats(&format!("s{number}"), &step_size).at("f");
    writer.out.line(&format!("float v = (float)sum * {step_size};"));
    if let Some(bias) = product.bias.as_ref().filter(|_| !sum.is_exact) {
        let bias = writer.data.floats(&format!("b{number}"), bias).at("f");
        writer.out.line(&format!("v = v + {bias};"));
    }
    writer.finish();
}

/// Writes a depthwise product of one position into `inner`, then the pointwise product of it.
pub(super) fn separable(writer: &mut Writer<'_>, depthwise: &Product, pointwise: &Product) {
    let element = writer.inputs[0];
    writer.open_positions(&depthwise.windows);
    writer.out.count("f", depthwise.outputs);
    float_sum(writer, depthwise, "x0", element, "_depthwise");
    writer.out.line("inner[f] = v;");
    writer.out.close();
    writer.out.count("f", pointwise.outputs);
    let index = format!("c * {} + f", pointwise.outputs);
    let weight = writer.data.kernel(&format!("w{}", writer.number), &pointwise.kernel).at(&index);
    let cast = if matches!(pointwise.kernel, Kernel::Integer(_)) { "(float)" } else { "" };
    writer.out.line("float v = 0.0f;");
    writer.out.count("c", depthwise.outputs);
    writer.out.line(&format!("v += inner[c] * {cast}{weight};"));
    writer.out.close();
    if let Kernel::Integer(kernel) = &pointwise.kernel {
        let scales: Vec<f32> = kernel.scales.iter().map(|s| s * kernel.unit).collect();
        let scale = writer.data.floats(&format!("s{}", writer.number), &scales).at("f");
        writer.out.line(&format!("v = v * {scale};"));
    }
    if let Some(bias) = &pointwise.bias {
        let bias = writer.data.floats(&format!("b{}", writer.number), bias).at("f");
        writer.out.line(&format!("v = v + {bias};"));
    }
    writer.number(&depthwise.windows, pointwise.outputs, "f");
    writer.finish();
    writer.out.close();
    writer.close_positions(&depthwise.windows);
}
