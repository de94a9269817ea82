//! Puts the server together, and stops it.
//!
//! It is what `actix_web::HttpServer` is, over a stream of our own ([`Socket`]), which ends connections whose clients take
//! too long. A stop ends the live streams and takes no more requests; it waits for requests that are being answered, and
//! not for clients that do not read their answers.

use std::{
    future::ready,
    io,
    net::TcpListener,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use actix_http::{ConnectionType, HttpService, KeepAlive, Request as HttpRequestHead, error::DispatchError};
use actix_server::{Server, ServerBuilder, ServerHandle};
use actix_service::{IntoServiceFactory, ServiceFactoryExt, fn_service, map_config};
use actix_web::{
    App, Error, HttpResponse,
    body::{BodySize, EitherBody, MessageBody},
    dev::{AppConfig, ServiceRequest, ServiceResponse},
    middleware::{Compress, DefaultHeaders, Next, from_fn},
    rt::net::TcpStream,
    web,
};
use tokio::{sync::watch, time::timeout};
use volute_actors::{EngineHandle, Refusal, Simulation};

use crate::{
    body_budget::BodyBudget,
    connection::{Connection, Connections, InProgress, Socket},
    in_flight::InFlightRequests,
    new_kinds::AddKinds,
    node::Node,
    origin::Hosts,
    response_budget::{self, Readers, ResponseBudget},
    routes,
    stored::Stored,
    stream::Feed,
};

/// How long a stop waits for answers that are made and not read yet, in seconds.
const FLUSH_S: u64 = 1;
/// How long a client may take to close its side of a connection that is being closed.
const DISCONNECT: Duration = Duration::from_secs(1);

/// How the node is served.
#[derive(Debug, Clone)]
pub struct WebSettings {
    /// The largest body of a post, in bytes.
    pub max_body_bytes: usize,
    /// The most bytes that the bodies of all posts under way may have together.
    pub max_in_flight_bytes: usize,
    /// The most bytes of large answers that may wait to be sent.
    pub max_in_flight_response_bytes: usize,
    /// How long a request's head may take, and a window of its body.
    pub request_timeout: Duration,
    /// How fast a body has to come, in bytes a second.
    pub min_body_bytes_per_s: u64,
    /// How long a client may take nothing of what it is sent.
    pub write_timeout: Duration,
    /// How long a connection may be idle.
    pub keep_alive: Duration,
    /// How many connections there may be at once.
    pub max_connections: usize,
    /// Names, each with a port or without, under which the node is reached besides its addresses and the machine's name.
    pub allowed_hosts: Vec<String>,
    /// How often a live stream says that it is alive.
    pub heartbeat: Duration,
    /// How many live streams there may be at once.
    pub max_subscribers: usize,
    /// Threads that serve requests; at least one.
    pub workers: usize,
    /// How long a graceful stop waits for requests under way.
    pub shutdown_timeout: Duration,
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
    requests: Arc<InFlightRequests>,
    shutdown_timeout: Duration,
}

/// What the workers share.
struct Shared {
    node: web::Data<Node>,
    stored: web::Data<Stored>,
    responses: web::Data<ResponseBudget>,
}

/// Serves on an already bound listener. Must be called within a tokio runtime. Only a demo has a simulation.
pub fn serve(
    listener: TcpListener,
    engine: EngineHandle,
    simulation: Option<Simulation>,
    kinds: Arc<dyn AddKinds>,
    settings: WebSettings,
) -> io::Result<WebServer> {
    let stopping = watch::Sender::new(false);
    let workers = settings.workers.max(1);
    let shared = Shared {
        stored: web::Data::new(stored(&engine, workers)),
        node: web::Data::new(node(engine, simulation, kinds, &settings, &stopping)),
        responses: web::Data::new(ResponseBudget::new(settings.max_in_flight_response_bytes)),
    };
    let requests = shared.node.requests.clone();
    let shutdown_timeout = settings.shutdown_timeout;
    let builder = Server::build()
        .workers(workers)
        .max_concurrent_connections((settings.max_connections / workers).max(1))
        .shutdown_timeout(FLUSH_S)
        .disable_signals();
    let server = listen(builder, listener, shared, settings)?.run();
    let handle = WebHandle { server: server.handle(), stopping, requests, shutdown_timeout };
    Ok(WebServer { server, handle })
}

fn node(
    engine: EngineHandle,
    simulation: Option<Simulation>,
    kinds: Arc<dyn AddKinds>,
    settings: &WebSettings,
    stopping: &watch::Sender<bool>,
) -> Node {
    Node {
        started_at: engine.now(),
        engine,
        simulation,
        kinds,
        feed: Feed::new(settings.max_subscribers, settings.heartbeat, stopping.subscribe()),
        bodies: BodyBudget::new(
            (settings.max_in_flight_bytes, settings.max_body_bytes),
            (settings.request_timeout, settings.min_body_bytes_per_s),
            stopping.subscribe(),
        ),
        hosts: Hosts::new(&settings.allowed_hosts),
        requests: Arc::default(),
        stopping: stopping.subscribe(),
    }
}

fn stored(engine: &EngineHandle, workers: usize) -> Stored {
    let (clock, kinds) = (engine.clone(), engine.clone());
    Stored {
        queries: Arc::new(engine.store().clone()),
        readers: Readers::new(workers * 2),
        profile: engine.profile().clone(),
        profile_of: Box::new(move |pump| kinds.profile_of(pump)),
        default_pump: engine.default_pump().clone(),
        now: Box::new(move || clock.now()),
    }
}

/// The app on a listener, in every worker.
fn listen(
    builder: ServerBuilder,
    listener: TcpListener,
    shared: Shared,
    settings: WebSettings,
) -> io::Result<ServerBuilder> {
    let stop = builder.graceful_shutdown_signal();
    let WebSettings { max_connections, keep_alive, write_timeout, request_timeout, max_body_bytes, .. } = settings;
    let connections = Arc::new(Connections::new(max_connections, keep_alive, write_timeout, max_body_bytes));
    builder.listen("http", listener, move || {
        let app = App::new()
            .app_data(shared.node.clone())
            .app_data(shared.stored.clone())
            .app_data(shared.responses.clone())
            .configure(routes::configure)
            .wrap(from_fn(response_budget::limit))
            .wrap(Compress::default())
            .wrap(from_fn(admit))
            .wrap(DefaultHeaders::new().add(("X-Content-Type-Options", "nosniff")).add(("Cache-Control", "no-store")))
            .wrap(from_fn(trace));
        let (stop, connections) = (stop.clone(), connections.clone());
        let http = HttpService::build()
            .graceful_shutdown_signal(move || {
                let stop = stop.clone();
                async move { stop.notified().await }
            })
            .keep_alive(KeepAlive::Timeout(keep_alive))
            .client_request_timeout(request_timeout)
            .client_disconnect_timeout(DISCONNECT)
            .expect(fn_service(|request: HttpRequestHead| {
                if let Some(connection) = request.conn_data::<Rc<Connection>>() {
                    connection.expect();
                }
                ready(Ok::<_, Error>(request))
            }))
            .on_connect_ext(|socket: &Socket, data| drop(data.insert(socket.connection())))
            .h1(map_config(app.into_factory().map_err(|error| error.error_response()), |_| AppConfig::default()));
        fn_service(move |io: TcpStream| {
            let peer = io.peer_addr().ok();
            ready(Ok::<_, DispatchError>((Socket::new(io, connections.clone()), peer)))
        })
        .and_then(http)
    })
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
    /// Ends the live streams, takes no more requests, and resolves when the server has stopped; true if all requests were
    /// answered.
    ///
    /// A graceful stop lets requests under way finish, for as long as the settings say. An answer that is made and that its
    /// client does not read is not waited for.
    pub async fn stop(&self, graceful: bool) -> bool {
        self.stopping.send_replace(true);
        let answered = !graceful || timeout(self.shutdown_timeout, self.requests.ended()).await.is_ok();
        self.server.stop(graceful).await;
        answered
    }
}

/// Refuses requests that are not for this node or come from a page of another site, and all while the node stops.
async fn admit<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    let node = request.app_data::<web::Data<Node>>().cloned();
    let Some(node) = node else { return next.call(request).await.map(ServiceResponse::map_into_left_body) };
    let begun = node.requests.begin();
    let refused = if *node.stopping.borrow() { Err(Refusal::Stopping.into()) } else { node.hosts.check(&request) };
    let answer = match refused {
        Ok(()) => next.call(request).await?.map_into_left_body(),
        Err(error) => request.into_response(HttpResponse::from_error(error)).map_into_right_body(),
    };
    drop(begun);
    Ok(answer)
}

