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

/// Refuses an address that other machines reach if nobody needs to log in, or if passwords and tokens would cross the
/// network as they are. `encrypted` says whether the node or a proxy has TLS.
pub(super) fn check_exposure(local_address: SocketAddr, secured: bool, encrypted: bool) -> Result<()> {
    if local_address.ip().is_loopback() || (secured && encrypted) {
        return Ok(());
    }
    let mut reasons = Vec::new();
    if !secured {
        reasons.push(
            "this node has no users, so anybody could change it; add one first: volute user add NAME --role admin",
        );
    }
    if !encrypted {
        reasons.push(
            "passwords and tokens could be read on the network; set server.tls (such as --tls self-signed), or \
             server.behind_proxy if a proxy has TLS",
        );
    }
    bail!("{local_address} is not a loopback address. {}", reasons.join(". Also, "))
}

/// Returns the settings of access.
pub(crate) fn access_settings(config: &Config) -> AccessSettings {
    let millis = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
    AccessSettings {
        sessions: SessionLimits {
            idle_ms: millis(config.access.session_idle),
            absolute_ms: millis(config.access.session),
        },
        anonymous_ingest: config.ingest.anonymous,
        single_sign_on: config.access.oidc.issuer.is_some(),
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
    fn an_address_for_others_needs_a_user_and_tls() {
        for (local_address, secured, encrypted, missing) in [
            ("127.0.0.1:5000", false, false, &[][..]),
            ("[::1]:5000", false, false, &[]),
            ("0.0.0.0:5000", false, false, &["user add", "server.tls"]),
            ("0.0.0.0:5000", true, false, &["server.tls", "server.behind_proxy"]),
            ("192.168.1.2:1", false, true, &["user add"]),
            ("[::]:5000", true, true, &[]),
        ] {
            let checked = check_exposure(local_address.parse().expect("an address"), secured, encrypted);
            let text = checked.err().map(|error| error.to_string()).unwrap_or_default();
            assert_eq!(text.is_empty(), missing.is_empty(), "{local_address} {text}");
            assert!(missing.iter().all(|part| text.contains(part)), "{local_address}: {text}");
            assert_eq!(text.contains("user add"), missing.contains(&"user add"), "{local_address}: {text}");
        }
    }
}
