//! Validates names by the rules of Kubernetes. All code that checks whether a text can be a name uses this
//! module.
//!
//! The rules are those of `k8s.io/apimachinery/pkg/util/validation`: `IsDNS1123Label` for namespaces,
//! `IsDNS1123Subdomain` for nodes, pods, claims and custom resources.

use super::bad_param::{BadParam, Expected};

/// `DNS1123LabelMaxLength` and `DNS1123SubdomainMaxLength`, in bytes.
const LABEL: usize = 63;
const SUBDOMAIN: usize = 253;

/// Whether the text is an RFC 1123 label, as the name of a namespace is.
pub fn is_dns_label(text: &str) -> bool {
    text.len() <= LABEL && is_part(text)
}

/// Whether the text is an RFC 1123 subdomain, as the name of a virtual machine or a node is. Its parts may be
/// longer than a label.
pub fn is_dns_subdomain(text: &str) -> bool {
    text.len() <= SUBDOMAIN && text.split('.').all(is_part)
}

fn is_part(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty() && text.bytes().all(inner) && !text.starts_with('-') && !text.ends_with('-')
}

/// Checks the namespace and name of a virtual machine. The error says which of them is not valid.
pub fn check_vm(namespace: &str, name: &str) -> Result<(), BadParam> {
    match (is_dns_label(namespace), is_dns_subdomain(name)) {
        (true, true) => Ok(()),
        (false, _) => Err(BadParam::new("namespace", Expected::Namespace)),
        (_, false) => Err(BadParam::new("name", Expected::Name)),
    }
}

/// Checks the name of a node.
pub fn check_node(name: &str) -> Result<(), BadParam> {
    if is_dns_subdomain(name) { Ok(()) } else { Err(BadParam::new("name", Expected::Name)) }
}

/// Returns the name for use in a command, or `placeholder` if Kubernetes would not accept it. People copy the
/// command into a shell, and names also come from objects that Kubernetes does not check (a Wukong's status).
pub fn in_command<'a>(name: &'a str, placeholder: &'static str) -> &'a str {
    if is_dns_subdomain(name) { name } else { placeholder }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_kubernetes() {
        let long = ["x".repeat(200), "y".repeat(52)].join(".");
        for (text, label, subdomain) in [
            ("a", true, true),
            ("0", true, true),
            ("web-01", true, true),
            ("a--b", true, true),
            (&"x".repeat(63), true, true),
            (&"x".repeat(64), false, true),
            ("web.shop", false, true),
            (&long, false, true),
            (&"x".repeat(253), false, true),
            (&"x".repeat(254), false, false),
            ("", false, false),
            ("-a", false, false),
            ("a-", false, false),
            ("A", false, false),
            ("a_b", false, false),
            (".a", false, false),
            ("a.", false, false),
            ("a..b", false, false),
            ("a.-b", false, false),
            ("..", false, false),
            ("a/b", false, false),
            ("a b", false, false),
            ("a\n", false, false),
            ("é", false, false),
        ] {
            assert_eq!((is_dns_label(text), is_dns_subdomain(text)), (label, subdomain), "{text}");
        }
    }

    #[test]
    fn a_vm_needs_a_valid_namespace_and_name() {
        let field = |namespace, name| check_vm(namespace, name).err().map(|bad| bad.field);
        assert_eq!(field("shop", "web.a"), None);
        assert_eq!(field("shop.a", "web").as_deref(), Some("namespace"));
        assert_eq!(field("shop", "Web").as_deref(), Some("name"));
    }

    #[test]
    fn a_command_contains_only_valid_names() {
        assert_eq!(in_command("node-1.example", "NODE"), "node-1.example");
        for text in ["", "a; rm -rf x", "$(id)", "-f", "a\nb"] {
            assert_eq!(in_command(text, "NODE"), "NODE");
        }
    }
}
