//! Tests of the client against a real registry.

mod real;
