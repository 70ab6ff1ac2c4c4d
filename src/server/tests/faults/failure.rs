//! Ways to fail, and what each must be called.

use super::*;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FailureMode {
    Slow,
    Hang,
    Reset,
    ResetMidBody,
    Status(u16),
    Empty,
    BadJson,
    WrongTypes,
    /// Of all numbers this one.
    Absurd(&'static str),
    Bulk,
    Redirect,
    Connection(ConnectionFault),
}

impl FailureMode {
    pub(super) const ALL: [Self; 21] = [
        Self::Slow,
        Self::Hang,
        Self::Reset,
        Self::ResetMidBody,
        Self::Status(401),
        Self::Status(403),
        Self::Status(404),
        Self::Status(429),
        Self::Status(500),
        Self::Status(503),
        Self::Empty,
        Self::BadJson,
        Self::WrongTypes,
        Self::Absurd("-1"),
        Self::Absurd("9223372036854775808"),
        Self::Absurd("NaN"),
        Self::Bulk,
        Self::Redirect,
        Self::Connection(ConnectionFault::Refused),
        Self::Connection(ConnectionFault::Garbled),
        Self::Connection(ConnectionFault::Untrusted),
    ];

    pub(super) fn strike(self, victim: Victim, sim: &simulator::Handle) {
        match (self, victim.peer()) {
            (Self::Connection(fault), Some(peer)) => sim.set_connection_fault(peer, Some(fault)),
            _ => drop(sim.faults().add(victim.target(), self.fault())),
        }
    }

    pub(super) fn heal(self, victim: Victim, sim: &simulator::Handle) {
        sim.faults().clear();
        victim.peer().into_iter().for_each(|peer| sim.set_connection_fault(peer, None));
    }

    /// Whether the source answers after its deadline, or never.
    pub(super) fn is_late(self) -> bool {
        matches!(self, Self::Slow | Self::Hang)
    }

    pub(super) fn fault(self) -> Fault {
        match self {
            Self::Connection(_) => unreachable!("it strikes no request"),
            Self::Slow => Fault::Latency(SHORT_DEADLINE * 3),
            Self::Hang => Fault::Hang,
            Self::Reset => Fault::Reset,
            Self::ResetMidBody => Fault::Truncate(40),
            Self::Status(429) => Fault::Status { code: 429, retry_after: Some(RETRY_AFTER) },
            Self::Status(code) => Fault::status(code),
            Self::Empty => Fault::Empty,
            Self::BadJson => Fault::BadJson,
            Self::WrongTypes => Fault::WrongTypes,
            Self::Absurd(number) => Fault::Numbers(number),
            Self::Bulk => Fault::Swollen(8 * ANSWER_LIMIT),
            Self::Redirect => Fault::Redirect,
        }
    }

    /// An API server stores no object of other types, and is asked for lists in pages; its lists have a deadline of
    /// their own, longer than a test waits.
    pub(super) fn strikes(self, victim: Victim) -> bool {
        if let (Self::Connection(_), peer) | (_, peer @ Some(Peer::ApiServer)) = (self, victim.peer()) {
            return peer.is_some() && matches!(self, Self::Connection(_));
        }
        let odd = matches!(self, Self::WrongTypes | Self::Absurd(_) | Self::Bulk | Self::Slow | Self::Hang);
        !(victim.is_watch() && odd)
    }

    pub(super) fn reasons(self, victim: Victim) -> &'static [Reason] {
        match self {
            Self::Slow | Self::Hang => &[Reason::TimedOut],
            Self::Reset | Self::ResetMidBody if victim.is_watch() => {
                &[Reason::Unreachable, Reason::BadAnswer]
            }
            Self::Reset | Self::ResetMidBody => &[Reason::Unreachable],
            Self::Status(401) if !matches!(victim, Victim::Prometheus | Victim::Ceph) => {
                &[Reason::Unauthenticated]
            }
            Self::Status(401 | 403) => &[Reason::Forbidden],
            Self::Status(404) if matches!(victim, Victim::Kubelet | Victim::DirectKubelet) => {
                &[Reason::Unreachable]
            }
            Self::Status(404) if matches!(victim, Victim::Prometheus | Victim::Ceph) => {
                &[Reason::BadAnswer, Reason::ApiAbsent, Reason::Unreachable, Reason::NotReported]
            }
            Self::Status(404) => &[Reason::ApiAbsent],
            Self::Status(_) | Self::Connection(_) => &[Reason::Unreachable],
            Self::WrongTypes | Self::Absurd(_) => &[
                Reason::BadAnswer,
                Reason::NotReported,
                Reason::BlockVolume,
                Reason::TooNew,
                Reason::NotSampled,
                Reason::NoFastDiff,
                Reason::Expired,
            ],
            // A watch that is answered so ends at once; its list, that it cannot be read.
            Self::Empty | Self::BadJson | Self::Redirect => &[Reason::BadAnswer],
            // Two of its answers are read at a time, up to the limit: the others may wait for longer than the deadline.
            Self::Bulk if victim == Victim::Prometheus => &[Reason::TooLarge, Reason::TimedOut],
            Self::Bulk => &[Reason::TooLarge],
        }
    }

    /// What the source's error must say, beside its reason.
    pub(super) fn words(self, victim: Victim) -> &'static str {
        let is_outside = matches!(victim, Victim::Prometheus | Victim::Ceph);
        match self {
            Self::Connection(ConnectionFault::Refused) => "refuses connections",
            Self::Connection(ConnectionFault::Garbled) if is_outside => "does not speak TLS",
            Self::Connection(ConnectionFault::Untrusted) if is_outside => "an authority that is not trusted",
            Self::Connection(_) => "TLS handshake",
            _ => "",
        }
    }

    /// An answer like any other, but for what is in it: of Ceph too that an image is not there.
    pub(super) fn is_an_answer(self, victim: Victim) -> bool {
        matches!((self, victim), (Self::WrongTypes | Self::Absurd(_), _) | (Self::Status(404), Victim::Ceph))
    }
}
