//! `managedFields` as a real API server keeps them: half the size of every object. They are computed once for
//! each kind, from a sample object.

use serde_json::{Map, Value, json};

use super::template::Template;
use crate::resource::Resource;

/// A manager and the top-level fields that it manages.
pub struct Manager {
    pub name: &'static str,
    pub subresource: &'static str,
    pub fields: &'static [&'static str],
}

/// Returns a kind's template with `${managed}` filled in, computed from the sample that `render` writes.
pub fn complete(
    source: &str,
    resource: Resource,
    managers: &[Manager],
    render: impl Fn(&Template, &mut String),
) -> Template {
    let mut sample = format!(r#"{{"apiVersion":"{}","#, resource.api().api_version());
    render(&Template::new(&source.replace("${managed}", "[]")), &mut sample);
    // A template that is not valid JSON would only lose its managedFields here; the tests parse every kind.
    let sample = serde_json::from_str(&(sample + "}")).unwrap_or_default();
    Template::new(&source.replace("${managed}", &managed_fields(&sample, managers)))
}

/// Returns the JSON of `managedFields`, with the placeholders `${created}` and `${changed}` for times.
fn managed_fields(sample: &Value, managers: &[Manager]) -> String {
    let api_version = sample.get("apiVersion").cloned().unwrap_or(Value::Null);
    let entries = managers.iter().map(|manager| {
        let owned =
            manager.fields.iter().filter_map(|name| Some((format!("f:{name}"), fields(sample.get(*name)?))));
        let time = if manager.subresource.is_empty() { "${created}" } else { "${changed}" };
        let mut entry = json!({
            "manager": manager.name,
            "operation": "Update",
            "apiVersion": api_version,
            "time": time,
            "fieldsType": "FieldsV1",
            "fieldsV1": owned.collect::<Map<_, _>>(),
        });
        if !manager.subresource.is_empty() {
            entry["subresource"] = manager.subresource.into();
        }
        entry
    });
    Value::Array(entries.collect()).to_string()
}

/// Fields that the API server itself writes, which have no manager.
const UNMANAGED: [&str; 6] =
    ["name", "namespace", "uid", "resourceVersion", "creationTimestamp", "managedFields"];

fn fields(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let inner = map
                .iter()
                .filter(|(name, value)| !UNMANAGED.contains(&name.as_str()) || value.is_object())
                .map(|(name, value)| (format!("f:{name}"), fields(value)));
            inner.collect::<Map<_, _>>().into()
        }
        Value::Array(items) => elements(items),
        _ => json!({}),
    }
}

/// The elements of a list with merge keys, which are owned one by one.
fn elements(items: &[Value]) -> Value {
    let mut owned = Map::new();
    for item in items {
        let Some((key, value)) = ["name", "mountPath", "type", "uid", "key", "ip"]
            .iter()
            .find_map(|key| Some((key, item.get(*key).filter(|value| value.is_string())?)))
        else {
            return json!({});
        };
        let mut inner = fields(item);
        inner["."] = json!({});
        inner[format!("f:{key}")] = json!({});
        owned.insert(format!("k:{}", json!({ *key: value })), inner);
    }
    owned.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_named_as_server_side_apply_names_them() {
        let sample = json!({
            "apiVersion": "v1",
            "metadata": {"name": "x", "labels": {"app": "y"}},
            "spec": {"volumes": [{"name": "root", "emptyDir": {}}], "args": ["a"]},
        });
        let manager = Manager { name: "me", subresource: "", fields: &["metadata", "spec"] };
        let text = managed_fields(&sample, &[manager]);
        let value: Value = serde_json::from_str(&text).unwrap();
        let fields = &value[0]["fieldsV1"];
        assert_eq!(fields["f:metadata"], json!({"f:labels": {"f:app": {}}}));
        assert_eq!(
            fields["f:spec"]["f:volumes"]["k:{\"name\":\"root\"}"],
            json!({".": {}, "f:name": {}, "f:emptyDir": {}})
        );
        assert_eq!(fields["f:spec"]["f:args"], json!({}));
    }
}
