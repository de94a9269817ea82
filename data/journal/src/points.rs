//! Failpoints: places in the store at which tests make it fail, wait, or end the process.
//!
//! In a build with the feature `failpoints`, a point does what `FAILPOINTS` in the environment or a test says, in the
//! words of the crate `fail`: `FAILPOINTS='database-write=2*off->return(worn out)'` lets two writes pass and fails all
//! after them. `return(REASON)` is an error with that reason; these reasons are more than that:
//!
//! - `full`: the error says that the disk is full;
//! - `descriptors`: it says that no file can be opened;
//! - `kill`: the process ends there and then, as by `kill -9`: nothing is unwound, drained or synced;
//! - `kill 300`: it ends 300 microseconds later, in the middle of what follows.
//!
//! Does nothing in a build without the feature.

use std::io;

/// An error where a test asks for one at this point.
#[cfg(feature = "failpoints")]
pub fn reach(point: &str) -> io::Result<()> {
    fail::fail_point!(point, |reason| heed(&reason.unwrap_or_default()));
    Ok(())
}

#[cfg(not(feature = "failpoints"))]
pub fn reach(_: &str) -> io::Result<()> {
    Ok(())
}

#[cfg(feature = "failpoints")]
fn heed(reason: &str) -> io::Result<()> {
    use std::{process, thread, time::Duration};
    match reason.strip_prefix("kill").map(|later| later.trim().parse().unwrap_or(0)) {
        Some(0) => process::abort(),
        Some(micros) => {
            let end = move || {
                thread::sleep(Duration::from_micros(micros));
                process::abort()
            };
            thread::Builder::new().spawn(end).map(drop)
        }
        None if reason == "full" => Err(io::ErrorKind::StorageFull.into()),
        None if reason == "descriptors" => Err(rustix::io::Errno::MFILE.into()),
        None => Err(io::Error::other(format!("injected: {reason}"))),
    }
}
