//! Live streams as server-sent events: one stream per subscriber, with the engine's frames.
//!
//! A subscriber that is too slow loses its oldest frames, gets an event with their number, and never slows the engine.
//! A stream ends as soon as the server stops, and with the next heartbeat after its session has ended. Does not replay
//! events (`Last-Event-ID`): clients find missed data in the history.
//!
//! An example: a subscriber selects `reading` of `P-1`. It gets the comment `: alive`, an event for each frame of readings of
//! `P-1`, and `: alive` again at each heartbeat. If three frames were dropped, it gets `event: lagged` with
//! `data: {"dropped":3}` before the next frame.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use actix_web::{
    HttpResponse,
    http::header::{CONTENT_ENCODING, ContentEncoding, HeaderName},
    web::Bytes,
};
use futures::{Stream, StreamExt, stream};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, broadcast, broadcast::error::RecvError, watch},
    time::{Instant, Interval, MissedTickBehavior, interval_at},
};
use volute_actors::Frame;
use volute_plant::PumpId;

use crate::{
    access::StillAllowed,
    limits::Place,
    problem::ApiError,
    stream_events::{EventMask, LaggedEvent, encode_event, frame_event},
};

/// The heartbeat: a comment, which clients ignore.
const HEARTBEAT: Bytes = Bytes::from_static(b": alive\n\n");

/// Opens live streams, up to a limit.
pub(crate) struct LiveStreams {
    limit: usize,
    permits: Arc<Semaphore>,
    heartbeat: Duration,
    stopping: watch::Receiver<bool>,
    /// The number of frames that slow subscribers have lost.
    dropped_frames: Arc<AtomicU64>,
}

/// What a subscriber has selected.
pub(crate) struct Subscription {
    pub(crate) frames: broadcast::Receiver<Arc<Frame>>,
    /// The selected pump; none for all pumps.
    pub(crate) pump: Option<PumpId>,
    pub(crate) events: EventMask,
    /// Asked at each heartbeat; the stream ends when it returns false.
    pub(crate) still_allowed: StillAllowed,
    /// Its place among those of its client; none if the client is not limited.
    #[expect(dead_code, reason = "it is given back on drop")]
    pub(crate) place: Option<Place>,
}

impl LiveStreams {
    /// Creates an opener of at most `limit` streams at once. The streams end when `stopping` becomes true.
    pub(crate) fn new(limit: usize, heartbeat: Duration, stopping: watch::Receiver<bool>) -> Self {
        let limit = limit.min(Semaphore::MAX_PERMITS);
        Self { limit, permits: Arc::new(Semaphore::new(limit)), heartbeat, stopping, dropped_frames: Arc::default() }
    }

    /// Returns the number of frames that slow subscribers have lost.
    pub(crate) fn dropped_frames(&self) -> u64 {
        self.dropped_frames.load(Relaxed)
    }

    /// Returns the response that streams to a new subscriber. Fails if the limit is reached.
    pub(crate) fn open(&self, subscription: Subscription) -> Result<HttpResponse, ApiError> {
        let permit = self.permits.clone().try_acquire_owned();
        let permit = permit.map_err(|_| ApiError::TooManySubscribers { limit: self.limit })?;
        // Tokio does not allow an interval of zero.
        let interval = self.heartbeat.max(Duration::from_millis(1));
        let mut heartbeat = interval_at(Instant::now() + interval, interval);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let subscriber = Subscriber {
            subscription,
            heartbeat,
            stopping: self.stopping.clone(),
            dropped_frames: self.dropped_frames.clone(),
            _permit: permit,
        };
        Ok(HttpResponse::Ok()
            .content_type("text/event-stream")
            // `Compress` would buffer events; it does not process a response that has a coding.
            .insert_header((CONTENT_ENCODING, ContentEncoding::Identity))
            // nginx would buffer them, too.
            .insert_header((HeaderName::from_static("x-accel-buffering"), "no"))
            .streaming(events(subscriber)))
    }
}

