//! `volute confirm-clock`: confirms that the clock of the running node is right.

use std::io::Write;

use anyhow::Result;
use volute_plant::Timestamp;

use super::open_store::runtime;
use crate::{
    cli::ConfirmClockArgs,
    config::Config,
    control::{Request, send_request},
};

/// Confirms the node's clock, and prints its time.
pub fn run(_: &ConfirmClockArgs, config: &Config, output: &mut dyn Write) -> Result<()> {
    let now: Timestamp = runtime()?.block_on(send_request(&config.store.dir, &Request::ConfirmClock))?;
    writeln!(output, "confirmed: the time is {now}")?;
    Ok(())
}
