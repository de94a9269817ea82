//! Verifies id tokens: the signature by one of the issuer's keys, and that the token is of this issuer, for this node,
//! for this login, and not expired (OpenID Connect Core 1.0, section 3.1.3.7).
//!
//! Only algorithms with a public key are taken. With `HS256` the client secret, and with a careless verifier the public
//! key, would sign tokens; `none` is no signature at all.
//!
//! Does not fetch keys; see `provider.rs`.

use jsonwebtoken::{
    Algorithm, AlgorithmFamily, DecodingKey, Validation, decode_header,
    jwk::{Jwk, PublicKeyUse},
};
use serde::Deserialize;
use serde_json::Value;

use super::claims::Claims;

/// By how much the issuer's clock may differ from this one, in seconds.
const LEEWAY_S: i64 = 60;
/// The most keys of an issuer that are looked at.
const MAX_KEYS: usize = 100;

/// What an id token must say.
pub(super) struct Expected<'a> {
    pub(super) issuer: &'a str,
    pub(super) client_id: &'a str,
    pub(super) nonce: &'a str,
    pub(super) now_s: i64,
}

/// Why an id token is not acceptable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum IdTokenError {
    /// It is no signed token.
    #[error("it is not a signed token")]
    Malformed,
    /// Its algorithm has no public key.
    #[error("it is signed with {0:?}; allowed: RS256 to RS512, PS256 to PS512, ES256, ES384, EdDSA")]
    Algorithm(Algorithm),
    /// It names a key that the issuer does not have.
    #[error("the issuer has no key that it names")]
    UnknownKey,
    /// No key of the issuer has signed it.
    #[error("its signature is wrong")]
    Signature,
    /// It is of somebody else.
    #[error("it is of another issuer")]
    Issuer,
    /// It is for another application.
    #[error("it is for another client")]
    Audience,
    /// It has expired.
    #[error("it has expired, or the clocks differ by more than a minute")]
    Expired,
    /// It is not valid yet.
    #[error("it is not valid yet: the clocks differ by more than a minute")]
    Early,
    /// It is of another login.
    #[error("it is of another login (its nonce differs)")]
    Nonce,
}

/// The keys with which an issuer signs.
#[derive(Default)]
pub(super) struct Keys(Vec<Key>);

struct Key {
    jwk: Jwk,
    key: DecodingKey,
}

/// The document with the keys.
#[derive(Deserialize)]
pub(super) struct KeySet {
    keys: Vec<Value>,
}

impl From<KeySet> for Keys {
    /// Leaves out keys that are not for signatures, or of a kind that is not known.
    fn from(set: KeySet) -> Self {
        let parse = |value: Value| {
            let jwk: Jwk = serde_json::from_value(value).ok()?;
            let is_for_signatures =
                jwk.common.public_key_use.as_ref().is_none_or(|usage| *usage == PublicKeyUse::Signature);
            let key = DecodingKey::from_jwk(&jwk).ok().filter(|_| is_for_signatures)?;
            Some(Key { jwk, key })
        };
        Self(set.keys.into_iter().take(MAX_KEYS).filter_map(parse).collect())
    }
}

impl Key {
    /// Returns whether the key can verify signatures of this algorithm.
    fn is_for(&self, algorithm: Algorithm) -> bool {
        let named = self.jwk.common.key_algorithm.as_ref().map(ToString::to_string);
        self.key.family() == algorithm.family() && named.is_none_or(|named| named == format!("{algorithm:?}"))
    }
}

