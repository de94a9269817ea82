//! `volute serve`: runs a node, from its start to an orderly stop.
//!
//! The start binds the address, checks the data directory, opens the store, loads the models, and starts the engine, a
//! demo's simulation, the web server and the control socket. SIGTERM or Ctrl-C stops the control socket, the
//! simulation, the web server, the engine and the store, in this order. All of them together may take
//! `server.shutdown_timeout`. A second signal ends the process at once.

mod access;
mod control_server;
mod single_sign_on;
mod tls;

use std::{
    io::{self, Write},
    net::{SocketAddr, TcpListener},
    num::NonZeroUsize,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use actix_rt::task::JoinHandle;
use anyhow::{Context, Result, bail};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::timeout,
};
use volute_actors::{
    CommissioningSettings, Engine, EngineParts, EngineSettings, IngestSettings, KindParts, LiveSettings, Plan,
    Simulation, Speed,
};
use volute_data::{Retention, Store};
use volute_plant::{Clock, cadence::format_interval};
use volute_web::{Access, Fingerprint, LimitSettings, WebHandle, WebSettings};

use self::{
    access::{check_exposure, refresh_access},
    control_server::ControlServer,
    single_sign_on::single_sign_on,
    tls::NodeTls,
};
use super::{
    backup::clear_staging,
    data_folder,
    kinds_of_node::{NodeKindParts, kinds_of_node},
    notifications::notification_settings,
    open_store::{runtime, store_settings},
};
use crate::{
    clock::node_clock,
    config::{AutoRegister, Config, TlsMode},
    control::ControlSocket,
    descriptors::{self, ClientLimits},
    machine,
    node_kinds::NodeKinds,
    telemetry,
};
pub(super) use access::access_settings;

/// Runs a node until SIGTERM or Ctrl-C, then completes the work in progress.
///
/// A demo simulates its pumps, and scores them with the built-in model unless another is configured.
pub fn run(config: &Config, demo: bool) -> Result<()> {
    let runtime = runtime()?;
    let system = actix_rt::System::with_tokio_rt(|| runtime);
    system.block_on(serve(config, demo))
}

async fn serve(config: &Config, demo: bool) -> Result<()> {
    let limit = descriptors::raise_limit();
    actix_rt::spawn(telemetry::report_suppressed());
    let mut stop = StopSignals::listen()?;
    let address = config.server.listen;
    let listener = TcpListener::bind(address).with_context(|| format!("cannot listen on {address}"))?;
    let local_address = listener.local_addr()?;
    data_folder::check_or_mark(&config.store.dir, demo)?;
    let tls = NodeTls::open(config, node_clock().now())?;
    let fingerprint = tls.as_ref().and_then(NodeTls::fingerprint_to_compare);
    let (store, engine) = tokio::select! {
        started = start_engine(config, demo) => started?,
        // No reading has been received yet, so none is lost.
        () = stop.wait() => bail!("stopped by a signal during the start"),
    };
    let handle = engine.handle();
    let access = Access::open(Box::new(store.clone()), access_settings(config)).await;
    let secured = access.is_secured();
    check_exposure(local_address, secured, config.server.is_encrypted())?;
    let parts = NodeParts { store, engine, access, tls };
    let node = RunningNode::start(config, demo, listener, client_limits(config, limit), parts).await?;
    announce(config, local_address, &announcement(config, local_address, demo, secured, fingerprint));

    tokio::select! {
        () = stop.wait() => {}
        // A stuck thread cannot be stopped or drained; only the end of the process frees it.
        () = handle.unrecoverable() => bail!("too many threads are stuck (see the log); restart the node"),
    }
    tracing::info!("stopping");
    tokio::select! {
        result = node.stop(config.server.shutdown_timeout) => result?,
        () = stop.wait() => bail!("stopped at once by a second signal"),
    }
    tracing::info!("the node has stopped");
    Ok(())
}

/// The parts of a node, in the order in which they are stopped.
struct RunningNode {
    control: ControlServer,
    control_task: JoinHandle<()>,
    simulation: Option<Simulation>,
    web: WebHandle,
    web_task: JoinHandle<io::Result<()>>,
    access_task: JoinHandle<()>,
    tls_task: Option<JoinHandle<()>>,
    engine: Engine,
    store: Store,
}

/// What a node is started from.
struct NodeParts {
    store: Store,
    engine: Engine,
    access: Access,
    tls: Option<NodeTls>,
}

