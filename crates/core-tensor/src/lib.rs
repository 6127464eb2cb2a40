//! Tensors, CPU kernels for small networks, parameters, initializers and safetensors.
