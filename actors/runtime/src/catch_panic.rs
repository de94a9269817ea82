//! Runs a piece of an incarnation on this thread and catches its panic; knows which incarnation is on the thread.

use std::{
    any::Any,
    cell::RefCell,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::Arc,
};

use tokio::task::JoinError;

use crate::{liveness::Liveness, slot::ActorSlot};

thread_local! {
    /// Which incarnation is on this thread now.
    static CURRENT: RefCell<Option<(Arc<ActorSlot>, u64)>> = const { RefCell::new(None) };
}

/// Whether the actor that is on this thread now has been superseded.
pub fn is_superseded() -> bool {
    let stale = |current: &Option<(Arc<ActorSlot>, u64)>| {
        current.as_ref().is_some_and(|(slot, number)| slot.generation() != *number)
    };
    // A thread that ends has no actor any more.
    CURRENT.try_with(|current| stale(&current.borrow())).unwrap_or(false)
}

/// Resumes the panic of a task that an actor waited for. A task that was cancelled is passed over: its runtime has ended.
pub fn resume_task_panic(error: JoinError) {
    if let Ok(panic) = error.try_into_panic() {
        resume_unwind(panic);
    }
}

/// Returns what a panic says.
pub fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "it panicked and said nothing".into())
}

/// Runs a piece of an incarnation. Returns the text of a panic as an error.
pub(crate) fn on_thread<T>(
    slot: &Arc<ActorSlot>,
    number: u64,
    liveness: &Liveness,
    piece: impl FnOnce() -> T,
) -> Result<T, String> {
    let before = CURRENT.replace(Some((slot.clone(), number)));
    liveness.set_busy(true);
    let outcome = catch_unwind(AssertUnwindSafe(piece));
    liveness.set_busy(false);
    CURRENT.set(before);
    outcome.map_err(|panic| panic_text(panic.as_ref()))
}
