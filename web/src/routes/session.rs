//! Logging in and out, setting a password, and what the sender of a request may do.
//!
//! Does not add users; see `routes/users.rs` and `volute user`.

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use volute_access::{Credential, Name, Permission, Principal};
use volute_data::{AuditAction, AuditEntry};

use crate::{
    access::{Access, ChangeError, Login, SessionCookie, client_address, session_credential, who},
    audit::{AuditedCommand, record_login},
    decode::from_value,
    extract::JsonBody,
    node::Node,
    oidc::SingleSignOn,
    problem::ApiError,
    query::{NoParameters, Query},
    responses::{Invalid, Slow, TooLarge, TooManyLogins, Unavailable, Unsupported, WrongLogin},
};

/// The command that adds the first user.
const SET_UP_WITH: &str = "volute user add NAME --role admin";

/// Who sends the request, and what this principal may do.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SessionResponse {
    /// Whether the node has users, so that requests need a login or a token. If not, everybody on the node's machine
    /// may do everything.
    secured: bool,
    /// The command that adds the first user, on the node's machine; null if the node is secured.
    #[schema(required, example = "volute user add NAME --role admin")]
    set_up_with: Option<&'static str>,
    /// Whether it is a demo.
    demo: bool,
    /// `user`, `token` or `anonymous`.
    #[schema(example = "user")]
    kind: &'static str,
    /// The name of the user or token; null if anonymous.
    #[schema(required)]
    name: Option<String>,
    /// The user's role: `viewer`, `engineer`, `plant-head`, `manager` or `admin`; null if it is no user.
    #[schema(required, example = "engineer")]
    role: Option<&'static str>,
    /// Whether the user's logins need a code of an authenticator app.
    second_factor: bool,
    /// Whether the user logs in at the identity provider.
    external: bool,
    /// The login at an identity provider; null if none is configured.
    #[schema(required)]
    single_sign_on: Option<SingleSignOnResponse>,
    /// What may be done, by name, such as `view`.
    permissions: Vec<&'static str>,
}

/// The login at an identity provider.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SingleSignOnResponse {
    /// The provider's name for people.
    #[schema(example = "Plant login")]
    name: String,
    /// Whether the node could not reach the provider when it tried last. Logins with a password do not need it.
    unavailable: bool,
}

/// A login.
#[derive(Deserialize, ToSchema)]
#[schema(as = Login)]
#[serde(deny_unknown_fields)]
pub(crate) struct LoginSchema {
    /// The user's name.
    #[schema(value_type = String, example = "ada")]
    name: Name,
    /// The password.
    password: String,
    /// The code of the user's authenticator app; needed if the response without it is `code-needed`.
    #[schema(example = "287082")]
    code: Option<String>,
}

/// The use of a set-up link.
#[derive(Deserialize, ToSchema)]
#[schema(as = SetUp)]
#[serde(deny_unknown_fields)]
pub(crate) struct SetUpSchema {
    /// The part of the link after `#`.
    token: String,
    /// The new password: 12 characters or more.
    password: String,
}

/// A change of the own password.
#[derive(Deserialize, ToSchema)]
#[schema(as = PasswordChange)]
#[serde(deny_unknown_fields)]
pub(crate) struct PasswordSchema {
    /// The current password.
    current: String,
    /// The new password: 12 characters or more.
    new: String,
}

/// A session that begins.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LoginResponse {
    /// The user.
    #[schema(value_type = String)]
    name: Name,
}

/// A session that has ended.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LogoutResponse {
    /// Always true.
    logged_out: bool,
    /// The address at which the identity provider ends its own session, to go to; null if there is none.
    #[schema(required, example = "https://id.plant.example/logout?client_id=volute")]
    continue_at: Option<String>,
}

