//! Kernels as candle operations with gradients, for channels-last activations.
//!
//! Every function checks types and shapes before candle sees them; errors name the operation. Gradients are computed
//! only for tensors that candle tracks, so the input gradient of a first layer costs nothing. Tensors with other
//! memory layouts are made contiguous first. Values are `f32` in CPU memory.

mod access;
mod activation;
mod affine;
mod batch_norm;
mod dropout;
mod loss;
mod map;
mod pool;
mod straight_through;

pub use activation::{activation, softmax};
pub use affine::{conv1d, conv2d, conv2d_transpose, dense, depthwise_conv1d, depthwise_conv2d};
pub use batch_norm::{batch_norm_inference, batch_norm_train, channel_affine, moments};
pub use dropout::{dropout, dropout_factors};
pub use loss::softmax_cross_entropy;
pub use map::{map, map_channels_with_gradient, map_parameter_with_gradient, map_with_gradient};
pub use pool::{
    average_pool1d, average_pool2d, global_average_pool, global_max_pool, max_pool1d, max_pool2d,
};
pub use straight_through::{floor, round, sign, ste, ste_scaled};
