//! Execution: keys, records, steps.
