//! Reads kubeconfigs, merges them, and resolves one context, as client-go does (`tools/clientcmd/loader.go`,
//! `merge.go`, `client_config.go`). Used by [`super::target`].

mod lenient;

use std::{
    env, fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use kube::config::{AuthInfo, Cluster, Kubeconfig, KubeconfigError};

use self::lenient::{read_leniently, with_absolute_paths};
use super::ConnectError;

/// Decodes as Go does: requires canonical padding, and ignores trailing bits.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireCanonical),
);

/// Where a kubeconfig is, so that it can be read again.
#[derive(Clone, Debug)]
pub enum KubeconfigLocation {
    Text(Arc<str>),
    /// One file, or several as in KUBECONFIG.
    Files(Vec<PathBuf>),
}

impl KubeconfigLocation {
    /// The files of `--kubeconfig` or KUBECONFIG. Files of a list may be missing, but not all; a single file
    /// must exist.
    pub fn of_list(paths: &Path) -> Self {
        Self::Files(env::split_paths(paths).filter(|path| !path.as_os_str().is_empty()).collect())
    }

    /// Whether reading it again can give something else.
    pub fn may_change(&self) -> bool {
        matches!(self, Self::Files(_))
    }

    /// Reads and merges the files, or parses the text. Fails if a file is missing or is no kubeconfig.
    pub fn read(&self) -> Result<Kubeconfig, ConnectError> {
        match self {
            Self::Text(yaml) => {
                let read = Kubeconfig::from_yaml(yaml).or_else(|error| read_leniently(yaml).ok_or(error));
                read.map(without_blanks).map_err(|error| ConnectError::Kubeconfig(describe(&error)))
            }
            Self::Files(paths) => merge_files(paths),
        }
    }
}

/// Merges files in their order: for each name the first entry counts, and the first current context that is
/// not empty. Relative paths are relative to their own file.
fn merge_files(paths: &[PathBuf]) -> Result<Kubeconfig, ConnectError> {
    let may_miss = paths.len() > 1 && paths.iter().any(|path| path.exists());
    let mut merged = Kubeconfig::default();
    for path in paths.iter().filter(|path| !may_miss || path.exists()) {
        let next = read_file(path).map(without_blanks);
        merged = next
            .and_then(|next| merged.merge(next))
            .map_err(|error| ConnectError::File { path: path.clone(), why: describe(&error) })?;
    }
    Ok(merged)
}

fn read_file(path: &Path) -> Result<Kubeconfig, KubeconfigError> {
    let strict = Kubeconfig::read_from(path);
    if !matches!(strict, Err(KubeconfigError::Parse(_))) {
        return strict;
    }
    let lenient = fs::read_to_string(path).ok().and_then(|text| read_leniently(&text));
    let folder = path.parent().unwrap_or(Path::new(""));
    lenient.map(|kubeconfig| with_absolute_paths(kubeconfig, folder)).map_or(strict, Ok)
}

/// Removes an empty `current-context`, which kube's merge would take for the name of a context.
fn without_blanks(mut kubeconfig: Kubeconfig) -> Kubeconfig {
    kubeconfig.current_context = kubeconfig.current_context.filter(|name| !name.is_empty());
    kubeconfig
}

/// Describes an error without quoting the file: YAML errors quote the lines around them, which can hold a
/// credential.
fn describe(error: &KubeconfigError) -> String {
    match error {
        KubeconfigError::Parse(_) => "it is not the YAML of a kubeconfig".into(),
        KubeconfigError::ReadConfig(error, _) => error.to_string(),
        other => other.to_string(),
    }
}

/// A context with the cluster and the user that it names.
#[derive(Clone, Debug)]
pub struct Context {
    pub name: String,
    pub cluster_name: String,
    pub cluster: Cluster,
    /// Empty if the context names no user.
    pub user_name: String,
    /// Empty if the kubeconfig has no such user: client-go too continues without credentials.
    pub user: AuthInfo,
    pub namespace: Option<String>,
}

