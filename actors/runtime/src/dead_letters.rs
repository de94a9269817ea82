//! Dead letters: messages that an actor failed on. The newest are kept, without the messages themselves.

use std::{collections::VecDeque, time::SystemTime};

use parking_lot::Mutex;

use crate::message::Subject;

/// How many are kept.
const KEPT: usize = 1000;

/// A message that was not handled.
#[derive(Debug, Clone, PartialEq)]
pub struct DeadLetter {
    /// When its actor failed.
    pub at: SystemTime,
    /// The actor's id.
    pub actor: String,
    /// The message's type, without its path.
    pub message: &'static str,
    /// What it was about.
    pub subject: Option<Subject>,
    /// Why the actor failed.
    pub error: String,
}

/// The newest of them.
#[derive(Debug, Default)]
pub(crate) struct DeadLetters(Mutex<VecDeque<DeadLetter>>);

impl DeadLetters {
    pub(crate) fn add(&self, letter: DeadLetter) {
        let DeadLetter { at: _, actor, message, subject, error } = &letter;
        tracing::error!(actor, letter = message, subject = subject.as_deref(), error, "dead letter");
        let mut letters = self.0.lock();
        if letters.len() == KEPT {
            letters.pop_front();
        }
        letters.push_back(letter);
    }

    /// Returns them, newest first.
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
        for n in 0..KEPT + 5 {
            let (actor, error) = ("counter".into(), n.to_string());
            letters.add(DeadLetter { at: SystemTime::UNIX_EPOCH, actor, message: "Add", subject: None, error });
        }
        let list = letters.list();
        assert_eq!((list.len(), list[0].error.as_str(), list[KEPT - 1].error.as_str()), (KEPT, "1004", "5"));
    }
}