struct Subscriber {
    subscription: Subscription,
    heartbeat: Interval,
    stopping: watch::Receiver<bool>,
    dropped_frames: Arc<AtomicU64>,
    _permit: OwnedSemaphorePermit,
}

/// Returns the bytes to send. They begin with a comment, so that a client sees an open stream before the first frame.
fn events(subscriber: Subscriber) -> impl Stream<Item = Result<Bytes, Infallible>> {
    let events = stream::unfold(subscriber, |mut subscriber| async {
        let event = subscriber.next().await?;
        Some((event, subscriber))
    });
    stream::iter([HEARTBEAT]).chain(events).map(Ok)
}

impl Subscriber {
    /// Returns the bytes of the next event; none when the stream has ended.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            tokio::select! {
                biased;
                // An error means that the server was dropped.
                _ = self.stopping.wait_for(|stopping| *stopping) => return None,
                _ = self.heartbeat.tick() => return (self.subscription.still_allowed)().then_some(HEARTBEAT),
                frame = self.subscription.frames.recv() => match frame {
                    Ok(frame) => {
                        let Subscription { events, pump, .. } = &self.subscription;
                        if let Some(event) = frame_event(&frame, *events, pump.as_ref()) {
                            return Some(event);
                        }
                    }
                    Err(RecvError::Lagged(dropped)) => {
                        self.dropped_frames.fetch_add(dropped, Relaxed);
                        return encode_event("lagged", &LaggedEvent { dropped });
                    }
                    Err(RecvError::Closed) => return None,
                },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use actix_web::{App, HttpServer, middleware::Compress, web};
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpStream,
    };
    use volute_actors::{DetectionFrame, FleetFrame, FleetRow, ReadingFrame, Status};
    use volute_plant::Timestamp;

    use super::*;
    use crate::channels::tests::profile;

    fn at() -> Timestamp {
        Timestamp::from_millis(1_773_051_273_000).expect("a time")
    }

    fn readings(pump: &str) -> Arc<Frame> {
        let values = vec![vec![Some(40.5)], vec![None]];
        Arc::new(Frame::Readings(ReadingFrame {
            pump: pump.parse().expect("a name"),
            profile: profile(),
            t: vec![at()],
            values,
        }))
    }

    fn detections(pump: &str) -> Arc<Frame> {
        Arc::new(Frame::Detections(DetectionFrame {
            profile: profile(),
            pump: pump.parse().expect("a name"),
            t: vec![at()],
            loss: vec![0.75],
            threshold: vec![0.5],
            is_anomaly: vec![true],
            contributions: vec![vec![0.875], vec![0.125]],
        }))
    }

    fn subscriber(frames: &broadcast::Sender<Arc<Frame>>, pump: Option<&str>) -> (Subscriber, watch::Sender<bool>) {
        let stop = watch::Sender::new(false);
        let pump = pump.map(|name| name.parse().expect("a name"));
        let subscription = Subscription {
            frames: frames.subscribe(),
            pump,
            events: EventMask::default(),
            still_allowed: Box::new(|| true),
            place: None,
        };
        let permit = Arc::new(Semaphore::new(1)).try_acquire_owned().expect("a permit");
        let interval = Duration::from_secs(3600);
        let heartbeat = interval_at(Instant::now() + interval, interval);
        (
            Subscriber {
                subscription,
                heartbeat,
                stopping: stop.subscribe(),
                dropped_frames: Arc::default(),
                _permit: permit,
            },
            stop,
        )
    }

    fn mask(list: &str) -> Option<EventMask> {
        EventMask::try_from(list.to_owned()).ok()
    }

    async fn text(subscriber: &mut Subscriber) -> String {
        String::from_utf8(subscriber.next().await.expect("an event").to_vec()).expect("text")
    }

    #[actix_web::test]
    async fn names_and_removals_are_sent_whatever_is_selected_and_nothing_of_other_pumps() {
        let frames = broadcast::Sender::new(8);
        let (mut all, _stop) = subscriber(&frames, None);
        let (mut other, _other_stop) = subscriber(&frames, Some("P-2"));
        all.subscription.events = mask("fleet").expect("an event");
        let (pump, name) = ("P-1".parse().expect("an id"), "Feed \"pump\" 3".parse().ok());
        let named = Arc::new(Frame::Named(pump, name));
        for frame in [named, Arc::new(Frame::Removed("P-1".parse().expect("a name"))), detections("P-2")] {
            frames.send(frame).expect("subscribers");
        }
        assert_eq!(
            text(&mut all).await,
            "event: renamed\ndata: {\"pump\":\"P-1\",\"name\":\"Feed \\\"pump\\\" 3\"}\n\n"
        );
        assert_eq!(text(&mut all).await, "event: removed\ndata: {\"pump\":\"P-1\"}\n\n");
        assert!(text(&mut other).await.starts_with("event: detection"));
    }

    #[actix_web::test]
    async fn frames_are_events_of_columns() {
        let frames = broadcast::Sender::new(8);
        let (mut all, _stop) = subscriber(&frames, None);
        let (mut one, _stop) = subscriber(&frames, Some("P-2"));
        for frame in [readings("P-1"), detections("P-2")] {
            frames.send(frame).expect("subscribers");
        }
        let reading = "event: reading\ndata: {\"t\":[1773051273000],\"pump\":\"P-1\",\"channels\":[\"Tb\",\"Q\"],\
                       \"values\":[[40.5],[null]]}\n\n";
        let detection = "event: detection\ndata: {\"t\":[1773051273000],\"pump\":\"P-2\",\"loss\":[0.75],\
                         \"threshold\":[0.5],\"is_anomaly\":[true],\"channels\":[\"Tb\",\"Q\"],\
                         \"contributions\":[[0.875],[0.125]]}\n\n";
        assert_eq!([text(&mut all).await, text(&mut all).await], [reading, detection]);
        assert_eq!(text(&mut one).await, detection, "nothing of the other pump");
    }

    #[actix_web::test]
    async fn fleet_events_are_sent_if_selected() {
        let frames = broadcast::Sender::new(8);
        let (mut all, _stop) = subscriber(&frames, None);
        let (mut one, _stop) = subscriber(&frames, Some("P-2"));
        for subscriber in [&mut all, &mut one] {
            subscriber.subscription.events = mask("fleet").expect("an event");
        }
        let row = |pump: &str, age_ms, detection| {
            let (pump, status) = (pump.parse().expect("a name"), Status::Stale);
            FleetRow { pump, status, age_ms, clock: None, detection, alarms: volute_actors::AlarmSummary::default() }
        };
        let pumps = vec![row("P-1", Some(70_000), Some((at(), 0.75, 0.5))), row("P-2", None, None)];
        frames.send(readings("P-1")).expect("subscribers");
        frames.send(Arc::new(Frame::Fleet(FleetFrame { now: at().plus_ms(5), pumps }))).expect("subscribers");
        let both = "event: fleet\ndata: {\"now\":1773051273005,\"pumps\":[\"P-1\",\"P-2\"],\
                    \"status\":[\"STALE\",\"STALE\"],\"age_ms\":[70000,null],\"clock\":[null,null],\"at\":[1773051273000,null],\
                    \"loss\":[0.75,null],\"threshold\":[0.5,null],\"alarms\":[NONE,NONE]}\n\n"
            .replace("NONE", NO_ALARMS);
        assert_eq!(text(&mut all).await, both, "no reading");
        assert!(text(&mut one).await.contains("\"pumps\":[\"P-2\"],\"status\":[\"STALE\"]"));
    }

    const NO_ALARMS: &str = "{\"standing\":0,\"unacknowledged\":0,\"highest\":null,\"highest_unacknowledged\":null,\
                             \"set_aside\":0}";

    #[test]
    fn events_are_selected_by_name() {
        assert_eq!(mask("detection,reading"), Some(EventMask::default()));
        assert_ne!(mask("reading,detection,fleet"), Some(EventMask::default()));
        for bad in ["", "readings", "reading,", "reading, fleet"] {
            assert_eq!(mask(bad), None, "{bad:?}");
        }
    }

    #[actix_web::test]
    async fn a_slow_subscriber_gets_the_number_of_dropped_frames() {
        let frames = broadcast::Sender::new(2);
        let (mut slow, _stop) = subscriber(&frames, None);
        for _ in 0..5 {
            frames.send(readings("P-1")).expect("a subscriber");
        }
        assert_eq!(text(&mut slow).await, "event: lagged\ndata: {\"dropped\":3}\n\n");
        assert_eq!(slow.dropped_frames.load(Relaxed), 3, "they are counted");
        assert!(text(&mut slow).await.starts_with("event: reading\n"));
    }

    #[actix_web::test]
    async fn a_stop_ends_the_stream_before_pending_frames() {
        let frames = broadcast::Sender::new(2);
        let (mut subscriber, stop) = subscriber(&frames, None);
        frames.send(readings("P-1")).expect("a subscriber");
        stop.send_replace(true);
        assert_eq!(subscriber.next().await, None);
    }

    #[actix_web::test]
    async fn the_number_of_streams_is_limited() {
        let (frames, stop) = (broadcast::Sender::new(2), watch::Sender::new(false));
        let streams = LiveStreams::new(1, Duration::from_secs(3600), stop.subscribe());
        let open = || {
            streams.open(Subscription {
                frames: frames.subscribe(),
                pump: None,
                events: EventMask::default(),
                still_allowed: Box::new(|| true),
                place: None,
            })
        };
        let first = open().expect("a permit");
        assert!(matches!(open(), Err(ApiError::TooManySubscribers { limit: 1 })));
        drop(first);
        assert!(open().is_ok(), "the stream was released");
    }

    /// Uses a real socket and `Compress`, and a client that accepts gzip: each event arrives while the stream is open.
    #[actix_web::test]
    async fn events_arrive_unbuffered_and_end_with_the_server() {
        let frames = broadcast::Sender::<Arc<Frame>>::new(8);
        let stop = watch::Sender::new(false);
        let streams = web::Data::new(LiveStreams::new(1, Duration::from_secs(3600), stop.subscribe()));
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let source = frames.clone();
        let server = HttpServer::new(move || {
            let (streams, source) = (streams.clone(), source.clone());
            let open = move || {
                let subscription = Subscription {
                    frames: source.subscribe(),
                    pump: None,
                    events: EventMask::default(),
                    still_allowed: Box::new(|| true),
                    place: None,
                };
                std::future::ready(streams.open(subscription))
            };
            App::new().wrap(Compress::default()).route("/", web::get().to(open))
        });
        let server = server.workers(1).disable_signals().listen(listener).expect("listening").run();
        let handle = server.handle();
        let served = actix_web::rt::spawn(server);

        let mut client = TcpStream::connect(address).await.expect("a connection");
        client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n").await.expect("sent");
        let head = read_until(&mut client, ": alive\n\n").await;
        assert!(head.contains("text/event-stream") && !head.contains("gzip"), "{head}");
        for (frame, name) in [(readings("P-1"), "event: reading\n"), (detections("P-1"), "event: detection\n")] {
            frames.send(frame).expect("a subscriber");
            assert!(read_until(&mut client, "}\n\n").await.contains(name));
        }
        stop.send_replace(true);
        read_until(&mut client, "0\r\n\r\n").await;
        handle.stop(true).await;
        served.await.expect("a task").expect("a clean end");
    }

    async fn read_until(client: &mut TcpStream, end: &str) -> String {
        let mut text = String::new();
        let deadline = Instant::now() + Duration::from_secs(120);
        while !text.contains(end) {
            let mut bytes = [0; 4096];
            let n = tokio::time::timeout_at(deadline, client.read(&mut bytes)).await.expect("in time").expect("bytes");
            assert!(n > 0, "the stream ended early: {text}");
            text.push_str(&String::from_utf8_lossy(&bytes[..n]));
        }
        text
    }
}
