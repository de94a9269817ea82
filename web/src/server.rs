//! Builds the server, and stops it.
//!
//! The server does what `actix_web::HttpServer` does, on a stream type of this crate ([`Socket`]) that closes connections
//! whose clients take too long. A stop ends the live streams and refuses new requests. It waits until the requests in
//! progress have a response. It does not wait for clients to read their responses.

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
    App, Error, HttpMessage,
    body::{BodySize, EitherBody, MessageBody},
    dev::{AppConfig, ServiceRequest, ServiceResponse},
    http::header::HeaderValue,
    middleware::{Compress, DefaultHeaders, Next, from_fn},
    rt::net::TcpStream,
    web,
};
use parking_lot::Mutex;
use tokio::{sync::watch, time::timeout};
use volute_actors::{EngineHandle, IngestError, Simulation};

use crate::{
    access::Access,
    audit::record_refusal,
    body_budget::BodyBudget,
    connection::{ConnectionLimits, ConnectionState, Connections, RequestInProgress, Socket},
    forwarded::TrustedProxies,
    in_flight::InFlightRequests,
    limits::{LimitSettings, Limits},
    new_kinds::ManageKinds,
    node::Node,
    oidc::SingleSignOn,
    openapi::openapi,
    origin::Hosts,
    problem::ApiError,
    request_id::{REQUEST_ID, RequestId, RequestIds},
    response_budget::{self, ReadLimit, ResponseBudget},
    restart_pacer::RestartPacer,
    routes::{self, description::ApiDescription},
    store_context::StoreContext,
    stream::LiveStreams,
    tls::{self, TlsSettings},
};

/// How long browsers remember to use only HTTPS: 30 days from the last response.
const STRICT_TRANSPORT: &str = "max-age=2592000";
/// How long a stop waits for clients to read their responses, in seconds.
const FLUSH_TIMEOUT_S: u64 = 1;
/// How long a client may take to close its side of a connection that is being closed.
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// The settings of the server.
#[derive(Debug, Clone)]
pub struct WebSettings {
    /// The largest body of a post, in bytes.
    pub max_body_bytes: usize,
    /// The most bytes that the bodies of all posts in progress may have together.
    pub max_in_flight_bytes: usize,
    /// The most bytes of large responses that may wait to be sent.
    pub max_in_flight_response_bytes: usize,
    /// The timeout of a request's head, and the window over which the rate of its body is measured.
    pub request_timeout: Duration,
    /// The minimum rate of a body, in bytes per second.
    pub min_body_bytes_per_s: u64,
    /// How long a client may accept no bytes of its response.
    pub write_timeout: Duration,
    /// How long a connection may be idle.
    pub keep_alive: Duration,
    /// The most connections at once.
    pub max_connections: usize,
    /// Host names of the node, each with or without a port, beside its IP addresses and the machine's name.
    pub allowed_hosts: Vec<String>,
    /// The interval of the heartbeat of a live stream.
    pub heartbeat: Duration,
    /// The most live streams at once.
    pub max_subscribers: usize,
    /// Threads that serve requests; at least one.
    pub workers: usize,
    /// How long a graceful stop waits for requests in progress.
    pub shutdown_timeout: Duration,
    /// Limits per client.
    pub limits: LimitSettings,
    /// Whether clients without a token that may post readings register new pumps by that.
    pub registers_pumps: bool,
    /// TLS, if the server has it.
    pub tls: Option<TlsSettings>,
    /// The proxies whose headers are believed.
    pub proxies: TrustedProxies,
    /// Logins at an identity provider, if one is configured.
    pub single_sign_on: Option<SingleSignOn>,
}

/// A running server. It serves while it is polled, and resolves when it has stopped.
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

/// The state that the workers share.
struct SharedState {
    node: web::Data<Node>,
    store: web::Data<StoreContext>,
    responses: web::Data<ResponseBudget>,
    access: web::Data<Access>,
    single_sign_on: web::Data<Option<SingleSignOn>>,
    limits: web::Data<Limits>,
    description: web::Data<ApiDescription>,
}

/// Serves on a bound listener. Must be called within a tokio runtime. `simulation` is present only on a demo node.
pub fn serve(
    listener: TcpListener,
    engine: EngineHandle,
    simulation: Option<Simulation>,
    kinds: Arc<dyn ManageKinds>,
    access: Access,
    settings: WebSettings,
) -> io::Result<WebServer> {
    let stopping = watch::Sender::new(false);
    let workers = settings.workers.max(1);
    let store = web::Data::new(store_context(&engine, workers));
    let node = web::Data::new(node(engine, simulation, kinds, &settings, &stopping));
    let shared = SharedState {
        store,
        limits: node.limits.clone(),
        node,
        responses: web::Data::new(ResponseBudget::new(settings.max_in_flight_response_bytes)),
        access: web::Data::new(access),
        single_sign_on: web::Data::new(settings.single_sign_on.clone()),
        description: web::Data::new(ApiDescription(openapi().to_json().map_err(io::Error::other)?)),
    };
    let requests = shared.node.requests.clone();
    let shutdown_timeout = settings.shutdown_timeout;
    let builder = Server::build()
        .workers(workers)
        .max_concurrent_connections((settings.max_connections / workers).max(1))
        .shutdown_timeout(FLUSH_TIMEOUT_S)
        .disable_signals();
    let server = listen(builder, listener, shared, settings)?.run();
    let handle = WebHandle { server: server.handle(), stopping, requests, shutdown_timeout };
    Ok(WebServer { server, handle })
}

