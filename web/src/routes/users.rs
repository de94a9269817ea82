//! `/api/users`: the users of the node, for admins.
//!
//! A new user has no password, but a set-up link. It is in the response once, and can be made again with a reset. Does
//! not log users in; see `routes/session.rs`.

use actix_web::{HttpRequest, web};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use volute_access::{AccessError, Credential, ExternalIdentity, Name, Role, User};
use volute_data::AuditAction;
use volute_plant::Timestamp;

use crate::{
    access::{Access, ChangeError},
    audit::AuditedCommand,
    decode::{from_value, not_allowed},
    extract::JsonBody,
    invalid_value::InvalidValue,
    node::Node,
    problem::ApiError,
    query::{NoParameters, Query},
    responses::{Invalid, NoSuchUser, OtherKindOfUser, Slow, TooLarge, Unavailable, Unsupported, UserExists},
};

/// The users.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UsersResponse {
    /// By name.
    items: Vec<UserResponse>,
}

/// A user.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UserResponse {
    /// The name.
    #[schema(value_type = String, example = "ada")]
    name: Name,
    /// `viewer`, `engineer`, `plant-head`, `manager` or `admin`.
    #[schema(example = "engineer")]
    role: &'static str,
    /// Whether the user may not log in.
    disabled: bool,
    /// Whether the user has set a password.
    has_password: bool,
    /// Whether the user's logins need a code of an authenticator app.
    second_factor: bool,
    /// The account at the identity provider with which the user logs in; null if the user logs in with a password.
    #[schema(required)]
    external: Option<ExternalResponse>,
    /// When the user was added.
    #[schema(format = DateTime)]
    added_at: String,
}

/// An account at an identity provider.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ExternalResponse {
    /// The provider.
    #[schema(example = "https://id.plant.example")]
    issuer: String,
    /// The account, as the provider calls it.
    subject: String,
}

/// A user to be added.
#[derive(Deserialize, ToSchema)]
#[schema(as = NewUser)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewUserSchema {
    /// The name: 1 to 64 letters, digits and . _ - @ +
    #[schema(value_type = String, example = "ada")]
    name: Name,
    /// `viewer`, `engineer`, `plant-head`, `manager` or `admin`.
    #[schema(value_type = String, example = "engineer")]
    role: RoleName,
}

/// A change of a user: of the role, or that the user is disabled. A reset enables a user with a password again.
#[derive(Deserialize, ToSchema)]
#[schema(as = UserChange)]
#[serde(deny_unknown_fields)]
pub(crate) struct UserChangeSchema {
    /// The new role.
    #[schema(value_type = Option<String>, example = "viewer")]
    role: Option<RoleName>,
    /// `true`: the user may no longer log in. `false`, for users of the identity provider: the user may again.
    disabled: Option<bool>,
}

/// A role in a body.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
struct RoleName(Role);

/// A set-up link.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SetUpLinkResponse {
    /// The user.
    #[schema(value_type = String)]
    name: Name,
    /// The path of the page on which the user sets a password. It works once, within a day, and is not shown again.
    #[schema(example = "/setup#vsu_0123456789abcdef_…")]
    set_up_path: String,
}

impl TryFrom<String> for RoleName {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        let allowed = || Role::ALL.map(Role::as_str).join(", ");
        Role::named(&name).map(Self).ok_or_else(|| not_allowed(allowed()))
    }
}

/// The users of the node.
#[utoipa::path(
    get,
    path = "/api/users",
    tag = "access",
    responses((status = 200, description = "All users", body = UsersResponse), Invalid, Unavailable)
)]
pub(crate) async fn users(
    access: web::Data<Access>,
    _: Query<NoParameters>,
) -> Result<web::Json<UsersResponse>, ApiError> {
    let directory = access.directory()?;
    Ok(web::Json(UsersResponse { items: directory.users().map(UserResponse::from).collect() }))
}

/// Adds a user. The response has the link with which the user sets a password.
///
/// With the first user, all requests need a login or a token, except posts from the node's own machine
/// (`ingest.anonymous`).
#[utoipa::path(
    post,
    path = "/api/users",
    tag = "access",
    operation_id = "add_user",
    request_body(content = NewUserSchema, description = "The name and the role"),
    responses(
        (status = 200, description = "The user is added", body = SetUpLinkResponse),
        Invalid, UserExists, Slow, TooLarge, Unsupported, Unavailable
    )
)]
pub(crate) async fn add(
    access: web::Data<Access>,
    node: web::Data<Node>,
    request: HttpRequest,
    _: Query<NoParameters>,
    JsonBody { json: body, .. }: JsonBody,
) -> Result<web::Json<SetUpLinkResponse>, ApiError> {
    let NewUserSchema { name, role: RoleName(role) } = from_value(&body, "field").map_err(ApiError::Invalid)?;
    let (user, now_ms) = (name.clone(), node.engine.now().millis());
    let command = AuditedCommand::new(&node, &request, AuditAction::AddUser, name.as_str());
    let command = command.detail(&format!("role {}", role.as_str()));
    let link = command.execute(async move { Ok(access.add_user(&user, role, now_ms).await?) }).await?;
    Ok(web::Json(SetUpLinkResponse::new(name, &link)))
}