/// Who sends the request and what this principal may do, and whether the node is secured. Needs no login.
#[utoipa::path(
    get,
    path = "/api/session",
    tag = "access",
    responses((status = 200, description = "The sender of the request", body = SessionResponse), Invalid)
)]
pub(crate) async fn session(
    access: web::Data<Access>,
    node: web::Data<Node>,
    single_sign_on: web::Data<Option<SingleSignOn>>,
    request: HttpRequest,
    _: Query<NoParameters>,
) -> web::Json<SessionResponse> {
    let provider = single_sign_on.as_ref().as_ref();
    let secured = access.is_secured();
    let principal = who(&request);
    let (kind, name, role) = match &principal {
        Principal::User { name, role, .. } => ("user", Some(name.to_string()), Some(role.as_str())),
        Principal::PumpToken { name, .. } => ("token", Some(name.to_string()), None),
        Principal::LocalOperator { .. } | Principal::Anonymous { .. } => ("anonymous", None, None),
    };
    let directory = access.directory().ok();
    let user = match &principal {
        Principal::User { name, .. } => directory.as_ref().and_then(|directory| directory.user(name)),
        _ => None,
    };
    web::Json(SessionResponse {
        secured,
        set_up_with: (!secured).then_some(SET_UP_WITH),
        demo: node.simulation.is_some(),
        kind,
        name,
        role,
        second_factor: user.is_some_and(|user| user.confirmed_factor().is_some()),
        external: user.is_some_and(|user| user.external.is_some()),
        single_sign_on: provider.map(|provider| SingleSignOnResponse {
            name: provider.name().to_owned(),
            unavailable: provider.is_unavailable(),
        }),
        permissions: Permission::all().filter(|p| principal.may(*p)).map(Permission::as_str).collect(),
    })
}

/// Logs a user in. The response sets the session's cookie.
///
/// A session that the client has ends. After some failures of a name or an address, further logins must wait (429).
#[utoipa::path(
    post,
    path = "/api/login",
    tag = "access",
    request_body(content = LoginSchema, description = "The name and the password"),
    responses(
        (status = 200, description = "The user is logged in", body = LoginResponse),
        Invalid, WrongLogin, Slow, TooLarge, Unsupported, TooManyLogins, Unavailable
    )
)]
pub(crate) async fn login(
    access: web::Data<Access>,
    node: web::Data<Node>,
    request: HttpRequest,
    _: Query<NoParameters>,
    JsonBody { json: body, .. }: JsonBody,
) -> Result<HttpResponse, ApiError> {
    let LoginSchema { name, password, code } = from_value(&body, "field").map_err(ApiError::Invalid)?;
    let cookie = SessionCookie::for_request(&request);
    let now_ms = node.engine.now().millis();
    // The id of a session is no secret, so the cookie must be valid for the session to end.
    let previous = session_credential(&request, cookie).filter(|session| access.session(session, now_ms).is_ok());
    let previous = previous.map(|session| session.id().clone());
    let login = Login { code, previous, ..Login::with_password(&name, password, client_address(&request)) };
    let entry = AuditEntry::done(node.engine.now(), &who(&request), AuditAction::Login, name.as_str());
    match access.login(login, now_ms).await {
        Ok(session) => {
            let user = access.session(&session, now_ms).map_err(|_| ChangeError::WrongPassword)?;
            let entry = AuditEntry::done(node.engine.now(), &user, AuditAction::Login, name.as_str());
            record_login(&node, &request, entry).await;
            Ok(logged_in(&access, cookie, &session, name))
        }
        Err(error) => {
            let error = ApiError::from(error);
            record_login(&node, &request, entry.refused(&error.detail())).await;
            Err(error)
        }
    }
}

