//! What the server writes about the viewer.

use std::{borrow::Cow, sync::Arc};

use leptos::prelude::*;

use crate::{
    server_fns::{Account, PageData, SignedInBy},
    ui::{
        address::at,
        components::{
            icon::{Icon, icon},
            why::copy,
        },
    },
};
use i18n::{MARK, around, t};
use model::{
    format::grouped,
    hidden::{escape_hidden, is_hidden},
};

/// Names that are shown of a list; the others are counted.
const NAMES: usize = 5;

/// Puts the account of the request into the context. Returns whether somebody is signed in.
pub fn provide() -> bool {
    let account = use_context::<Arc<dyn PageData>>().and_then(|data| data.account());
    let is_there = account.is_some();
    provide_context(account.map(Arc::new));
    is_there
}

fn account() -> Option<Arc<Account>> {
    use_context::<Option<Arc<Account>>>().flatten()
}

/// Returns the user menu, and the bar for the end of the session. Empty if nobody is signed in.
pub fn menu() -> impl IntoView {
    let content = account().map(|account| (user_menu(&account), session_bar()));
    view! { <div class="account">{content}</div> }
}

/// Returns what is still being checked, and why nothing is shown.
pub fn notes() -> impl IntoView {
    let content = account().map(|account| (checking(&account), no_rights(&account)));
    view! { <div class="account">{content}</div> }
}

fn user_menu(account: &Account) -> impl IntoView + use<> {
    let groups = list(&account.groups);
    view! {
        <details class="user" data-user=account.mark.clone() data-renew=account.renewal_in>
            <summary class="button">
                <span class="vh">{t!(account.menu)} " "</span>
                <span class="avatar" aria-hidden="true">{initials(&account.name)}</span>
                <span class="wide">{escape_hidden(short_name(&account.name)).into_owned()}</span>
            </summary>
            <div class="drop">
                <p>
                    <b>{escape_hidden(&account.name).into_owned()}</b>
                    " "
                    <small>{groups}</small>
                </p>
                <p>{sight(account)}</p>
                <p class="muted">{mode(account)}</p>
                {account.can_sign_out.then(sign_out)}
            </div>
        </details>
    }
}

fn mode(account: &Account) -> &'static str {
    match account.signed_in_by {
        SignedInBy::Token => t!(account.by_token),
        SignedInBy::Provider => t!(account.by_provider),
        SignedInBy::Proxy => t!(account.by_proxy),
    }
}

fn sign_out() -> impl IntoView {
    view! {
        <form action=at("/auth/sign-out") method="post">
            <button class="button">{t!(account.sign_out)}</button>
        </form>
    }
}

/// What the viewer sees, such as `You see 41 VMs in 3 namespaces: bank, payments, shop.`
fn sight(account: &Account) -> String {
    let vms = t!(count.vms, n = account.vms);
    let namespaces = t!(account.namespaces, n = account.namespaces.len() as u32);
    match account.vms {
        0 => t!(account.none).to_owned(),
        _ if account.all_vms => t!(account.all, vms = vms),
        _ => t!(account.some, vms = vms, namespaces = namespaces, names = list(&account.namespaces)),
    }
}

/// The first names, and how many there are besides.
fn list(names: &[String]) -> String {
    let shown: Vec<_> = names.iter().take(NAMES).map(|name| escape_hidden(name)).collect();
    let shown = shown.join(t!(account.comma));
    match names.len().saturating_sub(NAMES) {
        0 => shown,
        more => t!(account.more, names = shown, more = grouped(more as u64)),
    }
}

/// It is shown once the session has ended. The link leads to this page, and so to the sign-in and back.
fn session_bar() -> impl IntoView {
    view! {
        <p class="session notice">
            {icon(Icon::Clock)}
            <span>
                <b>{t!(account.ended)}</b>
                " "
                {t!(account.ended_text)}
            </span>
            <a class="button" href="" rel="external">
                {t!(account.sign_in_again)}
            </a>
        </p>
    }
}

fn checking(account: &Account) -> Option<impl IntoView + use<>> {
    let (checked, all) = account.checks?;
    let text = t!(account.checking, checked = grouped(checked as u64), all = grouped(all as u64));
    Some(view! {
        <p class="notice calm" role="status">
            {icon(Icon::Pending)}
            <span>{text}</span>
        </p>
    })
}

