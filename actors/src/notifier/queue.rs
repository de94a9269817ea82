//! The deliveries that are neither sent nor given up. Does no I/O: the caller stores what changes and sends.
//!
//! An example: the mail server is down, and the webhook works.
//!
//! 1. An e-mail and a webhook call are added. [`DeliveryQueue::begin`] begins one attempt for each medium; both are
//!    stored as `sending`, and then sent.
//! 2. The call is accepted, and leaves the queue. The e-mail is not, and waits ten seconds; so do other e-mails, because the
//!    server is probably still down.
//! 3. The e-mail is tried again, with longer and longer pauses, until it is accepted or given up.
//!
//! Of those that are due, the most urgent is first, then the oldest. Bounded: what does not fit is given up at once, and
//! counted.

use std::collections::BTreeMap;

use volute_data::Document;
use volute_notify::{Delivery, DeliveryState, Outcome, Receiver, RetryPolicy};
use volute_plant::Timestamp;

use super::status::MediumStatus;

/// The maximum number of waiting deliveries.
pub(super) const MAX_OPEN: usize = 10_000;

/// The id of a delivery.
type Id = String;

/// How a message leaves the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Medium {
    Email,
    Webhook,
}

impl Medium {
    pub(super) const ALL: [Self; 2] = [Self::Email, Self::Webhook];

    fn of(delivery: &Delivery) -> Self {
        match delivery.message.to {
            Receiver::Email(_) => Self::Email,
            Receiver::Webhook => Self::Webhook,
        }
    }
}

/// The waiting deliveries.
pub(super) struct DeliveryQueue {
    retry: RetryPolicy,
    open: BTreeMap<Id, Delivery>,
    /// The delivery of each medium that is being sent.
    sending: BTreeMap<Medium, Id>,
    /// Nothing is sent before this time, because the last attempt failed.
    paused_until: BTreeMap<Medium, Timestamp>,
    pub(super) email: MediumStatus,
    pub(super) webhook: MediumStatus,
}

impl DeliveryQueue {
    /// Continues with stored deliveries. Returns the queue and what has changed.
    pub(super) fn restore(deliveries: Vec<Delivery>, retry: RetryPolicy, now: Timestamp) -> (Self, Vec<Document>) {
        let mut queue = Self {
            retry,
            open: BTreeMap::new(),
            sending: BTreeMap::new(),
            paused_until: BTreeMap::new(),
            email: MediumStatus::default(),
            webhook: MediumStatus::default(),
        };
        let mut changed = Vec::new();
        for mut delivery in deliveries.into_iter().filter(Delivery::is_open) {
            if delivery.recover(now) {
                changed.push(Document::of(&delivery));
            }
            queue.open.insert(delivery.message.id.clone(), delivery);
        }
        (queue, changed)
    }

    /// Adds a new delivery. Returns it as it has to be stored.
    pub(super) fn add(&mut self, mut delivery: Delivery, now: Timestamp) -> Document {
        if self.open.len() >= MAX_OPEN {
            delivery.give_up("too many messages waited", now);
            self.status(Medium::of(&delivery)).given_up += 1;
            tracing::error!(
                message = delivery.message.id,
                waiting = MAX_OPEN,
                "a notification was given up: too many wait"
            );
            return Document::of(&delivery);
        }
        let document = Document::of(&delivery);
        self.open.insert(delivery.message.id.clone(), delivery);
        document
    }

    /// Begins the next attempts. Returns the deliveries, which have to be stored before they are sent.
    pub(super) fn begin(&mut self, now: Timestamp) -> Vec<Delivery> {
        let mut begun = Vec::new();
        for medium in Medium::ALL {
            // A pause that is longer than any is one from before the clock was set back.
            let longest_ms = self.retry.first_pause_ms;
            let is_paused =
                self.paused_until.get(&medium).is_some_and(|until| (1..=longest_ms).contains(&until.since_ms(now)));
            if is_paused || self.sending.contains_key(&medium) {
                continue;
            }
            let due = self.open.values_mut().filter(|delivery| Medium::of(delivery) == medium && delivery.is_due(now));
            let next = due.max_by_key(|delivery| (delivery.message.priority, std::cmp::Reverse(delivery.message.at)));
            let Some(delivery) = next else { continue };
            delivery.begin(now);
            self.sending.insert(medium, delivery.message.id.clone());
            begun.push(delivery.clone());
        }
        begun
    }

    /// Ends an attempt. Returns the delivery as it has to be stored.
    pub(super) fn finish(&mut self, id: &str, outcome: &Outcome, now: Timestamp) -> Option<Document> {
        let mut delivery = self.open.remove(id)?;
        let medium = Medium::of(&delivery);
        self.sending.remove(&medium);
        delivery.finish(outcome, self.retry, now);
        let (message, attempts) = (&delivery.message.id, delivery.attempts);
        let pause = now.plus_ms(self.retry.first_pause_ms);
        let may_be_repeated = delivery.may_be_repeated;
        let status = self.status(medium);
        match outcome {
            Outcome::Accepted => {
                status.sent += 1;
                status.possibly_repeated += u64::from(may_be_repeated);
                status.failing_since = None;
                status.error.clear();
                tracing::info!(message, attempts, may_be_repeated, "notification sent");
            }
            Outcome::Refused(why) => {
                status.given_up += 1;
                // Probably the address is wrong, and the next message is refused too.
                status.failing_since.get_or_insert(now);
                status.error.clone_from(why);
                tracing::error!(message, attempts, why, "a notification was refused for good");
            }
            Outcome::NotAccepted(why) | Outcome::Unknown(why) => {
                status.failing_since.get_or_insert(now);
                status.error.clone_from(why);
                let is_given_up = delivery.state == DeliveryState::Failed;
                status.given_up += u64::from(is_given_up);
                self.paused_until.insert(medium, pause);
                tracing::warn!(message, attempts, why, is_given_up, "a notification was not sent");
            }
        }
        let document = Document::of(&delivery);
        if delivery.is_open() {
            self.open.insert(delivery.message.id.clone(), delivery);
        }
        Some(document)
    }

