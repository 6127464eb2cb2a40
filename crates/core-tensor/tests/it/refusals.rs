//! Invalid arguments are refused before candle sees them, with errors that name the operation.

use tinsmith_core_tensor::{DType, Device, Result, Tensor, ops};
use tinsmith_kernels::{
    Activation, Conv1dGeometry, Conv2dGeometry, ConvTransposeGeometry, Padding, Pool1dGeometry,
    Pool2dGeometry, Threads,
};

use crate::reference::normal_tensor;

#[track_caller]
fn refused(result: Result<Tensor>, parts: &[&str]) {
    let message = result.map(drop).unwrap_err().to_string();
    for part in parts {
        assert!(message.contains(part), "{message:?} does not say {part:?}");
    }
}

fn zeros(dims: &[usize]) -> Tensor {
    Tensor::zeros(dims, DType::F32, &Device::Cpu).unwrap()
}

#[test]
fn convolutions() {
    let (x, w) = (zeros(&[2, 5, 6, 4]), zeros(&[3, 3, 4, 8]));
    let g = Conv2dGeometry::default();
    let conv = |x: &Tensor, w: &Tensor, g: &Conv2dGeometry| ops::conv2d(x, w, None, g, Threads::ONE);
    refused(conv(&zeros(&[5, 6, 4]), &w, &g), &["conv2d", "[5, 6, 4]", "batch, height, width, channels"]);
    refused(conv(&x, &zeros(&[3, 3, 5, 8]), &g), &["conv2d", "[3, 3, 5, 8]", "4 input channels"]);
    refused(conv(&x, &w, &Conv2dGeometry { stride: (1, 0), ..g }), &["conv2d", "stride is 0"]);
    refused(conv(&x, &w, &Conv2dGeometry { dilation: (0, 1), ..g }), &["conv2d", "dilation is 0"]);
    refused(conv(&x, &w, &Conv2dGeometry { groups: 0, ..g }), &["groups is 0"]);
    refused(conv(&x, &zeros(&[3, 3, 2, 7]), &Conv2dGeometry { groups: 2, ..g }), &["2 groups"]);
    refused(conv(&x, &zeros(&[6, 3, 4, 8]), &g), &["kernel height is 6", "at most 5"]);
    refused(conv(&x, &w, &Conv2dGeometry { dilation: (1, 3), ..g }), &["kernel width is 7", "at most 6"]);
    refused(conv(&zeros(&[0, 5, 6, 4]), &w, &g), &["no dimension of size 0"]);
    refused(conv(&x, &zeros(&[3, 3, 4, 0]), &g), &["no dimension of size 0"]);
    refused(ops::conv2d(&x, &w, Some(&zeros(&[7])), &g, Threads::ONE), &["conv2d", "bias of 8"]);
    refused(conv(&x.to_dtype(DType::F64).unwrap(), &w, &g), &["conv2d", "F64", "f32"]);
    let depthwise = ops::depthwise_conv2d(&x, &zeros(&[3, 3, 3, 1]), None, &g, Threads::ONE);
    refused(depthwise, &["depthwise_conv2d", "4 channels"]);
    let grouped = Conv2dGeometry { groups: 2, ..g };
    refused(ops::depthwise_conv2d(&x, &zeros(&[3, 3, 4, 1]), None, &grouped, Threads::ONE), &["groups is 2"]);
    let flat = Conv1dGeometry::default();
    refused(
        ops::conv1d(&x, &zeros(&[3, 4, 8]), None, &flat, Threads::ONE),
        &["conv1d", "batch, length, channels"],
    );
    refused(
        ops::conv1d(&zeros(&[1, 2, 4]), &zeros(&[3, 4, 8]), None, &flat, Threads::ONE),
        &["conv1d", "is 3"],
    );
    let t = ConvTransposeGeometry::default();
    refused(
        ops::conv2d_transpose(&x, &w, None, &t, Threads::ONE),
        &["conv2d_transpose", "4 channels in its last axis"],
    );
}

