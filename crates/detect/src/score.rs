//! What analytics have in common: the case that is judged, and a score as a sum of named terms. It
//! weighs nothing itself.

use dwell_attribution::Judgement;

use crate::baseline::Peers;
use crate::view::View;
use crate::{DetectConfig, Part, Parts};

/// What is judged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case<'a> {
    pub(crate) config: &'a DetectConfig,
    pub(crate) session: &'a View,
    pub(crate) judgement: &'a Judgement,
    pub(crate) peers: &'a Peers,
}

/// A score and the terms that it is the sum of.
#[derive(Clone, Debug)]
pub(crate) struct Score {
    pub(crate) bits: f64,
    pub(crate) parts: Parts,
    pub(crate) terms: Vec<Term>,
    /// Whether there was no baseline to judge by.
    pub(crate) provisional: bool,
}

/// One measurement and its weight; zero for what is only said.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Term {
    pub(crate) feature: Feature,
    pub(crate) value: f64,
    pub(crate) expected: Option<f64>,
    pub(crate) bits: f64,
}

/// What a term measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Feature {
    Application,
    SessionPrevalence,
    Policy,
    DestinationPrevalence,
    HomeDestination,
    Propensity,
    NameLookup,
    FanOut,
    SessionDuration,
    PeerDuration,
    OwnDuration,
    UserDuration,
    Coverage,
    ShapeDeviation,
    Unattended,
    TimerDriven,
    HeavyTailed,
    GapSpread,
    ReversedInteraction,
    CommandResponse,
    UploadShare,
    BulkDelivery,
    Novelty,
    UsualUpload,
    OutboundRatio,
    OutboundVolume,
    LowResponse,
}

impl Feature {
    /// The name in records.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Application => "application",
            Self::SessionPrevalence => "session_prevalence",
            Self::Policy => "policy",
            Self::DestinationPrevalence => "destination_prevalence",
            Self::HomeDestination => "home_destination",
            Self::Propensity => "propensity",
            Self::NameLookup => "name_lookup",
            Self::FanOut => "fan_out",
            Self::SessionDuration => "session_duration",
            Self::PeerDuration => "peer_duration",
            Self::OwnDuration => "own_duration",
            Self::UserDuration => "user_duration",
            Self::Coverage => "coverage",
            Self::ShapeDeviation => "shape_deviation",
            Self::Unattended => "unattended",
            Self::TimerDriven => "timer_driven",
            Self::HeavyTailed => "heavy_tailed",
            Self::GapSpread => "gap_spread",
            Self::ReversedInteraction => "reversed_interaction",
            Self::CommandResponse => "command_response",
            Self::UploadShare => "upload_share",
            Self::BulkDelivery => "bulk_delivery",
            Self::Novelty => "novelty",
            Self::UsualUpload => "usual_upload",
            Self::OutboundRatio => "outbound_ratio",
            Self::OutboundVolume => "outbound_volume",
            Self::LowResponse => "low_response",
        }
    }

    pub(crate) const fn part(self) -> Part {
        match self {
            Self::Application
            | Self::SessionPrevalence
            | Self::Policy
            | Self::DestinationPrevalence
            | Self::HomeDestination
            | Self::Propensity
            | Self::NameLookup
            | Self::FanOut
            | Self::Novelty
            | Self::UsualUpload => Part::Unexpected,
            Self::SessionDuration | Self::PeerDuration | Self::OwnDuration | Self::UserDuration => {
                Part::LongLived
            }
            Self::Coverage
            | Self::ShapeDeviation
            | Self::Unattended
            | Self::TimerDriven
            | Self::HeavyTailed
            | Self::GapSpread
            | Self::ReversedInteraction
            | Self::CommandResponse
            | Self::UploadShare
            | Self::BulkDelivery => Part::Irregular,
            Self::OutboundRatio | Self::OutboundVolume | Self::LowResponse => Part::Outbound,
        }
    }
}

impl Score {
    /// The sum of `terms`.
    pub(crate) fn of(terms: Vec<Term>, provisional: bool) -> Self {
        let sum = |part: Part| -> f64 {
            terms.iter().filter(|term| term.feature.part() == part).map(|term| term.bits).sum()
        };
        let parts = Parts {
            unexpected: sum(Part::Unexpected),
            long_lived: sum(Part::LongLived),
            irregular: sum(Part::Irregular),
            outbound: sum(Part::Outbound),
        };
        let bits = parts.unexpected + parts.long_lived + parts.irregular + parts.outbound;
        Self { bits, parts, terms, provisional }
    }
}

pub(crate) fn term(feature: Feature, value: f64, bits: f64) -> Term {
    Term { feature, value, expected: None, bits }
}
