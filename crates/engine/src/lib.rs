//! The sensor, sans I/O: packets in, records out.
//!
//! [`Engine::handle`] is the table of contents of the data path. Nothing here reads a clock, opens
//! a file or starts a thread; time is the packets'.

mod analytics;
mod batch;
mod clock;
mod clue;
mod duplicates;
mod engine;
mod event;
mod flow_state;
mod hello_finder;
mod hellos;
mod inspection;
mod intake;
mod keep;
mod losses;
mod migration;
mod names;
mod processes;
mod record;
mod scopes;
mod sessions;
mod shard;
mod trust;
mod waiting;

pub use analytics::Analytics;
pub use batch::{Batch, Part, Shared};
pub use engine::{Engine, EngineConfig, Lanes};
pub use event::{Event, EventKind, FlowSnapshot, NotedProcess};
pub use hello_finder::Hellos;
pub use hellos::{HelloRow, HelloRows};
pub use intake::{Intake, Second};
pub use keep::Changes;
pub use losses::Losses;
pub use record::{
    Delta, FlowIdentity, FlowRecord, FlowStats, HandshakeRecord, HttpRecord, Moment, Record,
    SessionDelta, SessionRecord, StatsRecord,
};
pub use shard::{Shard, ShardCounters};
