//! Keys of a kernel's settings in Keras and `QKeras`.

/// The key of a kernel's quantizer in `QKeras`.
pub(crate) fn quantizer_key(kernel: &str) -> &'static str {
    match kernel {
        "depthwise_kernel" => "depthwise_quantizer",
        "pointwise_kernel" => "pointwise_quantizer",
        _ => "kernel_quantizer",
    }
}

/// The key of a kernel's initializer in Keras.
pub(crate) fn initializer_key(kernel: &str) -> &'static str {
    match kernel {
        "depthwise_kernel" => "depthwise_initializer",
        "pointwise_kernel" => "pointwise_initializer",
        _ => "kernel_initializer",
    }
}
