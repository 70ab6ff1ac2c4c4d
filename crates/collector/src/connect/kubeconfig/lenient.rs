//! Kubeconfigs that kubectl reads and kube refuses.

use std::path::Path;

use kube::config::Kubeconfig;
use serde_json::Value;

/// As Go's decoder has it: null is nothing, and what is missing is empty. kube refuses the whole file for one such entry, which need not be
/// of the context that is wanted (kube-rs/kube#1076).
pub fn read_leniently(yaml: &str) -> Option<Kubeconfig> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(yaml).ok()?;
    documents.into_iter().try_fold(Kubeconfig::default(), |merged, mut document| {
        fill_in("", &mut document);
        merged.merge(serde_json::from_value(document).ok()?).ok()
    })
}

/// Of the value of a field with this name, or of an element of the list in it.
fn fill_in(field: &str, value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            // What is in an extension is its owner's.
            let known = fields.iter_mut().filter(|(name, _)| *name != "extension");
            known.for_each(|(name, value)| fill_in(name, value));
            for required in required_of(field) {
                fields.entry(*required).or_insert_with(|| "".into());
            }
        }
        Value::Array(items) => {
            items.retain(|item| !item.is_null());
            items.iter_mut().for_each(|item| fill_in(field, item));
        }
        _ => {}
    }
}

/// What kube cannot do without.
fn required_of(field: &str) -> &'static [&'static str] {
    match field {
        "clusters" | "contexts" | "users" | "auth-provider" => &["name"],
        "extensions" => &["name", "extension"],
        "context" => &["cluster"],
        _ => &[],
    }
}

/// As kube makes them itself (`Kubeconfig::read_from`); a command without a folder is looked for in PATH.
pub fn with_absolute_paths(mut kubeconfig: Kubeconfig, folder: &Path) -> Kubeconfig {
    let absolute = |file: &mut Option<String>| {
        if let Some(path) = file.as_mut().filter(|path| !path.is_empty())
            && let Some(joined) = folder.join(&*path).to_str()
        {
            *path = joined.to_owned();
        }
    };
    for cluster in kubeconfig.clusters.iter_mut().filter_map(|named| named.cluster.as_mut()) {
        absolute(&mut cluster.certificate_authority);
    }
    for user in kubeconfig.auth_infos.iter_mut().filter_map(|named| named.auth_info.as_mut()) {
        absolute(&mut user.client_certificate);
        absolute(&mut user.client_key);
        absolute(&mut user.token_file);
        if let Some(exec) = user.exec.as_mut().filter(|exec| is_path(exec.command.as_deref())) {
            absolute(&mut exec.command);
        }
    }
    kubeconfig
}

fn is_path(command: Option<&str>) -> bool {
    command.is_some_and(|command| command.contains('/'))
}
