//! Failpoints: named places in the store at which tests inject an error, a delay, or the end of the process.
//!
//! In a build with the feature `failpoints`, the action of a point is configured by the environment variable
//! `FAILPOINTS` or by a test, in the syntax of the crate `fail`. For example,
//! `FAILPOINTS='database-write=2*off->return(worn out)'` lets the first two writes to the database succeed and makes
//! all later ones fail with the reason `worn out`. `return(REASON)` returns an error with that reason. Some reasons
//! have a special meaning:
//!
//! - `full`: an error for a full disk;
//! - `descriptors`: an error for a lack of file descriptors;
//! - `kill`: the process aborts at once. As after `kill -9`, nothing is unwound, drained or synced;
//! - `kill 300`: the process aborts 300 microseconds later, in the middle of the code after the point.
//!
//! In a build without the feature, failpoints have no effect.

use std::io;

/// Returns an error if one is configured for this point.
#[cfg(feature = "failpoints")]
pub fn fail_point(point: &str) -> io::Result<()> {
    fail::fail_point!(point, |reason| inject(&reason.unwrap_or_default()));
    Ok(())
}

#[cfg(not(feature = "failpoints"))]
pub fn fail_point(_: &str) -> io::Result<()> {
    Ok(())
}

#[cfg(feature = "failpoints")]
fn inject(reason: &str) -> io::Result<()> {
    use std::{process, thread, time::Duration};
    match reason.strip_prefix("kill").map(|micros| micros.trim().parse().unwrap_or(0)) {
        Some(0) => process::abort(),
        Some(micros) => {
            let abort_later = move || {
                thread::sleep(Duration::from_micros(micros));
                process::abort()
            };
            thread::Builder::new().spawn(abort_later).map(drop)
        }
        None if reason == "full" => Err(io::ErrorKind::StorageFull.into()),
        None if reason == "descriptors" => Err(rustix::io::Errno::MFILE.into()),
        None => Err(io::Error::other(format!("injected: {reason}"))),
    }
}
