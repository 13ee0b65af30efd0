//! A session as analytics see it: plain figures at one moment. Judges nothing.

use std::sync::Arc;
use std::time::Duration;

use dwell_attribution::{Attribution, Destination, HostRef};

use crate::session::TOGETHER;
use crate::{FlowFacts, NameLookup, Shape};

/// One session at one moment.
#[derive(Clone, Debug)]
pub(crate) struct View {
    pub(crate) facts: Arc<FlowFacts>,
    /// Whether it stands for all rare destinations of the application together.
    pub(crate) together: bool,
    pub(crate) lookup: NameLookup,
    pub(crate) duration: Duration,
    pub(crate) effective: Duration,
    pub(crate) longest_connection: Duration,
    pub(crate) flows: u32,
    pub(crate) up_bytes: u64,
    pub(crate) down_bytes: u64,
    /// Addresses it went to, or destinations if it stands for several.
    pub(crate) addresses: u32,
    /// Quarters of an hour with payload in which the user was browsing, and in which not.
    pub(crate) attended: u32,
    pub(crate) unattended: u32,
    pub(crate) shape: Shape,
}

impl View {
    pub(crate) fn host(&self) -> &HostRef {
        &self.facts.host
    }

    pub(crate) fn attribution(&self) -> &Attribution {
        &self.facts.attribution
    }

    pub(crate) fn destination(&self) -> &Destination {
        &self.facts.destination
    }

    /// The application as a person is told it.
    pub(crate) fn application_name(&self) -> &str {
        &self.facts.attribution.application
    }

    /// The destination as a person is told it.
    pub(crate) fn destination_name(&self) -> &str {
        if self.together { TOGETHER } else { &self.facts.destination.group }
    }
}
