//! Access of a running node: its settings, the rule for addresses that other machines reach, and what is done once a minute.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Result, bail};
use tokio::time::MissedTickBehavior;
use volute_access::SessionLimits;
use volute_actors::EngineHandle;
use volute_web::{Access, AccessSettings};

use crate::config::Config;

/// How often times of last use are stored.
const STORE_USES_INTERVAL: Duration = Duration::from_secs(60);

/// Refuses an address that other machines reach if nobody needs to log in. Does not require TLS.
pub(super) fn check_exposure(local_address: SocketAddr, secured: bool) -> Result<()> {
    if !local_address.ip().is_loopback() && !secured {
        bail!(
            "{local_address} is not a loopback address, and this node has no users, so anybody could change it. Add one first: \
             volute user add NAME --role admin"
        );
    }
    Ok(())
}

/// Returns the settings of access. There is no TLS yet, so browsers would not send a cookie that is restricted to TLS
/// connections.
pub(crate) fn access_settings(config: &Config) -> AccessSettings {
    let millis = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
    AccessSettings {
        sessions: SessionLimits {
            idle_ms: millis(config.access.session_idle),
            absolute_ms: millis(config.access.session),
        },
        anonymous_ingest: config.ingest.anonymous,
        secure_cookies: false,
    }
}

/// Stores times of last use, forgets expired sessions, and reads the records if that failed before; once a minute until the
/// future is dropped.
pub(super) async fn refresh_access(access: Access, engine: EngineHandle) {
    let mut ticks = tokio::time::interval(STORE_USES_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        access.refresh(engine.now().millis()).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_for_others_needs_a_user() {
        for (local_address, secured, starts) in [
            ("127.0.0.1:5000", false, true),
            ("[::1]:5000", false, true),
            ("0.0.0.0:5000", false, false),
            ("192.168.1.2:1", false, false),
            ("[::]:5000", true, true),
        ] {
            let local_address = local_address.parse().expect("an address");
            assert_eq!(check_exposure(local_address, secured).is_ok(), starts, "{local_address}");
        }
    }
}
