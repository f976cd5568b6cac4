//! Every message exactly once, whatever happens: the program is killed at each of its steps and at
//! each system call that writes, the power is cut, and the next run puts everything right.

mod failing_calls;
mod fixture;
mod points;
mod power;
mod system_calls;
mod trace;