#[test]
fn dense_and_normalization() {
    let x = zeros(&[2, 5]);
    refused(
        ops::dense(&x, &zeros(&[4, 3]), None, Threads::ONE),
        &["dense", "[2, 5]", "[4, 3]", "4 elements"],
    );
    refused(ops::dense(&zeros(&[5]), &zeros(&[5, 3]), None, Threads::ONE), &["dense", "rank 2"]);
    refused(ops::dense(&zeros(&[0, 5]), &zeros(&[5, 3]), None, Threads::ONE), &["size 0"]);
    let c = zeros(&[4]);
    refused(
        ops::batch_norm_train(&x, &c, &c, 1e-3, Threads::ONE).map(|r| r.0),
        &["batch_norm_train", "5 channels"],
    );
    let c = zeros(&[5]);
    for epsilon in [0.0, -1.0, f32::NAN, f32::INFINITY] {
        refused(
            ops::batch_norm_train(&x, &c, &c, epsilon, Threads::ONE).map(|r| r.0),
            &["epsilon", "positive"],
        );
    }
}

#[test]
fn pooling() {
    let x = zeros(&[2, 5, 6, 4]);
    let g = Pool2dGeometry::new((2, 2));
    refused(
        ops::max_pool2d(&x, &Pool2dGeometry::new((6, 2)), Threads::ONE),
        &["max_pool2d", "window height is 6"],
    );
    refused(ops::max_pool2d(&x, &Pool2dGeometry::new((0, 2)), Threads::ONE), &["window is 0"]);
    refused(ops::average_pool2d(&x, &Pool2dGeometry { stride: (0, 1), ..g }, Threads::ONE), &["stride is 0"]);
    let padded = Pool2dGeometry { padding: (Padding { before: 2, after: 0 }, Padding::NONE), ..g };
    refused(ops::average_pool2d(&x, &padded, Threads::ONE), &["padding is 2", "less than the window of 2"]);
    let flat = Pool1dGeometry { window: 2, stride: 2, padding: Padding::NONE };
    refused(ops::max_pool1d(&x, &flat, Threads::ONE), &["max_pool1d", "batch, length, channels"]);
    refused(ops::global_average_pool(&zeros(&[2, 5]), Threads::ONE), &["global_average_pool"]);
}

#[test]
fn losses_and_maps() {
    let z = normal_tensor(1, &[2, 3]);
    let loss = |targets: &Tensor, s: f32| ops::softmax_cross_entropy(&z, targets, s, Threads::ONE);
    refused(loss(&Tensor::new(&[0_u32, 3], &Device::Cpu).unwrap(), 0.0), &["label 3 in row 1", "0 to 2"]);
    refused(loss(&Tensor::new(&[0_i64, -1], &Device::Cpu).unwrap(), 0.0), &["label -1 in row 1"]);
    refused(loss(&Tensor::new(&[0_u32], &Device::Cpu).unwrap(), 0.0), &["[2, 3]", "[1]"]);
    refused(loss(&zeros(&[2, 4]), 0.0), &["[2, 4]"]);
    refused(loss(&z, 1.5), &["smoothing is 1.5"]);
    refused(ops::ste(&z, &zeros(&[3, 2])), &["ste", "[3, 2]"]);
    let values = vec![1.0, 2.0];
    refused(ops::map_channels_with_gradient(&z, values, |x, _| (x, 1.0), Threads::ONE), &["1 value or 3"]);
    refused(
        ops::map_parameter_with_gradient(&z, &zeros(&[2]), |x, _| (x, 1.0, 0.0), Threads::ONE),
        &["parameter or 3"],
    );
    refused(ops::activation(&zeros(&[0, 3]), Activation::Relu, Threads::ONE), &["activation", "size 0"]);
    let mut rng = tinsmith_foundation::Seed::new(1).rng();
    refused(ops::dropout(&z, 1.0, &mut rng), &["dropout", "rate is 1"]);
}
