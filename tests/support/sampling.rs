//! Long rows of cases. Usually only a sample of each is tried; with POPFETCH_TEST_ALL set (`tests/run --all`), the
//! whole row. How many cases were tried is reported.

use super::report;

/// Whether the whole of each row is to be tried.
pub(crate) fn everything() -> bool {
    std::env::var_os("POPFETCH_TEST_ALL").is_some()
}

/// The size of a test, such as a number of messages: this one, or with `POPFETCH_TEST_ALL` the full one.
pub(crate) fn sampled(some: usize, all: usize) -> usize {
    let taken = if everything() { all } else { some };
    count_cases(taken, all);
    taken
}

/// Every `step`-th of `count` cases, beginning at one that depends on `offset`: where the same row is tried several
/// times, each time with another offset, the sample is another one each time. With `POPFETCH_TEST_ALL` all cases.
pub(crate) fn sample(count: usize, step: usize, offset: usize) -> impl Iterator<Item = usize> {
    let step = if everything() { 1 } else { step };
    sample_always(count, step, offset)
}

/// The same for a row that is too long even for `POPFETCH_TEST_ALL`.
pub(crate) fn sample_always(
    count: usize,
    step: usize,
    offset: usize,
) -> impl Iterator<Item = usize> {
    let chosen = (offset % step..count).step_by(step);
    count_cases(chosen.len(), count);
    chosen
}

/// Reports that this many cases of a row were tried.
pub(crate) fn count_cases(taken: usize, all: usize) {
    report::add("cases", &format!("{taken}\t{all}"));
}