/// One line per request. The node's own failures are told with their cause, which the answer keeps to itself.
async fn trace(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let started = Instant::now();
    let connection = request.conn_data::<Rc<Connection>>().cloned();
    let in_progress = connection.as_ref().map(Connection::begin);
    let (method, path) = (request.method().clone(), request.path().to_owned());
    let mut answer = next.call(request).await?;
    if connection.is_some_and(|connection| connection.is_spent()) {
        answer.response_mut().head_mut().set_connection_type(ConnectionType::Close);
    }
    let (status, duration_ms) = (answer.status(), started.elapsed().as_secs_f64() * 1e3);
    match answer.response().error().filter(|_| status.is_server_error()) {
        Some(error) => tracing::warn!(%method, path, status = status.as_u16(), duration_ms, %error, "request"),
        None => tracing::debug!(%method, path, status = status.as_u16(), duration_ms, "request"),
    }
    Ok(answer.map_body(|_, body| Sending { body: Box::pin(body), _request: in_progress }))
}

/// An answer's body; the connection is not idle until it is sent.
struct Sending<B> {
    body: Pin<Box<B>>,
    _request: Option<InProgress>,
}

impl<B: MessageBody> MessageBody for Sending<B> {
    type Error = B::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<web::Bytes, B::Error>>> {
        self.body.as_mut().poll_next(cx)
    }
}
