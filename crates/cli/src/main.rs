//! The `tinsmith` command.

fn main() {}
