//! testkit

pub mod otlp;
