//! The flags of `audit`.

use clap::{Args, Subcommand};
use volute_data::ChainHash;

use super::StoreArgs;

pub(super) const AUDIT_EXAMPLES: &str = "\
Examples:
  volute audit verify
      Checks that no entry of the audit log was changed, removed or inserted, and prints its head: the number and the hash of
      the last entry. Fails with the first entry that does not fit.
  volute audit verify --expect 1204:5d1f...
      Checks in addition that entry 1204 is the one that was the head when it was noted.

The node may be running or stopped. docs/security.md says what cannot be found.";

/// The arguments of `audit`.
#[derive(Debug, Args)]
pub struct AuditArgs {
    /// The command.
    #[command(subcommand)]
    pub command: AuditCommand,
}

/// The commands of `audit`.
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Check that no entry of the audit log was changed, removed or inserted.
    Verify {
        /// An entry that was noted earlier: its number and its hash, as an earlier verification printed its head.
        #[arg(long, value_name = "NUMBER:HASH", value_parser = noted)]
        expect: Option<(u64, ChainHash)>,
        /// The node's data directory.
        #[command(flatten)]
        store: StoreArgs,
    },
}

impl AuditArgs {
    pub(super) fn store(&self) -> &StoreArgs {
        let AuditCommand::Verify { store, .. } = &self.command;
        store
    }
}

fn noted(text: &str) -> Result<(u64, ChainHash), String> {
    let allowed = || "allowed: a number, a colon and 64 hexadecimal digits".to_owned();
    let (number, hash) = text.split_once(':').ok_or_else(allowed)?;
    Ok((number.parse().map_err(|_| allowed())?, hash.parse().map_err(|_| allowed())?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_noted_entry_is_its_number_and_its_hash() {
        let hash = "5d1f".repeat(16);
        assert_eq!(noted(&format!("1204:{hash}")), Ok((1204, hash.parse().expect("a hash"))));
        for bad in ["", "1204", "1204:5d1f", &format!("x:{hash}"), &format!("-1:{hash}"), &format!("1204:{hash}0")] {
            assert!(noted(bad).is_err(), "{bad}");
        }
    }
}
