//! Where applications go, as the site knows it. Knows no groups.

use serde::Deserialize;

use super::Subject;
use crate::destination::is_under;
use crate::{Category, Outcome};

/// All destinations of an application: a flow of it elsewhere contradicts itself.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KnownDestinations {
    pub(super) application: String,
    /// Names, each with everything under it.
    destinations: Vec<String>,
}

impl KnownDestinations {
    /// Whether the subject is this application at another destination. Browsers go anywhere, and a
    /// destination without a name says nothing.
    pub(super) fn contradicts(&self, subject: &Subject<'_>) -> bool {
        let attribution = subject.attribution;
        let is_it = attribution.outcome == Outcome::Application
            && attribution.category != Category::Browser
            && self.application.eq_ignore_ascii_case(&attribution.application);
        let name = subject.destination.name.as_deref();
        is_it
            && name.is_some_and(|name| !self.destinations.iter().any(|known| is_under(name, known)))
    }
}
