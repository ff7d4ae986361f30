//! [`BuildError`]: what can go wrong with a build.
