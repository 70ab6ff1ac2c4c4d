//! The names that Kubernetes generates for launcher pods.

const LAUNCHER: &str = "virt-launcher-";
/// Characters that `generateName` is truncated to before five random ones are appended (`k8s.io/apiserver`
/// `names.SimpleNameGenerator`: 63 − 5).
const MAX_GENERATED_PREFIX: usize = 58;
const RANDOM_SUFFIX: usize = 5;

/// Returns the pod name prefix that Kubernetes derives from the VM's `generateName`, without the random
/// characters.
pub(super) fn cut_prefix(vm_name: &str) -> String {
    let mut prefix = format!("{LAUNCHER}{vm_name}-");
    let end = (0..=MAX_GENERATED_PREFIX.min(prefix.len())).rev().find(|at| prefix.is_char_boundary(*at));
    prefix.truncate(end.unwrap_or(0));
    prefix
}

/// Returns whether this is the name of a launcher pod with this generated prefix.
pub(super) fn is_generated_from(name: &str, prefix: &str) -> bool {
    generated_prefix(name) == Some(prefix)
}

/// Returns a launcher pod's name without its five random characters.
pub(super) fn generated_prefix(name: &str) -> Option<&str> {
    let at = name.len().checked_sub(RANDOM_SUFFIX)?;
    if !name.is_char_boundary(at) || !name.starts_with(LAUNCHER) {
        return None;
    }
    let (prefix, suffix) = name.split_at(at);
    suffix.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()).then_some(prefix)
}
