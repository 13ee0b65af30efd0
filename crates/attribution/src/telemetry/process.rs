//! What telemetry says of a process, and the process that a flow was joined to.

use std::sync::Arc;

use dwell_packet::Processes;

use super::agreement::WireView;
use crate::text::printable;

/// A process as one source describes it. Texts are printable and bounded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProcessFacts {
    /// Process identifier on its host.
    pub pid: u32,
    /// Tells apart processes that had the same pid in turn (macOS audit tokens).
    pub pidversion: Option<u32>,
    /// Command name; some sources cut it to 9 or 16 bytes.
    pub name: Option<Arc<str>>,
    /// Path of the executable.
    pub path: Option<Arc<str>>,
    /// User name.
    pub user: Option<Arc<str>>,
    /// User number.
    pub uid: Option<u32>,
    /// Signing identifier, for bundles the bundle identifier.
    pub signing_id: Option<Arc<str>>,
    /// Team that signed it; empty signatures are none.
    pub team_id: Option<Arc<str>>,
    /// Whether it came with the operating system.
    pub platform_binary: Option<bool>,
    /// The process on whose behalf it acts, if that is another one.
    pub effective: Option<Arc<Self>>,
}

impl ProcessFacts {
    /// A process of which only the pid is known.
    #[must_use]
    pub fn of_pid(pid: u32) -> Self {
        Self { pid, ..Self::default() }
    }

    /// The processes that a capture noted beside a frame; `None` if it noted none.
    #[must_use]
    pub fn of_capture(noted: Processes<'_>) -> Option<Self> {
        let facts = |process: &dwell_packet::Process| Self {
            name: label(&process.name),
            path: label(&process.path),
            ..Self::of_pid(process.pid)
        };
        let owner = noted.owner.map(facts);
        let effective = noted.effective.map(facts);
        let mut process = owner.or_else(|| effective.clone())?;
        process.effective = effective.filter(|other| other.pid != process.pid).map(Arc::new);
        Some(process)
    }

    /// The name to call it by: the effective process counts.
    #[must_use]
    pub fn label(&self) -> Arc<str> {
        let of = |facts: &Self| facts.program().or_else(|| facts.name.clone());
        let effective = self.effective.as_deref().and_then(of);
        effective.or_else(|| of(self)).unwrap_or_else(|| format!("pid {}", self.pid).into())
    }

    /// The application bundle, or the last part of the path.
    #[must_use]
    pub fn program(&self) -> Option<Arc<str>> {
        let path = self.path.as_deref()?;
        let mut parts = path.split('/').filter(|part| !part.is_empty());
        let bundle = parts.clone().find_map(|part| part.strip_suffix(".app"));
        bundle.or_else(|| parts.next_back()).map(Arc::from)
    }

    /// Takes over what `other`, the same process by another source, knows more.
    pub(crate) fn complete(&mut self, other: &Self) {
        fn fill<T: Clone>(mine: &mut Option<T>, theirs: &Option<T>) {
            if mine.is_none() {
                mine.clone_from(theirs);
            }
        }
        fill(&mut self.pidversion, &other.pidversion);
        fill(&mut self.path, &other.path);
        fill(&mut self.user, &other.user);
        fill(&mut self.uid, &other.uid);
        fill(&mut self.signing_id, &other.signing_id);
        fill(&mut self.team_id, &other.team_id);
        fill(&mut self.platform_binary, &other.platform_binary);
        fill(&mut self.effective, &other.effective);
        // Of two names the longer is the one that was not cut.
        let len = |name: &Option<Arc<str>>| name.as_ref().map_or(0, |name| name.len());
        if len(&other.name) > len(&self.name) {
            self.name.clone_from(&other.name);
        }
    }

    /// Takes over what another source knows more, if it speaks of the same process.
    pub fn complete_with(&mut self, other: &Self) {
        if self.pid == other.pid && self.may_be(other) {
            self.complete(other);
        }
    }

    /// Whether both can be the same process: by path where both have one, else by name, of which
    /// one may be cut.
    pub(crate) fn may_be(&self, other: &Self) -> bool {
        let versions = self.pidversion.zip(other.pidversion);
        match (&self.path, &other.path) {
            (Some(mine), Some(theirs)) => mine == theirs,
            _ if versions.is_some_and(|(mine, theirs)| mine != theirs) => false,
            _ => match (&self.name, &other.name) {
                (Some(mine), Some(theirs)) => {
                    mine.starts_with(&**theirs) || theirs.starts_with(&**mine)
                }
                _ => true,
            },
        }
    }
}

