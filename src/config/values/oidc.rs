//! Types of the values of `[access.oidc]` and `server.public_url`.

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserializer,
    de::{Error, MapAccess, Unexpected, Visitor},
};
use ureq::http::Uri;
use volute_access::Role;

use super::FromText;

/// The address of an issuer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuerUrl(String);

/// The address under which browsers reach the node: scheme, host and port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicUrl(String);

/// The scopes of a login, separated by spaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scopes(String);

impl IssuerUrl {
    /// Returns it as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl PublicUrl {
    /// Returns it as text, without a `/` at its end.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Scopes {
    /// Returns them as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromText for Option<IssuerUrl> {
    const ALLOWED: &'static str = r#"an https address without ? and #, such as https://id.example/realms/plant (http for an issuer on this machine), or "" for none"#;

    fn from_text(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(None);
        }
        let is_issuer = address(text).is_some_and(|(scheme, uri)| {
            let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
            let is_local =
                host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
            uri.query().is_none() && (scheme == "https" || is_local)
        });
        if is_issuer { Ok(Some(IssuerUrl(text.to_owned()))) } else { Err(Self::ALLOWED.into()) }
    }
}

impl FromText for Option<PublicUrl> {
    const ALLOWED: &'static str =
        r#"an address without a path, such as https://volute.example or http://10.0.0.7:5000, or "" for none"#;

    fn from_text(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(None);
        }
        // `Uri` adds a path to an address without one.
        let has_path = text.split_once("://").is_some_and(|(_, rest)| rest.contains('/'));
        let is_address = address(text).is_some_and(|(_, uri)| uri.query().is_none()) && !has_path;
        if is_address { Ok(Some(PublicUrl(text.to_owned()))) } else { Err(Self::ALLOWED.into()) }
    }
}

impl FromText for Scopes {
    const ALLOWED: &'static str = "scopes separated by spaces, with openid among them";

    fn from_text(text: &str) -> Result<Self, String> {
        let is_scope = |scope: &str| scope.bytes().all(|byte| byte.is_ascii_graphic());
        let has_openid = text.split(' ').any(|scope| scope == "openid");
        if has_openid && text.split(' ').all(is_scope) { Ok(Self(text.to_owned())) } else { Err(Self::ALLOWED.into()) }
    }
}

/// Returns the scheme and the parts of an `http` or `https` address without a user and a fragment.
fn address(text: &str) -> Option<(String, Uri)> {
    let uri: Uri = text.parse().ok()?;
    let scheme = uri.scheme_str().filter(|scheme| matches!(*scheme, "http" | "https"))?.to_owned();
    let is_plain = uri.authority().is_some_and(|authority| !authority.as_str().contains('@')) && !text.contains('#');
    let has_host = uri.host().is_some_and(|host| !host.is_empty());
    (is_plain && has_host).then_some((scheme, uri))
}

/// Deserialises a table of roles by group.
pub(in crate::config) fn roles<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, Role>, D::Error> {
    deserializer.deserialize_map(RolesVisitor)
}

struct RolesVisitor;

impl<'de> Visitor<'de> for RolesVisitor {
    type Value = BTreeMap<String, Role>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a role for each group, such as {{ \"plant-engineers\" = \"engineer\" }}; the roles: ")?;
        f.write_str(&Role::ALL.map(Role::as_str).join(", "))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut roles = BTreeMap::new();
        while let Some((group, name)) = map.next_entry::<String, String>()? {
            let role = Role::named(&name);
            let role = role.ok_or_else(|| A::Error::invalid_value(Unexpected::Str(&name), &self))?;
            roles.insert(group, role);
        }
        Ok(roles)
    }
}
