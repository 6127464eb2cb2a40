//! Package of the numbered examples beside this file; run one with `cargo run --example NAME`.
