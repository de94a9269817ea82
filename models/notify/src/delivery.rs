//! A message on its way to one receiver.
//!
//! An example: the server of the plant's mail is down, and later it takes a message, but its answer is lost.
//!
//! | time | what happens | state after it |
//! | --- | --- | --- |
//! | 10:01:00 | made | queued |
//! | 10:01:00 | `begin`, stored before the attempt | sending |
//! | 10:01:01 | `finish`: the connection was refused | queued, again at 10:01:11 |
//! | 10:01:11 | `begin` | sending |
//! | 10:01:12 | `finish`: sent, and no answer came | queued, again at 10:01:32; may be there already |
//! | 10:01:32 | `begin`, as a possible repetition | sending |
//! | 10:01:33 | `finish`: accepted | sent |
//!
//! A delivery that is found in the state `sending` after a restart ended in the middle of an attempt: the server may have
//! accepted it ([`Delivery::recover`]).

use serde::{Deserialize, Serialize};
use volute_plant::Timestamp;

use crate::{Message, Text};

/// The maximum pause between two attempts, in milliseconds: five minutes.
const MAX_PAUSE_MS: i64 = 300_000;
/// The maximum length of a stored error, in characters.
const MAX_ERROR_CHARS: usize = 500;

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// Waits for its next attempt.
    Queued,
    /// An attempt is under way, or was when the node ended.
    Sending,
    /// Accepted.
    Sent,
    /// Given up.
    Failed,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The server has accepted it.
    Accepted,
    /// The server has not accepted it, and may later.
    NotAccepted(String),
    /// The server will never accept it.
    Refused(String),
    /// It was sent, and no answer came: the server may have accepted it.
    Unknown(String),
}

/// When to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// The pause after the first attempt, in milliseconds. It doubles, up to five minutes.
    pub first_pause_ms: i64,
    /// The time after which a delivery is given up, in milliseconds.
    pub give_up_after_ms: i64,
}

/// A message on its way to one receiver.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Delivery {
    /// The message.
    pub message: Message,
    /// Its text. An e-mail is sent as it is, also if templates change before.
    pub text: Text,
    /// Where it stands.
    pub state: DeliveryState,
    /// The number of attempts that have begun.
    pub attempts: u32,
    /// Whether the server may have accepted it in an earlier attempt.
    pub may_be_repeated: bool,
    /// The next attempt is not before this time.
    pub next_at: Timestamp,
    /// When its state changed last.
    pub changed_at: Timestamp,
    /// Why the last attempt failed; empty if none did.
    pub error: String,
}

impl Delivery {
    /// Creates the delivery of a message.
    pub fn new(message: Message, text: Text) -> Self {
        Self {
            state: DeliveryState::Queued,
            attempts: 0,
            may_be_repeated: false,
            next_at: message.not_before,
            changed_at: message.at,
            error: String::new(),
            message,
            text,
        }
    }

    /// Returns whether it still has to be sent.
    pub fn is_open(&self) -> bool {
        matches!(self.state, DeliveryState::Queued | DeliveryState::Sending)
    }

    /// Returns whether an attempt may begin.
    pub fn is_due(&self, now: Timestamp) -> bool {
        // After the clock was set back, the pause is at most the longest one.
        let waits_ms = self.next_at.since_ms(now);
        let is_set_back = waits_ms > MAX_PAUSE_MS && self.attempts > 0;
        self.state == DeliveryState::Queued && (waits_ms <= 0 || is_set_back)
    }

    /// Begins an attempt. This has to be stored before the attempt.
    pub fn begin(&mut self, now: Timestamp) {
        self.state = DeliveryState::Sending;
        self.attempts = self.attempts.saturating_add(1);
        self.changed_at = now;
    }

    /// Ends an attempt.
    pub fn finish(&mut self, outcome: &Outcome, retry: RetryPolicy, now: Timestamp) {
        self.changed_at = now;
        let (state, why) = match outcome {
            Outcome::Accepted => (DeliveryState::Sent, ""),
            Outcome::Refused(why) => (DeliveryState::Failed, why.as_str()),
            Outcome::NotAccepted(why) => (DeliveryState::Queued, why.as_str()),
            Outcome::Unknown(why) => {
                self.may_be_repeated = true;
                (DeliveryState::Queued, why.as_str())
            }
        };
        self.state = state;
        self.error = why.chars().take(MAX_ERROR_CHARS).collect();
        self.next_at = now.plus_ms(self.pause_ms(retry));
        if state == DeliveryState::Queued && now.since_ms(self.message.not_before) >= retry.give_up_after_ms {
            self.state = DeliveryState::Failed;
        }
    }

