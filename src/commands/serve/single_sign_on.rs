//! Logins at an identity provider: from the configuration, the files that it names, and the environment.

use std::{
    env,
    path::{Path, PathBuf},
};

use anyhow::{Result, anyhow};
use volute_web::{ClientSecret, OidcSettings, SingleSignOn};

use crate::{
    config::{Config, Oidc},
    secret_file::{SecretPlace, named, read_authorities, read_secret},
};

/// The environment variable that may have the secret in place of a file. It is no key of the configuration, which is shown.
const SECRET_VARIABLE: &str = "VOLUTE_OIDC_CLIENT_SECRET";

/// Returns logins at the configured identity provider, if there is one. Does not ask the provider for anything.
pub(super) fn single_sign_on(config: &Config) -> Result<Option<SingleSignOn>> {
    let Config { server, access, .. } = config;
    let Oidc { issuer, client_id, client_secret_file, name, scopes, name_claim, groups_claim, roles, .. } =
        &access.oidc;
    let (Some(issuer), Some(public_url)) = (issuer, &server.public_url) else { return Ok(None) };
    let ca_file = access.oidc.ca_file.path();
    let settings = OidcSettings {
        issuer: issuer.as_str().to_owned(),
        client_id: client_id.clone(),
        client_secret: client_secret(client_secret_file.path().map(PathBuf::as_path), env::var(SECRET_VARIABLE).ok())?,
        name: name.clone(),
        scopes: scopes.as_str().to_owned(),
        groups_claim: groups_claim.clone(),
        name_claim: name_claim.clone(),
        roles: roles.clone(),
        public_url: public_url.as_str().to_owned(),
        authorities: read_authorities("access.oidc.ca_file", ca_file.map(PathBuf::as_path))?,
        ends_issuer_session: access.oidc.end_issuer_session,
    };
    let of_file = ca_file.map(|file| named("access.oidc.ca_file", file)).unwrap_or_default();
    SingleSignOn::new(settings).map(Some).map_err(|reason| anyhow!("{of_file}: {reason}"))
}

/// Reads the secret from the file, or from the environment. None if neither has one: the node is a public client.
fn client_secret(file: Option<&Path>, variable: Option<String>) -> Result<Option<ClientSecret>> {
    let place = SecretPlace { key: "access.oidc.client_secret_file", file, variable: SECRET_VARIABLE };
    read_secret(place, variable, ClientSecret::new)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    #[test]
    fn a_secret_is_in_a_file_that_others_cannot_read_or_in_the_environment() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("secret");
        fs::write(&file, "swordfish\n").expect("written");
        let with_mode = |mode| {
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).expect("set");
            client_secret(Some(&file), None)
        };
        assert_eq!(with_mode(0o600).expect("read"), ClientSecret::new("swordfish"));
        assert_eq!(with_mode(0o440).expect("read"), ClientSecret::new("swordfish"));
        let error = with_mode(0o644).expect_err("others may read it").to_string();
        assert!(error.contains("chmod 600") && !error.contains("swordfish"), "{error}");
        with_mode(0o600).expect("read");
        assert!(client_secret(Some(&file), Some("other".into())).is_err(), "two secrets");
        assert_eq!(client_secret(None, Some("other".into())).expect("a variable"), ClientSecret::new("other"));
        assert_eq!(client_secret(None, None).expect("none"), None);
        fs::write(&file, "\n").expect("written");
        assert!(client_secret(Some(&file), None).is_err(), "empty");
        assert!(client_secret(Some(&folder.path().join("nothing")), None).is_err());
    }
}