fn node(
    engine: EngineHandle,
    simulation: Option<Simulation>,
    kinds: Arc<dyn ManageKinds>,
    settings: &WebSettings,
    stopping: &watch::Sender<bool>,
) -> Node {
    let request_ids = RequestIds::new(engine.now());
    Node {
        started_at: engine.now(),
        engine,
        simulation,
        kinds,
        streams: LiveStreams::new(settings.max_subscribers, settings.heartbeat, stopping.subscribe()),
        bodies: BodyBudget::new(
            (settings.max_in_flight_bytes, settings.max_body_bytes),
            (settings.request_timeout, settings.min_body_bytes_per_s),
            stopping.subscribe(),
        ),
        hosts: Hosts::new(&settings.allowed_hosts),
        proxies: settings.proxies.clone(),
        certificate: settings.tls.as_ref().map(|tls| tls.certificate.clone()),
        limits: web::Data::new(Limits::new(&settings.limits)),
        request_ids,
        restarts: Mutex::new(RestartPacer::new(settings.limits.restart_pause)),
        registers_pumps: settings.registers_pumps,
        requests: Arc::default(),
        stopping: stopping.subscribe(),
    }
}

fn store_context(engine: &EngineHandle, workers: usize) -> StoreContext {
    let (clock, kinds) = (engine.clone(), engine.clone());
    StoreContext {
        queries: Arc::new(engine.store().clone()),
        read_limit: ReadLimit::new(workers * 2),
        profile: engine.profile().clone(),
        profile_of: Box::new(move |pump| kinds.profile_of(pump)),
        default_pump: engine.default_pump().clone(),
        now: Box::new(move || clock.now()),
    }
}

/// Serves the app on a listener, in each worker.
fn listen(
    builder: ServerBuilder,
    listener: TcpListener,
    shared: SharedState,
    settings: WebSettings,
) -> io::Result<ServerBuilder> {
    let stop = builder.graceful_shutdown_signal();
    let WebSettings { max_connections, keep_alive, write_timeout, request_timeout, max_body_bytes, tls, .. } = settings;
    let handshake_timeout = request_timeout;
    let per_address = settings.limits.connections_per_address;
    let limits =
        ConnectionLimits { max_connections, per_address, keep_alive, write_timeout, handshake_timeout, max_body_bytes };
    let strict_transport = tls.as_ref().is_some_and(|tls| tls.strict_transport);
    let acceptor = tls.map(|tls| tls::acceptor(tls.certificate)).transpose().map_err(io::Error::other)?;
    let connections = Arc::new(Connections::new(limits, acceptor));
    builder.listen("http", listener, move || {
        let app = App::new()
            .app_data(shared.node.clone())
            .app_data(shared.store.clone())
            .app_data(shared.responses.clone())
            .app_data(shared.access.clone())
            .app_data(shared.single_sign_on.clone())
            .app_data(shared.limits.clone())
            .app_data(shared.description.clone())
            .configure(routes::configure)
            .wrap(from_fn(response_budget::limit))
            .wrap(Compress::default())
            .wrap(from_fn(admit))
            .wrap(security_headers(strict_transport))
            .wrap(from_fn(log_request));
        let (stop, connections) = (stop.clone(), connections.clone());
        let http = HttpService::build()
            .graceful_shutdown_signal(move || {
                let stop = stop.clone();
                async move { stop.notified().await }
            })
            .keep_alive(KeepAlive::Timeout(keep_alive))
            .client_request_timeout(request_timeout)
            .client_disconnect_timeout(DISCONNECT_TIMEOUT)
            .expect(fn_service(|request: HttpRequestHead| {
                if let Some(connection) = request.conn_data::<Rc<ConnectionState>>() {
                    connection.expect_continue();
                }
                ready(Ok::<_, Error>(request))
            }))
            .on_connect_ext(|socket: &Socket, data| drop(data.insert(socket.connection())))
            .h1(map_config(app.into_factory().map_err(|error| error.error_response()), |_| AppConfig::default()));
        fn_service(move |io: TcpStream| {
            let connections = connections.clone();
            async move {
                let peer = io.peer_addr().ok();
                let socket = Socket::accept(io, connections).await.map_err(DispatchError::Io);
                socket
                    .map(|socket| (socket, peer))
                    .inspect_err(|error| tracing::debug!(%error, "connection not accepted"))
            }
        })
        .and_then(http)
    })
}

