//! Inference: scores windows in batches, on worker actors with a thread each.
//!
//! A pump puts a window into the [`pool`]. [`dispatch`] decides which worker takes which windows and when. A [`worker`]
//! scores them and replies to each window's pump. [`batch_size`] measures the best batch size.

pub(crate) mod batch_size;
pub(crate) mod dispatch;
mod fair_queue;
pub(crate) mod pool;
pub(crate) mod worker;
