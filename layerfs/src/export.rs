//! [`Exporter`]: where finished images go.
