//! Sends one request to one guest's agent, and decides whether a failure concerns that guest or all of them.

use std::time::Duration;

use http::StatusCode;
use tokio::time::Instant;

use super::answer::{self, MOST_DEVICES, MOST_TEXT};
use crate::{
    clock::steady,
    error::{Access, Failure, late, source_error, transport_error, useless},
    observation_sender::{Closed, ObservationSender},
    poll::BoundedClient,
};
use i18n::msg;
use model::{name::check_vm, reason::Reason, source::SourceId};
use wukong_core::observation::{Filesystem, Key, Observation, SourceError};

/// The resource as in RBAC.
pub const RESOURCE: &str = "virtualmachineinstances/filesystemlist.subresources.kubevirt.io";

/// The result of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Answered,
    /// The guest has no agent that could answer.
    Off,
    Failed,
    Late,
    /// The API server could not be reached, or demands a pause of this length.
    Away(Duration),
    /// No guest may be asked.
    Denied(SourceError),
}

/// Asks one guest and sends the observation. Fails if nobody receives any more.
pub async fn ask(
    client: &BoundedClient,
    guest: &Key,
    access: &Access,
    sender: &ObservationSender,
) -> Result<Outcome, Closed> {
    let started = Instant::now();
    let result = match path(guest) {
        Some(path) => client.ask_recoded(&path, answer::decode, recode).await.and_then(counted),
        None => Err(Failure::BadName),
    };
    let result =
        result.map_err(|failure| (outcome(access, guest, &failure), describe(access, guest, &failure)));
    let (outcome, result) = match result {
        Ok(filesystems) => (Outcome::Answered, Ok(filesystems)),
        Err((outcome, error)) => (outcome, Err(error)),
    };
    if outcome == Outcome::Answered {
        sender.send_latency(SourceId::GuestAgent, started).await?;
    }
    send(sender, guest, result).await?;
    Ok(outcome)
}

/// Returns the list unless it is over the bounds. It is not cut, since that would report smaller disks.
fn counted(filesystems: Vec<Filesystem>) -> Result<Vec<Filesystem>, Failure> {
    if filesystems.len() > MOST_DEVICES {
        return Err(Failure::TooMany(MOST_DEVICES));
    }
    if filesystems.iter().map(Filesystem::text_bytes).sum::<usize>() > MOST_TEXT {
        return Err(Failure::TooLarge(MOST_TEXT));
    }
    Ok(filesystems)
}

/// Sends the observation of one guest's file systems, or of why there are none.
pub async fn send(
    sender: &ObservationSender,
    guest: &Key,
    result: Result<Vec<Filesystem>, SourceError>,
) -> Result<(), Closed> {
    sender.send(Observation::Filesystems { instance: guest.clone(), at: steady(), result }).await
}

/// The path of the request. `None` unless these are valid names of a namespace and an instance: a name with
/// slashes would choose another path for this program's credentials.
fn path(guest: &Key) -> Option<String> {
    let Key { namespace, name } = guest;
    check_vm(namespace, name).is_ok().then(|| {
        format!(
            "/apis/subresources.kubevirt.io/v1/namespaces/{namespace}/virtualmachineinstances/{name}/filesystemlist"
        )
    })
}

/// Distinguishes by virt-api's text what its codes do not: that the agent is off (500 before KubeVirt 1.0),
/// and that the instance is gone (404, which also means that the API is absent).
fn recode(code: StatusCode, says: &[u8]) -> StatusCode {
    let says = String::from_utf8_lossy(says).to_ascii_lowercase();
    match code {
        StatusCode::INTERNAL_SERVER_ERROR if says.contains("guest agent") => StatusCode::CONFLICT,
        StatusCode::NOT_FOUND if says.contains("virtualmachineinstance") && says.contains("not found") => {
            StatusCode::GONE
        }
        code => code,
    }
}

fn outcome(access: &Access, guest: &Key, failure: &Failure) -> Outcome {
    match failure {
        Failure::Late(_) => Outcome::Late,
        failure if failure.is_transport() => Outcome::Away(Duration::ZERO),
        Failure::Status { code, retry_after } => match code.as_u16() {
            401 | 403 | 404 => Outcome::Denied(describe(access, guest, failure)),
            409 | 410 => Outcome::Off,
            429 => Outcome::Away(retry_after.unwrap_or_default()),
            _ => Outcome::Failed,
        },
        _ => Outcome::Failed,
    }
}

