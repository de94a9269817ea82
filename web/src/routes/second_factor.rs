//! The second factor of the own login: begin, confirm, remove. Does not log in; see `routes/session.rs`.

use actix_web::{HttpRequest, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use volute_access::{Name, Principal};
use volute_data::AuditAction;

use crate::{
    access::{Access, ChangeError, Login, client_address, who},
    audit::AuditedCommand,
    decode::from_value,
    extract::JsonBody,
    node::Node,
    problem::ApiError,
    query::{NoParameters, Query},
    responses::{HasSecondFactor, Invalid, Slow, TooLarge, TooManyLogins, Unavailable, Unsupported, WrongLogin},
};

/// The own password, for a change of the second factor.
#[derive(Deserialize, ToSchema)]
#[schema(as = OwnPassword)]
#[serde(deny_unknown_fields)]
pub(crate) struct PasswordSchema {
    /// The password.
    password: String,
}

/// A code.
#[derive(Deserialize, ToSchema)]
#[schema(as = Code)]
#[serde(deny_unknown_fields)]
pub(crate) struct CodeSchema {
    /// The app's code.
    #[schema(example = "287082")]
    code: String,
}

/// A second factor that is not confirmed yet.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SecondFactorResponse {
    /// The secret for the app, in base 32. It is not shown again.
    secret: String,
    /// The same as an address, for a QR code.
    #[schema(example = "otpauth://totp/Volute:ada?secret=...&issuer=Volute")]
    url: String,
}

/// Whether logins need a code.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SecondFactorState {
    /// Whether they do.
    second_factor: bool,
}

/// Begins a second factor: returns the secret for an authenticator app. Logins need a code after it is confirmed.
#[utoipa::path(
    post,
    path = "/api/second-factor",
    tag = "access",
    operation_id = "begin_second_factor",
    request_body(content = PasswordSchema, description = "The own password"),
    responses(
        (status = 200, description = "The secret for the app", body = SecondFactorResponse),
        Invalid, WrongLogin, HasSecondFactor, Slow, TooLarge, Unsupported, TooManyLogins, Unavailable
    )
)]
pub(crate) async fn begin(
    access: web::Data<Access>,
    node: web::Data<Node>,
    request: HttpRequest,
    _: Query<NoParameters>,
    JsonBody { json: body, .. }: JsonBody,
) -> Result<web::Json<SecondFactorResponse>, ApiError> {
    let PasswordSchema { password } = from_value(&body, "field").map_err(ApiError::Invalid)?;
    let (user, now_ms) = (own_name(&request)?, node.engine.now().millis());
    let address = client_address(&request);
    let command = command(&node, &request, &user, "begun");
    let name = user.clone();
    let begin = async move {
        let login = Login::with_password(&name, password, address);
        Ok(access.begin_second_factor(login, now_ms).await?)
    };
    let factor = command.execute(begin).await?;
    Ok(web::Json(SecondFactorResponse { secret: factor.reveal().to_owned(), url: factor.url(&user) }))
}

/// Confirms the second factor with a code of the app. From now on logins need a code.
#[utoipa::path(
    post,
    path = "/api/second-factor/confirm",
    tag = "access",
    operation_id = "confirm_second_factor",
    request_body(content = CodeSchema, description = "A code of the app"),
    responses(
        (status = 200, description = "Logins need a code now", body = SecondFactorState),
        Invalid, WrongLogin, Slow, TooLarge, Unsupported, TooManyLogins, Unavailable
    )
)]
pub(crate) async fn confirm(
    access: web::Data<Access>,
    node: web::Data<Node>,
    request: HttpRequest,
    _: Query<NoParameters>,
    JsonBody { json: body, .. }: JsonBody,
) -> Result<web::Json<SecondFactorState>, ApiError> {
    let CodeSchema { code } = from_value(&body, "field").map_err(ApiError::Invalid)?;
    let (name, now_ms) = (own_name(&request)?, node.engine.now().millis());
    let address = client_address(&request);
    let command = command(&node, &request, &name, "confirmed");
    command.execute(async move { Ok(access.confirm_second_factor(&name, &code, address, now_ms).await?) }).await?;
    Ok(web::Json(SecondFactorState { second_factor: true }))
}

/// Removes the second factor: logins need no code.
#[utoipa::path(
    post,
    path = "/api/second-factor/remove",
    tag = "access",
    operation_id = "remove_second_factor",
    request_body(content = PasswordSchema, description = "The own password"),
    responses(
        (status = 200, description = "Logins need no code now", body = SecondFactorState),
        Invalid, WrongLogin, Slow, TooLarge, Unsupported, TooManyLogins, Unavailable
    )
)]
pub(crate) async fn remove(
    access: web::Data<Access>,
    node: web::Data<Node>,
    request: HttpRequest,
    _: Query<NoParameters>,
    JsonBody { json: body, .. }: JsonBody,
) -> Result<web::Json<SecondFactorState>, ApiError> {
    let PasswordSchema { password } = from_value(&body, "field").map_err(ApiError::Invalid)?;
    let (name, now_ms) = (own_name(&request)?, node.engine.now().millis());
    let address = client_address(&request);
    let command = command(&node, &request, &name, "removed");
    let remove = async move {
        let login = Login::with_password(&name, password, address);
        Ok(access.remove_second_factor(login, now_ms).await?)
    };
    command.execute(remove).await?;
    Ok(web::Json(SecondFactorState { second_factor: false }))
}

/// Returns the name of the user who sends the request. The table of routes lets in only users.
fn own_name(request: &HttpRequest) -> Result<Name, ApiError> {
    match who(request) {
        Principal::User { name, .. } => Ok(name),
        _ => Err(ChangeError::WrongPassword.into()),
    }
}

fn command(node: &Node, request: &HttpRequest, user: &Name, detail: &str) -> AuditedCommand {
    AuditedCommand::new(node, request, AuditAction::SetSecondFactor, user.as_str()).detail(detail)
}
