//! Chooses between the sources of what a guest does. Nothing is mixed within one figure: each is of one sample of one
//! source.

use model::{
    activity::{GuestActivity, Origin, Traffic},
    figure::Missing,
    reason::Reason,
};

/// Returns what the first source says whose sample is fresh, else the first that has one at all. If none has, the reason
/// is that of the first source that is configured. Later sources are not looked at without need.
pub fn first(
    sources: impl IntoIterator<Item = Result<GuestActivity, Missing>>,
) -> Result<GuestActivity, Missing> {
    let (mut old, mut why): (Option<GuestActivity>, Option<Missing>) = (None, None);
    for source in sources {
        match source {
            Ok(fresh) if !fresh.stale => return Ok(fresh),
            Ok(stale) => drop(old.get_or_insert(stale)),
            Err(missing) => {
                let gives_way = |why: &Missing| {
                    why.reason == Reason::NotConfigured && missing.reason != Reason::NotConfigured
                };
                if why.as_ref().is_none_or(gives_way) {
                    why = Some(missing);
                }
            }
        }
    }
    old.ok_or_else(|| why.unwrap_or_else(|| Reason::NotConfigured.into()))
}

/// Takes the traffic that the kubelet counts if no other source has any, or only an old one.
pub fn with_network(
    activity: Result<GuestActivity, Missing>,
    kubelet: impl FnOnce() -> Option<(Traffic, Origin)>,
) -> Result<GuestActivity, Missing> {
    match activity {
        Ok(fresh) if !fresh.stale => Ok(fresh),
        Ok(old) => Ok(match kubelet() {
            Some((traffic, origin)) if !origin.stale => {
                GuestActivity { network: Ok(traffic), network_from: Some(origin), ..old }
            }
            _ => old,
        }),
        Err(missing) => match kubelet() {
            Some((traffic, origin)) => Ok(only_network(traffic, origin, &missing)),
            None => Err(missing),
        },
    }
}

/// The activity of a guest of which nothing but its traffic is known.
fn only_network(traffic: Traffic, origin: Origin, missing: &Missing) -> GuestActivity {
    let Origin { source, at, window_ms, stale } = origin;
    let missing = Box::new(missing.clone());
    GuestActivity {
        source,
        at,
        window_ms,
        stale,
        memory: Err(missing.clone()),
        swap: Err(missing.clone()),
        major_faults: Err(missing.clone()),
        network: Ok(traffic),
        network_from: None,
        storage: Err(missing.clone()),
        contention: Err(missing),
        migration: None,
        rates: None,
    }
}
