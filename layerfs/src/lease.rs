//! [`Lease`]: says what a running build reads and writes, so that gc leaves it alone.
