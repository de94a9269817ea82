//! Limits the memory of responses that wait to be sent.
//!
//! A response is made completely, and then sent as its client reads. A response of at most [`EXEMPT_BYTES`] costs no more than
//! the buffers of its connection and is not counted. A larger one reserves its bytes from a budget shared by all responses, and
//! holds them until its last byte is passed to the connection. If the budget is exhausted, a 503 is sent instead. The body is
//! passed on in chunks, so that the connection does not buffer a second copy. Only responses to GET are refused: the outcome of
//! a POST must be reported.
//!
//! Does not limit how long a response may wait (see `connection.rs`), nor the work of making it: [`ReadLimit`] does that for
//! the routes that read many rows.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use actix_web::{
    Error, HttpResponse,
    body::{BodySize, EitherBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::Method,
    middleware::Next,
    web::{self, Bytes},
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use crate::problem::ApiError;

/// The size up to which a response is not counted.
const EXEMPT_BYTES: u64 = 32 << 10;
/// The size of the chunks in which a larger response is passed to the connection.
const CHUNK_BYTES: usize = 32 << 10;
/// How long a query waits for a permit.
const READ_PERMIT_TIMEOUT: Duration = Duration::from_secs(10);

/// The memory budget of responses that wait to be sent, in KiB.
pub(crate) struct ResponseBudget {
    free_kib: Arc<Semaphore>,
    kib: u32,
}

/// Limits how many queries that read many rows run at once. Others wait.
pub(crate) struct ReadLimit(Arc<Semaphore>);

/// A response body that holds its reservation from the budget until it is sent.
pub(crate) struct BudgetedBody<B> {
    body: Pin<Box<B>>,
    remaining: Bytes,
    _permit: OwnedSemaphorePermit,
}

impl ResponseBudget {
    pub(crate) fn new(bytes: usize) -> Self {
        let kib = u32::try_from(bytes >> 10).unwrap_or(u32::MAX).max(1);
        Self { free_kib: Arc::new(Semaphore::new(kib as usize)), kib }
    }

    /// Reserves memory for a response; none if the budget is exhausted. A single response always fits, whatever its size.
    fn take(&self, bytes: u64) -> Option<OwnedSemaphorePermit> {
        let kib = u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX).min(self.kib);
        Arc::clone(&self.free_kib).try_acquire_many_owned(kib).ok()
    }
}

impl ReadLimit {
    pub(crate) fn new(at_once: usize) -> Self {
        Self(Arc::new(Semaphore::new(at_once.max(1))))
    }

    /// Waits for a permit. The permit is released when it is dropped.
    pub(crate) async fn acquire(&self) -> Result<OwnedSemaphorePermit, ApiError> {
        let permit = timeout(READ_PERMIT_TIMEOUT, Arc::clone(&self.0).acquire_owned()).await;
        permit.ok().and_then(Result::ok).ok_or(ApiError::TooManyReaders)
    }
}

/// Middleware that applies the budget.
pub(crate) async fn limit<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<BudgetedBody<B>, EitherBody<B>>>, Error> {
    let is_get = request.method() == Method::GET;
    let budget = request.app_data::<web::Data<ResponseBudget>>().cloned();
    let response = next.call(request).await?;
    let (BodySize::Sized(bytes), true, Some(budget)) = (response.response().body().size(), is_get, budget) else {
        return Ok(response.map_body(|_, body| EitherBody::right(EitherBody::left(body))));
    };
    if bytes <= EXEMPT_BYTES {
        return Ok(response.map_body(|_, body| EitherBody::right(EitherBody::left(body))));
    }
    match budget.take(bytes) {
        Some(permit) => Ok(response.map_body(|_, body| EitherBody::left(BudgetedBody::new(body, permit)))),
        None => {
            let full = HttpResponse::from_error(ApiError::TooManyResponses);
            Ok(response.into_response(full.map_body(|_, body| EitherBody::right(EitherBody::right(body)))))
        }
    }
}

impl<B> BudgetedBody<B> {
    fn new(body: B, permit: OwnedSemaphorePermit) -> Self {
        Self { body: Box::pin(body), remaining: Bytes::new(), _permit: permit }
    }
}

impl<B: MessageBody> MessageBody for BudgetedBody<B> {
    type Error = B::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        while self.remaining.is_empty() {
            match self.body.as_mut().poll_next(cx) {
                Poll::Ready(Some(Ok(bytes))) => self.remaining = bytes,
                other => return other,
            }
        }
        let chunk = CHUNK_BYTES.min(self.remaining.len());
        Poll::Ready(Some(Ok(self.remaining.split_to(chunk))))
    }
}

#[cfg(test)]
mod tests {
    use actix_web::body::to_bytes;

    use super::*;

    #[test]
    fn responses_share_the_budget_and_a_single_one_always_fits() {
        let budget = ResponseBudget::new(100 << 10);
        let one = budget.take(60 << 10).expect("it fits");
        assert!(budget.take(41 << 10).is_none());
        drop(one);
        let huge = budget.take(1 << 40).expect("a single one fits");
        assert!(budget.take(1).is_none());
        drop(huge);
        assert!(budget.take(1).is_some());
    }

    #[actix_web::test]
    async fn a_large_response_is_sent_in_chunks_and_releases_its_memory_at_its_end() {
        let budget = ResponseBudget::new(1 << 20);
        let bytes = Bytes::from(vec![7; 100_000]);
        let mut held = Box::pin(BudgetedBody::new(bytes.clone(), budget.take(100_000).expect("it fits")));
        assert_eq!(held.size(), BodySize::Sized(100_000));
        let first = std::future::poll_fn(|cx| held.as_mut().poll_next(cx)).await;
        assert_eq!(first.and_then(Result::ok).map(|chunk| chunk.len()), Some(CHUNK_BYTES));
        assert!(
            budget.take(1 << 20).is_some_and(|_| false) || budget.free_kib.available_permits() < 1024,
            "it is held"
        );
        drop(held);
        assert_eq!(budget.free_kib.available_permits(), 1024);
        let sent = to_bytes(BudgetedBody::new(bytes.clone(), budget.take(1).expect("it fits"))).await;
        assert_eq!(sent.ok(), Some(bytes));
    }
}
