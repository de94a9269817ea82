//! Dead letters: the messages that broke an actor. The newest are kept; the messages themselves are gone.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

use volute_plant::{PumpId, Timestamp};

/// How many are kept.
const KEPT: usize = 1000;

/// A message that was not handled.
#[derive(Debug, Clone, PartialEq)]
pub struct DeadLetter {
    /// When it was given up.
    pub at: Timestamp,
    /// The actor's id.
    pub actor: String,
    /// What kind of message it was.
    pub message: &'static str,
    /// Whose it was, if a pump's.
    pub pump: Option<PumpId>,
    /// What went wrong.
    pub error: String,
}

/// The newest of them.
#[derive(Debug, Default)]
pub(crate) struct DeadLetters(Mutex<VecDeque<DeadLetter>>);

impl DeadLetters {
    pub(crate) fn add(&self, letter: DeadLetter) {
        let DeadLetter { at: _, actor, message, pump, error } = &letter;
        let pump = pump.as_ref().map(tracing::field::display);
        tracing::error!(actor, letter = message, pump, error, "dead letter");
        let mut letters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if letters.len() == KEPT {
            letters.pop_front();
        }
        letters.push_back(letter);
    }

    /// Newest first.
    pub(crate) fn list(&self) -> Vec<DeadLetter> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().rev().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_thousand_are_kept() {
        let letters = DeadLetters::default();
        for n in 0..KEPT + 5 {
            let error = n.to_string();
            let at = Timestamp::from_millis(1_773_050_400_000).expect("a time");
            letters.add(DeadLetter { at, actor: "live".into(), message: "LiveReading", pump: None, error });
        }
        let list = letters.list();
        assert_eq!((list.len(), list[0].error.as_str(), list[KEPT - 1].error.as_str()), (KEPT, "1004", "5"));
    }
}
