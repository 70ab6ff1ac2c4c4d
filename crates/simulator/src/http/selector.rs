//! Parses label and field selectors, and matches objects against them, for lists and watches.

use crate::{objects::Labels, resource::Resource};

/// A selector; all its terms must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    terms: Vec<Term>,
    /// Name, whether it must be equal, and the value.
    fields: Vec<(&'static str, bool, String)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Term {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Absent(String),
}

pub const NAME: &str = "metadata.name";
pub const NAMESPACE: &str = "metadata.namespace";

/// The other fields of Events that can be selected (`AddFieldLabelConversionsForEvent` of Kubernetes).
const OF_EVENTS: [&str; 11] = [
    "involvedObject.kind",
    "involvedObject.namespace",
    "involvedObject.name",
    "involvedObject.uid",
    "involvedObject.apiVersion",
    "involvedObject.resourceVersion",
    "involvedObject.fieldPath",
    "reason",
    "reportingComponent",
    "source",
    "type",
];

impl Selector {
    /// Parses the label and field selectors of a request for `resource`. The error is the message that the API server
    /// answers with 400.
    pub fn parse(labels: &str, fields: &str, resource: Option<Resource>) -> Result<Self, String> {
        let terms = split(labels).into_iter().map(term).collect::<Result<_, _>>()?;
        let fields = split(fields).into_iter().map(|text| field(text, resource)).collect::<Result<_, _>>()?;
        Ok(Self { terms, fields })
    }

    /// Whether the selector matches everything.
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty() && self.fields.is_empty()
    }

    /// Whether an object matches. `labels` and `field` are called only if a term needs them; `field` returns the value
    /// of a field other than the name and the namespace.
    pub fn matches(
        &self,
        (namespace, name): (&str, &str),
        labels: impl FnOnce() -> Labels,
        field: impl Fn(&str) -> String,
    ) -> bool {
        let fields = self.fields.iter().all(|(wanted, equal, want)| match *wanted {
            NAME => (name == want) == *equal,
            NAMESPACE => (namespace == want) == *equal,
            other => (field(other) == *want) == *equal,
        });
        fields && (self.terms.is_empty() || self.matches_labels(&labels()))
    }

    fn matches_labels(&self, labels: &Labels) -> bool {
        let value = |name: &str| labels.iter().find(|(found, _)| found == name).map(|(_, value)| value);
        self.terms.iter().all(|term| match term {
            Term::In(name, values) => value(name).is_some_and(|value| values.contains(value)),
            Term::NotIn(name, values) => !value(name).is_some_and(|value| values.contains(value)),
            Term::Exists(name) => value(name).is_some(),
            Term::Absent(name) => value(name).is_none(),
        })
    }
}

/// Splits at commas outside parentheses.
fn split(text: &str) -> Vec<&str> {
    let mut depth = 0;
    let terms = text.split(move |c| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        c == ',' && depth == 0
    });
    terms.map(str::trim).filter(|term| !term.is_empty()).collect()
}

fn term(text: &str) -> Result<Term, String> {
    if let Some((name, equal, value)) = equation(text) {
        let (name, values) = (name.to_owned(), vec![value.to_owned()]);
        return Ok(if equal { Term::In(name, values) } else { Term::NotIn(name, values) });
    }
    let Some((head, values)) = text.split_once('(') else {
        return match text.strip_prefix('!') {
            Some(name) => Ok(Term::Absent(name.trim().to_owned())),
            None if text.contains(char::is_whitespace) => Err(unparsable(text)),
            None => Ok(Term::Exists(text.to_owned())),
        };
    };
    let values = values.strip_suffix(')').ok_or_else(|| unparsable(text))?;
    let values = values.split(',').map(|value| value.trim().to_owned()).collect();
    match head.split_whitespace().collect::<Vec<_>>().as_slice() {
        [name, "in"] => Ok(Term::In((*name).to_owned(), values)),
        [name, "notin"] => Ok(Term::NotIn((*name).to_owned(), values)),
        _ => Err(unparsable(text)),
    }
}

fn field(text: &str, resource: Option<Resource>) -> Result<(&'static str, bool, String), String> {
    let (name, equal, value) = equation(text).ok_or_else(|| format!("invalid field selector: {text}"))?;
    let more: &[&str] = if resource == Some(Resource::Events) { &OF_EVENTS } else { &[] };
    let known = [NAME, NAMESPACE].into_iter().chain(more.iter().copied()).find(|known| *known == name);
    let known = known.ok_or_else(|| format!("field label not supported: {name}"))?;
    Ok((known, equal, value.to_owned()))
}

fn equation(text: &str) -> Option<(&str, bool, &str)> {
    let (name, equal, value) = match text.split_once("!=") {
        Some((name, value)) => (name, false, value),
        None => text.split_once('=').map(|(name, value)| (name, true, value))?,
    };
    Some((name.trim(), equal, value.trim_start_matches('=').trim()))
}

fn unparsable(text: &str) -> String {
    format!("unable to parse requirement: {text}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(selector: &str) -> bool {
        let labels = vec![("app".to_owned(), "web".to_owned()), ("tier".to_owned(), "front".to_owned())];
        Selector::parse(selector, "", None).unwrap().matches(("ns", "name"), || labels, |_| unreachable!())
    }

    #[test]
    fn label_terms_hold_as_documented() {
        for (selector, want) in [
            ("", true),
            ("app=web", true),
            ("app==web,tier", true),
            ("app=web,tier=back", false),
            ("app!=web", false),
            ("other!=web", true),
            ("app in (api, web)", true),
            ("app in (api),tier", false),
            ("app notin (api,x),tier", true),
            ("!other", true),
            ("!app", false),
            ("other", false),
        ] {
            assert_eq!(holds(selector), want, "{selector}");
        }
        assert!(Selector::parse("app like web", "", None).is_err());
    }

    #[test]
    fn fields_are_name_and_namespace() {
        let name = |fields| {
            let selector = Selector::parse("", fields, Some(Resource::Pods)).unwrap();
            selector.matches(("ns", "x"), Vec::new, |_| unreachable!())
        };
        assert!(
            name("metadata.name=x")
                && !name("metadata.name=y")
                && name("metadata.name!=y,metadata.namespace=ns")
        );
        assert!(Selector::parse("", "spec.color=red", Some(Resource::Pods)).is_err());
    }

    #[test]
    fn events_have_fields_of_their_own() {
        let parse = |fields, resource| Selector::parse("", fields, Some(resource));
        let selector =
            parse("involvedObject.kind=Pod,type!=Normal,metadata.namespace=ns", Resource::Events).unwrap();
        let matches = |kind: &str, warning: &str| {
            selector.matches(("ns", "x"), Vec::new, |field| {
                if field == "type" { warning.to_owned() } else { kind.to_owned() }
            })
        };
        assert!(matches("Pod", "Warning"));
        assert!(!matches("Pod", "Normal") && !matches("VirtualMachine", "Warning"));
        assert_eq!(
            parse("involvedObject.kind=Pod", Resource::Pods).unwrap_err(),
            "field label not supported: involvedObject.kind"
        );
        assert!(parse("involvedObject.color=red", Resource::Events).is_err());
    }
}
