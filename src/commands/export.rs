//! `volute export`: writes a pump's readings to a file. If the node runs, it writes the file. Otherwise the command
//! opens the store and writes the file itself.

use std::{io::Write, sync::atomic::AtomicBool};

use anyhow::Result;
use volute_data::{ExportReport, ExportRequest};

use super::open_store::{absolute, open_stopped, runtime};
use crate::{
    cli::ExportArgs,
    config::Config,
    control::{ControlError, Request, send_request},
};

/// Exports, and prints the number of readings and bytes.
pub fn run(args: &ExportArgs, config: &Config, output: &mut dyn Write) -> Result<()> {
    let ExportArgs { from, to, format, .. } = *args;
    let mut file = absolute(&args.out)?;
    if file.is_dir() {
        file.push(format!("{}.{format}", args.pump.file_stem()));
    }
    let request = ExportRequest { pump: args.pump.clone(), from, to, format, file };
    let exported: ExportReport = runtime()?.block_on(async {
        match send_request(&config.store.dir, &Request::Export(request.clone())).await {
            Err(ControlError::NoNode { .. }) => {}
            response => return anyhow::Ok(response?),
        }
        let store = open_stopped(config).await?;
        let exported = volute_data::export(&store, &request, &AtomicBool::new(false)).await;
        store.close().await?;
        Ok(exported?)
    })?;
    writeln!(output, "{} readings of {}, {} bytes", exported.readings, args.pump, exported.bytes)?;
    writeln!(output, "{}", request.file.display())?;
    Ok(())
}
