//! Product tests: every one drives the built binary as a user would.
//!
//! `tests/setup`, `tests/bases` and `tests/apt-repository` make what they need; `tests/everywhere` runs them as root, as
//! a plain user with id ranges and as one without. Names that begin with `userns_` need user namespaces, those that
//! begin with `subid_` need id ranges.

mod harness;

mod archives;
mod bad_input;
mod bad_input_bounds;
mod bad_input_changes;
mod bad_input_outputs;
mod build_cache;
mod care;
mod commands;
mod containers;
mod diff;
mod differential;
mod direction;
mod engines;
mod flags;
mod generated;
mod images;
mod invocations;
mod lab;
mod language_add;
mod language_cases;
mod language_checks;
mod language_contexts;
mod language_copy;
mod language_onbuild;
mod language_platforms;
mod language_rows;
mod language_run;
mod large_contexts;
mod on_fail;
mod outputs;
mod outputs_at_once;
mod outputs_files;
mod parallel;
mod progress;
mod real;
mod reference;
mod registry;
mod registry_auth;
mod registry_faults;
mod registry_forms;
mod registry_pull;
mod registry_push;
mod registry_servers;
mod reproducible;
mod sandbox_docker;
mod sandbox_mounts;
mod sandbox_run;
mod sandbox_view;
mod survive;
mod trace;
mod tree;
mod usage;
