//! `volute serve`: puts store, model, engine and web together, and takes them apart in order.

mod control_server;

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
use volute_anomaly::Model;
use volute_data::{Retention, Store};
use volute_plant::{Clock, Profile, cadence::in_words};
use volute_web::{WebHandle, WebSettings};

use self::control_server::ControlServer;
use super::{
    backup::clear_staging,
    data_folder,
    open_store::{runtime, store_settings},
};
use crate::{
    clock::node_clock,
    config::Config,
    control::Control,
    descriptors::{self, Places},
    kinds::AddedKinds,
    node_kinds::NodeKinds,
    pretrained, telemetry,
};

/// Serves until it is told to stop (SIGTERM or Ctrl-C), then brings what is under way to its end.
///
/// A demo simulates its pumps, and judges them with the model that comes with the program unless another is set.
pub fn run(config: &Config, demo: bool) -> Result<()> {
    let runtime = runtime()?;
    let system = actix_rt::System::with_tokio_rt(|| runtime);
    system.block_on(serve(config, demo))
}

async fn serve(config: &Config, demo: bool) -> Result<()> {
    let limit = descriptors::raise_limit();
    actix_rt::spawn(telemetry::report_left_out());
    let mut stop = Stop::listen()?;
    let address = config.server.listen;
    let listener = TcpListener::bind(address).with_context(|| format!("cannot listen on {address}"))?;
    let bound = listener.local_addr()?;
    data_folder::check(&config.store.dir, demo)?;
    let (store, engine) = tokio::select! {
        started = start(config, demo) => started?,
        // Nothing was taken in yet, so nothing is lost.
        () = stop.wait() => bail!("told to stop before it had started"),
    };
    let handle = engine.handle();
    let node = RunningNode::start(config, demo, listener, places(config, limit), (store, engine)).await?;
    announce(config, bound, demo);

    tokio::select! {
        () = stop.wait() => {}
        // What is stuck cannot be ended or drained: only the end of the process frees it.
        () = handle.unrecoverable() => bail!("too many threads are stuck; the log says where; the node must be started anew"),
    }
    tracing::info!("stopping");
    tokio::select! {
        ended = node.stop(config.server.shutdown_timeout) => ended,
        () = stop.wait() => bail!("stopped at once by a second signal"),
    }
}

/// What a node runs, in the order in which it is stopped.
struct RunningNode {
    control: ControlServer,
    controlling: JoinHandle<()>,
    simulation: Option<Simulation>,
    web: WebHandle,
    serving: JoinHandle<io::Result<()>>,
    engine: Engine,
    store: Store,
}

impl RunningNode {
    /// Starts what surrounds the engine: a demo's simulation, the web server and the control socket.
    async fn start(
        config: &Config,
        demo: bool,
        listener: TcpListener,
        places: Places,
        (store, engine): (Store, Engine),
    ) -> Result<Self> {
        let dir = &config.store.dir;
        let simulation = demo.then(|| Simulation::new(engine.handle()));
        if let Some(simulation) = &simulation {
            simulation.start(Plan::Stories, Speed::USUAL).await?;
        }
        let kinds = NodeKinds::new(engine.handle(), dir);
        let port = Arc::new(kinds.clone());
        let settings = web_settings(config, places);
        let server = volute_web::serve(listener, engine.handle(), simulation.clone(), port, settings)?;
        let web = server.handle();
        let serving = actix_rt::spawn(server);
        if let Err(error) = clear_staging(dir) {
            tracing::warn!(%error, "what a backup left that was cut short is still there");
        }
        let control = ControlServer::new(engine.handle(), simulation.clone(), dir.clone(), kinds);
        let controlling = actix_rt::spawn(control.clone().listen(Control::listen(dir)));
        Ok(Self { control, controlling, simulation, web, serving, engine, store })
    }

    /// Stops everything in order. An error where not all that was under way ended in time.
    async fn stop(self, limit: Duration) -> Result<()> {
        let until = Instant::now() + limit;
        self.control.stop().await;
        self.controlling.abort();
        tracing::info!(stage = "control", "drained");
        if let Some(simulation) = &self.simulation {
            simulation.stop().await;
        }
        // Requests under way are answered; one that does not end must not take the engine's time as well.
        let answered = async {
            let all = self.web.stop(true).await;
            let _ = self.serving.await;
            all
        };
        match timeout(limit, answered).await {
            Ok(true) => tracing::info!(stage = "web", "drained"),
            Ok(false) | Err(_) => tracing::warn!(stage = "web", "not drained in time: a request did not end"),
        }
        let in_time = self.engine.drain(until.saturating_duration_since(Instant::now())).await;
        self.store.close().await?;
        tracing::info!(stage = "store", "closed");
        if !in_time {
            bail!("not everything under way ended within {limit:?}");
        }
        Ok(())
    }
}

async fn start(config: &Config, demo: bool) -> Result<(Store, Engine)> {
    let clock = node_clock();
    let store = Store::open(&config.store.dir, &store_settings(config), clock.now()).await?;
    let (profile, model) = model(config, demo)?;
    let kinds = kinds(config, KindParts { profile, model })?;
    let engine = Engine::start(engine_parts(config, kinds, store.clone(), clock)?).await?;
    Ok((store, engine))
}

/// Says where the node is found, to people and scripts. Nobody has to listen.
fn announce(config: &Config, bound: SocketAddr, demo: bool) {
    let profile = &config.model.profile;
    tracing::info!(%bound, profile = profile.name(), dir = %config.store.dir.display(), demo, "listening");
    let mut text = format!("Volute listens on http://{bound}\n");
    if demo {
        text +=
            "A demo: six simulated pumps. Open the address in a browser; the first anomaly shows within a minute.\n";
    }
    for warning in warnings(bound, rustix::process::geteuid().is_root()) {
        tracing::warn!("{warning}");
        text += &format!("Warning: {warning}\n");
    }
    let _ = io::stdout().write_all(text.as_bytes());
}

