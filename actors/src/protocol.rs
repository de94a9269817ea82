//! The messages between the engine's actors, grouped by receiver.
//!
//! The path of a reading and of its window through these messages:
//!
//! ```text
//! web          IngestRequest            ->  ingress        a parsed post
//! ingress      SubmitReadings           ->  pump           the items of one pump, with their permit and their part of the response
//! pump         RecordReadings           ->  recorder       new readings; the response is sent when all are durable
//! pump         LiveReading              ->  live           the reading, for display
//! pump         Job (`inference`)        ->  pool           a window, once its readings are durable
//! worker       ScoreResult              ->  pump           the score, sent through a `Recipient`
//! pump         RecordDetection          ->  recorder       the detection of the window
//! pump         LiveDetection            ->  live           the detection, for display
//! pump         EvaluateLimits           ->  maintenance    the reading with its detection, in the order of the readings
//! maintenance  RecordRow::Document      ->  recorder       an event that was opened, changed or resolved
//! ```
//!
//! Messages do not depend on the types of their senders: a message that needs a reply carries a
//! [`Recipient`](volute_runtime::Recipient) or a oneshot sender. Messages that an actor sends to itself are defined in the
//! actor's module.

pub(crate) mod alarms;
pub(crate) mod commissioning;
pub(crate) mod ingress;
pub(crate) mod live;
pub(crate) mod pump;
pub(crate) mod recorder;
pub(crate) mod rules;
