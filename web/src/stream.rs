//! The live feed as server-sent events: one stream per subscriber, fed from the engine's frames.
//!
//! A subscriber that cannot keep up loses its oldest frames and is told how many; it never slows the
//! engine. A stream ends at once when the server stops. Does not replay (`Last-Event-ID`): what was missed is in the
//! history.

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
    problem::ApiError,
    stream_events::{EventMask, LaggedEvent, event, written},
};

/// A comment, which a client's event source skips.
const ALIVE: Bytes = Bytes::from_static(b": alive\n\n");

/// Hands out live streams, so many at once and no more.
pub(crate) struct Feed {
    limit: usize,
    free: Arc<Semaphore>,
    heartbeat: Duration,
    stopping: watch::Receiver<bool>,
    /// Frames that slow listeners lost.
    lost: Arc<AtomicU64>,
}

/// What a subscriber wants to hear.
pub(crate) struct Subscription {
    pub(crate) frames: broadcast::Receiver<Arc<Frame>>,
    /// None is all of them.
    pub(crate) pump: Option<PumpId>,
    pub(crate) events: EventMask,
}

impl Feed {
    /// A feed for `limit` streams, whose streams end when `stopping` turns true.
    pub(crate) fn new(limit: usize, heartbeat: Duration, stopping: watch::Receiver<bool>) -> Self {
        let limit = limit.min(Semaphore::MAX_PERMITS);
        Self { limit, free: Arc::new(Semaphore::new(limit)), heartbeat, stopping, lost: Arc::default() }
    }

    /// Frames that slow listeners lost.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Relaxed)
    }

    /// Answers with a stream, if one is free.
    pub(crate) fn open(&self, subscription: Subscription) -> Result<HttpResponse, ApiError> {
        let place = self.free.clone().try_acquire_owned();
        let place = place.map_err(|_| ApiError::Subscribers { limit: self.limit })?;
        // Never zero: that would be no pause at all.
        let pause = self.heartbeat.max(Duration::from_millis(1));
        let mut heartbeat = interval_at(Instant::now() + pause, pause);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let subscriber = Subscriber {
            subscription,
            heartbeat,
            stopping: self.stopping.clone(),
            lost: self.lost.clone(),
            _place: place,
        };
        Ok(HttpResponse::Ok()
            .content_type("text/event-stream")
            // `Compress` would hold events back until its buffer is full; it leaves alone what says its coding.
            .insert_header((CONTENT_ENCODING, ContentEncoding::Identity))
            // nginx would hold them back, too.
            .insert_header((HeaderName::from_static("x-accel-buffering"), "no"))
            .streaming(events(subscriber)))
    }
}

struct Subscriber {
    subscription: Subscription,
    heartbeat: Interval,
    stopping: watch::Receiver<bool>,
    lost: Arc<AtomicU64>,
    _place: OwnedSemaphorePermit,
}

/// What goes over the wire. It begins with a comment, so that a client sees an open stream before the first frame.
fn events(subscriber: Subscriber) -> impl Stream<Item = Result<Bytes, Infallible>> {
    let events = stream::unfold(subscriber, |mut subscriber| async {
        let event = subscriber.next().await?;
        Some((event, subscriber))
    });
    stream::iter([ALIVE]).chain(events).map(Ok)
}

