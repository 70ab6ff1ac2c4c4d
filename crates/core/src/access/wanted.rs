//! Rights that are asked about only where somebody needs one now: may the viewer list the Events of the namespace whose
//! VM they look at?

use std::{collections::HashMap, sync::Arc};

use model::Millis;

use super::{ALLOW_ENDS, Decision, Question, RETRY_AFTER, ReviewedResource};

/// Namespaces that are kept for one viewer. Beyond it, the one that was needed longest ago is forgotten.
const MOST: usize = 32;
/// A right that was not needed for this long is forgotten.
const KEPT: Millis = 2 * ALLOW_ENDS;

/// The rights that one viewer needed lately, by namespace.
#[derive(Clone, Debug, Default)]
pub(super) struct WantedRights(HashMap<Arc<str>, WantedRight>);

#[derive(Clone, Copy, Debug)]
struct WantedRight {
    /// When somebody last needed it.
    needed: Millis,
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// It is asked once this time has come.
    Due(Millis),
    Asked,
    /// A yes or no, and when it came. Both end after the same time.
    Answered(bool, Millis),
}

impl WantedRights {
    /// Returns whether the right is there. `None` if that is not known: it will be asked.
    pub fn want(&mut self, namespace: &str, now: Millis) -> Option<bool> {
        if let Some(right) = self.0.get_mut(namespace) {
            right.needed = now;
            match right.state {
                State::Answered(allowed, at) if now < at + ALLOW_ENDS => return Some(allowed),
                State::Answered(..) => right.state = State::Due(now),
                State::Due(_) | State::Asked => {}
            }
            return None;
        }
        self.0.retain(|_, right| now - right.needed < KEPT);
        if self.0.len() >= MOST {
            let oldest = self.0.iter().min_by_key(|(_, right)| right.needed);
            if let Some(oldest) = oldest.map(|(namespace, _)| namespace.clone()) {
                self.0.remove(&oldest);
            }
        }
        self.0.insert(namespace.into(), WantedRight { needed: now, state: State::Due(now) });
        None
    }

    /// Returns a question that is due.
    pub fn next(&mut self, now: Millis) -> Option<Question> {
        let is_due = |right: &WantedRight| matches!(right.state, State::Due(at) if at <= now);
        let (namespace, right) = self.0.iter_mut().find(|(_, right)| is_due(right))?;
        right.state = State::Asked;
        Some(Question { namespace: Some(namespace.clone()), resource: ReviewedResource::Events })
    }

    /// Takes an answer. One to a question that was asked before the bindings changed does not count.
    pub fn answered(&mut self, namespace: &str, decision: Decision, now: Millis) {
        let Some(right) = self.0.get_mut(namespace) else { return };
        if matches!(right.state, State::Asked) {
            right.state = match decision {
                Decision::Allowed => State::Answered(true, now),
                Decision::Denied => State::Answered(false, now),
                Decision::Failed => State::Due(now + RETRY_AFTER),
            };
        }
    }

    /// Forgets what is known of a namespace, or of all: a binding has changed.
    pub fn forget(&mut self, namespace: Option<&str>) {
        match namespace {
            Some(namespace) => drop(self.0.remove(namespace)),
            None => self.0.clear(),
        }
    }
}