fn describe(access: &Access, guest: &Key, failure: &Failure) -> SourceError {
    let guest = format!("{}/{}", guest.namespace, guest.name);
    let agent = || msg!(collect.agent, guest = guest.as_str());
    match failure {
        Failure::Late(deadline) => late(agent(), *deadline),
        Failure::Transport(error) => transport_error(error.as_ref()),
        Failure::Status { code, .. } | Failure::Refused { code, .. } => match code.as_u16() {
            409 => source_error(Reason::AgentOff, msg!(collect.agent_off, peer = agent())),
            410 => source_error(Reason::NotRunning, msg!(collect.no_instance, guest = guest)),
            // The answer of virt-api if virt-handler or the launcher does not answer it.
            code @ (500 | 502) => source_error(
                Reason::Unreachable,
                msg!(collect.unreached, peer = agent(), code = code.to_string()),
            ),
            code => access.status_error(code, "get"),
        },
        Failure::TooLarge(_) | Failure::TooMany(_) | Failure::Undecodable => {
            useless(msg!(collect.of_agent, guest = guest), failure)
        }
        Failure::BadName => source_error(Reason::NotReported, msg!(collect.instance_name)),
        Failure::Own(error) => error.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::is_translated;
    use i18n::Render;

    #[test]
    fn a_name_cannot_choose_another_path() {
        let of = |namespace: &str, name: &str| path(&Key::new(namespace, name));
        assert_eq!(
            of("prod", "web.1").unwrap(),
            "/apis/subresources.kubevirt.io/v1/namespaces/prod/virtualmachineinstances/web.1/filesystemlist"
        );
        for name in ["", ".", "..", "../../secrets", "a/b", "a?b", "a%2fb", "a b", "A", "-a", "a.", "a#"] {
            assert_eq!((of("prod", name), of(name, "web")), (None, None), "{name}");
        }
        assert_eq!(of("prod", &"a".repeat(254)), None);
    }

    #[test]
    fn an_agent_that_is_off_and_an_instance_that_is_gone_are_known_by_their_messages() {
        for (code, says, want) in [
            (
                500,
                r#"{"kind":"Status","message":"Operation cannot be fulfilled on virtualmachineinstance.kubevirt.io \"web\": VMI does not have guest agent connected"}"#,
                409,
            ),
            (500, "dial tcp: connection refused", 500),
            (
                404,
                r#"{"kind":"Status","message":"virtualmachineinstance.kubevirt.io \"web\" not found"}"#,
                410,
            ),
            (404, "404 page not found\n", 404),
            (403, "guest agent", 403),
        ] {
            let code = StatusCode::from_u16(code).unwrap();
            assert_eq!(recode(code, says.as_bytes()).as_u16(), want, "{says}");
        }
    }

    /// Ten thousand guests may each answer as much as they can.
    #[test]
    fn a_guest_with_more_text_than_is_kept_is_refused_whole() {
        let node = |volumes: usize| {
            let mount = |n| Filesystem {
                disk_name: format!("sd{n}"),
                mount_point: format!(
                    "/var/lib/kubelet/pods/{n:0>36}/volumes/kubernetes.io~csi/pvc-{n:0>36}/mount"
                ),
                serials: vec![format!("0QEMU_QEMU_HARDDISK_{n:0>36}")],
                ..Filesystem::default()
            };
            (0..volumes).map(mount).collect::<Vec<_>>()
        };
        assert_eq!(counted(node(60)).unwrap().len(), 60);
        assert!(matches!(counted(node(MOST_DEVICES + 1)), Err(Failure::TooMany(_))));
        let hostile = |n| Filesystem { serials: vec!["x".repeat(250); 64], ..node(n + 1).remove(n) };
        let list: Vec<_> = (0..MOST_DEVICES).map(hostile).collect();
        assert!(matches!(counted(list), Err(Failure::TooLarge(MOST_TEXT))));
    }

    #[test]
    fn each_failure_has_its_reason_and_leaks_nothing() {
        let (guest, access) =
            (Key::new("prod", "web"), Access { resource: RESOURCE.into(), namespace: None });
        for (code, reason, words) in [
            (401, Reason::Unauthenticated, "credentials"),
            (
                403,
                Reason::Forbidden,
                "get virtualmachineinstances/filesystemlist.subresources.kubevirt.io at cluster",
            ),
            (
                404,
                Reason::ApiAbsent,
                "does not serve virtualmachineinstances/filesystemlist.subresources.kubevirt.io",
            ),
            (409, Reason::AgentOff, "prod/web"),
            (410, Reason::NotRunning, "prod/web"),
            (429, Reason::Unreachable, "request rate"),
            (500, Reason::Unreachable, "prod/web cannot be reached (500)"),
            (503, Reason::Unreachable, "unavailable (503)"),
            (504, Reason::TimedOut, "timed out"),
            (302, Reason::BadAnswer, "302"),
        ] {
            let code = StatusCode::from_u16(code).unwrap();
            let error = describe(&access, &guest, &Failure::Status { code, retry_after: None });
            assert_eq!(error.reason, reason, "{code}");
            assert!(error.detail.english().contains(words), "{code}: {}", error.detail.english());
            assert!(is_translated(&error), "{error:?}");
        }
        let late = describe(&access, &guest, &Failure::Late(Duration::from_secs(5)));
        assert_eq!(late.detail.english(), "no answer from the guest agent of prod/web within 5 s");
    }
}
