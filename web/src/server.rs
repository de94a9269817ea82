//! Puts the server together, and stops it.
//!
//! actix lets a graceful stop wait for open connections and tells handlers nothing of it, so a live
//! stream would hold the stop until its timeout. Hence [`WebHandle`]: it ends the streams first.

use std::{
    io,
    net::TcpListener,
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use actix_web::{
    App, HttpServer,
    body::MessageBody,
    dev::{Server, ServerHandle, ServiceRequest, ServiceResponse},
    middleware::{Compress, DefaultHeaders, Next, from_fn},
    web,
};
use tokio::sync::watch;
use volute_actors::{EngineHandle, Simulation};
use volute_plant::Timestamp;

use crate::{body::Bodies, routes, stream::Feed};

/// How the node is served.
#[derive(Debug, Clone)]
pub struct WebSettings {
    /// The largest body of a post, in bytes.
    pub max_body_bytes: usize,
    /// The most bytes that the bodies of all posts under way may have together.
    pub max_in_flight_bytes: usize,
    /// How often a live stream says that it is alive.
    pub heartbeat: Duration,
    /// How many live streams there may be at once.
    pub max_subscribers: usize,
    /// Threads that serve requests; at least one.
    pub workers: usize,
    /// How long a graceful stop waits for requests under way; counted in whole seconds.
    pub shutdown_timeout: Duration,
}

/// What every handler can reach.
pub(crate) struct Node {
    pub(crate) engine: EngineHandle,
    /// What simulates pumps; a demo has it, and no other node.
    pub(crate) simulation: Option<Simulation>,
    pub(crate) started_at: Timestamp,
    pub(crate) feed: Feed,
    pub(crate) max_body_bytes: usize,
    pub(crate) bodies: Bodies,
}

/// A running server. It serves while it is polled, and ends when it has stopped.
#[must_use = "a server serves only while it is polled"]
pub struct WebServer {
    server: Server,
    handle: WebHandle,
}

/// Stops a server. Cheap to clone.
#[derive(Clone)]
pub struct WebHandle {
    server: ServerHandle,
    stopping: watch::Sender<bool>,
}

/// Serves on an already bound listener. Must be called within a tokio runtime. Only a demo has a simulation.
pub fn serve(
    listener: TcpListener,
    engine: EngineHandle,
    simulation: Option<Simulation>,
    settings: WebSettings,
) -> io::Result<WebServer> {
    let stopping = watch::Sender::new(false);
    let feed = Feed::new(settings.max_subscribers, settings.heartbeat, stopping.subscribe());
    let (started_at, max_body_bytes) = (engine.now(), settings.max_body_bytes);
    let bodies = Bodies::new(settings.max_in_flight_bytes);
    let node = web::Data::new(Node { engine, simulation, started_at, feed, max_body_bytes, bodies });
    let app = move || {
        App::new()
            .app_data(node.clone())
            .configure(routes::configure)
            .wrap(Compress::default())
            .wrap(DefaultHeaders::new().add(("X-Content-Type-Options", "nosniff")).add(("Cache-Control", "no-store")))
            .wrap(from_fn(trace))
    };
    let server = HttpServer::new(app)
        .workers(settings.workers.max(1))
        .shutdown_timeout(settings.shutdown_timeout.as_secs())
        .disable_signals()
        .listen(listener)?
        .run();
    let handle = WebHandle { server: server.handle(), stopping };
    Ok(WebServer { server, handle })
}

impl WebServer {
    /// What stops it.
    pub fn handle(&self) -> WebHandle {
        self.handle.clone()
    }
}

impl Future for WebServer {
    type Output = io::Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.server).poll(cx)
    }
}

impl WebHandle {
    /// Ends the live streams, takes no more requests, and resolves when the server has stopped.
    ///
    /// A graceful stop lets requests under way finish, for as long as the settings say.
    pub async fn stop(&self, graceful: bool) {
        self.stopping.send_replace(true);
        self.server.stop(graceful).await;
    }
}

/// One line per request. The node's own failures are told with their cause, which the answer keeps to itself.
async fn trace(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let started = Instant::now();
    let (method, path) = (request.method().clone(), request.path().to_owned());
    let answer = next.call(request).await?;
    let (status, duration_ms) = (answer.status(), started.elapsed().as_secs_f64() * 1e3);
    match answer.response().error().filter(|_| status.is_server_error()) {
        Some(error) => tracing::warn!(%method, path, status = status.as_u16(), duration_ms, %error, "request"),
        None => tracing::debug!(%method, path, status = status.as_u16(), duration_ms, "request"),
    }
    Ok(answer)
}
