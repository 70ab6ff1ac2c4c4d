//! Reads kubeconfigs that kubectl accepts and kube refuses. Used by [`super`] when kube's own parser fails.

use std::path::Path;

use kube::config::Kubeconfig;
use serde_json::Value;

/// Parses as Go's decoder does: null means absent, and absent means empty. kube refuses the whole file
/// because of one such entry, even if the wanted context does not use it (kube-rs/kube#1076). `None` if this
/// fails too.
pub fn read_leniently(yaml: &str) -> Option<Kubeconfig> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(yaml).ok()?;
    documents.into_iter().try_fold(Kubeconfig::default(), |merged, mut document| {
        fill_in("", &mut document);
        merged.merge(serde_json::from_value(document).ok()?).ok()
    })
}

/// Fills in the value of the field with this name, or an element of the list in that field.
fn fill_in(field: &str, value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            // The content of an extension belongs to its owner and stays as it is.
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

/// The fields without which kube refuses an entry.
fn required_of(field: &str) -> &'static [&'static str] {
    match field {
        "clusters" | "contexts" | "users" | "auth-provider" => &["name"],
        "extensions" => &["name", "extension"],
        "context" => &["cluster"],
        _ => &[],
    }
}

/// Makes paths absolute as kube does (`Kubeconfig::read_from`); a command without a folder is looked up in
/// PATH.
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