    /// Continues after a restart. Returns whether anything has changed.
    pub fn recover(&mut self, now: Timestamp) -> bool {
        if self.state != DeliveryState::Sending {
            return false;
        }
        self.may_be_repeated = true;
        self.state = DeliveryState::Queued;
        (self.changed_at, self.next_at) = (now, now);
        self.error = "the node ended during the attempt".into();
        true
    }

    /// Gives up without a further attempt.
    pub fn give_up(&mut self, why: &str, now: Timestamp) {
        self.state = DeliveryState::Failed;
        self.changed_at = now;
        self.error = why.to_owned();
    }

    fn pause_ms(&self, retry: RetryPolicy) -> i64 {
        let doublings = self.attempts.saturating_sub(1).min(20);
        retry.first_pause_ms.saturating_mul(1_i64 << doublings).min(MAX_PAUSE_MS)
    }
}

#[cfg(test)]
mod tests {
    use volute_alarm::Priority;

    use super::*;
    use crate::{MessageKind, Receiver};

    const RETRY: RetryPolicy = RetryPolicy { first_pause_ms: 10_000, give_up_after_ms: 3_600_000 };

    fn at(second: i64) -> Timestamp {
        Timestamp::from_millis(1_773_050_400_000 + second * 1_000).expect("a time")
    }

    fn delivery() -> Delivery {
        let message = Message {
            id: "m".into(),
            kind: MessageKind::Test,
            at: at(0),
            not_before: at(0),
            to: Receiver::Webhook,
            pump: None,
            priority: Priority::Low,
            lines: Vec::new(),
        };
        Delivery::new(message, Text::default())
    }

    #[test]
    fn pauses_double_up_to_five_minutes_and_end() {
        let mut delivery = delivery();
        let mut now = at(0);
        let mut pauses_s = Vec::new();
        while delivery.is_open() {
            assert!(delivery.is_due(now) && !delivery.is_due(now.plus_ms(-1)) || pauses_s.is_empty());
            delivery.begin(now);
            assert!(!delivery.is_due(now), "an attempt is under way");
            delivery.finish(&Outcome::NotAccepted("refused".into()), RETRY, now);
            pauses_s.push(delivery.next_at.since_ms(now) / 1_000);
            now = delivery.next_at;
        }
        assert_eq!(pauses_s[..7], [10, 20, 40, 80, 160, 300, 300]);
        assert_eq!((delivery.state, delivery.error.as_str()), (DeliveryState::Failed, "refused"));
        assert!(!delivery.may_be_repeated, "no attempt reached the server");
    }

    #[test]
    fn only_a_lost_answer_or_a_kill_makes_a_possible_repetition() {
        let mut lost = delivery();
        lost.begin(at(0));
        lost.finish(&Outcome::Unknown("no answer".into()), RETRY, at(1));
        assert!(lost.may_be_repeated && lost.is_due(at(11)));
        let mut killed = delivery();
        assert!(!killed.recover(at(1)), "it was not being sent");
        killed.begin(at(1));
        assert!(killed.recover(at(2)) && killed.may_be_repeated && killed.is_due(at(2)));
        killed.begin(at(2));
        killed.finish(&Outcome::Accepted, RETRY, at(3));
        assert!(!killed.recover(at(4)) && !killed.is_open());
        let mut refused = delivery();
        refused.begin(at(0));
        refused.finish(&Outcome::Refused("550".into()), RETRY, at(1));
        assert_eq!(refused.state, DeliveryState::Failed);
    }

    #[test]
    fn a_clock_that_was_set_back_does_not_stop_deliveries() {
        let mut delivery = delivery();
        delivery.begin(at(100_000));
        delivery.finish(&Outcome::NotAccepted("refused".into()), RETRY, at(100_000).plus_ms(-99_000_000));
        delivery.next_at = at(100_000);
        assert!(delivery.is_due(at(0)));
    }
}
