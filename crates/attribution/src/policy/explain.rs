//! Why a policy says what it says. Judges nothing.

use super::Judgement;

/// A judgement with the steps that led to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyExplanation {
    /// The judgement, as [`super::Policy::judge`] gives it.
    pub judgement: Judgement,
    /// What was looked at, in order.
    pub steps: Vec<PolicyStep>,
}

/// One rule that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyStep {
    /// The rule: a group, `group/key/entry`, an exception's identifier.
    pub rule: String,
    /// What came of it.
    pub outcome: String,
}