impl Context {
    /// Returns the `wanted` context, or the current one if none is wanted.
    pub fn choose(kubeconfig: Kubeconfig, wanted: Option<&str>) -> Result<Self, ConnectError> {
        let Kubeconfig { contexts, clusters, auth_infos, current_context, .. } = kubeconfig;
        let names = || contexts.iter().map(|context| context.name.as_str()).collect::<Vec<_>>().join(", ");
        if contexts.is_empty() {
            return Err(ConnectError::NoContexts);
        }
        // Without a current context, kubectl uses a context that has no name (kubernetes/kubernetes#56747).
        let unnamed = || contexts.iter().any(|context| context.name.is_empty()).then(String::new);
        let Some(name) = wanted.map(str::to_owned).or(current_context).or_else(unnamed) else {
            return Err(ConnectError::NoCurrentContext { contexts: names() });
        };
        let Some(context) = contexts.iter().find(|context| context.name == name) else {
            return Err(ConnectError::NoContext { name, contexts: names() });
        };
        let context = context.context.clone().unwrap_or_default();
        let cluster_name = context.cluster;
        let cluster = clusters.into_iter().find(|cluster| cluster.name == cluster_name);
        let Some(cluster) = cluster else {
            return Err(ConnectError::NoClusterOfContext { context: name, cluster: cluster_name });
        };
        let user_name = context.user.unwrap_or_default();
        let user = auth_infos.into_iter().find(|user| user.name == user_name);
        Ok(Self {
            name,
            cluster_name,
            cluster: cluster.cluster.unwrap_or_default(),
            user_name,
            user: user.and_then(|user| user.auth_info).unwrap_or_default(),
            namespace: context.namespace.filter(|namespace| !namespace.is_empty()),
        })
    }
}