impl RunningNode {
    /// Starts the parts around the engine: a demo's simulation, the web server and the control socket.
    async fn start(
        config: &Config,
        demo: bool,
        listener: TcpListener,
        limits: ClientLimits,
        NodeParts { store, engine, access, tls }: NodeParts,
    ) -> Result<Self> {
        let dir = &config.store.dir;
        let simulation = demo.then(|| Simulation::new(engine.handle()));
        if let Some(simulation) = &simulation {
            simulation.start(Plan::Demo, Speed::NORMAL).await?;
        }
        let kinds = NodeKinds::new(engine.handle(), dir);
        let manage_kinds = Arc::new(kinds.clone());
        let settings = WebSettings { tls: tls.as_ref().map(NodeTls::settings), ..web_settings(config, limits)? };
        let url = machine::node_url(&config.server, listener.local_addr()?);
        let server =
            volute_web::serve(listener, engine.handle(), simulation.clone(), manage_kinds, access.clone(), settings)?;
        let access_task = actix_rt::spawn(refresh_access(access.clone(), engine.handle()));
        let tls_task = tls.map(|tls| actix_rt::spawn(tls.keep_current(node_clock())));
        let web = server.handle();
        let web_task = actix_rt::spawn(server);
        if let Err(error) = clear_staging(dir) {
            tracing::warn!(%error, "the staged copy of an interrupted backup cannot be removed");
        }
        let control = ControlServer::new(engine.handle(), simulation.clone(), dir.clone(), kinds, (access, url));
        let control_task = actix_rt::spawn(control.clone().listen(ControlSocket::listen(dir)));
        Ok(Self { control, control_task, simulation, web, web_task, access_task, tls_task, engine, store })
    }

    /// Stops all parts in order. Returns an error if some work in progress did not end within `limit`.
    async fn stop(self, limit: Duration) -> Result<()> {
        let deadline = Instant::now() + limit;
        self.control.stop().await;
        self.control_task.abort();
        tracing::info!(stage = "control", "drained");
        if let Some(simulation) = &self.simulation {
            simulation.stop().await;
        }
        // Requests in progress get their responses. A request that does not end must not use up the time that is left
        // for the engine.
        let web_drained = async {
            let all_ended = self.web.stop(true).await;
            let _ = self.web_task.await;
            all_ended
        };
        match timeout(limit, web_drained).await {
            Ok(true) => tracing::info!(stage = "web", "drained"),
            Ok(false) | Err(_) => tracing::warn!(stage = "web", "not drained in time: a request did not end"),
        }
        self.access_task.abort();
        if let Some(task) = &self.tls_task {
            task.abort();
        }
        let in_time = self.engine.drain(deadline.saturating_duration_since(Instant::now())).await;
        self.store.close().await?;
        tracing::info!(stage = "store", "closed");
        if !in_time {
            bail!("not all work in progress ended within {limit:?}");
        }
        Ok(())
    }
}

/// Opens the store and starts the engine on it.
async fn start_engine(config: &Config, demo: bool) -> Result<(Store, Engine)> {
    let clock = node_clock();
    let store = Store::open(&config.store.dir, &store_settings(config), clock.now()).await?;
    let kinds = load_kinds(config, demo, &store)?;
    let engine = Engine::start(engine_parts(config, kinds, store.clone(), clock)?).await?;
    Ok((store, engine))
}

/// Prints how to reach the node on standard output, and logs its address. Ignores a closed standard output.
fn announce(config: &Config, local_address: SocketAddr, text: &str) {
    let (profile, dir) = (config.model.profile.name(), config.store.dir.display());
    tracing::info!(%local_address, profile, %dir, "listening");
    for warning in warnings(config, local_address, rustix::process::geteuid().is_root()) {
        tracing::warn!("{warning}");
    }
    let _ = io::stdout().write_all(text.as_bytes());
}

/// Returns how to reach the node. `fingerprint` is that of a self-signed certificate.
fn announcement(
    config: &Config,
    local_address: SocketAddr,
    demo: bool,
    secured: bool,
    fingerprint: Option<Fingerprint>,
) -> String {
    let scheme = if config.server.tls == TlsMode::Off { "http" } else { "https" };
    let listens_on = format!("{scheme}://{local_address}");
    let mut text = format!("Volute listens on {listens_on}\n");
    let url = machine::node_url(&config.server, local_address);
    if url != listens_on {
        text += &format!("Open {url}\n");
    }
    if let Some(fingerprint) = fingerprint {
        text += &format!(
            "The certificate is self-signed, so browsers warn about it. Compare its SHA-256 fingerprint before you go on:\n{fingerprint}\n"
        );
    }
    if demo {
        text +=
            "A demo: six simulated pumps. Open the address in a browser; the first anomaly shows within a minute.\n";
    }
    if !secured {
        text += "Not secured: everybody on this machine can do everything. To ask for logins: volute user add NAME --role admin\n";
    }
    text
}

