//! Dead letters: records of the messages that an actor failed to handle. Keeps the newest [`MAX_DEAD_LETTERS`] of them,
//! without the messages' contents.

use std::{collections::VecDeque, time::SystemTime};

use parking_lot::Mutex;

use crate::message::Subject;

/// The maximum number of dead letters that are kept.
const MAX_DEAD_LETTERS: usize = 1000;

/// The record of a message that an actor failed to handle.
#[derive(Debug, Clone, PartialEq)]
pub struct DeadLetter {
    /// When the actor failed.
    pub at: SystemTime,
    /// The actor's id.
    pub actor: String,
    /// The message's type, without its path.
    pub message: &'static str,
    /// What the message was about.
    pub subject: Option<Subject>,
    /// Why the actor failed.
    pub error: String,
}

/// The newest dead letters.
#[derive(Debug, Default)]
pub(crate) struct DeadLetters(Mutex<VecDeque<DeadLetter>>);

impl DeadLetters {
    pub(crate) fn add(&self, letter: DeadLetter) {
        let DeadLetter { at: _, actor, message, subject, error } = &letter;
        tracing::error!(actor, letter = message, subject = subject.as_deref(), error, "dead letter");
        let mut letters = self.0.lock();
        if letters.len() == MAX_DEAD_LETTERS {
            letters.pop_front();
        }
        letters.push_back(letter);
    }

    /// Returns the dead letters, newest first.
    pub(crate) fn list(&self) -> Vec<DeadLetter> {
        self.0.lock().iter().rev().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_thousand_are_kept() {
        let letters = DeadLetters::default();
        for n in 0..MAX_DEAD_LETTERS + 5 {
            let (actor, error) = ("counter".into(), n.to_string());
            letters.add(DeadLetter { at: SystemTime::UNIX_EPOCH, actor, message: "Add", subject: None, error });
        }
        let list = letters.list();
        assert_eq!(
            (list.len(), list[0].error.as_str(), list[MAX_DEAD_LETTERS - 1].error.as_str()),
            (MAX_DEAD_LETTERS, "1004", "5")
        );
    }
}