/// Decodes a `…-data` field. Line breaks are ignored, as in Go, and so is other white space: YAML turns the
/// line breaks of a folded text into spaces.
pub fn decode_data(text: &str) -> Option<Vec<u8>> {
    let text: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    BASE64.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose(yaml: &str, wanted: Option<&str>) -> Result<Context, String> {
        let place = KubeconfigLocation::Text(yaml.into());
        let context = place.read().and_then(|kubeconfig| Context::choose(kubeconfig, wanted));
        context.map_err(|error| error.to_string())
    }

    const TWO: &str = "
clusters: [{name: c, cluster: {server: 'https://10.0.0.1:6443'}}]
users: [{name: u, user: {token: s3cret}}]
contexts: [{name: a, context: {cluster: c, user: u}}, {name: b, context: {cluster: c}}, {name: lost, context: {cluster: gone, user: u}}]
";

    #[test]
    fn a_context_is_the_named_one_or_the_current_one() {
        let current = format!("current-context: b\n{TWO}");
        for (yaml, wanted, want) in
            [(TWO, Some("a"), "a/u"), (&current, None, "b/"), (&current, Some("a"), "a/u")]
        {
            let Context { name, user_name, .. } = choose(yaml, wanted).unwrap();
            assert_eq!(format!("{name}/{user_name}"), want);
        }
    }

    /// kubernetes/kubernetes#56747, doriordan/skuber#215.
    #[test]
    fn a_context_without_a_name_is_used_if_no_current_context_is_set() {
        let yaml = "
clusters: [{name: cluster-8f18, cluster: {server: 'https://foo.bar'}}]
users: [{name: admin, user: {token: t}}]
contexts: [{context: {cluster: cluster-8f18, user: admin}}, {name: dind, context: {cluster: cluster-8f18, user: ''}}]
";
        let chosen = |yaml: &str, wanted| {
            choose(yaml, wanted).map(|context| (context.name, context.user.token.is_some()))
        };
        assert_eq!(chosen(yaml, None), Ok((String::new(), true)));
        assert_eq!(chosen(&format!("current-context: dind\n{yaml}"), None), Ok(("dind".into(), false)));
        assert_eq!(chosen(yaml, Some("dind")), Ok(("dind".into(), false)));
    }

    #[test]
    fn what_is_missing_is_said_with_what_there_is() {
        let empty = format!("current-context: ''\n{TWO}");
        for (yaml, wanted, want) in [
            (
                TWO,
                None,
                "the kubeconfig sets no current context: choose one with --context or `kubectl config use-context` \
                 (a, b, lost)",
            ),
            (
                &empty,
                None,
                "the kubeconfig sets no current context: choose one with --context or `kubectl config \
                 use-context` (a, b, lost)",
            ),
            (
                TWO,
                Some("x"),
                "the kubeconfig has no context named x: choose one of a, b, lost with --context",
            ),
            (
                TWO,
                Some("lost"),
                "the context lost names the cluster gone, which the kubeconfig does not have: add it, or choose \
                 another context with --context",
            ),
            ("{}", None, "the kubeconfig has no contexts: is it the right file? See `kubectl config view`"),
            (
                "",
                Some("a"),
                "the kubeconfig has no contexts: is it the right file? See `kubectl config view`",
            ),
        ] {
            assert_eq!(choose(yaml, wanted).unwrap_err(), want);
        }
    }

    /// kube-rs/kube#1076, turkenh/KubeContext#3, aptakube/aptakube#56: kubectl accepts these, since only one
    /// context is used.
    #[test]
    fn an_entry_that_lacks_something_costs_itself_alone() {
        for entry in [
            "users: [{name: old, user: {auth-provider: {name: gcp, config: null}}}]",
            "users: [{name: old, user: {auth-provider: {name: gcp, config: }}}]",
            "users: [{name: old, user: {auth-provider: {config: {a: b}}}}]",
            "users: [{name: old, user: {exec: {command: x, args: null, env: null, provideClusterInfo: null}}}]",
            "users: [{name: old, user: {exec: {command: x, env: [{name: A, value: null}]}}}]",
            "users: [{name: old, user: null}, {user: {token: t}}, null]",
            "contexts: [{name: old, context: {user: u}}]",
            "contexts: [{name: old, context: {cluster: null, user: null, namespace: null}}]",
            "contexts: [{name: old, context: {}}, {name: older}, {context: {cluster: c}}, null]",
            "clusters: [{name: old, cluster: {server: null, insecure-skip-tls-verify: null}}, {cluster: {}}]",
            "extensions: [{name: x}, {extension: {a: null}}]\npreferences: null",
            "preferences: {colors: null, extensions: [{name: x, extension: null}]}",
        ] {
            // A second document is merged like a second file.
            let yaml = format!("{TWO}---\n{entry}\n");
            let found = choose(&yaml, Some("a"))
                .map(|context| (context.cluster.server, context.user.token.is_some()));
            assert_eq!(found, Ok((Some("https://10.0.0.1:6443".into()), true)), "{entry}");
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config");
        let text = "current-context: a
contexts: [{name: a, context: {cluster: c, user: u}}, {name: b, context: {}}]
clusters: [{name: c, cluster: {server: 'https://a', certificate-authority: ca.pem}}]
users: [{name: u, user: {client-certificate: crt, client-key: /key, tokenFile: token, exec: {command: ./plugin}}}]
";
        std::fs::write(&path, text).unwrap();
        let context = Context::choose(KubeconfigLocation::of_list(&path).read().unwrap(), None).unwrap();
        let here = |file: &str| folder.path().join(file).to_str().map(str::to_owned);
        let user = context.user;
        assert_eq!(context.cluster.certificate_authority, here("ca.pem"));
        assert_eq!([user.client_certificate, user.token_file], [here("crt"), here("token")]);
        assert_eq!(
            (user.client_key.as_deref(), user.exec.unwrap().command),
            (Some("/key"), here("./plugin"))
        );
    }

    /// aptakube/aptakube#341: PowerShell writes UTF-16, and some editors on Windows write a byte order mark
    /// before UTF-8.
    #[test]
    fn a_file_may_be_in_any_encoding_of_unicode() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config");
        let text = format!("\u{feff}{TWO}");
        let encoded = |bytes: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(bytes).collect::<Vec<u8>>();
        for bytes in [encoded(u16::to_le_bytes), encoded(u16::to_be_bytes), text.clone().into_bytes()] {
            std::fs::write(&path, &bytes).unwrap();
            let read = KubeconfigLocation::of_list(&path)
                .read()
                .unwrap_or_else(|error| panic!("{error}: {:?}", &bytes[..4]));
            assert_eq!(read.contexts.len(), 3);
        }
    }

    #[test]
    fn a_kubeconfig_that_cannot_be_read_is_refused_without_its_secrets() {
        for yaml in ["users: [", "users: [{name: u, user: {token: [s3cret]}}]", "s3cret: {{"] {
            let error = choose(yaml, None).unwrap_err();
            assert!(error.starts_with("cannot use the kubeconfig") && !error.contains("s3cret"), "{error}");
        }
    }

    /// The rules and the example of
    /// kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig.
    #[test]
    fn files_are_merged_as_client_go_merges_them() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, text).unwrap();
            path
        };
        let first = write(
            "one/config",
            "current-context: ''\nusers: [{name: red, user: {username: x}}]\ncontexts: []\n\
             clusters: [{name: c, cluster: {server: 'https://one', certificate-authority: ca.pem}}]\n",
        );
        let second = write(
            "two/config",
            "current-context: b\nusers: [{name: red, user: {token: t}}, {name: blue, user: {tokenFile: token}}]\n\
             contexts: [{name: b, context: {cluster: c, user: blue}}]\nclusters: [{name: c, cluster: {server: 'https://two'}}]\n",
        );
        let third =
            write("three/config", "current-context: z\ncontexts: [{name: b, context: {cluster: z}}]\n");
        let list = env::join_paths([&folder.path().join("gone"), &first, &second, &third]).unwrap();
        let merged = KubeconfigLocation::of_list(Path::new(&list)).read().unwrap();
        let red =
            merged.auth_infos.iter().find(|user| user.name == "red").unwrap().auth_info.clone().unwrap();
        assert!(
            red.token.is_none() && red.username.as_deref() == Some("x"),
            "the first red user, and only that"
        );
        let context = Context::choose(merged, None).unwrap();
        assert_eq!((&*context.name, &*context.user_name), ("b", "blue"), "the first that is not empty");
        assert_eq!(context.cluster.server.as_deref(), Some("https://one"));
        let of = |folder_name: &str, file: &str| {
            folder.path().join(folder_name).join(file).to_str().unwrap().to_owned()
        };
        assert_eq!(context.cluster.certificate_authority, Some(of("one", "ca.pem")));
        assert_eq!(context.user.token_file, Some(of("two", "token")));
    }

    #[test]
    fn a_single_file_must_exist_and_a_list_must_hold_one_that_does() {
        let folder = tempfile::tempdir().unwrap();
        let (gone, there) = (folder.path().join("gone"), folder.path().join("there"));
        std::fs::write(&there, TWO).unwrap();
        for (list, found) in [(vec![&gone], false), (vec![&gone, &gone], false), (vec![&gone, &there], true)]
        {
            let list = env::join_paths(list).unwrap();
            let read = KubeconfigLocation::of_list(Path::new(&list)).read();
            match read {
                Ok(kubeconfig) => assert!(found && kubeconfig.contexts.len() == 3),
                Err(ConnectError::File { path, .. }) => assert!(!found && path == gone),
                Err(other) => panic!("{other}"),
            }
        }
    }

    #[test]
    fn base64_may_have_line_breaks() {
        for text in ["aGVs\nbG8g\r\nd29ybGQ=\n", "aGVsbG8gd29ybGQ=", "aGVs bG8g d29ybGQ=", "aGVsbG8gd29ybGR="]
        {
            assert_eq!(decode_data(text).as_deref(), Some(&b"hello world"[..]), "{text:?}");
        }
        for text in ["aGVsbG8gd29ybGQ", "a!", "=", "aGVsbG8gd29ybGQ=="] {
            assert_eq!(decode_data(text), None, "{text:?}");
        }
    }
}
