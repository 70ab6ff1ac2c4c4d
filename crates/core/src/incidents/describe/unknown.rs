//! Incidents of figures that are unknown, or not measured any more.

use super::{Description, Members};
use crate::{
    attention::is_unknown,
    fix,
    incidents::cause::{Cause, Measured, unknown},
};
use i18n::{Message, msg, reason};
use model::{reason::Reason, source::SourceId};

impl Members<'_> {
    pub(super) fn missing(&self, cause: Cause, source: SourceId, of: Reason) -> Description {
        let figures = self.figures(cause);
        let (subject, title) = self.title(
            |vm, namespace| msg!(incident.unknown, figures = figures.clone(), vm = vm, namespace = namespace),
            |n| msg!(incident.many_unknown, figures = figures.clone(), n = n),
        );
        // A source that fails says more than its reason, to those who may know.
        let failing = self.sources.iter().find(|health| health.id == source && health.reason == Some(of));
        let error = failing.map(|health| &health.error).filter(|error| !error.is_empty());
        let because = error.cloned().unwrap_or_else(|| reason(of).into());
        let why = msg!(incident.because, source = source.code(), reason = because);
        Description { subject, title, why, fix: self.figure_fix(source, of), since: None }
    }

    pub(super) fn stale(&self, cause: Cause, source: SourceId) -> Description {
        let figures = self.figures(cause);
        let (subject, title) = self.title(
            |vm, namespace| msg!(incident.stale, figures = figures.clone(), vm = vm, namespace = namespace),
            |n| msg!(incident.many_stale, figures = figures.clone(), n = n),
        );
        let why = msg!(incident.no_answer, source = source.code());
        Description { subject, title, why, fix: fix::source(source, Reason::Unreachable), since: None }
    }

    /// Returns the names of the figures that are unknown for this cause.
    fn figures(&self, cause: Cause) -> Message {
        let mut lacks = [false; 3];
        for vm in &self.vms {
            unknown(vm, |of, measured| lacks[measured as usize] |= of == cause);
            if lacks == [true; 3] {
                break;
            }
        }
        match lacks {
            [true, true, true] => msg!(incident.all_figures),
            [true, true, false] => msg!(incident.cpu_and_memory),
            [true, false, true] => msg!(incident.cpu_and_disk),
            [false, true, true] => msg!(incident.memory_and_disk),
            _ if lacks[Measured::Cpu as usize] => msg!(incident.cpu),
            _ if lacks[Measured::Memory as usize] => msg!(incident.memory),
            _ => msg!(incident.disk),
        }
    }

    /// Returns how to fix a figure: as its source is fixed, else as that of the first VM is.
    fn figure_fix(&self, source: SourceId, reason: Reason) -> Message {
        let of_source = fix::source(source, reason);
        if !of_source.is_empty() {
            return of_source;
        }
        let Some(vm) = self.vms.first() else { return Message::default() };
        let usage = &vm.summary.usage;
        let figures = [&usage.cpu, &usage.memory].into_iter();
        let volumes = vm.volumes.iter().map(|volume| &volume.usage);
        let mut missing =
            figures.chain(volumes).filter(|figure| is_unknown(figure)).filter_map(|of| of.missing());
        let found = missing.find(|missing| missing.reason == reason);
        found.map(|missing| missing.fix.clone()).unwrap_or_default()
    }
}