/// Text of a capture or log as a name: printable, bounded, `None` when empty.
pub(crate) fn label(bytes: &[u8]) -> Option<Arc<str>> {
    (!bytes.is_empty()).then(|| printable(bytes, MAX_TEXT).into())
}

/// A flow's process, and how it was found.
#[derive(Clone, Debug, PartialEq)]
pub struct ProcessIdentity {
    /// The process, completed by all sources that know it.
    pub facts: ProcessFacts,
    /// Who told that it holds the flow.
    pub source: TelemetrySource,
    /// By what the telemetry was joined with the flow.
    pub join: Join,
    /// What the wire alone says, and whether that goes together.
    pub wire: WireView,
}

/// By what a flow and a process were joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Join {
    /// The capture itself names the process.
    Capture,
    /// Community ID and time.
    CommunityId,
    /// Five-tuple and time.
    FiveTuple,
    /// Five-tuple or Community ID of a snapshot without a time.
    Untimed,
    /// Ports and time: the source hides addresses.
    Ports,
}

impl Join {
    /// The name in records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Capture => "capture",
            Self::CommunityId => "community_id",
            Self::FiveTuple => "five_tuple",
            Self::Untimed => "untimed",
            Self::Ports => "ports",
        }
    }
}

/// Who tells which process holds a socket; in the order in which they are believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum TelemetrySource {
    /// PKTAP headers or process blocks of the capture.
    Capture,
    /// Santa's NetworkActivity.
    Santa,
    /// Lines in dwell's own plain shape.
    Json,
    /// osquery `socket_events`.
    SocketEvents,
    /// macOS unified log.
    UnifiedLog,
    /// osquery `process_open_sockets`.
    OpenSockets,
    /// Zeek Agent sockets.
    ZeekAgent,
    /// nettop.
    Nettop,
    /// lsof.
    Lsof,
    /// eslogger process executions.
    Eslogger,
    /// osquery `es_process_events`.
    ProcessEvents,
}

impl TelemetrySource {
    /// The name in records and metric labels.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Capture => "capture",
            Self::Santa => "santa",
            Self::Json => "json",
            Self::SocketEvents => "osquery_socket_events",
            Self::UnifiedLog => "unified_log",
            Self::OpenSockets => "osquery_process_open_sockets",
            Self::ZeekAgent => "zeek_agent",
            Self::Nettop => "nettop",
            Self::Lsof => "lsof",
            Self::Eslogger => "eslogger",
            Self::ProcessEvents => "osquery_es_process_events",
        }
    }
}

/// Longest text kept of a process, in bytes (`PATH_MAX` of macOS).
const MAX_TEXT: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(path: &str) -> ProcessFacts {
        ProcessFacts { path: label(path.as_bytes()), ..ProcessFacts::of_pid(1) }
    }

    #[test]
    fn a_helper_goes_by_its_outermost_bundle() {
        let helper = "/Applications/Google Chrome.app/Contents/Frameworks/X.framework/Helpers/\
                      Google Chrome Helper.app/Contents/MacOS/Google Chrome Helper";
        assert_eq!(&*at(helper).label(), "Google Chrome");
        assert_eq!(&*at("/usr/bin/curl").label(), "curl");
        assert_eq!(&*ProcessFacts::of_pid(7).label(), "pid 7");
    }

    #[test]
    fn the_effective_process_counts() {
        let mut process = at("/opt/homebrew/bin/python3.12");
        process.effective = Some(Arc::new(at("/usr/bin/osascript")));
        assert_eq!(&*process.label(), "osascript");
    }

    #[test]
    fn a_reused_pid_is_told_by_version_or_path() {
        let mut old = at("/bin/a");
        old.pidversion = Some(1);
        let mut new = at("/bin/b");
        new.pidversion = Some(2);
        assert!(!old.may_be(&new));
        new.path = None;
        assert!(!old.may_be(&new));
        new.pidversion = Some(1);
        assert!(old.may_be(&new));
    }
}
