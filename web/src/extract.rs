//! What handlers take from a request as typed parameters (actix calls these extractors): the pump in the path, and a JSON body.
//! Query parameters are in `query.rs`.

use std::future::{Ready, ready};

use actix_web::{FromRequest, HttpMessage, HttpRequest, dev::Payload, web};
use futures::future::LocalBoxFuture;
use serde::Deserialize;
use serde_json::Value;
use volute_plant::{PumpId, PumpIdError};

use crate::{body::unsupported_media_type, body_budget::Body, node::Node, problem::ApiError};

/// The pump in the segment `{id}` of a path, percent-encoded, for example `P-101A%2FB`.
#[derive(Debug)]
pub(crate) struct PumpPath(pub(crate) PumpId);

/// The decoded segment `{id}`. A path may have other segments.
#[derive(Deserialize)]
struct IdSegment {
    id: String,
}

impl FromRequest for PumpPath {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let segment = web::Path::<IdSegment>::extract(request).into_inner();
        let id = segment.map(|segment| segment.into_inner().id).unwrap_or_default();
        let pump = id.parse().map_err(|error: PumpIdError| ApiError::invalid("id", &id, PumpId::ALLOWED, &error.why()));
        ready(pump.map(Self))
    }
}

/// A JSON body; its `Content-Type` must be `application/json`. Holds the body's memory reservation.
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
            let payload = payload.await.map_err(|error| ApiError::UnreadableBody(error.to_string()))?;
            let body = node.read_body(&request, payload).await?;
            if !is_json(&request) {
                return Err(unsupported_media_type(&request, "application/json"));
            }
            let json = serde_json::from_slice(&body.bytes).map_err(ApiError::not_json)?;
            Ok(Self { json, _body: body })
        })
    }
}

/// Returns whether the `Content-Type` of a request is JSON.
pub(crate) fn is_json(request: &HttpRequest) -> bool {
    is_type(request, "application/json")
}

/// Returns whether the `Content-Type` of a request is this media type, whatever its parameters.
pub(crate) fn is_type(request: &HttpRequest, media_type: &str) -> bool {
    request.mime_type().ok().flatten().is_some_and(|kind| kind.essence_str() == media_type)
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn pump(segments: &[(&'static str, &'static str)]) -> Result<PumpId, ApiError> {
        let request = segments.iter().fold(TestRequest::default(), |request, (name, text)| request.param(*name, *text));
        let extracted = PumpPath::from_request(&request.to_http_request(), &mut Payload::None);
        extracted.into_inner().map(|PumpPath(pump)| pump)
    }

    #[test]
    fn the_pump_in_a_path_is_decoded_and_checked() {
        for (text, id) in [("P-1", "P-1"), ("P-101A%2FB", "P-101A/B"), ("F%C3%B6", "Fö")] {
            assert_eq!(pump(&[("id", text)]).expect(text).as_str(), id);
            assert_eq!(pump(&[("id", text), ("version", "7")]).expect(text).as_str(), id, "with another segment");
        }
        for bad in ["..", "%2A", "F%F6", "a%0Ab"] {
            assert!(matches!(pump(&[("id", bad)]), Err(ApiError::Invalid(error)) if error.field == "id"), "{bad}");
        }
    }
}