    /// Returns whether an attempt is under way.
    pub(super) fn is_sending(&self) -> bool {
        !self.sending.is_empty()
    }

    /// Returns how many deliveries of a medium wait.
    pub(super) fn waiting(&self, medium: Medium) -> usize {
        self.open.values().filter(|delivery| Medium::of(delivery) == medium).count()
    }

    fn status(&mut self, medium: Medium) -> &mut MediumStatus {
        match medium {
            Medium::Email => &mut self.email,
            Medium::Webhook => &mut self.webhook,
        }
    }
}

#[cfg(test)]
mod tests {
    use volute_alarm::Priority;
    use volute_notify::{Message, MessageKind, Text};

    use super::*;
    use crate::testing::at;

    const RETRY: RetryPolicy = RetryPolicy { first_pause_ms: 10_000, give_up_after_ms: 86_400_000 };

    fn delivery(id: &str, to: Receiver, priority: Priority, made_s: i64) -> Delivery {
        let message = Message {
            id: id.into(),
            kind: MessageKind::Raised,
            at: at(made_s),
            not_before: at(made_s),
            to,
            pump: None,
            priority,
            lines: Vec::new(),
        };
        Delivery::new(message, Text::default())
    }

    fn email(id: &str, priority: Priority, made_s: i64) -> Delivery {
        delivery(id, Receiver::Email("ops@x".into()), priority, made_s)
    }

    fn queue() -> DeliveryQueue {
        DeliveryQueue::restore(Vec::new(), RETRY, at(0)).0
    }

    fn ids(begun: &[Delivery]) -> Vec<&str> {
        begun.iter().map(|delivery| delivery.message.id.as_str()).collect()
    }

    #[test]
    fn one_at_a_time_per_medium_the_most_urgent_first() {
        let mut queue = queue();
        queue.add(email("old", Priority::Low, 0), at(0));
        queue.add(email("urgent", Priority::Critical, 2), at(2));
        queue.add(email("new", Priority::Low, 3), at(3));
        queue.add(delivery("call", Receiver::Webhook, Priority::Low, 3), at(3));
        assert_eq!(ids(&queue.begin(at(5))), ["urgent", "call"]);
        assert!(queue.begin(at(5)).is_empty());
        queue.finish("urgent", &Outcome::Accepted, at(6));
        assert_eq!(ids(&queue.begin(at(6))), ["old"]);
        queue.finish("old", &Outcome::Accepted, at(7));
        assert_eq!(ids(&queue.begin(at(7))), ["new"]);
        assert_eq!((queue.email.sent, queue.waiting(Medium::Email)), (2, 1));
    }

    /// The mail server is down for ten minutes. Then everything is sent once, and nothing is marked as repeated.
    #[test]
    fn after_ten_minutes_without_a_server_everything_is_sent_once() {
        let mut queue = queue();
        for n in 0..20 {
            queue.add(email(&format!("m{n}"), Priority::High, n), at(n));
        }
        let mut sent = Vec::new();
        let mut attempts = 0;
        for second in 20..1_200 {
            for delivery in queue.begin(at(second)) {
                attempts += 1;
                let outcome = if second < 620 { Outcome::NotAccepted("down".into()) } else { Outcome::Accepted };
                if outcome == Outcome::Accepted {
                    assert!(!delivery.may_be_repeated);
                    sent.push(delivery.message.id.clone());
                }
                queue.finish(&delivery.message.id, &outcome, at(second));
            }
            assert_eq!(queue.email.failing_since.is_some(), second < 620 && attempts > 0);
        }
        sent.sort();
        sent.dedup();
        assert_eq!((sent.len(), queue.email.sent), (20, 20));
        assert!(attempts < 20 + 62, "a server that is down is not asked more than every ten seconds: {attempts}");
    }

    #[test]
    fn a_restart_marks_what_was_being_sent() {
        let mut queue = queue();
        queue.add(email("a", Priority::High, 0), at(0));
        queue.add(email("b", Priority::High, 1), at(1));
        let begun = queue.begin(at(2));
        let stored = vec![begun[0].clone(), email("b", Priority::High, 1)];
        let (mut restarted, changed) = DeliveryQueue::restore(stored, RETRY, at(3));
        assert_eq!(changed.len(), 1);
        let again = restarted.begin(at(3));
        assert_eq!((ids(&again), again[0].may_be_repeated), (vec!["a"], true));
        restarted.finish("a", &Outcome::Accepted, at(4));
        assert!(!restarted.begin(at(4))[0].may_be_repeated);
        assert_eq!(restarted.email.possibly_repeated, 1);
    }

    #[test]
    fn the_queue_is_bounded() {
        let mut queue = queue();
        for n in 0..=MAX_OPEN {
            queue.add(email(&format!("m{n}"), Priority::Low, 0), at(0));
        }
        assert_eq!((queue.waiting(Medium::Email), queue.email.given_up), (MAX_OPEN, 1));
    }
}
