//! Texts for the enums of the model, which has only codes, the same in every language. Pages and REST use
//! them.

use crate::{key, text};
#[cfg(feature = "ssr")]
use model::message::Message;
use model::{
    attention::AttentionKind,
    bad_param::Expected,
    message::Key,
    reason::Reason,
    source::{SourceId, SourceState},
    vm::Status,
};

/// Returns the name of a VM's status.
pub fn status(status: Status) -> Key {
    match status {
        Status::Running => key!(status.running),
        Status::Creating => key!(status.creating),
        Status::Pending => key!(status.pending),
        Status::Error => key!(status.error),
        Status::Stopped => key!(status.stopped),
        Status::Unknown => key!(status.unknown),
    }
}

/// Returns what a VM needs attention for.
pub fn attention_kind(kind: AttentionKind) -> Key {
    match kind {
        AttentionKind::Down => key!(attention_kind.down),
        AttentionKind::FillingUp => key!(attention_kind.filling_up),
        AttentionKind::Undersized => key!(attention_kind.undersized),
        AttentionKind::Contended => key!(attention_kind.contended),
        AttentionKind::SlowDisk => key!(attention_kind.slow_disk),
        AttentionKind::Migration => key!(attention_kind.migration),
        AttentionKind::NotStarting => key!(attention_kind.not_starting),
        AttentionKind::Unknown => key!(attention_kind.unknown),
    }
}

/// Returns the name of a source's state.
pub fn source_state(state: SourceState) -> Key {
    match state {
        SourceState::Starting => key!(state.starting),
        SourceState::Healthy => key!(state.healthy),
        SourceState::Degraded => key!(state.degraded),
        SourceState::Forbidden => key!(state.forbidden),
        SourceState::Absent => key!(state.absent),
        SourceState::NotConfigured => key!(state.not_configured),
    }
}

/// Returns the reason in a few plain words, for a card.
pub fn reason(reason: Reason) -> Key {
    match reason {
        Reason::Starting => key!(reason.starting),
        Reason::NotRunning => key!(reason.not_running),
        Reason::ApiAbsent => key!(reason.api_absent),
        Reason::Forbidden => key!(reason.forbidden),
        Reason::Unauthenticated => key!(reason.unauthenticated),
        Reason::TimedOut => key!(reason.timed_out),
        Reason::Unreachable => key!(reason.unreachable),
        Reason::BadAnswer => key!(reason.bad_answer),
        Reason::TooNew => key!(reason.too_new),
        Reason::NotSampled => key!(reason.not_sampled),
        Reason::Expired => key!(reason.expired),
        Reason::NoPod => key!(reason.no_pod),
        Reason::AmbiguousPod => key!(reason.ambiguous_pod),
        Reason::TwoPods => key!(reason.two_pods),
        Reason::NoVmName => key!(reason.no_vm_name),
        Reason::NoAllocation => key!(reason.no_allocation),
        Reason::NoVolumes => key!(reason.no_volumes),
        Reason::BlockVolume => key!(reason.block_volume),
        Reason::FirstSample => key!(reason.first_sample),
        Reason::NotReported => key!(reason.not_reported),
        Reason::NoNode => key!(reason.no_node),
        Reason::AgentOff => key!(reason.agent_off),
        Reason::NoFastDiff => key!(reason.no_fast_diff),
        Reason::Mirrored => key!(reason.mirrored),
        Reason::NotConfigured => key!(reason.not_configured),
        Reason::Hugepages => key!(reason.hugepages),
        Reason::Busy => key!(reason.busy),
        Reason::SharedVm => key!(reason.shared_vm),
        Reason::TooLarge => key!(reason.too_large),
        Reason::Paused => key!(reason.paused),
    }
}

