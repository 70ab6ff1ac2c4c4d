//! Which user of Kubernetes the claims of a provider make: the same as the API server makes of them, if it has the
//! same settings (`--oidc-username-claim` and so on, or `claimMappings` of its AuthenticationConfiguration).

use serde_json::Value;

use super::Claims;
use crate::server::config::ClaimMappings;
use i18n::msg;
use model::{hidden::escape_hidden, message::Message, params::is_unseen};
use wukong_core::access::UserInfo;

/// Names that Kubernetes gives to its own users and groups.
const RESERVED: &str = "system:";
/// The group of everybody who is signed in.
const AUTHENTICATED: &str = "system:authenticated";

/// Why claims make no user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClaimFault {
    /// The claim with the name is missing, or is no name.
    NoName(String),
    EmailNotVerified,
    /// The name of a user or a group would be one of Kubernetes' own.
    Reserved(String),
    /// The claim with the groups does not hold names.
    NoGroups(String),
    /// The provider left the groups out, since they are too many (Entra).
    GroupsLeftOut(String),
}

impl ClaimFault {
    /// Returns what is wrong and how to fix it, for people. `mode` is the one whose flags they set.
    pub fn message(&self, mode: &str) -> Message {
        match self {
            Self::NoName(claim) => msg!(sign_in.claim_no_name, claim = claim.as_str(), mode = mode),
            Self::EmailNotVerified => msg!(sign_in.claim_email, mode = mode),
            Self::Reserved(name) => {
                msg!(sign_in.claim_reserved, name = escape_hidden(name).as_ref(), mode = mode)
            }
            Self::NoGroups(claim) => msg!(sign_in.claim_no_groups, claim = claim.as_str(), mode = mode),
            Self::GroupsLeftOut(claim) => msg!(sign_in.claim_left_out, claim = claim.as_str()),
        }
    }
}

/// Returns the user that the claims make.
pub fn user_of(claims: &Claims, mappings: &ClaimMappings) -> Result<UserInfo, ClaimFault> {
    let name = name_of(claims, mappings)?;
    let mut groups = groups_of(claims, mappings)?;
    // In one order: reviews are kept by user, and providers sort differently each time.
    groups.sort_unstable();
    groups.dedup();
    groups.push(AUTHENTICATED.to_owned());
    Ok(UserInfo { name, groups, ..UserInfo::default() })
}

fn name_of(claims: &Claims, mappings: &ClaimMappings) -> Result<String, ClaimFault> {
    let claim = mappings.username_claim.as_str();
    let name = claims.get(claim).and_then(Value::as_str).filter(|name| is_name(name));
    let name = name.ok_or_else(|| ClaimFault::NoName(claim.to_owned()))?;
    if claim == "email" && claims.get("email_verified").is_some_and(|verified| *verified != Value::Bool(true))
    {
        return Err(ClaimFault::EmailNotVerified);
    }
    not_reserved([mappings.username_prefix.as_str(), name].concat())
}

fn groups_of(claims: &Claims, mappings: &ClaimMappings) -> Result<Vec<String>, ClaimFault> {
    let claim = mappings.groups_claim.as_str();
    let are_elsewhere = claims.get("_claim_names").is_some_and(|names| names.get(claim).is_some());
    if are_elsewhere || claims.get("hasgroups") == Some(&Value::Bool(true)) {
        return Err(ClaimFault::GroupsLeftOut(claim.to_owned()));
    }
    let one = |value: &Value| value.as_str().map(str::to_owned);
    let names: Option<Vec<String>> = match claims.get(claim) {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(values)) => values.iter().map(one).collect(),
        Some(value) => one(value).map(|name| vec![name]),
    };
    let names = names.filter(|names| names.iter().all(|name| name.is_empty() || is_name(name)));
    let names = names.ok_or_else(|| ClaimFault::NoGroups(claim.to_owned()))?;
    let kept = names.into_iter().filter(|name| !name.is_empty() && mappings.keeps_group(name));
    kept.map(|name| not_reserved([mappings.groups_prefix.as_str(), &name].concat())).collect()
}

/// Returns whether the text can be a name: some characters, none of which ends a line or turns the text around. Others that
/// people do not see stay as they are, since the API server knows the name with them; whatever shows it escapes them.
fn is_name(text: &str) -> bool {
    !text.is_empty() && !text.contains(is_unseen)
}

