//! Views that treat several kinds of layers alike.

use tinsmith_network::{Activation, Merging, Op, OpFamily, Pair, Product, ProductKind, Quantizer, op};

use crate::kind_examples;

/// One operation of each kind, the inputs of the examples included.
fn examples() -> Vec<Op> {
    kind_examples::all().into_iter().flat_map(|(_, spec)| spec.layers).map(|layer| layer.op).collect()
}

#[test]
fn a_product_becomes_the_same_layer_again() {
    for op in examples() {
        let Some(product) = op.product() else { continue };
        let activation = op.activation().unwrap().clone();
        assert_eq!(product.into_op(activation), Some(op));
    }
}

#[test]
fn a_new_product_has_the_defaults_of_its_kind() {
    for (op, kind, axes, filters, size) in [
        (Op::Dense(op::Dense::new(4)), ProductKind::Dense, 0, 4, Pair::ONE),
        (Op::Conv1d(op::Conv1d::new(4, 3)), ProductKind::Convolution, 1, 4, Pair::new(1, 3)),
        (Op::SeparableConv2d(op::SeparableConv2d::new(4, 3)), ProductKind::Separable, 2, 4, Pair::square(3)),
        (Op::DepthwiseConv2d(op::DepthwiseConv2d::new(3)), ProductKind::Depthwise, 2, 0, Pair::square(3)),
    ] {
        let product = Product::new(kind, axes, filters, size);
        assert_eq!(op.product(), Some(product), "{}", op.name());
        assert_eq!(product.into_op(Activation::Linear), Some(op));
    }
    // There is no transposed convolution over time.
    let transposed = Product::new(ProductKind::Transposed, 1, 4, Pair::new(1, 3));
    assert_eq!(transposed.into_op(Activation::Linear), None);
}

#[test]
fn descriptions_name_kind_window_and_activation() {
    let described = Op::description;
    assert_eq!(described(&Op::Dense(op::Dense::new(4))), "dense");
    let conv = op::Conv2d { activation: Activation::Relu, ..op::Conv2d::new(4, Pair::new(3, 2)) };
    assert_eq!(described(&Op::Conv2d(conv)), "conv2d 3×2, relu");
    assert_eq!(described(&Op::MaxPool1d(op::Pool1d::new(4))), "max_pool1d 4");
    assert_eq!(described(&Op::Activation(Activation::Tanh)), "tanh");
}

#[test]
fn every_kind_has_the_family_of_its_view() {
    for op in examples() {
        let family = op.family();
        assert_eq!(op.product().is_some(), family == OpFamily::Product, "{}", op.name());
        assert_eq!(op.pooling().is_some(), family == OpFamily::Pooling, "{}", op.name());
        assert_eq!(op.merging().is_some(), family == OpFamily::Merge, "{}", op.name());
        assert_eq!(op.is_input(), family == OpFamily::Input, "{}", op.name());
        assert_eq!(op.is_activation(), family == OpFamily::Activation, "{}", op.name());
        assert_eq!(
            op.merging().is_some_and(Merging::is_elementwise),
            ["add", "subtract", "multiply"].contains(&op.name())
        );
    }
}

#[test]
fn the_kernel_quantizer_is_set_on_every_kernel() {
    let quantizer = Some(Quantizer::fixed(4, 0));
    for op in examples() {
        let Some(product) = op.product() else { continue };
        let product = product.with_kernel_quantizer(quantizer);
        assert!(product.kernels().all(|kernel| kernel.quantizer == quantizer));
        assert_eq!(product.last_kernel(), product.kernels().last().unwrap());
    }
}