impl Subscriber {
    /// The next event's bytes; none when the stream is over.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            tokio::select! {
                biased;
                // An error says that the server is gone altogether.
                _ = self.stopping.wait_for(|stopping| *stopping) => return None,
                _ = self.heartbeat.tick() => return Some(ALIVE),
                frame = self.subscription.frames.recv() => match frame {
                    Ok(frame) => {
                        let Subscription { events, pump, .. } = &self.subscription;
                        if let Some(event) = event(&frame, *events, pump.as_ref()) {
                            return Some(event);
                        }
                    }
                    Err(RecvError::Lagged(dropped)) => {
                        self.lost.fetch_add(dropped, Relaxed);
                        return written("lagged", &LaggedEvent { dropped });
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
        let subscription = Subscription { frames: frames.subscribe(), pump, events: EventMask::default() };
        let place = Arc::new(Semaphore::new(1)).try_acquire_owned().expect("a place");
        let pause = Duration::from_secs(3600);
        let heartbeat = interval_at(Instant::now() + pause, pause);
        (Subscriber { subscription, heartbeat, stopping: stop.subscribe(), lost: Arc::default(), _place: place }, stop)
    }

    fn mask(list: &str) -> Option<EventMask> {
        EventMask::try_from(list.to_owned()).ok()
    }

    async fn text(subscriber: &mut Subscriber) -> String {
        String::from_utf8(subscriber.next().await.expect("an event").to_vec()).expect("text")
    }

    #[actix_web::test]
    async fn a_named_or_removed_pump_is_told_whatever_is_wanted_and_of_other_pumps_nothing() {
        let frames = broadcast::Sender::new(8);
        let (mut all, _stop) = subscriber(&frames, None);
        let (mut other, _other_stop) = subscriber(&frames, Some("P-2"));
        all.subscription.events = mask("fleet").expect("an event");
        let (pump, name) = ("P-1".parse().expect("an id"), "Feed \"pump\" 3".parse().ok());
        let named = Arc::new(Frame::Named(pump, name));
        for frame in [named, Arc::new(Frame::Removed("P-1".parse().expect("a name"))), detections("P-2")] {
            frames.send(frame).expect("listeners");
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
            frames.send(frame).expect("listeners");
        }
        let reading = "event: reading\ndata: {\"t\":[1773051273000],\"pump\":\"P-1\",\"channels\":[\"Tb\",\"Q\"],\
                       \"values\":[[40.5],[null]]}\n\n";
        let detection = "event: detection\ndata: {\"t\":[1773051273000],\"pump\":\"P-2\",\"loss\":[0.75],\
                         \"threshold\":[0.5],\"is_anomaly\":[true],\"channels\":[\"Tb\",\"Q\"],\
                         \"contributions\":[[0.875],[0.125]]}\n\n";
        assert_eq!([text(&mut all).await, text(&mut all).await], [reading, detection]);
        assert_eq!(text(&mut one).await, detection, "and nothing of the other pump");
    }

    #[actix_web::test]
    async fn the_fleet_comes_to_those_who_ask_for_it() {
        let frames = broadcast::Sender::new(8);
        let (mut all, _stop) = subscriber(&frames, None);
        let (mut one, _stop) = subscriber(&frames, Some("P-2"));
        for subscriber in [&mut all, &mut one] {
            subscriber.subscription.events = mask("fleet").expect("an event");
        }
        let row = |pump: &str, age_ms, verdict| {
            let (pump, status) = (pump.parse().expect("a name"), Status::Stale);
            FleetRow { pump, status, age_ms, clock: None, verdict }
        };
        let pumps = vec![row("P-1", Some(70_000), Some((at(), 0.75, 0.5))), row("P-2", None, None)];
        frames.send(readings("P-1")).expect("listeners");
        frames.send(Arc::new(Frame::Fleet(FleetFrame { now: at().plus_ms(5), pumps }))).expect("listeners");
        let both = "event: fleet\ndata: {\"now\":1773051273005,\"pumps\":[\"P-1\",\"P-2\"],\
                    \"status\":[\"STALE\",\"STALE\"],\"age_ms\":[70000,null],\"clock\":[null,null],\"at\":[1773051273000,null],\
                    \"loss\":[0.75,null],\"threshold\":[0.5,null]}\n\n";
        assert_eq!(text(&mut all).await, both, "and no reading");
        assert!(text(&mut one).await.contains("\"pumps\":[\"P-2\"],\"status\":[\"STALE\"]"));
    }

    #[test]
    fn events_are_asked_for_by_name() {
        assert_eq!(mask("detection,reading"), Some(EventMask::default()));
        assert_ne!(mask("reading,detection,fleet"), Some(EventMask::default()));
        for bad in ["", "readings", "reading,", "reading, fleet"] {
            assert_eq!(mask(bad), None, "{bad:?}");
        }
    }

    #[actix_web::test]
    async fn who_lags_is_told_and_goes_on() {
        let frames = broadcast::Sender::new(2);
        let (mut slow, _stop) = subscriber(&frames, None);
        for _ in 0..5 {
            frames.send(readings("P-1")).expect("a listener");
        }
        assert_eq!(text(&mut slow).await, "event: lagged\ndata: {\"dropped\":3}\n\n");
        assert_eq!(slow.lost.load(Relaxed), 3, "they are counted");
        assert!(text(&mut slow).await.starts_with("event: reading\n"));
    }

    #[actix_web::test]
    async fn a_stop_ends_the_stream_before_anything_else() {
        let frames = broadcast::Sender::new(2);
        let (mut subscriber, stop) = subscriber(&frames, None);
        frames.send(readings("P-1")).expect("a listener");
        stop.send_replace(true);
        assert_eq!(subscriber.next().await, None);
    }

    #[actix_web::test]
    async fn only_so_many_at_once() {
        let (frames, stop) = (broadcast::Sender::new(2), watch::Sender::new(false));
        let feed = Feed::new(1, Duration::from_secs(3600), stop.subscribe());
        let ask = || feed.open(Subscription { frames: frames.subscribe(), pump: None, events: EventMask::default() });
        let first = ask().expect("a place");
        assert!(matches!(ask(), Err(ApiError::Subscribers { limit: 1 })));
        drop(first);
        assert!(ask().is_ok(), "a place is free again");
    }

    /// Over a real socket, behind `Compress`, to a client that takes gzip: each event arrives while the stream is open.
    #[actix_web::test]
    async fn events_arrive_unbuffered_and_end_with_the_server() {
        let frames = broadcast::Sender::<Arc<Frame>>::new(8);
        let stop = watch::Sender::new(false);
        let feed = web::Data::new(Feed::new(1, Duration::from_secs(3600), stop.subscribe()));
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let source = frames.clone();
        let server = HttpServer::new(move || {
            let (feed, source) = (feed.clone(), source.clone());
            let open = move || {
                let subscription =
                    Subscription { frames: source.subscribe(), pump: None, events: EventMask::default() };
                std::future::ready(feed.open(subscription))
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
            frames.send(frame).expect("a listener");
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