/// The claims that are verified.
#[derive(Deserialize)]
struct Verified {
    iss: String,
    aud: OneOrMany,
    /// For whom it was issued, if it is for several.
    azp: Option<String>,
    exp: f64,
    iat: f64,
    nbf: Option<f64>,
    nonce: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

/// Verifies an id token, and returns its claims.
pub(super) fn verify(token: &str, keys: &Keys, expected: &Expected<'_>) -> Result<Claims, IdTokenError> {
    let value = verified_by(token, keys)?;
    let claims: Verified = serde_json::from_value(value.clone()).map_err(|_| IdTokenError::Malformed)?;
    check(&claims, expected)?;
    serde_json::from_value(value).map_err(|_| IdTokenError::Malformed)
}

/// Returns the content of a token that one of the keys has signed.
fn verified_by(token: &str, keys: &Keys) -> Result<Value, IdTokenError> {
    let header = decode_header(token).map_err(|_| IdTokenError::Malformed)?;
    if header.crit.is_some() {
        // It asks for an extension, and none is known here (RFC 7515, section 4.1.11).
        return Err(IdTokenError::Malformed);
    }
    if header.alg.family() == AlgorithmFamily::Hmac {
        return Err(IdTokenError::Algorithm(header.alg));
    }
    let is_named = |key: &&Key| header.kid.is_none() || header.kid == key.jwk.common.key_id;
    let mut candidates = keys.0.iter().filter(is_named).filter(|key| key.is_for(header.alg)).peekable();
    if candidates.peek().is_none() {
        return Err(IdTokenError::UnknownKey);
    }
    let mut signature_only = Validation::new(header.alg);
    // `check` checks the claims, by the node's clock.
    signature_only.validate_exp = false;
    signature_only.validate_aud = false;
    signature_only.required_spec_claims.clear();
    candidates
        .find_map(|candidate| jsonwebtoken::decode::<Value>(token, &candidate.key, &signature_only).ok())
        .map(|token| token.claims)
        .ok_or(IdTokenError::Signature)
}

fn check(claims: &Verified, expected: &Expected<'_>) -> Result<(), IdTokenError> {
    if claims.iss != expected.issuer {
        return Err(IdTokenError::Issuer);
    }
    let (is_for_us, is_for_others) = match &claims.aud {
        OneOrMany::One(audience) => (audience == expected.client_id, false),
        OneOrMany::Many(all) => (all.iter().any(|one| one == expected.client_id), all.len() > 1),
    };
    // A token for several must say that it was issued to this client.
    let issued_to_us = match &claims.azp {
        Some(party) => party == expected.client_id,
        None => !is_for_others,
    };
    if !is_for_us || !issued_to_us {
        return Err(IdTokenError::Audience);
    }
    let (now_s, leeway_s) = (expected.now_s as f64, LEEWAY_S as f64);
    if claims.exp.is_nan() || now_s >= claims.exp + leeway_s {
        return Err(IdTokenError::Expired);
    }
    if claims.iat.max(claims.nbf.unwrap_or(f64::MIN)) > now_s + leeway_s {
        return Err(IdTokenError::Early);
    }
    if claims.nonce.as_deref() != Some(expected.nonce) {
        return Err(IdTokenError::Nonce);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const EXPECTED: Expected<'_> =
        Expected { issuer: "https://id.example", client_id: "volute", nonce: "n-1", now_s: 1_000_000 };

    fn checked(change: &[(&str, Value)]) -> Result<(), IdTokenError> {
        let mut claims = json!({
            "iss": "https://id.example", "sub": "7f3a", "aud": "volute", "exp": 1_000_300, "iat": 999_999, "nonce": "n-1",
        });
        for (name, value) in change {
            claims[*name] = value.clone();
        }
        check(&serde_json::from_value(claims).map_err(|_| IdTokenError::Malformed)?, &EXPECTED)
    }

    #[test]
    fn each_claim_is_checked() {
        for (change, expected) in [
            (&[][..], Ok(())),
            (&[("aud", json!(["volute"]))], Ok(())),
            (&[("aud", json!(["other", "volute"])), ("azp", json!("volute"))], Ok(())),
            (&[("exp", json!(999_941))], Ok(())),
            (&[("iat", json!(1_000_060))], Ok(())),
            (&[("iss", json!("https://id.example/"))], Err(IdTokenError::Issuer)),
            (&[("iss", json!("http://id.example"))], Err(IdTokenError::Issuer)),
            (&[("aud", json!("other"))], Err(IdTokenError::Audience)),
            (&[("aud", json!([]))], Err(IdTokenError::Audience)),
            (&[("aud", json!(["other", "volute"]))], Err(IdTokenError::Audience)),
            (&[("azp", json!("other"))], Err(IdTokenError::Audience)),
            (&[("exp", json!(999_940))], Err(IdTokenError::Expired)),
            (&[("exp", json!(0))], Err(IdTokenError::Expired)),
            (&[("iat", json!(1_000_061))], Err(IdTokenError::Early)),
            (&[("nbf", json!(1_000_061))], Err(IdTokenError::Early)),
            (&[("nonce", json!("n-2"))], Err(IdTokenError::Nonce)),
            (&[("nonce", Value::Null)], Err(IdTokenError::Nonce)),
            (&[("exp", Value::Null)], Err(IdTokenError::Malformed)),
            (&[("iat", json!("now"))], Err(IdTokenError::Malformed)),
            (&[("aud", Value::Null)], Err(IdTokenError::Malformed)),
        ] {
            assert_eq!(checked(change), expected, "{change:?}");
        }
    }

    #[test]
    fn other_texts_and_algorithms_without_a_public_key_are_refused() {
        use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
        let keys = Keys::from(KeySet { keys: vec![json!({"kty": "oct", "k": "c2VjcmV0"}), json!({"kty": "new"})] });
        let token = |header: Value| format!("{}.e30.c2ln", BASE64_URL_SAFE_NO_PAD.encode(header.to_string()));
        for (token, expected) in [
            (String::new(), IdTokenError::Malformed),
            ("a.b.c".into(), IdTokenError::Malformed),
            (token(json!({"alg": "none"})), IdTokenError::Malformed),
            (token(json!({"alg": "HS256"})), IdTokenError::Algorithm(Algorithm::HS256)),
            (token(json!({"alg": "RS256"})), IdTokenError::UnknownKey),
            (token(json!({"alg": "ES256", "kid": "1"})), IdTokenError::UnknownKey),
        ] {
            assert_eq!(verify(&token, &keys, &EXPECTED).map(drop), Err(expected), "{token}");
        }
    }
}
