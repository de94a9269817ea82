//! What an issuer says about a user.

use serde::Deserialize;
use serde_json::{Map, Value};

/// The claims of an id token, or of the userinfo endpoint.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Claims {
    /// The account.
    pub(super) sub: String,
    #[serde(flatten)]
    pub(super) others: Map<String, Value>,
}

/// Returns the groups in a claim: a list of texts, or a single text. None if there is no such claim.
pub(super) fn groups(claims: &Map<String, Value>, name: &str) -> Option<Vec<String>> {
    match find(claims, name)? {
        Value::Array(groups) => Some(groups.iter().filter_map(|group| group.as_str().map(str::to_owned)).collect()),
        Value::String(group) => Some(vec![group.clone()]),
        _ => Some(Vec::new()),
    }
}

/// Returns the text in a claim.
pub(super) fn text(claims: &Map<String, Value>, name: &str) -> Option<String> {
    find(claims, name)?.as_str().map(str::to_owned)
}

/// Returns a text of somebody else for logs: short, and without control characters.
pub(super) fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(100).collect()
}

/// Finds a claim by its name, or by its path: `realm_access.roles` is the field `roles` of the claim `realm_access`.
fn find<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    if let Some(claim) = claims.get(name) {
        return Some(claim);
    }
    let (first, rest) = name.split_once('.')?;
    find(claims.get(first)?.as_object()?, rest)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn groups_are_found_where_issuers_put_them() {
        let found = |claims: Value, name| {
            let claims: Claims = serde_json::from_value(claims).expect("claims");
            groups(&claims.others, name).map(|groups| groups.join("|"))
        };
        for (claims, name, expected) in [
            (json!({"sub": "1", "groups": ["a", "b c"]}), "groups", Some("a|b c")),
            (json!({"sub": "1", "groups": "a"}), "groups", Some("a")),
            (json!({"sub": "1", "groups": []}), "groups", Some("")),
            (json!({"sub": "1", "groups": [1, null, "a", ["b"]]}), "groups", Some("a")),
            (json!({"sub": "1", "groups": {"a": true}}), "groups", Some("")),
            (json!({"sub": "1"}), "groups", None),
            (json!({"sub": "1", "realm_access": {"roles": ["a"]}}), "realm_access.roles", Some("a")),
            (json!({"sub": "1", "realm_access": ["a"]}), "realm_access.roles", None),
            (json!({"sub": "1", "https://plant.example/groups": ["a"]}), "https://plant.example/groups", Some("a")),
        ] {
            assert_eq!(found(claims.clone(), name).as_deref(), expected, "{claims} {name}");
        }
    }
}