/// Changes a user's role, or disables the user, which ends all the user's sessions.
///
/// The role of a user of the identity provider follows the user's groups there. Such a user is enabled with
/// `"disabled": false`.
#[utoipa::path(
    patch,
    path = "/api/users/{name}",
    tag = "access",
    operation_id = "change_user",
    params(("name" = String, Path, description = "The user's name")),
    request_body(content = UserChangeSchema, description = "The change"),
    responses(
        (status = 200, description = "The user is changed", body = UserResponse),
        Invalid, NoSuchUser, OtherKindOfUser, Slow, TooLarge, Unsupported, Unavailable
    )
)]
pub(crate) async fn change(
    access: web::Data<Access>,
    node: web::Data<Node>,
    request: HttpRequest,
    name: web::Path<String>,
    _: Query<NoParameters>,
    JsonBody { json: body, .. }: JsonBody,
) -> Result<web::Json<UserResponse>, ApiError> {
    let UserChangeSchema { role, disabled } = from_value(&body, "field").map_err(ApiError::Invalid)?;
    let (name, now_ms) = (known_name(&name)?, node.engine.now().millis());
    let is_external = access.directory()?.user(&name).is_some_and(|user| user.external.is_some());
    if disabled == Some(false) && !is_external {
        let error = InvalidValue::new("disabled", Value::Bool(false), "true", "a reset enables a user again");
        return Err(ApiError::Invalid(error));
    }
    if let Some(RoleName(role)) = role {
        let (access, user) = (access.clone(), name.clone());
        let command = AuditedCommand::new(&node, &request, AuditAction::SetRole, name.as_str()).detail(role.as_str());
        command.execute(async move { Ok(access.set_role(&user, role, now_ms).await?) }).await?;
    }
    if disabled == Some(true) {
        let (access, user) = (access.clone(), name.clone());
        let command = AuditedCommand::new(&node, &request, AuditAction::DisableUser, name.as_str());
        command.execute(async move { Ok(access.disable_user(&user, now_ms).await?) }).await?;
    }
    if disabled == Some(false) {
        let (access, user) = (access.clone(), name.clone());
        let command = AuditedCommand::new(&node, &request, AuditAction::ResetUser, name.as_str()).detail("enabled");
        command.execute(async move { Ok(access.enable_user(&user, now_ms).await?) }).await?;
    }
    let directory = access.directory()?;
    let user = directory.user(&name).ok_or_else(|| ChangeError::Access(AccessError::UnknownUser(name)))?;
    Ok(web::Json(UserResponse::from(user)))
}

/// Ends a user's password and sessions, and enables the user. The response has the link with which the user sets a
/// password.
#[utoipa::path(
    post,
    path = "/api/users/{name}/reset",
    tag = "access",
    operation_id = "reset_user",
    params(("name" = String, Path, description = "The user's name")),
    responses(
        (status = 200, description = "The user has no password now", body = SetUpLinkResponse),
        Invalid, NoSuchUser, OtherKindOfUser, Unsupported, Unavailable
    )
)]
pub(crate) async fn reset(
    access: web::Data<Access>,
    node: web::Data<Node>,
    request: HttpRequest,
    name: web::Path<String>,
    _: Query<NoParameters>,
) -> Result<web::Json<SetUpLinkResponse>, ApiError> {
    let name = known_name(&name)?;
    let (user, now_ms) = (name.clone(), node.engine.now().millis());
    let command = AuditedCommand::new(&node, &request, AuditAction::ResetUser, name.as_str());
    let link = command.execute(async move { Ok(access.reset_user(&user, now_ms).await?) }).await?;
    Ok(web::Json(SetUpLinkResponse::new(name, &link)))
}

/// Parses a name in a path.
fn known_name(name: &str) -> Result<Name, ApiError> {
    name.parse().map_err(|_| ApiError::invalid("name", name, Name::ALLOWED, "not a name"))
}

impl SetUpLinkResponse {
    fn new(name: Name, link: &Credential) -> Self {
        Self { name, set_up_path: format!("/setup#{}", link.reveal()) }
    }
}

impl From<&User> for UserResponse {
    fn from(user: &User) -> Self {
        let User { name, role, at_ms, disabled, password, external, .. } = user;
        let account =
            |of: &ExternalIdentity| ExternalResponse { issuer: of.issuer.clone(), subject: of.subject.clone() };
        Self {
            name: name.clone(),
            role: role.as_str(),
            disabled: *disabled,
            has_password: password.is_some(),
            second_factor: user.confirmed_factor().is_some(),
            external: external.as_ref().map(account),
            added_at: Timestamp::from_millis(*at_ms).map(|at| at.to_string()).unwrap_or_default(),
        }
    }
}