/// Returns what a source provides, in a few words.
pub fn gives(id: SourceId) -> Key {
    match id {
        SourceId::Wukongs => key!(gives.wukongs),
        SourceId::VirtualMachines => key!(gives.virtual_machines),
        SourceId::Instances => key!(gives.instances),
        SourceId::Migrations => key!(gives.migrations),
        SourceId::Pods => key!(gives.pods),
        SourceId::Claims => key!(gives.claims),
        SourceId::PersistentVolumes => key!(gives.persistent_volumes),
        SourceId::Nodes => key!(gives.nodes),
        SourceId::ClusterInstancetypes => key!(gives.cluster_instancetypes),
        SourceId::Instancetypes => key!(gives.instancetypes),
        SourceId::PodMetrics => key!(gives.pod_metrics),
        SourceId::Kubelet => key!(gives.kubelet),
        SourceId::VirtHandler => key!(gives.virt_handler),
        SourceId::Prometheus => key!(gives.prometheus),
        SourceId::GuestAgent => key!(gives.guest_agent),
        SourceId::Longhorn => key!(gives.longhorn),
        SourceId::Ceph => key!(gives.ceph),
        SourceId::AccessReviews => key!(gives.access_reviews),
    }
}

/// Returns the permission that a source needs, in RBAC terms.
pub fn permission(id: SourceId) -> Key {
    match id {
        SourceId::Wukongs => key!(permission.wukongs),
        SourceId::VirtualMachines => key!(permission.virtual_machines),
        SourceId::Instances => key!(permission.instances),
        SourceId::Migrations => key!(permission.migrations),
        SourceId::Pods => key!(permission.pods),
        SourceId::Claims => key!(permission.claims),
        SourceId::PersistentVolumes => key!(permission.persistent_volumes),
        SourceId::Nodes => key!(permission.nodes),
        SourceId::ClusterInstancetypes => key!(permission.cluster_instancetypes),
        SourceId::Instancetypes => key!(permission.instancetypes),
        SourceId::PodMetrics => key!(permission.pod_metrics),
        SourceId::Kubelet => key!(permission.kubelet),
        SourceId::VirtHandler => key!(permission.virt_handler),
        SourceId::Prometheus => key!(permission.prometheus),
        SourceId::GuestAgent => key!(permission.guest_agent),
        SourceId::Longhorn => key!(permission.longhorn),
        SourceId::Ceph => key!(permission.ceph),
        SourceId::AccessReviews => key!(permission.access_reviews),
    }
}

/// Returns what a parameter must be, in the reader's language.
pub fn expected(expected: &Expected) -> String {
    expected_in(expected, text)
}

fn expected_in(expected: &Expected, line: fn(Key) -> &'static str) -> String {
    match expected {
        Expected::OneOf(codes) => codes.replace(" or ", line(key!(expected.or))),
        Expected::SomeOf(codes) => {
            [&codes.replace(" and ", line(key!(expected.and))), line(key!(expected.commas))].concat()
        }
        other => line(expected_key(other)).to_owned(),
    }
}

/// Returns the text for values that are not one of several codes.
fn expected_key(expected: &Expected) -> Key {
    match expected {
        Expected::Text | Expected::OneOf(_) | Expected::SomeOf(_) => key!(expected.text),
        Expected::Namespace => key!(expected.namespace),
        Expected::Name => key!(expected.name),
        Expected::Number => key!(expected.number),
        Expected::Encoded => key!(expected.encoded),
        Expected::Visible => key!(expected.visible),
        Expected::Single => key!(expected.single),
        Expected::ParamCount => key!(expected.param_count),
    }
}

/// Returns a duration in one unit, as pages show it: `14 s`, `2 min`, `3 h`, `5 d`.
#[cfg(feature = "ssr")]
pub fn span(span: std::time::Duration) -> Message {
    let seconds = span.as_secs();
    let number = |per: u64| (seconds / per).to_string();
    match seconds {
        0..120 => super::msg!(time.seconds, n = number(1)),
        120..7_200 => super::msg!(time.minutes, n = number(60)),
        7_200..172_800 => super::msg!(time.hours, n = number(3_600)),
        _ => super::msg!(time.days, n = number(86_400)),
    }
}

/// Returns what a parameter must be, as a message; codes are the same in every language.
#[cfg(feature = "ssr")]
pub fn expected_message(expected: &Expected) -> Message {
    match expected {
        Expected::OneOf(codes) | Expected::SomeOf(codes) => codes.as_str().into(),
        other => expected_key(other).into(),
    }
}

/// Returns what a parameter must be, in English, for programs.
#[cfg(feature = "ssr")]
pub fn expected_english(expected: &Expected) -> String {
    expected_in(expected, |key| super::text_in(super::Lang::English, key))
}
