//! Logging in at an identity provider: the way there, and the way back. The protocol is in `oidc.rs`.
//!
//! Both are addresses that a browser goes to, so neither responds with a problem that nobody would read: they redirect to
//! the login page, which says what the word after `#sign-on=` means.

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, cookie::Cookie, http::header::LOCATION, web};
use serde::Deserialize;
use utoipa::IntoParams;
use volute_access::{AccessError, Credential, ExternalLogin, Name};
use volute_data::{AuditAction, AuditEntry};

use crate::{
    access::{Access, ChangeError, LoginCookie, SessionCookie, session_credential, who},
    audit::record_login,
    node::Node,
    oidc::{Authenticated, Callback, PENDING_LOGIN_MS, SingleSignOn},
    problem::ApiError,
    query::Query,
    responses::{ForeignPage, Invalid, NoSingleSignOn, Unavailable},
};

/// What the audit log has in the place of a user's name that is not known.
const UNKNOWN_USER: &str = "single sign-on";

/// What a login leads to.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct LoginParameters {
    /// The path of the page that is shown after the login; `/` by default, and for anything but a page of this node.
    #[param(example = "/pumps/P-1")]
    next: Option<String>,
}

/// What an identity provider adds to the address. It may add more, which is ignored.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct CallbackParameters {
    /// The code that the node exchanges for an id token.
    code: Option<String>,
    /// The login that it belongs to.
    state: Option<String>,
    /// Why the provider refuses, such as `access_denied`.
    error: Option<String>,
    /// The provider.
    iss: Option<String>,
}

/// Begins a login at the identity provider: redirects the browser there. Only pages of the node itself lead here.
#[utoipa::path(
    get,
    path = "/api/oidc/login",
    tag = "access",
    operation_id = "begin_single_sign_on",
    params(LoginParameters),
    responses(
        (status = 303, description = "To the provider; to `/login#sign-on=…` if it is not available"),
        Invalid, ForeignPage, NoSingleSignOn
    )
)]
pub(crate) async fn login(
    node: web::Data<Node>,
    single_sign_on: web::Data<Option<SingleSignOn>>,
    request: HttpRequest,
    Query(LoginParameters { next }): Query<LoginParameters>,
) -> Result<HttpResponse, ApiError> {
    let provider = single_sign_on.as_ref().as_ref().ok_or(ApiError::NoSingleSignOn)?;
    let cookie = LoginCookie::for_request(&request);
    let begun = provider.begin(next.as_deref().unwrap_or("/"), node.engine.now().millis()).await;
    Ok(match begun {
        Ok(begun) => {
            let lasts = Duration::from_millis(PENDING_LOGIN_MS.unsigned_abs());
            redirect(&begun.authorize_url, [cookie.of(begun.cookie, lasts)])
        }
        Err(error) => to_login_page(error.code(), cookie),
    })
}

/// Completes a login at the identity provider. The response sets the session's cookie.
///
/// A session that the client has ends. A user who is new here is added. The role is the highest that the user's groups
/// have on this node, and changes with them at each login.
#[utoipa::path(
    get,
    path = "/api/oidc/callback",
    tag = "access",
    operation_id = "complete_single_sign_on",
    params(CallbackParameters),
    responses(
        (status = 303, description = "To a page of the node; to `/login#sign-on=…` if nobody is logged in"),
        Invalid, NoSingleSignOn, Unavailable
    )
)]
pub(crate) async fn callback(
    access: web::Data<Access>,
    node: web::Data<Node>,
    single_sign_on: web::Data<Option<SingleSignOn>>,
    request: HttpRequest,
    Query(parameters): Query<CallbackParameters>,
) -> Result<HttpResponse, ApiError> {
    let provider = single_sign_on.as_ref().as_ref().ok_or(ApiError::NoSingleSignOn)?.clone();
    // In a task of its own: a code is used up, so the login is completed and recorded also if the browser disconnects.
    let task = actix_web::rt::spawn(complete(access, node, provider, request, parameters));
    task.await.map_err(|error| ApiError::NotReady(format!("the login was aborted: {error}")))
}

