//! Architecture search under hardware limits.