fn not_reserved(name: String) -> Result<String, ClaimFault> {
    if name.starts_with(RESERVED) { Err(ClaimFault::Reserved(name)) } else { Ok(name) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use i18n::Render;

    fn mappings() -> ClaimMappings {
        ClaimMappings::default()
    }

    fn user(claims: Value, mappings: &ClaimMappings) -> Result<UserInfo, ClaimFault> {
        user_of(claims.as_object().unwrap(), mappings)
    }

    #[test]
    fn claims_make_the_user_that_kubernetes_makes_of_them() {
        let found = user(json!({"sub": "42", "groups": ["ops", "dev", "ops", ""]}), &mappings()).unwrap();
        assert_eq!(found.name, "oidc:42");
        assert_eq!(found.groups, ["oidc:dev", "oidc:ops", "system:authenticated"]);
        assert_eq!((found.uid.as_str(), found.extra.len()), ("", 0));
        let plain = ClaimMappings {
            username_claim: "email".into(),
            username_prefix: String::new(),
            groups_prefix: "sso/".into(),
            groups_claim: "roles".into(),
            ..mappings()
        };
        let found =
            user(json!({"email": "ana@example.com", "groups": ["x"], "roles": "ops"}), &plain).unwrap();
        assert_eq!((found.name.as_str(), found.groups[0].as_str()), ("ana@example.com", "sso/ops"));
        assert_eq!(
            user(json!({"email": "ana@example.com"}), &plain).unwrap().groups,
            ["system:authenticated"]
        );
    }

    #[test]
    fn an_address_that_is_not_verified_is_nobody_s() {
        let by_email = ClaimMappings { username_claim: "email".into(), ..mappings() };
        for (verified, fine) in [(json!(true), true), (json!(false), false), (json!("true"), false)] {
            let claims = json!({"sub": "1", "email": "a@b", "email_verified": verified});
            let want = if fine { Ok(()) } else { Err(ClaimFault::EmailNotVerified) };
            assert_eq!(user(claims.clone(), &by_email).map(|_| ()), want, "{verified}");
            assert!(user(claims, &mappings()).is_ok(), "the name is another claim");
        }
    }

    #[test]
    fn no_claim_makes_a_user_or_group_of_kubernetes_own() {
        let bare =
            ClaimMappings { username_prefix: String::new(), groups_prefix: String::new(), ..mappings() };
        let masters = json!({"sub": "ana", "groups": ["ops", "system:masters"]});
        assert_eq!(user(masters.clone(), &bare), Err(ClaimFault::Reserved("system:masters".into())));
        assert!(user(masters, &mappings()).is_ok(), "a prefix makes it another group");
        let admin = json!({"sub": "system:admin"});
        assert_eq!(user(admin, &bare), Err(ClaimFault::Reserved("system:admin".into())));
        let split = ClaimMappings { username_prefix: "sys".into(), ..mappings() };
        let found = user(json!({"sub": "tem:admin"}), &split);
        assert_eq!(found, Err(ClaimFault::Reserved("system:admin".into())), "of prefix and name together");
    }

    #[test]
    fn invalid_names_are_refused() {
        for odd in
            [json!({}), json!({"sub": ""}), json!({"sub": 7}), json!({"sub": "a\nb"}), json!({"sub": null})]
        {
            assert_eq!(user(odd.clone(), &mappings()), Err(ClaimFault::NoName("sub".into())), "{odd}");
        }
        for odd in [json!([1]), json!({"a": 1}), json!(["ok", {}]), json!(true), json!(["a\u{202e}b"])] {
            let claims = json!({"sub": "a", "groups": odd});
            assert_eq!(user(claims, &mappings()), Err(ClaimFault::NoGroups("groups".into())), "{odd}");
        }
    }

    /// A review of another name would be about another user.
    #[test]
    fn a_name_with_hidden_characters_is_passed_on_as_it_is() {
        let (name, group) = ("a\u{200d}n\u{fe0f}a\u{e0041}", "o\u{ad}ps\u{2060}");
        let found = user(json!({"sub": name, "groups": [group]}), &mappings()).unwrap();
        assert_eq!((found.name, &found.groups[0]), (["oidc:", name].concat(), &["oidc:", group].concat()));
        let bare = ClaimMappings { username_prefix: String::new(), ..mappings() };
        let refused = user(json!({"sub": "system:a\u{200b}"}), &bare).unwrap_err().message("oidc");
        assert!(refused.english().contains(r"system:a\u{200b}"), "{}", refused.english());
    }

    #[test]
    fn groups_that_the_provider_left_out_are_not_no_groups() {
        for left_out in [
            json!({"sub": "a", "_claim_names": {"groups": "src1"}, "_claim_sources": {"src1": {}}}),
            json!({"sub": "a", "hasgroups": true}),
        ] {
            let found = user(left_out.clone(), &mappings());
            assert_eq!(found, Err(ClaimFault::GroupsLeftOut("groups".into())), "{left_out}");
        }
        assert!(user(json!({"sub": "a", "_claim_names": {"other": "src1"}}), &mappings()).is_ok());
    }

    #[test]
    fn a_filter_keeps_the_groups_whose_whole_name_it_matches() {
        let filter = Some("vm-.*|ops".parse().unwrap());
        let some = ClaimMappings { groups_filter: filter, ..mappings() };
        let groups = json!({"sub": "a", "groups": ["vm-a", "ops", "devops", "my-vm-a", "ops2"]});
        assert_eq!(user(groups, &some).unwrap().groups, ["oidc:ops", "oidc:vm-a", "system:authenticated"]);
        let masters = json!({"sub": "a", "groups": ["system:masters", "ops"]});
        let bare = ClaimMappings { groups_prefix: String::new(), ..some };
        assert_eq!(user(masters, &bare).unwrap().groups, ["ops", "system:authenticated"]);
    }
}
