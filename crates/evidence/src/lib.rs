//! What a finding stands on: packets, records and bundles of them, within bounds.
//!
//! Beside the data path, not in it: [`FrameKeeper`] gets each frame after the engine, keeps the first
//! frames of every flow and the latest of all, and gives those of a flow when a finding asks for
//! them. [`Folders`] keeps what findings stand on on disk; [`bundle`] packs one for handing on. It
//! judges nothing, starts no thread and reads no clock.

mod bundle;
mod folders;
mod heads;
mod keeper;
mod pcap;
mod picker;
mod recent;
mod shelf;

pub use bundle::{Bundled, bundle};
pub use folders::{Folder, FolderLimits, Folders, Removed};
pub use heads::HeadLimits;
pub use keeper::{FrameKeeper, KeeperCounters, KeeperLimits, KeptFrame, Order, Slice};
pub use pcap::append_frame;
pub use picker::Picker;
pub use shelf::{Shelf, ShelfCounters};
