//! The process and the user behind a flow, as endpoint telemetry names them.

use dwell_attribution::Attribution;
use dwell_attribution::telemetry::{ProcessFacts, ProcessIdentity};
use serde::Serialize;

use super::value::Six;

/// A process, who told, and what the wire says beside.
#[derive(Debug, Serialize)]
pub(crate) struct Process<'a> {
    #[serde(rename = "+facts")]
    facts: Facts<'a>,
    source: &'static str,
    join: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    effective: Option<Facts<'a>>,
    wire: Wire<'a>,
}

#[derive(Debug, Serialize)]
struct Facts<'a> {
    pid: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pidversion: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signing_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    team_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    platform_binary: Option<bool>,
}

/// What the wire alone says.
#[derive(Debug, Serialize)]
struct Wire<'a> {
    app: &'a str,
    source: &'static str,
    confidence: Six,
    agreement: &'static str,
}

/// A user.
#[derive(Debug, Serialize)]
pub(crate) struct User<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<u32>,
    source: &'static str,
}

impl<'a> Process<'a> {
    /// The process behind a flow, if telemetry names one.
    pub(crate) fn of(application: &'a Attribution) -> Option<Self> {
        let ProcessIdentity { facts, source, join, wire } = application.process.as_deref()?;
        Some(Self {
            facts: Facts::of(facts),
            source: source.name(),
            join: join.name(),
            effective: facts.effective.as_deref().map(Facts::of),
            wire: Wire {
                app: &wire.application,
                source: wire.level.name(),
                confidence: Six(wire.confidence),
                agreement: wire.agreement.name(),
            },
        })
    }
}

impl<'a> Facts<'a> {
    fn of(facts: &'a ProcessFacts) -> Self {
        // Sources that know the path only leave the name to it.
        let of_path = facts.path.as_deref().and_then(|path| path.rsplit('/').next());
        Self {
            pid: facts.pid,
            pidversion: facts.pidversion,
            name: of_path.or(facts.name.as_deref()),
            path: facts.path.as_deref(),
            signing_id: facts.signing_id.as_deref(),
            team_id: facts.team_id.as_deref(),
            platform_binary: facts.platform_binary,
        }
    }
}

impl<'a> User<'a> {
    /// The user behind a flow, if telemetry names one.
    pub(crate) fn of(application: &'a Attribution) -> Option<Self> {
        let process = application.process.as_deref()?;
        let (name, uid) = (process.facts.user.as_deref(), process.facts.uid);
        (name.is_some() || uid.is_some()).then(|| Self { name, uid, source: process.source.name() })
    }
}