async fn complete(
    access: web::Data<Access>,
    node: web::Data<Node>,
    provider: SingleSignOn,
    request: HttpRequest,
    CallbackParameters { code, state, error, iss }: CallbackParameters,
) -> HttpResponse {
    let cookie = LoginCookie::for_request(&request);
    let browser = request.cookie(cookie.name());
    let callback = Callback { code, state, error, iss };
    let now_ms = node.engine.now().millis();
    let entry = |object: &str| AuditEntry::done(node.engine.now(), &who(&request), AuditAction::Login, object);
    let authenticated = match provider.complete(callback, browser.as_ref().map(Cookie::value), now_ms).await {
        Ok(authenticated) => authenticated,
        Err(error) => {
            tracing::warn!(%error, "a login at the identity provider failed");
            record_login(&node, &request, entry(UNKNOWN_USER).refused(&error.to_string())).await;
            return to_login_page(error.code(), cookie);
        }
    };
    let (name, next) = (authenticated.name.clone(), authenticated.next.clone());
    match begin_session(&access, &node, &request, authenticated, now_ms).await {
        Ok(session) => {
            let lasts = Duration::from_millis(access.settings().sessions.absolute_ms.unsigned_abs());
            redirect(&next, [SessionCookie::for_request(&request).of(&session, lasts), cookie.removal()])
        }
        Err(error) => {
            let code = code_of(&error);
            let error = ApiError::from(error).detail();
            tracing::warn!(%name, error, "a login at the identity provider was refused");
            record_login(&node, &request, entry(name.as_str()).refused(&error)).await;
            to_login_page(code, cookie)
        }
    }
}

/// Begins the session, and records the login.
async fn begin_session(
    access: &Access,
    node: &Node,
    request: &HttpRequest,
    Authenticated { identity, name, role, .. }: Authenticated,
    now_ms: i64,
) -> Result<Credential, ChangeError> {
    let cookie = SessionCookie::for_request(request);
    // The id of a session is no secret, so the cookie must be valid for the session to end.
    let previous = session_credential(request, cookie).filter(|session| access.session(session, now_ms).is_ok());
    let peer = request.peer_addr();
    let address = peer.map(|peer| peer.ip().to_string()).unwrap_or_default();
    let login = ExternalLogin { identity, name, role, address, previous: previous.as_ref().map(Credential::id) };
    let (name, session): (Name, Credential) = access.external_login(login, now_ms).await?;
    let user = access.session(&session, now_ms).map_err(|_| ChangeError::WrongPassword)?;
    let from = peer.map(|peer| format!("from {peer}, ")).unwrap_or_default();
    let detail = format!("{from}single sign-on, role {}", role.as_str());
    let entry = AuditEntry::done(node.engine.now(), &user, AuditAction::Login, name.as_str()).detail(&detail);
    record_login(node, request, entry).await;
    Ok(session)
}

/// Returns the word by which the login page knows the error.
fn code_of(error: &ChangeError) -> &'static str {
    match error {
        ChangeError::Access(AccessError::Disabled(_)) => "disabled",
        ChangeError::Access(AccessError::NameTaken(_)) => "name-taken",
        ChangeError::Access(AccessError::TooManyUsers(_)) => "too-many-users",
        _ => "not-stored",
    }
}

fn to_login_page(code: &str, cookie: LoginCookie) -> HttpResponse {
    redirect(&format!("/login#sign-on={code}"), [cookie.removal()])
}

fn redirect<const N: usize>(location: &str, cookies: [Cookie<'static>; N]) -> HttpResponse {
    let mut response = HttpResponse::SeeOther();
    response.insert_header((LOCATION, location));
    for cookie in cookies {
        response.cookie(cookie);
    }
    response.finish()
}