/// Logs the user out: ends the session.
#[utoipa::path(
    post,
    path = "/api/logout",
    tag = "access",
    responses((status = 200, description = "The session has ended", body = LogoutResponse), Invalid, Unsupported, Unavailable)
)]
pub(crate) async fn logout(
    access: web::Data<Access>,
    node: web::Data<Node>,
    single_sign_on: web::Data<Option<SingleSignOn>>,
    request: HttpRequest,
    _: Query<NoParameters>,
) -> Result<HttpResponse, ApiError> {
    let Principal::User { name, session, .. } = who(&request) else { return Err(ChangeError::WrongPassword.into()) };
    let is_external = access.directory()?.user(&name).is_some_and(|user| user.external.is_some());
    let provider = single_sign_on.as_ref().as_ref().filter(|_| is_external);
    let continue_at = provider.and_then(SingleSignOn::end_session_url);
    let (ended, now_ms) = (access.clone(), node.engine.now().millis());
    let command = AuditedCommand::new(&node, &request, AuditAction::Logout, name.as_str());
    command.execute(async move { Ok(ended.logout(&session, now_ms).await?) }).await?;
    let cookie = SessionCookie::for_request(&request);
    Ok(HttpResponse::Ok().cookie(cookie.removal()).json(LogoutResponse { logged_out: true, continue_at }))
}

/// Changes the own password. Ends all sessions of the user but this one, which gets a new cookie.
#[utoipa::path(
    post,
    path = "/api/password",
    tag = "access",
    request_body(content = PasswordSchema, description = "The current and the new password"),
    responses(
        (status = 200, description = "The password is changed", body = LoginResponse),
        Invalid, WrongLogin, Slow, TooLarge, Unsupported, TooManyLogins, Unavailable
    )
)]
pub(crate) async fn password(
    access: web::Data<Access>,
    node: web::Data<Node>,
    request: HttpRequest,
    _: Query<NoParameters>,
    JsonBody { json: body, .. }: JsonBody,
) -> Result<HttpResponse, ApiError> {
    let PasswordSchema { current, new } = from_value(&body, "field").map_err(ApiError::Invalid)?;
    let Principal::User { name, .. } = who(&request) else { return Err(ChangeError::WrongPassword.into()) };
    let (changing, user, now_ms) = (access.clone(), name.clone(), node.engine.now().millis());
    let address = client_address(&request);
    let command = AuditedCommand::new(&node, &request, AuditAction::SetPassword, name.as_str());
    let change = async move {
        let login = Login::with_password(&user, current, address);
        Ok(changing.change_password(login, new, now_ms).await?)
    };
    let session = command.execute(change).await?;
    Ok(logged_in(&access, SessionCookie::for_request(&request), &session, name))
}

/// Sets the password of the user whose set-up link this is, and logs the user in. A link works once, within a day.
#[utoipa::path(
    post,
    path = "/api/setup",
    tag = "access",
    request_body(content = SetUpSchema, description = "The link's token and the new password"),
    responses(
        (status = 200, description = "The password is set, and the user is logged in", body = LoginResponse),
        Invalid, WrongLogin, Slow, TooLarge, Unsupported, TooManyLogins, Unavailable
    )
)]
pub(crate) async fn set_up(
    access: web::Data<Access>,
    node: web::Data<Node>,
    request: HttpRequest,
    _: Query<NoParameters>,
    JsonBody { json: body, .. }: JsonBody,
) -> Result<HttpResponse, ApiError> {
    let SetUpSchema { token, password } = from_value(&body, "field").map_err(ApiError::Invalid)?;
    let link = Credential::parse(&token).ok_or(volute_access::AccessError::InvalidLink).map_err(ChangeError::from)?;
    let address = client_address(&request);
    let (setting, now_ms) = (access.clone(), node.engine.now().millis());
    let user = access.directory()?.user_of_link(&link, now_ms);
    let object = user.map_or_else(|_| link.id().to_string(), |user| user.to_string());
    let command = AuditedCommand::new(&node, &request, AuditAction::SetPassword, &object).detail("by a set-up link");
    let (name, session) =
        command.execute(async move { Ok(setting.set_up(link, password, address, now_ms).await?) }).await?;
    Ok(logged_in(&access, SessionCookie::for_request(&request), &session, name))
}

fn logged_in(access: &Access, cookie: SessionCookie, session: &Credential, name: Name) -> HttpResponse {
    let lasts = Duration::from_millis(access.settings().sessions.absolute_ms.unsigned_abs());
    HttpResponse::Ok().cookie(cookie.of(session, lasts)).json(LoginResponse { name })
}
