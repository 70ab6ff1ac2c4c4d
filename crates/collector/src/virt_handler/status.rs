//! Reports what keeps all virt-handlers from being asked. Several tasks find that out; together they are one source.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::{
    clock::steady,
    observation_sender::{Closed, ObservationSender},
};
use model::source::SourceId;
use wukong_core::observation::{Observation, SourceError};

/// What is needed before a virt-handler can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The KubeVirt object, which says where KubeVirt is.
    Kubevirt,
    /// The virt-handler pods.
    Pods,
    /// The authority of their certificates.
    Trust,
}

/// The state of each part; `None` if it is not known yet.
type PartStates = [Option<Result<(), SourceError>>; 3];

/// Sends the first failure of all parts, or, once all parts are known, that there is none.
#[derive(Clone)]
pub struct SourceReporter {
    sender: ObservationSender,
    states: Arc<Mutex<PartStates>>,
}

impl SourceReporter {
    pub fn new(sender: ObservationSender) -> Self {
        Self { sender, states: Arc::default() }
    }

    /// Records the state of one part, and sends the state of all.
    pub async fn set(&self, part: Part, state: Result<(), SourceError>) -> Result<(), Closed> {
        self.states.lock()[part as usize] = Some(state);
        self.send().await
    }

    /// Forgets the state of the pods and of their authority: they are of another namespace now.
    pub fn forget_namespace(&self) {
        let mut states = self.states.lock();
        (states[Part::Pods as usize], states[Part::Trust as usize]) = (None, None);
    }

    async fn send(&self) -> Result<(), Closed> {
        let (failed, is_known) = {
            let states = self.states.lock();
            let mut errors = states.iter().flatten().filter_map(|state| state.as_ref().err());
            (errors.next().cloned(), states.iter().all(Option::is_some))
        };
        let (source, namespace) = (SourceId::VirtHandler, None);
        match failed {
            Some(error) => self.sender.send(Observation::WatchFailed { source, namespace, error }).await,
            None if is_known => self.sender.send(Observation::HandlersFound { at: steady() }).await,
            None => Ok(()),
        }
    }
}
