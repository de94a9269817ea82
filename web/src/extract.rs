//! What handlers take out of a request beside its parameters (`query.rs`): the pump in its path, and a body of JSON.

use std::future::{Ready, ready};

use actix_web::{FromRequest, HttpMessage, HttpRequest, dev::Payload, web};
use futures::future::LocalBoxFuture;
use serde::Deserialize;
use serde_json::Value;
use volute_plant::{PumpId, PumpIdError};

use crate::{body::media_type, body_budget::Body, node::Node, problem::ApiError};

/// The pump that is the part `{id}` of a path, percent-encoded, as `P-101A%2FB`.
#[derive(Debug)]
pub(crate) struct PumpPath(pub(crate) PumpId);

/// That part, decoded. A path may have others.
#[derive(Deserialize)]
struct IdPart {
    id: String,
}

impl FromRequest for PumpPath {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let part = web::Path::<IdPart>::extract(request).into_inner();
        let id = part.map(|part| part.into_inner().id).unwrap_or_default();
        let pump = id.parse().map_err(|no: PumpIdError| ApiError::invalid("id", &id, PumpId::ALLOWED, &no.why()));
        ready(pump.map(Self))
    }
}

/// A body that must be JSON, and must say so. Its room is held for as long as this is.
pub(crate) struct JsonBody {
    pub(crate) json: Value,
    _body: Body,
}

impl FromRequest for JsonBody {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let payload = web::Payload::from_request(request, payload);
        let (node, request) = (request.app_data::<web::Data<Node>>().cloned(), request.clone());
        Box::pin(async move {
            let node = node.ok_or_else(|| ApiError::NotReady("there is no node".to_owned()))?;
            let payload = payload.await.map_err(|error| ApiError::Body(error.to_string()))?;
            let body = node.read_body(&request, payload).await?;
            if !is_json(&request) {
                return Err(media_type(&request, "application/json"));
            }
            let json = serde_json::from_slice(&body.bytes).map_err(ApiError::not_json)?;
            Ok(Self { json, _body: body })
        })
    }
}

/// Whether a request says that its body is JSON.
pub(crate) fn is_json(request: &HttpRequest) -> bool {
    request.mime_type().ok().flatten().is_some_and(|kind| kind.essence_str() == "application/json")
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn pump(parts: &[(&'static str, &'static str)]) -> Result<PumpId, ApiError> {
        let request = parts.iter().fold(TestRequest::default(), |request, (name, text)| request.param(*name, *text));
        let found = PumpPath::from_request(&request.to_http_request(), &mut Payload::None);
        found.into_inner().map(|PumpPath(pump)| pump)
    }

    #[test]
    fn the_pump_in_a_path_is_decoded_and_checked() {
        for (text, id) in [("P-1", "P-1"), ("P-101A%2FB", "P-101A/B"), ("F%C3%B6", "Fö")] {
            assert_eq!(pump(&[("id", text)]).expect(text).as_str(), id);
            assert_eq!(pump(&[("id", text), ("version", "7")]).expect(text).as_str(), id, "with another part");
        }
        for bad in ["..", "%2A", "F%F6", "a%0Ab"] {
            assert!(matches!(pump(&[("id", bad)]), Err(ApiError::Invalid(no)) if no.field == "id"), "{bad}");
        }
    }
}
