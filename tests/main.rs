//! Product tests: every one drives the built binary as a user would.
