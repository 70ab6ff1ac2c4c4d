//! The pressure on one VM: from what the kubelet of its node says of its launcher pod. `join` adds it to each VM.

use super::{dependencies::Dependencies, fix, pod::Pod, state::ClusterState, touched::Name};
use i18n::msg;
use model::{
    activity::Part,
    figure::Missing,
    format,
    message::Message,
    pressure::{Pressure, PressureSample, Stall, WINDOW_MS},
    reason::Reason,
    source::SourceId,
};

impl ClusterState {
    /// Returns the pressure on a VM with this launcher pod.
    pub(super) fn pressure(
        &self,
        pod: Result<Pod, Reason>,
        dependencies: &Dependencies,
    ) -> Part<PressureSample> {
        let missing = |reason: Reason| Err(Box::new(reason.into()));
        let pod = match pod {
            Ok(pod) => pod,
            Err(reason) => return missing(reason),
        };
        dependencies.note(Name::Node(pod.node));
        if !self.limits.asks(SourceId::Kubelet) {
            let fix = fix::configure(SourceId::Kubelet);
            return Err(Box::new(Missing { fix, ..Reason::NotConfigured.into() }));
        }
        let error = self.kubelet_error(&pod);
        let failed =
            error.map(|error| Box::new(fix::missing(error, fix::kubelet(error.reason, pod.node), None)));
        if error.is_some_and(|error| error.is_denial()) {
            return failed.map_or_else(|| missing(Reason::Forbidden), Err);
        }
        let Some(stats) = self.launcher_stats.get(&pod) else {
            return failed.map_or_else(|| self.unmeasured(&pod), Err);
        };
        if stats.pressure.is_empty() {
            let (detail, fix) = (msg!(error.no_pressure), fix::pressure(pod.node));
            return Err(Box::new(Missing { detail, fix, ..Reason::NotReported.into() }));
        }
        let (origin, expired) = self.kubelet_origin(&pod, &stats.pressure_receipt, WINDOW_MS, dependencies);
        match (expired, failed) {
            (false, _) => Ok(PressureSample { pressure: stats.pressure, origin }),
            (true, Some(failed)) => Err(failed),
            (true, None) => missing(Reason::Expired),
        }
    }

    /// Why a kubelet that does not fail has said nothing of the pod.
    fn unmeasured(&self, pod: &Pod) -> Part<PressureSample> {
        let answered = self.kubelets.get(pod.node).and_then(|kubelet| kubelet.answered);
        Err(Box::new(match answered {
            Some(_) => Missing { fix: fix::unlisted(pod.node), ..Reason::NotReported.into() },
            None if !self.may_be_node(pod.node) => Reason::NoNode.into(),
            None => Reason::Starting.into(),
        }))
    }
}

/// Returns the pressure as one text, or why it is not known.
pub(super) fn text(pressure: &Part<PressureSample>) -> (Message, Option<Box<Missing>>) {
    match pressure {
        Ok(PressureSample { pressure: Pressure { cpu, memory, io }, origin }) => {
            let [cpu, memory, io] = [cpu, memory, io].map(percent);
            let text = match origin.stale {
                false => msg!(health.pressure, cpu = cpu, memory = memory, io = io),
                true => msg!(health.pressure_stale, cpu = cpu, memory = memory, io = io),
            };
            (text, None)
        }
        Err(missing) => (Message::default(), Some(missing.clone())),
    }
}

/// How much of the time some task waits; a dash if that is not reported.
fn percent(stall: &Option<Stall>) -> String {
    stall.map_or_else(|| "—".to_owned(), |Stall { some, .. }| format::percent(some.into()) + " %")
}
