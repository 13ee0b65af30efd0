//! What the benches share: the clock that they go by, and flows to measure with. Measures nothing
//! itself.

mod cpu;
mod flows;

pub use cpu::{ThreadCpu, criterion, resident_bytes};
pub use flows::{Flows, Step};
