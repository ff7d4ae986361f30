//! Outputs: stub.
