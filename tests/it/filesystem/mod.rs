//! Faults on this side: a full disk, a damaged journal, a clock that goes back, mail readers at work.
//! Once the fault is gone, the next run completes.

mod disk;
mod journal;
mod owners;
mod readers;
