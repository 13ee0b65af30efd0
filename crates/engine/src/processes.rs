//! The process behind a flow: what the capture notes, else what telemetry tells. Keeps nothing.

use std::sync::Arc;

use dwell_attribution::Attribution;
use dwell_attribution::telemetry::{Agreement, Join, Telemetry, TelemetrySource, with_process};

use crate::flow_state::FlowState;

/// The flow's application: by its process where one is known, else as the wire has it.
pub(crate) fn attribute(
    telemetry: &mut Telemetry,
    flow: u64,
    state: &FlowState,
    wire: Arc<Attribution>,
) -> Arc<Attribution> {
    let found = match state.noted_process() {
        // The kernel's own note counts before what a tool tells; tools add what it leaves out.
        Some(noted) => {
            let told = identify(telemetry, flow, state).map(|(facts, ..)| facts);
            let mut facts = noted.clone();
            if let Some(told) = told {
                facts.complete_with(&told);
            }
            Some((facts, TelemetrySource::Capture, Join::Capture))
        }
        None => identify(telemetry, flow, state),
    };
    let Some((facts, source, join)) = found else { return wire };
    let attribution = with_process(Attribution::clone(&wire), facts, (source, join));
    let disagrees = attribution
        .process
        .as_ref()
        .is_some_and(|process| process.wire.agreement == Agreement::Disagrees);
    if disagrees {
        telemetry.note_disagreement();
    }
    Arc::new(attribution)
}

fn identify(
    telemetry: &mut Telemetry,
    flow: u64,
    state: &FlowState,
) -> Option<dwell_attribution::telemetry::Found> {
    if !telemetry.is_fed() {
        return None;
    }
    let mut view = state.view();
    if telemetry.wants_community_id() {
        view.community_id = Some(state.community().as_str().into());
    }
    telemetry.identify(flow, view)
}
