//! Inference: windows are scored in batches, by workers with threads of their own.
//!
//! A pump puts a window into the [`pool`], [`dispatch`] says which worker takes which windows when, a [`worker`] scores them
//! and replies to each window's pump. [`batch_size`] measures the best size of a batch.

pub(crate) mod batch_size;
pub(crate) mod dispatch;
mod fair_queue;
pub(crate) mod pool;
pub(crate) mod worker;
