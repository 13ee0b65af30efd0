//! Records as text: EVE-shaped JSON lines, fingerprint rows, and what is safe to print.
//!
//! Knows the domain types and changes none of them to suit a format.

mod escape;
mod eve;
mod fingerprint;
mod json;

pub use escape::{MAX_TEXT, clipped, printable};
pub use eve::{EveContext, SCHEMA_VERSION, append_record, write_record};
pub use fingerprint::{FingerprintRow, transport};
