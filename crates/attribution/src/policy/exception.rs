//! Dated exceptions of a policy. Knows no groups.

use serde::Deserialize;

use super::{Subject, names_host};
use crate::Date;
use crate::destination::is_under;

/// A dated exception: who allows what, why, and until when.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Exception {
    pub(super) id: String,
    application: String,
    /// A destination with everything under it; without it, any.
    destination: Option<String>,
    /// A host by name, address or range; without it, any.
    host: Option<String>,
    host_group: Option<String>,
    /// The last day on which it holds, UTC.
    until: Date,
    owner: String,
    reason: String,
}

impl Exception {
    /// Whether it allows the subject; else why not.
    pub(super) fn allows(&self, subject: &Subject<'_>, group: Option<&str>) -> Result<(), String> {
        let to = |suffix: &String| {
            is_under(&subject.destination.group, suffix)
                || subject.destination.name.as_deref().is_some_and(|name| is_under(name, suffix))
        };
        let refuse = |text: String| Err(text);
        if !self.application.eq_ignore_ascii_case(&subject.attribution.application) {
            return refuse(format!("is for {}", self.application));
        }
        if Date::of(subject.at) > self.until {
            return refuse(format!("ended on {}", self.until));
        }
        if let Some(suffix) = self.destination.as_ref().filter(|suffix| !to(suffix)) {
            return refuse(format!("is for the destination {suffix}"));
        }
        if let Some(host) = self.host.as_ref().filter(|host| !names_host(host, subject.host)) {
            return refuse(format!("is for the host {host}"));
        }
        if let Some(wanted) =
            self.host_group.as_ref().filter(|wanted| Some(wanted.as_str()) != group)
        {
            return refuse(format!("is for the group {wanted}"));
        }
        Ok(())
    }

    /// Until when, by whom and why, for people.
    pub(super) fn grounds(&self) -> String {
        format!("until {}, by {}: {}", self.until, self.owner, self.reason)
    }
}