/// What an operator should know of how the node is started.
fn warnings(bound: SocketAddr, is_root: bool) -> Vec<String> {
    let mut warnings = Vec::new();
    if !bound.ip().is_loopback() {
        warnings.push(format!(
            "listening on {bound}, not on loopback: there is no access control, and whoever reaches that address can read, \
             post and give orders"
        ));
    }
    if is_root {
        warnings
            .push("running as root: a user of its own, with the data directory, is all that volute needs".to_owned());
    }
    warnings
}

/// How many clients there may be, as the limit on file descriptors has it.
fn places(config: &Config, limit: usize) -> Places {
    let open = descriptors::open();
    let (configured, streams) = (config.server.max_connections, config.live.max_subscribers);
    let places = Places::new(limit, open, configured, streams);
    let Places { connections, streams } = places;
    tracing::info!(limit, open, connections, streams, "file descriptors");
    if configured.is_some_and(|configured| configured.get() > connections) {
        tracing::warn!(
            connections,
            limit,
            "fewer connections than server.max_connections: raise the hard limit (ulimit -Hn)"
        );
    }
    places
}

/// The model, and the kind of pump that the node watches: with the model's interval, for a model is of one interval.
fn model(config: &Config, demo: bool) -> Result<(Profile, Option<Model>)> {
    let mut profile = config.model.profile.clone();
    let model = match &config.model.dir {
        Some(dir) => {
            let interval_ms = Model::interval_ms(dir)?;
            if interval_ms != profile.interval_ms() {
                let (every, own) = (in_words(interval_ms), in_words(profile.interval_ms()));
                tracing::info!(every, profile = own, "interval taken from the model");
                let of = dir.display();
                profile = profile
                    .with_interval(interval_ms)
                    .with_context(|| format!("{of}: no pump's interval is {every}"))?;
            }
            Some(Model::load(dir, &profile)?)
        }
        None if demo => Some(pretrained::load(&profile)?),
        None => None,
    };
    match &model {
        Some(model) => {
            tracing::info!(model = %model.id(), own_baseline = model.baseline().is_some(), "model loaded");
        }
        None => tracing::warn!("no model: readings are stored and shown, nothing is judged"),
    }
    Ok((profile, model))
}

/// The kind of the configuration, and those that were added to the data folder. One that was added under the name of the
/// configured one brings its model where the configuration has none.
fn kinds(config: &Config, mut default: KindParts) -> Result<(KindParts, Vec<KindParts>)> {
    let mut others = Vec::new();
    for kind in AddedKinds::of(&config.store.dir).load()? {
        let (name, has_model) = (kind.profile.name().to_owned(), kind.model.is_some());
        tracing::info!(profile = name, has_model, "profile added before");
        if name != default.profile.name() {
            others.push(kind);
        } else if default.model.is_none() && kind.profile.hash() == default.profile.hash() {
            default = kind;
        }
    }
    Ok((default, others))
}

fn engine_parts(
    config: &Config,
    (default, others): (KindParts, Vec<KindParts>),
    store: Store,
    clock: Arc<dyn Clock>,
) -> Result<EngineParts> {
    let ingest = IngestSettings {
        default_pump: config.ingest.default_pump.clone(),
        auto_register: config.registers_unknown_pumps(),
        max_pumps: config.ingest.max_pumps,
        new_pumps_burst: config.ingest.new_pumps_burst.get(),
        new_pumps_per_minute: config.ingest.new_pumps_per_minute.get(),
        burst_readings_per_pump: config.ingest.burst_readings_per_pump,
        max_in_flight_readings: config.ingest.max_in_flight_readings,
        max_backlog_readings: config.ingest.max_backlog_readings,
        backlog_answer: config.ingest.backlog_answer,
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
        wedged_after: config.engine.wedged_after,
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
    };
    Ok(EngineParts { default, others, store, clock, ingest, engine, commissioning, live, retention })
}

fn web_settings(config: &Config, places: Places) -> WebSettings {
    WebSettings {
        max_connections: places.connections,
        keep_alive: config.server.keep_alive,
        request_timeout: config.server.request_timeout,
        min_body_bytes_per_s: config.server.min_body_bytes_per_s as u64,
        write_timeout: config.server.write_timeout,
        max_in_flight_response_bytes: config.server.max_in_flight_response_bytes,
        allowed_hosts: config.server.allowed_hosts.names().to_vec(),
        max_body_bytes: config.server.max_body_bytes,
        max_in_flight_bytes: config.ingest.max_in_flight_bytes.max(config.server.max_body_bytes + 1024),
        heartbeat: config.live.heartbeat,
        max_subscribers: places.streams,
        workers: config.server.workers.map_or_else(cores, NonZeroUsize::get),
        shutdown_timeout: config.server.shutdown_timeout / 2,
    }
}

fn cores() -> usize {
    thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

/// The two ways in which an operator asks for the end.
struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
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
    use super::*;

    #[test]
    fn an_open_address_and_root_are_warned_of() {
        for (bound, is_root, count) in [
            ("127.0.0.1:5000", false, 0),
            ("[::1]:5000", true, 1),
            ("0.0.0.0:5000", false, 1),
            ("192.168.1.2:1", true, 2),
        ] {
            assert_eq!(warnings(bound.parse().expect("an address"), is_root).len(), count, "{bound}");
        }
    }
}
