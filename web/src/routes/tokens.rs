//! `/api/tokens`: the pump tokens of the node, for admins.
//!
//! A token's text is in the response that adds it, once. Two valid tokens may have the same name, so that a gateway's
//! token can be replaced without a gap: add the new one, give it to the gateway, revoke the old one.

use std::collections::BTreeSet;

use actix_web::{HttpRequest, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use volute_access::{CredentialId, Name, NewToken, PumpToken};
use volute_data::AuditAction;
use volute_plant::{PumpId, Timestamp};

use crate::{
    access::{Access, who},
    audit::AuditedCommand,
    decode::from_value,
    extract::JsonBody,
    node::Node,
    problem::ApiError,
    query::{NoParameters, Query},
    responses::{Invalid, NoSuchToken, Slow, TooLarge, TooManyTokens, Unavailable, Unsupported},
};

const DAY_MS: i64 = 86_400_000;
/// The longest validity of a token, in days.
const MAX_DAYS: i64 = 3_650;

/// The tokens.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TokensResponse {
    /// In no particular order; revoked ones included.
    items: Vec<TokenResponse>,
}

/// A pump token, without its secret.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TokenResponse {
    /// The id: the part of its text after `vpt_`, up to the next `_`.
    #[schema(value_type = String, example = "0123456789abcdef")]
    id: CredentialId,
    /// The device or gateway that has it.
    #[schema(value_type = String, example = "gateway-1")]
    name: Name,
    /// The pumps whose readings it may post.
    #[schema(value_type = Vec<String>)]
    pumps: BTreeSet<PumpId>,
    /// Whether it may register those of them that are new.
    register: bool,
    /// Who added it.
    added_by: String,
    /// When it was added.
    #[schema(format = DateTime)]
    added_at: String,
    /// When it expires; null: never.
    #[schema(required, format = DateTime)]
    expires_at: Option<String>,
    /// When it was revoked; null if it was not.
    #[schema(required, format = DateTime)]
    revoked_at: Option<String>,
    /// When it was used last; null if it was not used. After a restart it may be five minutes too early.
    #[schema(required, format = DateTime)]
    used_at: Option<String>,
}

/// A token to be added.
#[derive(Deserialize, ToSchema)]
#[schema(as = NewToken)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewTokenSchema {
    /// The device or gateway: 1 to 64 letters, digits and . _ - @ +
    #[schema(value_type = String, example = "gateway-1")]
    name: Name,
    /// The pumps whose readings it may post: 1 to 10,000.
    #[schema(value_type = Vec<String>)]
    pumps: BTreeSet<PumpId>,
    /// Whether it may register those of them that are new; absent: no.
    #[serde(default)]
    register: bool,
    /// After how many days it expires, 1 to 3650; absent: never.
    expires_days: Option<i64>,
}

/// A new token, with its secret.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct NewTokenResponse {
    /// Its id.
    #[schema(value_type = String, example = "0123456789abcdef")]
    id: CredentialId,
    /// Its text, which is not shown again. Devices send it as `Authorization: Bearer vpt_…`.
    #[schema(example = "vpt_0123456789abcdef_…")]
    token: String,
}

/// A revoked token.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RevokedTokenResponse {
    /// Its id.
    #[schema(value_type = String)]
    revoked: CredentialId,
}

/// The pump tokens of the node, without their secrets.
#[utoipa::path(
    get,
    path = "/api/tokens",
    tag = "access",
    responses((status = 200, description = "All tokens", body = TokensResponse), Invalid, Unavailable)
)]
pub(crate) async fn tokens(
    access: web::Data<Access>,
    _: Query<NoParameters>,
) -> Result<web::Json<TokensResponse>, ApiError> {
    let directory = access.directory()?;
    Ok(web::Json(TokensResponse { items: directory.tokens().map(TokenResponse::from).collect() }))
}

/// Adds a pump token. It may only post readings, and only those of its pumps.
#[utoipa::path(
    post,
    path = "/api/tokens",
    tag = "access",
    operation_id = "add_token",
    request_body(content = NewTokenSchema, description = "The token's name and pumps"),
    responses(
        (status = 200, description = "The token is added", body = NewTokenResponse),
        Invalid, TooManyTokens, Slow, TooLarge, Unsupported, Unavailable
    )
)]
pub(crate) async fn add(
    access: web::Data<Access>,
    node: web::Data<Node>,
    request: HttpRequest,
    _: Query<NoParameters>,
    JsonBody { json: body, .. }: JsonBody,
) -> Result<web::Json<NewTokenResponse>, ApiError> {
    let NewTokenSchema { name, pumps, register, expires_days } =
        from_value(&body, "field").map_err(ApiError::Invalid)?;
    let now_ms = node.engine.now().millis();
    let expires_ms = match expires_days {
        Some(days) if !(1..=MAX_DAYS).contains(&days) => {
            return Err(ApiError::invalid("expires_days", &days.to_string(), "1 to 3650", "not allowed"));
        }
        days => days.map(|days| now_ms.saturating_add(days * DAY_MS)),
    };
    let detail = format!("{} pumps{}", pumps.len(), if register { ", may register them" } else { "" });
    let command = AuditedCommand::new(&node, &request, AuditAction::AddToken, name.as_str()).detail(&detail);
    let new = NewToken { name, pumps, register, expires_ms, added_by: who(&request).to_string() };
    let token = command.execute(async move { Ok(access.add_token(new, now_ms).await?) }).await?;
    Ok(web::Json(NewTokenResponse { id: token.id().clone(), token: token.reveal() }))
}

/// Revokes a pump token. Posts with it are refused from now on, also after a restart.
#[utoipa::path(
    delete,
    path = "/api/tokens/{id}",
    tag = "access",
    operation_id = "revoke_token",
    params(("id" = String, Path, description = "The token's id")),
    responses(
        (status = 200, description = "The token is revoked", body = RevokedTokenResponse),
        Invalid, NoSuchToken, Unavailable
    )
)]
pub(crate) async fn revoke(
    access: web::Data<Access>,
    node: web::Data<Node>,
    request: HttpRequest,
    id: web::Path<String>,
    _: Query<NoParameters>,
) -> Result<web::Json<RevokedTokenResponse>, ApiError> {
    let revoked = CredentialId::from(id.as_str());
    let (token, now_ms) = (revoked.clone(), node.engine.now().millis());
    let command = AuditedCommand::new(&node, &request, AuditAction::RevokeToken, &id);
    command.execute(async move { Ok(access.revoke_token(&token, now_ms).await?) }).await?;
    Ok(web::Json(RevokedTokenResponse { revoked }))
}

impl From<(&PumpToken, Option<i64>)> for TokenResponse {
    fn from((token, used_ms): (&PumpToken, Option<i64>)) -> Self {
        let time = |ms: i64| Timestamp::from_millis(ms).map(|at| at.to_string()).unwrap_or_default();
        Self {
            id: token.id.clone(),
            name: token.name.clone(),
            pumps: BTreeSet::clone(&token.pumps),
            register: token.register,
            added_by: token.added_by.clone(),
            added_at: time(token.at_ms),
            expires_at: token.expires_ms.map(time),
            revoked_at: token.revoked_ms.map(time),
            used_at: used_ms.map(time),
        }
    }
}