/// Who the viewer is, and what an administrator does so that they see VMs. The stylesheet shows it in place of an
/// empty list alone.
fn no_rights(account: &Account) -> Option<impl IntoView + use<>> {
    if account.vms > 0 || account.all_vms || account.checks.is_some() {
        return None;
    }
    let (before, after) = around(&t!(account.nothing_text, name = MARK, cluster = account.cluster));
    let groups = (!account.groups.is_empty()).then(|| {
        let (before, after) = around(&t!(account.groups, names = MARK));
        view! { <p>{before}<b>{list(&account.groups)}</b>{after}</p> }
    });
    let no_groups = names_no_groups(account).then(|| view! { <p>{t!(account.no_groups)}</p> });
    let commands = commands(account).map(|commands| {
        view! {
            <p class="muted">{t!(account.grant)}</p>
            <div class="command">
                <pre class="code">
                    <code>{commands}</code>
                </pre>
                {copy()}
            </div>
            <p class="muted">{t!(account.grant_text)}</p>
        }
    });
    Some(view! {
        <section class="empty no-rights" aria-labelledby="no-rights">
            <h2 id="no-rights">{t!(account.nothing)}</h2>
            <p>{before}<b>{escape_hidden(&account.name).into_owned()}</b>{after}</p>
            {groups}
            {no_groups}
            {commands}
        </section>
    })
}

/// Returns whether an identity provider sent no groups: the others are Kubernetes' own.
fn names_no_groups(account: &Account) -> bool {
    let is_named = matches!(account.signed_in_by, SignedInBy::Provider | SignedInBy::Proxy);
    is_named && account.groups.iter().all(|group| group.starts_with("system:"))
}

/// The command that lets the user list VMs, and that for a group of theirs. `None` if the name has
/// characters that nobody sees: they would get lost, or do something to a terminal.
fn commands(account: &Account) -> Option<String> {
    let own = binding("--user", &account.name)?;
    let is_own = |group: &&String| !group.starts_with("system:");
    let group = account.groups.iter().find(is_own).and_then(|group| binding("--group", group));
    Some(match group {
        Some(group) => [ROLE, &own, "\n# ", t!(account.or_group), "\n", &group].concat(),
        None => [ROLE, &own].concat(),
    })
}

/// Makes the role that the bindings grant. `kubevirt.io:view` does not allow to list Wukongs.
const ROLE: &str = concat!(
    "kubectl create clusterrole vms-view --verb=list \\\n",
    "  --resource=wukongs.vm.novasphere.dev \\\n",
    "  --resource=virtualmachines.kubevirt.io \\\n",
    "  --resource=virtualmachineinstances.kubevirt.io\n"
);

fn binding(subject: &str, name: &str) -> Option<String> {
    if name.contains(is_hidden) {
        return None;
    }
    let command = "kubectl -n NAMESPACE create rolebinding vms-view \\\n  --clusterrole=vms-view \\\n  ";
    Some([command, subject, "=", &quoted(name)].concat())
}

/// Quotes a word for the shell.
fn quoted(word: &str) -> Cow<'_, str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-@:/".contains(&byte);
    match word.bytes().all(plain) {
        true => word.into(),
        false => format!("'{}'", word.replace('\'', r"'\''")).into(),
    }
}

/// The part of a name that tells people apart: `viewer` of `system:serviceaccount:prod:viewer`, `ana.ruiz` of
/// `oidc:ana.ruiz@example.com`.
fn short_name(name: &str) -> &str {
    let local = name.split('@').next().unwrap_or_default();
    let last = local.rsplit([':', '/']).next().unwrap_or_default();
    if last.is_empty() { name } else { last }
}

fn initials(name: &str) -> String {
    let words = short_name(name).split(|c: char| !c.is_alphanumeric());
    let letters: String = words.filter_map(|word| word.chars().find(|c| !is_hidden(*c))).take(2).collect();
    letters.to_uppercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_shortened_to_what_tells_people_apart() {
        for (name, short, letters) in [
            ("ana", "ana", "A"),
            ("oidc:ana.ruiz@example.com", "ana.ruiz", "AR"),
            ("system:serviceaccount:prod:vm-viewer-2", "vm-viewer-2", "VV"),
            ("https://sso.example/#王小明", "#王小明", "王"),
            ("@", "@", ""),
            ("a:", "a:", "A"),
            ("a\u{3164}na \u{200b}b", "a\u{3164}na \u{200b}b", "AB"),
        ] {
            assert_eq!((short_name(name), initials(name).as_str()), (short, letters), "{name}");
        }
    }

    #[test]
    fn a_name_is_one_word_of_a_command_or_in_none() {
        for (name, word) in [
            ("ana.ruiz@example.com", "--user=ana.ruiz@example.com"),
            ("system:serviceaccount:prod:viewer", "--user=system:serviceaccount:prod:viewer"),
            ("$(reboot)", "--user='$(reboot)'"),
            ("o'brien; reboot", r"--user='o'\''brien; reboot'"),
            ("王小明", "--user='王小明'"),
        ] {
            assert!(binding("--user", name).unwrap().ends_with(&[" ", word].concat()), "{name}");
        }
        for hostile in ["a\nreboot", "a\u{1b}[2J", "a\u{7f}", "a\u{202e}b", "a\u{200b}b"] {
            assert_eq!(binding("--user", hostile), None, "{hostile:?}");
        }
    }
}
