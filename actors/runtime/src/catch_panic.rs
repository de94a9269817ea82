//! Runs code of an incarnation (one run of an actor) on the current thread and catches its panics. Tracks which
//! incarnation runs on the thread.

use std::{
    any::Any,
    cell::RefCell,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::Arc,
};

use tokio::task::JoinError;

use crate::{liveness::Liveness, slot::ActorSlot};

thread_local! {
    /// The slot and generation of the incarnation that runs on this thread now.
    static CURRENT_INCARNATION: RefCell<Option<(Arc<ActorSlot>, u64)>> = const { RefCell::new(None) };
}

/// Returns whether the incarnation that runs on this thread was superseded by a later one. Messages from a superseded
/// incarnation are refused.
pub fn is_superseded() -> bool {
    let is_stale = |current: &Option<(Arc<ActorSlot>, u64)>| {
        current.as_ref().is_some_and(|(slot, generation)| slot.generation() != *generation)
    };
    // Access fails on a thread that is ending; such a thread runs no actor.
    CURRENT_INCARNATION.try_with(|current| is_stale(&current.borrow())).unwrap_or(false)
}

/// Resumes the panic of a task that an actor awaits. Does nothing if the task was cancelled, because then its runtime
/// has ended.
pub fn resume_task_panic(error: JoinError) {
    if let Ok(panic) = error.try_into_panic() {
        resume_unwind(panic);
    }
}

/// Returns the message of a panic.
pub fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "it panicked without a message".into())
}

/// Runs code of an incarnation on this thread. Returns the message of a panic as an error.
pub(crate) fn run_catching<T>(
    slot: &Arc<ActorSlot>,
    generation: u64,
    liveness: &Liveness,
    code: impl FnOnce() -> T,
) -> Result<T, String> {
    let before = CURRENT_INCARNATION.replace(Some((slot.clone(), generation)));
    liveness.set_busy(true);
    let outcome = catch_unwind(AssertUnwindSafe(code));
    liveness.set_busy(false);
    CURRENT_INCARNATION.set(before);
    outcome.map_err(|panic| panic_text(panic.as_ref()))
}
