//! A neural network as data: layers, quantizers, shapes, structural hash, cost.
