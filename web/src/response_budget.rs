//! What answers may hold until their clients have taken them.
//!
//! An answer is made whole and then sent as its client reads. One of up to [`FREE_BYTES`] costs no more than the buffers of
//! its connection. A larger one takes its room from a budget for all, and holds it until the last of it is handed to the
//! connection; without room its place is taken by a 503. It is handed over piece by piece, so that no second copy waits in
//! the connection. Only answers to GET are refused: what a POST has done must be told.
//!
//! Does not limit how long an answer may wait (`connection.rs` does), nor what makes it: [`Readers`] does that for the
//! routes that read much.

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

/// An answer of up to this is not counted.
const FREE_BYTES: u64 = 32 << 10;
/// A larger one is handed to the connection in pieces of this.
const PIECE_BYTES: usize = 32 << 10;
/// How long a question waits for its turn.
const TURN: Duration = Duration::from_secs(10);

/// The room for answers that wait to be sent, in KiB.
pub(crate) struct ResponseBudget {
    room: Arc<Semaphore>,
    kib: u32,
}

/// How many questions that read much are worked on at once. Others wait for their turn.
pub(crate) struct Readers(Arc<Semaphore>);

/// An answer's body that holds something until it is sent: its room.
pub(crate) struct Held<B> {
    body: Pin<Box<B>>,
    rest: Bytes,
    _room: OwnedSemaphorePermit,
}

impl ResponseBudget {
    pub(crate) fn new(bytes: usize) -> Self {
        let kib = u32::try_from(bytes >> 10).unwrap_or(u32::MAX).max(1);
        Self { room: Arc::new(Semaphore::new(kib as usize)), kib }
    }

    /// Room for an answer. One of whatever size finds it where no other waits.
    fn take(&self, bytes: u64) -> Option<OwnedSemaphorePermit> {
        let kib = u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX).min(self.kib);
        Arc::clone(&self.room).try_acquire_many_owned(kib).ok()
    }
}

impl Readers {
    pub(crate) fn new(at_once: usize) -> Self {
        Self(Arc::new(Semaphore::new(at_once.max(1))))
    }

    /// A turn, held until it is dropped.
    pub(crate) async fn turn(&self) -> Result<OwnedSemaphorePermit, ApiError> {
        let turn = timeout(TURN, Arc::clone(&self.0).acquire_owned()).await;
        turn.ok().and_then(Result::ok).ok_or(ApiError::ManyReaders)
    }
}

/// The middleware.
pub(crate) async fn limit<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<Held<B>, EitherBody<B>>>, Error> {
    let is_get = request.method() == Method::GET;
    let budget = request.app_data::<web::Data<ResponseBudget>>().cloned();
    let answer = next.call(request).await?;
    let (BodySize::Sized(bytes), true, Some(budget)) = (answer.response().body().size(), is_get, budget) else {
        return Ok(answer.map_body(|_, body| EitherBody::right(EitherBody::left(body))));
    };
    if bytes <= FREE_BYTES {
        return Ok(answer.map_body(|_, body| EitherBody::right(EitherBody::left(body))));
    }
    match budget.take(bytes) {
        Some(room) => Ok(answer.map_body(|_, body| EitherBody::left(Held::new(body, room)))),
        None => {
            let full = HttpResponse::from_error(ApiError::ManyResponses);
            Ok(answer.into_response(full.map_body(|_, body| EitherBody::right(EitherBody::right(body)))))
        }
    }
}

impl<B> Held<B> {
    fn new(body: B, room: OwnedSemaphorePermit) -> Self {
        Self { body: Box::pin(body), rest: Bytes::new(), _room: room }
    }
}

impl<B: MessageBody> MessageBody for Held<B> {
    type Error = B::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        while self.rest.is_empty() {
            match self.body.as_mut().poll_next(cx) {
                Poll::Ready(Some(Ok(bytes))) => self.rest = bytes,
                other => return other,
            }
        }
        let piece = PIECE_BYTES.min(self.rest.len());
        Poll::Ready(Some(Ok(self.rest.split_to(piece))))
    }
}

#[cfg(test)]
mod tests {
    use actix_web::body::to_bytes;

    use super::*;

    #[test]
    fn answers_have_so_much_room_and_one_always_fits() {
        let budget = ResponseBudget::new(100 << 10);
        let one = budget.take(60 << 10).expect("room");
        assert!(budget.take(41 << 10).is_none());
        drop(one);
        let huge = budget.take(1 << 40).expect("room for one");
        assert!(budget.take(1).is_none());
        drop(huge);
        assert!(budget.take(1).is_some());
    }

    #[actix_web::test]
    async fn a_large_answer_comes_in_pieces_and_gives_its_room_back_at_its_end() {
        let budget = ResponseBudget::new(1 << 20);
        let bytes = Bytes::from(vec![7; 100_000]);
        let mut held = Box::pin(Held::new(bytes.clone(), budget.take(100_000).expect("room")));
        assert_eq!(held.size(), BodySize::Sized(100_000));
        let first = std::future::poll_fn(|cx| held.as_mut().poll_next(cx)).await;
        assert_eq!(first.and_then(Result::ok).map(|piece| piece.len()), Some(PIECE_BYTES));
        assert!(budget.take(1 << 20).is_some_and(|_| false) || budget.room.available_permits() < 1024, "it is held");
        drop(held);
        assert_eq!(budget.room.available_permits(), 1024);
        let whole = to_bytes(Held::new(bytes.clone(), budget.take(1).expect("room"))).await;
        assert_eq!(whole.ok(), Some(bytes));
    }
}
