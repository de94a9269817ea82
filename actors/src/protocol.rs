//! The messages between the actors of the engine, by what they are about.
//!
//! One reading's way and one window's way, as the messages that carry them:
//!
//! ```text
//! web          IngestRequest            ->  ingress        a post, parsed
//! ingress      SubmitReadings           ->  pump           the items of one pump, with their room and their part of the response
//! pump         RecordReadings           ->  recorder       new readings; the response is complete when all are durable
//! pump         LiveReading              ->  live           shown
//! pump         Job (`inference`)        ->  the pool       a window, once the readings are durable
//! a worker     ScoreResult              ->  pump           through a `ReplyTo`: a worker does not know the pump's actor
//! pump         RecordDetection          ->  recorder       the decision on the window
//! pump         LiveDetection            ->  live           shown
//! pump         EvaluateLimits           ->  maintenance    the reading with its detection, in the order of the readings
//! maintenance  RecordRow::Document      ->  recorder       an event that opened, changed or ended
//! ```
//!
//! A message names no actor that is above its receiver: who answers gets a [`ReplyTo`](volute_runtime::ReplyTo) or a oneshot.
//! Messages that an actor sends to itself stand beside it.

pub(crate) mod commissioning;
pub(crate) mod ingress;
pub(crate) mod live;
pub(crate) mod pump;
pub(crate) mod recorder;
pub(crate) mod rules;
