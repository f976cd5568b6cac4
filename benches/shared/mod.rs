//! What the benchmarks that run popfetch beside its peers have in common.

pub(crate) mod fetcher;
pub(crate) mod set_up;
