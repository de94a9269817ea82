//! Lets a request pass to its route, or refuses it, before its body is read.

use actix_web::{
    Error, HttpMessage,
    body::{BoxBody, EitherBody},
    dev::{ServiceRequest, ServiceResponse},
    http::{
        Method,
        header::{CONTENT_LENGTH, TRANSFER_ENCODING},
    },
    middleware::Next,
    web,
};
use volute_access::Principal;

use super::{Access, authenticate::authenticate};
use crate::{
    body::unsupported_media_type,
    extract::{is_json, is_type},
    limits::Limits,
    problem::ApiError,
    route_access::{Content, Operation, RouteAccess},
    store_context::StoreContext,
};

/// The largest body of a request that needs no login.
const MAX_PUBLIC_BODY_BYTES: usize = 4096;

/// Passes the request on if its principal may use the route. `operations` are the methods of the request's path; a
/// method that is not among them is passed on, and gets a 405.
pub(crate) async fn authorize(
    operations: &'static [Operation],
    request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse<EitherBody<BoxBody>>, Error> {
    let refused = match operations.iter().find(|operation| operation.is_for(request.method())) {
        Some(operation) => check(operation, &request).err(),
        None => None,
    };
    match refused {
        None => Ok(next.call(request).await?.map_into_left_body()),
        Some(error) => Ok(request.error_response(error).map_into_right_body()),
    }
}

/// Checks a request, and adds its principal to it.
fn check(operation: &Operation, request: &ServiceRequest) -> Result<(), ApiError> {
    let missing = |what: &str| ApiError::NotReady(format!("there is no {what}"));
    let access = request.app_data::<web::Data<Access>>();
    let now_ms = request.app_data::<web::Data<StoreContext>>().map(|context| (context.now)().millis());
    if operation.access != RouteAccess::Public {
        let (access, now_ms) = (access.ok_or_else(|| missing("access"))?, now_ms.ok_or_else(|| missing("clock"))?);
        let principal = match authenticate(access, request, now_ms) {
            Ok(principal) => principal,
            Err(error) => return check_rate(operation, request, None).and(Err(error)),
        };
        let checked = check_rate(operation, request, Some(&principal))
            .and_then(|()| permit(operation.access, &principal, access));
        // Also if it is refused, for the audit log.
        request.extensions_mut().insert(principal);
        checked?;
    } else if let (Some(access), Some(now_ms)) = (access, now_ms) {
        let principal = authenticate(access, request, now_ms).ok();
        check_rate(operation, request, principal.as_ref())?;
        // A public route works without a principal, and shows one if there is one.
        if let Some(principal) = principal {
            request.extensions_mut().insert(principal);
        }
    }
    check_content_type(operation.content, request)?;
    if operation.access == RouteAccess::Public { check_public_body(request) } else { Ok(()) }
}

/// Refuses a request of a client that sends too many. `principal` is none if its credentials are not valid.
fn check_rate(operation: &Operation, request: &ServiceRequest, principal: Option<&Principal>) -> Result<(), ApiError> {
    let Some(limits) = request.app_data::<web::Data<Limits>>() else { return Ok(()) };
    match principal {
        Some(principal) => limits.request(principal, operation.is_command())?,
        None => limits.unknown_request(request.peer_addr().map(|peer| peer.ip()))?,
    }
    Ok(())
}

/// Refuses long bodies of clients whom nobody knows: they would take the memory that posts need.
fn check_public_body(request: &ServiceRequest) -> Result<(), ApiError> {
    let headers = request.headers();
    let length = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    let length = length.unwrap_or(if headers.contains_key(TRANSFER_ENCODING) { usize::MAX } else { 0 });
    match length > MAX_PUBLIC_BODY_BYTES {
        true => Err(ApiError::PublicBodyTooLarge { limit_bytes: MAX_PUBLIC_BODY_BYTES }),
        false => Ok(()),
    }
}

/// Checks the type of a command's body. Browsers ask the node before they send JSON or CSV from a page of another site,
/// and do not ask before they send a form or nothing.
fn check_content_type(content: Content, request: &ServiceRequest) -> Result<(), ApiError> {
    let request = request.request();
    if *request.method() != Method::POST || is_json(request) {
        return Ok(());
    }
    match content {
        Content::ByHandler => Ok(()),
        Content::JsonOrCsv if is_type(request, "text/csv") => Ok(()),
        Content::JsonOrCsv => Err(unsupported_media_type(request, "application/json, or text/csv")),
        Content::Json => Err(unsupported_media_type(request, "application/json")),
    }
}

fn permit(route: RouteAccess, principal: &Principal, access: &Access) -> Result<(), ApiError> {
    let permission = match route {
        RouteAccess::Needs(permission) if principal.may(permission) => return Ok(()),
        RouteAccess::Needs(permission) => Some(permission),
        RouteAccess::Public => return Ok(()),
        RouteAccess::User if matches!(principal, Principal::User { .. }) => return Ok(()),
        RouteAccess::User => None,
    };
    if principal.is_identified() {
        return Err(ApiError::NotAllowed { who: principal.to_string(), permission });
    }
    // Why nobody is known, if that is the reason.
    access.directory()?;
    Err(ApiError::Unauthenticated { reason: "log in, or send a pump token".into() })
}
