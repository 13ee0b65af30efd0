//! The flow table: TCP state, reassembly, counters, inter-arrival times, bursts and expiry.
//!
//! Knows packets and packet time. It knows no protocol above TCP and UDP and no policy: what the
//! owner wants to remember of a flow is the table's type parameter.

mod burst;
mod community;
mod config;
mod index;
mod lookup;
mod path;
mod payload;
mod reassembly;
mod record;
mod slab;
mod table;
mod tcp;
mod timing;
mod wheel;

pub use burst::{BURST_SILENCE, Burst};
pub use community::{CommunityId, community_id};
pub use config::{FlowConfig, FlowScope, Timeouts};
pub use lookup::{FlowHasher, Lookup};
pub use path::Path;
pub use payload::Payload;
pub use reassembly::{
    Conflict, Delivery, MAX_HELD_BYTES, OverlapPolicy, Reassembler, ReassemblyCounters,
};
pub use record::{DirectionCounters, EndReason, Flow, FlowView, Quality};
pub use table::{Ended, FlowCounters, FlowId, FlowTable, Update};
pub use tcp::{Arrival, TcpPhase};
pub use timing::{GapHistogram, GapSummary, InterArrival, LogMoments, Timing};