impl WebServer {
    /// Returns the handle that stops the server.
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
    /// Ends the live streams, refuses new requests, and resolves when the server has stopped. Returns whether all requests got
    /// a response.
    ///
    /// A graceful stop waits for requests in progress, for at most `shutdown_timeout`. It does not wait for clients to read
    /// responses that are complete.
    pub async fn stop(&self, graceful: bool) -> bool {
        self.stopping.send_replace(true);
        let all_answered = !graceful || timeout(self.shutdown_timeout, self.requests.wait_until_none()).await.is_ok();
        self.server.stop(graceful).await;
        all_answered
    }
}

/// Returns the headers of every response that does not set them itself. Browsers then take a response for nothing but what it is,
/// and show it to no other site, in no frame. The pages set a policy of their own, which allows their scripts and styles.
fn security_headers(strict_transport: bool) -> DefaultHeaders {
    let headers = match strict_transport {
        true => DefaultHeaders::new().add(("Strict-Transport-Security", STRICT_TRANSPORT)),
        false => DefaultHeaders::new(),
    };
    headers
        .add(("X-Content-Type-Options", "nosniff"))
        .add(("Cache-Control", "no-store"))
        .add((
            "Content-Security-Policy",
            "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
        ))
        .add(("Cross-Origin-Resource-Policy", "same-origin"))
        .add(("Cross-Origin-Opener-Policy", "same-origin"))
        .add(("Referrer-Policy", "no-referrer"))
        .add(("X-Frame-Options", "DENY"))
}

/// Determines the client of a request. Refuses requests for other hosts or from pages of other sites, and all requests while
/// the node stops.
async fn admit<B: MessageBody>(
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    let node = request.app_data::<web::Data<Node>>().cloned();
    let Some(node) = node else { return next.call(request).await.map(ServiceResponse::map_into_left_body) };
    let in_flight = node.requests.begin();
    let client = node.proxies.client(request.peer_addr(), node.certificate.is_some(), request.headers());
    // From here on the peer is the client, and not its proxy.
    request.head_mut().peer_addr = client.address;
    request.extensions_mut().insert(client);
    let refused = match *node.stopping.borrow() {
        true => Err(IngestError::Stopping.into()),
        false => check_connection(&request).and_then(|()| node.hosts.check(&request, client.https)),
    };
    let response = match refused {
        Ok(()) => next.call(request).await?.map_into_left_body(),
        Err(error) => request.error_response(error).map_into_right_body(),
    };
    record_refusal(&node, &response);
    drop(in_flight);
    Ok(response)
}

/// Refuses the requests of a connection beyond the limit of its address.
fn check_connection(request: &ServiceRequest) -> Result<(), ApiError> {
    let connection = request.conn_data::<Rc<ConnectionState>>();
    match connection.and_then(|connection| connection.limit_exceeded()) {
        Some(exceeded) => Err(exceeded.into()),
        None => Ok(()),
    }
}

/// Logs one line per request. Server errors are logged with their cause, which the response does not contain.
async fn log_request(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let started = Instant::now();
    let connection = request.conn_data::<Rc<ConnectionState>>().cloned();
    let in_progress = connection.as_ref().map(ConnectionState::begin_request);
    let (method, path) = (request.method().clone(), request.path().to_owned());
    let id = request.app_data::<web::Data<Node>>().map(|node| node.request_ids.assign(&request));
    let mut response = next.call(request).await?;
    if let Some(id) = id.as_ref().and_then(|id| HeaderValue::from_str(id.as_str()).ok()) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    let id = id.as_ref().map(RequestId::as_str);
    if connection.is_some_and(|connection| connection.must_close()) {
        response.response_mut().head_mut().set_connection_type(ConnectionType::Close);
    }
    let (status, duration_ms) = (response.status(), started.elapsed().as_secs_f64() * 1e3);
    match response.response().error().filter(|_| status.is_server_error()) {
        Some(error) => tracing::warn!(id, %method, path, status = status.as_u16(), duration_ms, %error, "request"),
        None => tracing::debug!(id, %method, path, status = status.as_u16(), duration_ms, "request"),
    }
    Ok(response.map_body(|_, body| ResponseBody { body: Box::pin(body), _request: in_progress }))
}

/// A response body that keeps its request in progress until it is sent.
struct ResponseBody<B> {
    body: Pin<Box<B>>,
    _request: Option<RequestInProgress>,
}

impl<B: MessageBody> MessageBody for ResponseBody<B> {
    type Error = B::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<web::Bytes, B::Error>>> {
        self.body.as_mut().poll_next(cx)
    }
}
