//! [`StageGraph`]: which stages the target needs, and in which order.