/// Returns warnings about the address, the data directory and the user of the node.
fn warnings(config: &Config, local_address: SocketAddr, is_root: bool) -> Vec<String> {
    let mut warnings = Vec::new();
    if !local_address.ip().is_loopback() && config.server.tls == TlsMode::Off {
        let proxies = &config.server.behind_proxy;
        warnings.push(format!(
            "listening on {local_address} without TLS: let a firewall pass only the proxies ({proxies}), because what others \
             send can be read on the network"
        ));
    }
    if data_folder::is_open_to_others(&config.store.dir) {
        let dir = config.store.dir.display();
        warnings.push(format!("other users can open the data directory, which has password hashes: chmod 700 {dir}"));
    }
    if is_root {
        warnings.push("running as root: volute needs only an ordinary user that owns the data directory".to_owned());
    }
    warnings
}

/// Returns the limits on clients that the configuration and the limit on file descriptors allow.
fn client_limits(config: &Config, limit: usize) -> ClientLimits {
    let open = descriptors::open_count();
    let (configured, streams) = (config.server.max_connections, config.live.max_subscribers);
    let limits = ClientLimits::new(limit, open, configured, streams);
    let ClientLimits { connections, streams } = limits;
    tracing::info!(limit, open, connections, streams, "file descriptors");
    if configured.is_some_and(|configured| configured.get() > connections) {
        tracing::warn!(
            connections,
            limit,
            "fewer connections than server.max_connections: raise the hard limit (ulimit -Hn)"
        );
    }
    limits
}

/// Loads the kinds of pumps, and logs profiles and models that cannot be used.
fn load_kinds(config: &Config, demo: bool, store: &Store) -> Result<NodeKindParts> {
    let kinds = kinds_of_node(config, demo, &store.pumps())?;
    let KindParts { profile, model, .. } = &kinds.default_kind;
    if profile.interval_ms() != config.model.profile.interval_ms() {
        let (every, own) =
            (format_interval(profile.interval_ms()), format_interval(config.model.profile.interval_ms()));
        tracing::info!(every, profile = own, "interval taken from the model");
    }
    match model {
        Some(model) => {
            tracing::info!(model = %model.id(), own_baseline = model.baseline().is_some(), "model loaded");
        }
        None => tracing::warn!("no model: readings are stored and shown, but not scored"),
    }
    for KindParts { profile, model, damage } in &kinds.other_kinds {
        let (profile, has_model) = (profile.name(), model.is_some());
        match damage {
            None => tracing::info!(profile, has_model, "added profile loaded"),
            Some(why) => tracing::error!(
                profile,
                %why,
                "a profile cannot be used; the readings of its pumps are stored, and not evaluated, until it is added again with \
                 `volute profiles add`"
            ),
        }
    }
    Ok(kinds)
}

fn engine_parts(
    config: &Config,
    NodeKindParts { default_kind, other_kinds }: NodeKindParts,
    store: Store,
    clock: Arc<dyn Clock>,
) -> Result<EngineParts> {
    let ingest = IngestSettings {
        default_pump: config.ingest.default_pump.clone(),
        auto_register: config.ingest.auto_register != AutoRegister::Off,
        max_pumps: config.ingest.max_pumps,
        new_pumps_burst: config.ingest.new_pumps_burst.get(),
        new_pumps_per_minute: config.ingest.new_pumps_per_minute.get(),
        max_in_flight_readings_per_pump: config.ingest.max_in_flight_readings_per_pump,
        max_in_flight_readings: config.ingest.max_in_flight_readings,
        max_backlog_readings: config.ingest.max_backlog_readings,
        backlog_timeout: config.ingest.backlog_timeout,
        max_ahead: config.ingest.max_ahead,
        current_within: config.ingest.current_within,
        past_minutes_per_pump: config.ingest.past_minutes_per_pump,
        past_minutes: config.ingest.past_minutes,
    };
    let engine = EngineSettings {
        inference_workers: config.engine.inference_workers.map_or_else(cores, NonZeroUsize::get),
        max_batch_windows: config.engine.max_batch_windows,
        queued_windows_per_pump: config.engine.queued_windows_per_pump,
        queued_windows: config.engine.queued_windows,
        max_batch_readings: config.store.max_batch_readings,
        linger: config.store.linger,
        stale_after_intervals: i64::try_from(config.engine.stale_after_intervals)?,
        restarts: config.engine.restarts,
        restart_window: config.engine.restart_window,
        stuck_after: config.engine.stuck_after,
        warn_free_share: config.store.warn_free_percent as f64 / 100.0,
    };
    let commissioning =
        CommissioningSettings { running: config.commissioning.running, detector: config.commissioning.detector };
    let live = LiveSettings { frame: config.live.frame, subscriber_frames: config.live.subscriber_frames };
    let retention = Retention {
        readings: config.retention.readings,
        aggregates: config.retention.aggregates,
        detections: config.retention.detections,
        metrics: config.retention.metrics,
        audit: config.retention.audit,
    };
    let notifications = notification_settings(config)?;
    Ok(EngineParts {
        default_kind,
        other_kinds,
        store,
        clock,
        ingest,
        engine,
        commissioning,
        live,
        retention,
        notifications,
    })
}

