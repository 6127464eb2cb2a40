//! A network specification made trainable.
