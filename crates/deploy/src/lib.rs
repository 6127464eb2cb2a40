//! Shipping a trained network: integer inference and C.
