//! Sums of products in C.

use super::function::{Writer, c_name};
use crate::kernel::Kernel;
use crate::network::{Element, Product};
use crate::sum::{integer_sum, plain_rounding, shifts};

/// The number of a kernel's element at taps `ky`, `kx`, channel `c` and output `f`.
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

/// The number of an input's element at `iy`, `ix`, channel `c` of the group of output `f`.
fn input_index(product: &Product) -> String {
    let [_, width, channels] = product.windows.input;
    let first = match product.groups {
        Some(1) => "c".to_owned(),
        Some(groups) => format!("f / {} * {} + c", product.outputs / groups, product.depth()),
        None if product.outputs == channels => "f".to_owned(),
        None => format!("f / {}", product.outputs / channels),
    };
    format!("(iy * {width} + ix) * {channels} + {first}")
}

/// Opens every loop of the sum and writes `body` of (input, kernel element), then closes them.
fn accumulate(
    writer: &mut Writer<'_>,
    product: &Product,
    body: impl Fn(&str, &str) -> String,
    name: &str,
    input: &str,
) {
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
    writer.close_taps();
}

/// A dense layer or a convolution, depthwise or not.
pub(super) fn product(writer: &mut Writer<'_>, product: &Product) {
    if integer(writer, product) {
        return;
    }
    writer.open_positions(&product.windows);
    writer.out.count("f", product.outputs);
    float_sum(writer, product, "x0", writer.inputs[0], "");
    let at =
        format!("const int32_t o = (oy * {} + ox) * {} + f;", product.windows.output[1], product.outputs);
    writer.out.line(&at);
    writer.finish();
    writer.out.close();
    writer.close_taps();
}

/// Writes `float v`, the sum with scale and bias.
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

/// Writes the product in integers, where it can be.
fn integer(writer: &mut Writer<'_>, product: &Product) -> bool {
    let Some(sum) = integer_sum(product, writer.inputs[0], 0) else { return false };
    let rounding = plain_rounding(&writer.step.pointwise).filter(|_| writer.output != Element::Float);
    let shifts = rounding.and_then(|(_, unit)| shifts(&sum.worth, unit)).filter(|_| sum.is_exact);
    let is_shifted_up = shifts.as_ref().is_some_and(|s| s.iter().any(|shift| *shift < 0));
    let bits = if sum.fits_32() && !is_shifted_up { 32 } else { 64 };
    let kind = format!("int{bits}_t");
    let number = writer.number;
    writer.open_positions(&product.windows);
    writer.out.count("f", product.outputs);
    writer.out.line(&format!("{kind} sum = 0;"));
    let wide = if bits == 64 { "(int64_t)" } else { "" };
    accumulate(writer, product, |x, w| format!("sum += {wide}{x} * {w};"), &format!("w{number}"), "x0");
    let at =
        format!("const int32_t o = (oy * {} + ox) * {} + f;", product.windows.output[1], product.outputs);
    writer.out.line(&at);
    if sum.is_exact && !sum.bias.is_empty() {
        let bias = writer.data.integers(&format!("b{number}"), &sum.bias).at("f");
        let lift = if sum.lift > 0 { format!("sum * {}", 1_u32 << sum.lift) } else { "sum".to_owned() };
        writer.out.line(&format!("sum = {lift} + {bias};"));
    }
    if let (Some(shifts), Some((q, _))) = (shifts, rounding) {
        let shifts: Vec<i64> = shifts.iter().map(|s| i64::from(*s)).collect();
        if shifts.iter().any(|s| *s != 0) {
            let up = shifts.iter().map(|s| (-s).max(0)).max().unwrap_or(0);
            if up > 0 {
                // All are brought to the finest unit first, where some have a coarser one.
                writer.out.line(&format!("sum *= INT64_C({});", 1_i64 << up));
            }
            let down: Vec<i64> = shifts.iter().map(|s| s + up).collect();
            if down.iter().any(|s| *s != 0) {
                writer.data.shifter(bits);
                let shift = writer.data.integers(&format!("shift{number}"), &down).at("f");
                writer.out.line(&format!("sum = shift_down{bits}(sum, {shift});"));
            }
        }
        writer.out.line(&format!("sum = sum < {} ? {} : sum > {} ? {} : sum;", q.low, q.low, q.high, q.high));
        writer.out.line(&format!("y[o] = ({})sum;", c_name(writer.output)));
    } else {
        let worth: Vec<f32> = sum.worth.iter().map(|w| *w as f32).collect();
        let worth = writer.data.floats(&format!("s{number}"), &worth).at("f");
        writer.out.line(&format!("float v = (float)sum * {worth};"));
        if let Some(bias) = product.bias.as_ref().filter(|_| !sum.is_exact) {
            let bias = writer.data.floats(&format!("b{number}"), bias).at("f");
            writer.out.line(&format!("v = v + {bias};"));
        }
        writer.finish();
    }
    writer.out.close();
    writer.close_taps();
    true
}

/// A depthwise product of one position into `inner`, then the pointwise one of it.
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
    let at =
        format!("const int32_t o = (oy * {} + ox) * {} + f;", depthwise.windows.output[1], pointwise.outputs);
    writer.out.line(&at);
    writer.finish();
    writer.out.close();
    writer.close_taps();
}
