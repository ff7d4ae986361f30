//! Tests of the client against a registry that does as it is told, and a real one.

mod auth;
mod blob;
mod manifest;
mod real;
mod transport;
mod upload;
