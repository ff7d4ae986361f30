//! [`Sandbox`]: runs a command in namespaces of its own, as Docker would.

pub mod spec;