fn web_settings(config: &Config, limits: ClientLimits) -> Result<WebSettings> {
    Ok(WebSettings {
        max_connections: limits.connections,
        keep_alive: config.server.keep_alive,
        request_timeout: config.server.request_timeout,
        min_body_bytes_per_s: config.server.min_body_bytes_per_s as u64,
        write_timeout: config.server.write_timeout,
        max_in_flight_response_bytes: config.server.max_in_flight_response_bytes,
        allowed_hosts: config.server.allowed_hosts.names().to_vec(),
        max_body_bytes: config.server.max_body_bytes,
        max_in_flight_bytes: config.ingest.max_in_flight_bytes.max(config.server.max_body_bytes + 1024),
        heartbeat: config.live.heartbeat,
        max_subscribers: limits.streams,
        workers: config.server.workers.map_or_else(cores, NonZeroUsize::get),
        shutdown_timeout: config.server.shutdown_timeout / 2,
        registers_pumps: config.registers_unknown_pumps(),
        tls: None,
        proxies: config.server.behind_proxy.clone(),
        limits: LimitSettings {
            requests_per_s_per_token: config.limits.requests_per_s_per_token,
            requests_per_s_per_user: config.limits.requests_per_s_per_user,
            requests_per_s_per_address: config.limits.requests_per_s_per_address,
            commands_per_minute: config.limits.commands_per_minute,
            body_mib_per_minute: config.limits.body_mib_per_minute,
            connections_per_address: config.limits.connections_per_address,
            streams_per_client: config.limits.streams_per_client,
            restart_pause: config.limits.restart_pause,
        },
        single_sign_on: single_sign_on(config)?,
    })
}

fn cores() -> usize {
    thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

/// The signals that stop the node.
struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    fn listen() -> Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn wait(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs::{self, Permissions},
        os::unix::fs::PermissionsExt,
        path::Path,
    };

    use super::*;

    fn config(dir: &Path, tls: &str, proxies: &str) -> Config {
        let env = [
            ("VOLUTE__STORE__DIR".into(), dir.into()),
            ("VOLUTE__SERVER__TLS".into(), tls.into()),
            ("VOLUTE__SERVER__BEHIND_PROXY".into(), proxies.into()),
        ];
        crate::config::load(None, env, &[]).expect("valid").config
    }

    #[test]
    fn an_address_without_tls_an_open_folder_and_the_user_root_cause_warnings() {
        let folder = tempfile::tempdir().expect("a folder");
        let set_mode = |mode| fs::set_permissions(folder.path(), Permissions::from_mode(mode)).expect("set");
        for (local_address, tls, mode, is_root, count) in [
            ("127.0.0.1:5000", "off", 0o700, false, 0),
            ("[::1]:5000", "off", 0o700, true, 1),
            ("0.0.0.0:5000", "off", 0o700, false, 1),
            ("0.0.0.0:5000", "self-signed", 0o700, false, 0),
            ("192.168.1.2:1", "off", 0o755, true, 3),
        ] {
            set_mode(mode);
            let warnings =
                warnings(&config(folder.path(), tls, ""), local_address.parse().expect("an address"), is_root);
            assert_eq!(warnings.len(), count, "{local_address}: {warnings:?}");
        }
    }

    #[test]
    fn the_announcement_has_the_address_and_the_fingerprint() {
        let pem = volute_web::self_signed(&[], &[], node_clock().now()).expect("made");
        let pair = volute_web::CertificatePair::parse(pem.as_bytes(), pem.as_bytes()).expect("a pair");
        let config = config(Path::new("data"), "self-signed", "");
        let text =
            announcement(&config, "127.0.0.1:5000".parse().expect("an address"), false, true, Some(pair.fingerprint()));
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.first(), Some(&"Volute listens on https://127.0.0.1:5000"));
        assert_eq!(lines.last(), Some(&pair.fingerprint().to_string().as_str()));
        let text = announcement(&config, "0.0.0.0:5000".parse().expect("an address"), false, true, None);
        assert!(text.contains("\nOpen https://") && !text.contains("Open https://0.0.0.0"), "{text}");
    }
}
