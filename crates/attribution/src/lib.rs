//! Who: the host, the application and the destination of a flow, each with its evidence.
//!
//! Knows mapping rules ([`AppRules`]), hosts ([`Hosts`]), operating systems by their SYN ([`os`]),
//! destination groups ([`destination`]) and what is expected where ([`Policy`]). It judges no
//! behaviour, keeps no sessions and reads no clock.

mod answer;
mod app;
mod config;
mod conflicts;
mod date;
pub mod destination;
mod evidence;
mod explain;
mod host;
mod hosts;
mod import;
mod index;
mod inventory;
mod learn;
mod memo;
mod network;
pub mod os;
mod policy;
mod recall;
mod rule;
mod rules;
mod search;
pub mod telemetry;
mod text;
mod user_agent;
mod written;

pub use app::{Attribution, Candidate, Category, Contradiction, Outcome};
pub use config::{LoadError, MappingError};
pub use conflicts::SharedKey;
pub use date::Date;
pub use destination::{Destination, NameSource};
pub use evidence::{Evidence, EvidenceLevel, Opening};
pub use explain::{Explanation, Fate, Step, Tried};
pub use host::{HostId, HostNameSource, HostRef, OsSource, Suspicion};
pub use hosts::{Hosts, HostsConfig, SharedHosts};
pub use import::{Import, ImportFormat, ImportOptions, import};
pub use inventory::{Inventory, InventoryEntry};
pub use learn::{
    Conflict, FlowLineError, LabelledFlow, Learned, Learner, Observation, ObservationError, Origin,
    read_flow_line,
};
pub use network::{Cidr, CidrError, LocalNetworks};
pub use os::{Os, OsGuess};
pub use policy::{
    Judgement, Policy, PolicyError, PolicyExplanation, PolicyStep, Program, Subject, Unexpected,
    Verdict,
};
pub use recall::Recall;
pub use rules::AppRules;
pub use text::{MAX_NAME_BYTES, printable};
pub use user_agent::system as claimed_system;
pub use written::WrittenRule;
