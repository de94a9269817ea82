//! The alarms of the node itself: its disk, its database, its journal, and its parts.
//!
//! They have the same definitions, lifecycle, rows and commands as the alarms of a pump, and are stored in the same tables
//! without a pump. An example: the database does not respond.
//!
//! ```text
//! 10:00:00  the store says why the database is away                  the on-delay of 10 s runs
//! 10:00:10  the alarm `node-database` is raised, occurrence 1        rows go to the journal, and wait there for the database
//! 10:02:00  Ada acknowledges it
//! 10:05:00  the database responds                                    the off-delay of a minute runs
//! 10:06:00  the alarm returns                                        normal
//! ```
//!
//! After a start the stored alarms are read. Until they are, because the database is away, the node's alarms are shown, but
//! they are neither stored nor can anybody command them: what people did before the start would be overwritten.
//!
//! Does not measure anything itself: the store, the flusher and the supervisor know what is in trouble.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, WrapFuture};
use volute_alarm::{
    AlarmDefinition, AlarmId, ArmedAlarms, Command, CommandError, Condition, External, NodePart, Output, PumpAlarms,
    Standing, State, Status, Transition, default_node_alarms,
};
use volute_data::{AlarmRecord, DatabaseStatus, Document, JournalHealth, Store, StoreError, StoreStatus};
use volute_plant::{Clock, Timestamp};
use volute_runtime::{Envelope, Incarnation, Outbox, Supervisor};

use crate::{
    alarms::{StandingAlarm, StandingAlarms, standing_alarm},
    counters::{Counters, add},
    disk_forecast::DiskOutlook,
    flusher::SharedDiskOutlook,
    protocol::{
        alarms::{AlarmCommandError, AlarmResults, CommandNodeAlarms},
        recorder::RecordRow,
    },
    recorder::Recorder,
};

/// How often the node's health is looked at.
const TICK_INTERVAL: Duration = Duration::from_secs(2);
/// The pause before the stored alarms are read again.
const RETRY_INTERVAL: Duration = Duration::from_secs(5);
/// The disk is in trouble if it will be full in fewer days. An earlier forecast is a notice on the pages.
const FULL_SOON_DAYS: f64 = 3.0;
/// How many failed parts an alarm names.
const MAX_NAMED: usize = 5;

/// What is wrong with each part of the node; none if nothing is.
pub(crate) type NodeProblems = [(NodePart, Option<String>); 4];

/// Returns what is wrong with the node. `failed` are the actors that are down, `stuck_for` is how long the journal has been
/// waiting for a disk that does not respond.
fn problems(
    store: &StoreStatus,
    disk: Option<&DiskOutlook>,
    warn_free_share: f64,
    failed: &[String],
    (journal_failed, stuck_for): (bool, Option<Duration>),
) -> NodeProblems {
    let stuck = || stuck_for.map(|time| format!("its disk has not responded for {} s", time.as_secs()));
    let journal = match &store.journal.health {
        JournalHealth::Good if journal_failed => Some("it failed; the log says why".to_owned()),
        JournalHealth::Good => stuck(),
        JournalHealth::Full => Some("the disk is full".to_owned()),
        JournalHealth::OutOfResources(reason) | JournalHealth::Failed(reason) => Some(reason.clone()),
    };
    let database = match &store.database {
        DatabaseStatus::Open => None,
        DatabaseStatus::Unavailable(reason) => Some(reason.clone()),
    };
    let is_full = matches!(store.journal.health, JournalHealth::Full);
    let disk = disk.and_then(|disk| {
        let free_share = disk.used.free_bytes as f64 / disk.used.total_bytes.max(1) as f64;
        let is_low = free_share < warn_free_share || disk.full_in_days.is_some_and(|days| days < FULL_SOON_DAYS);
        is_low.then(|| disk.warning.clone()).flatten()
    });
    let named: Vec<&str> = failed.iter().take(MAX_NAMED).map(String::as_str).collect();
    let more = if failed.len() > MAX_NAMED { " and others" } else { "" };
    [
        (NodePart::Disk, if is_full { Some("the disk is full".to_owned()) } else { disk }),
        (NodePart::Database, database),
        (NodePart::Journal, journal),
        (NodePart::Actor, (!failed.is_empty()).then(|| format!("out of order: {}{more}", named.join(", ")))),
    ]
}

/// The node's alarms. Does no I/O: the caller passes the time, stores the documents in order, and shows what stands.
pub(crate) struct NodeAlarms {
    alarms: PumpAlarms,
    /// Whether the stored alarms are read.
    is_restored: bool,
    output: Vec<Output>,
    problems: NodeProblems,
}

impl NodeAlarms {
    pub(crate) fn new() -> Self {
        Self {
            alarms: PumpAlarms::new(None, armed()),
            is_restored: false,
            output: Vec::new(),
            problems: NodePart::ALL.map(|part| (part, None)),
        }
    }

    /// Continues with the stored alarms.
    pub(crate) fn restore(&mut self, stored: Vec<AlarmRecord>, now: Timestamp) {
        let mut standing = Standing::default();
        for record in stored {
            standing.insert(record.key, record.status);
        }
        self.output.clear();
        self.alarms = PumpAlarms::restore(None, armed(), None, &standing);
        self.alarms.finish_replay(now, &mut self.output);
        self.is_restored = true;
    }

    /// Takes what is wrong with the node now, and lets time pass.
    pub(crate) fn observe(&mut self, problems: NodeProblems, now: Timestamp) {
        for (part, problem) in &problems {
            self.alarms.observe_external(External::Node(*part), problem.is_some(), now, &mut self.output);
        }
        self.alarms.tick(now, &mut self.output);
        self.problems = problems;
    }

    /// Does what a user commands. The changes have to be durable before the user gets a response.
    pub(crate) fn command(
        &mut self,
        alarm: &AlarmId,
        command: Command,
        user: &str,
        now: Timestamp,
    ) -> Result<(), CommandError> {
        self.alarms.command(alarm, command, user, now, &mut self.output)
    }

    /// Removes and returns the new rows, and the documents to store: the rows and the statuses after them. Nothing is to be
    /// stored before the stored alarms are read.
    pub(crate) fn take_changes(&mut self) -> (Vec<Transition>, Vec<Document>) {
        let rows: Vec<Transition> = std::mem::take(&mut self.output)
            .into_iter()
            .filter_map(|output| match output {
                Output::Row(row) => Some(row),
                Output::Past(_) => None,
            })
            .collect();
        if !self.is_restored {
            return (rows, Vec::new());
        }
        let mut documents: Vec<Document> = rows.iter().map(Document::of).collect();
        // The status after an alarm's newest row.
        for (index, row) in rows.iter().enumerate() {
            if rows.iter().skip(index + 1).all(|later| later.alarm != row.alarm) {
                documents.push(Document::of(&self.record(row)));
            }
        }
        (rows, documents)
    }

    fn record(&self, row: &Transition) -> AlarmRecord {
        let alarm = self.alarms.alarms().find(|alarm| alarm.key().alarm == row.alarm);
        let title = self.definition(&row.alarm).map_or_else(|| row.alarm.to_string(), |found| found.title.clone());
        let status = alarm.map_or_else(Status::default, |alarm| alarm.status().clone());
        AlarmRecord { key: row.key(), title, priority: row.priority, at: row.at, status }
    }

    fn definition(&self, id: &AlarmId) -> Option<&AlarmDefinition> {
        let armed = self.alarms.evaluator().armed();
        armed.index_of(id).and_then(|index| armed.alarms().get(index)).map(|armed| armed.definition())
    }

    /// Returns the alarms that are not normal. The help of one whose condition holds says what is wrong.
    pub(crate) fn standing(&self) -> Vec<StandingAlarm> {
        let not_normal = self.alarms.alarms().filter(|alarm| alarm.state() != State::Normal);
        let shown = not_normal.map(|alarm| {
            let definition = self.definition(&alarm.key().alarm);
            let mut shown = standing_alarm(alarm, definition);
            let part = definition.and_then(|definition| match definition.condition {
                Condition::NodeHealth { part } => Some(part),
                _ => None,
            });
            let problem =
                self.problems.iter().find(|(of, _)| Some(*of) == part).and_then(|(_, problem)| problem.as_ref());
            if let Some(problem) = problem {
                shown.help = format!("Now: {problem}. {}", shown.help);
            }
            if !self.is_restored {
                shown.allowed = &[];
            }
            shown
        });
        shown.collect()
    }
}

/// The built-in definitions are valid; a test says so.
fn armed() -> ArmedAlarms {
    ArmedAlarms::compile_for_node(&default_node_alarms()).unwrap_or_default()
}

/// The actor.
pub(crate) struct NodeAlarmsActor {
    context: NodeAlarmsContext,
    alarms: NodeAlarms,
    outbox: Outbox,
    incarnation: Incarnation<NodeAlarmsActor>,
}

/// What every incarnation of the actor uses.
#[derive(Clone)]
pub(crate) struct NodeAlarmsContext {
    pub store: Store,
    pub recorder: Recorder,
    pub standing_alarms: StandingAlarms,
    pub clock: Arc<dyn Clock>,
    pub counters: Arc<Counters>,
    pub disk: SharedDiskOutlook,
    pub supervisor: Supervisor,
    pub journal_failed: Arc<AtomicBool>,
    /// How long a write of the journal may take before the disk is reported as stuck.
    pub stuck_after: Duration,
    /// The share of the disk, 0 to 1, that should be free.
    pub warn_free_share: f64,
}

impl NodeAlarmsContext {
    fn problems(&self) -> NodeProblems {
        let status = self.store.status();
        let writing_for = status.journal.writing_for;
        let stuck_for = (writing_for > self.stuck_after).then_some(writing_for);
        let journal_failed = self.journal_failed.load(Ordering::Relaxed);
        let disk = self.disk.outlook();
        let failed = self.supervisor.failed_actors();
        problems(&status, disk.as_ref(), self.warn_free_share, &failed, (journal_failed, stuck_for))
    }
}

impl NodeAlarmsActor {
    pub(crate) fn new(context: NodeAlarmsContext, incarnation: Incarnation<NodeAlarmsActor>) -> Self {
        Self { context, alarms: NodeAlarms::new(), outbox: Outbox::default(), incarnation }
    }

    /// Reads the stored alarms. Tries again later if the database is unavailable.
    fn load(&mut self, ctx: &mut Context<Self>) {
        let (store, recorder) = (self.context.store.clone(), self.context.recorder.clone());
        let is_restart = self.incarnation.generation > 1;
        let load = async move {
            if is_restart {
                // The rows of the previous incarnation must be stored before they can be read.
                recorder.wait_until_stored().await;
            }
            store.stored_node_alarms().await
        };
        // Not waited for: meanwhile the alarms are shown.
        ctx.spawn(load.into_actor(self).map(|loaded, actor, ctx| match loaded {
            Ok(stored) => {
                actor.alarms.restore(stored, actor.context.clock.now());
                actor.look(ctx);
            }
            Err(StoreError::Unavailable { .. } | StoreError::Database(_)) => {
                ctx.run_later(RETRY_INTERVAL, |actor, ctx| actor.load(ctx));
            }
            Err(error) => actor.incarnation.fail(format!("the node's alarms could not be read: {error}"), ctx),
        }));
    }

    /// Looks at the node's health.
    fn look(&mut self, ctx: &mut Context<Self>) {
        self.alarms.observe(self.context.problems(), self.context.clock.now());
        self.apply(ctx);
    }

    /// Stores what has changed, and shows what stands.
    fn apply(&mut self, ctx: &mut Context<Self>) {
        let (rows, documents) = self.alarms.take_changes();
        for document in documents {
            self.outbox.send_or_suspend(&self.context.recorder.results, RecordRow::Document(document), ctx);
        }
        for row in rows.iter().filter(|row| row.announces) {
            add(&self.context.counters.alarms_raised, 1);
            tracing::warn!(alarm = row.alarm.as_str(), priority = ?row.priority, "alarm of the node raised");
        }
        self.context.standing_alarms.set_node(self.alarms.standing());
    }

    fn command(
        &mut self,
        commands: Vec<(AlarmId, Command)>,
        user: &str,
        ctx: &mut Context<Self>,
    ) -> Result<AlarmResults, AlarmCommandError> {
        if !self.alarms.is_restored {
            return Err(AlarmCommandError::NotReady);
        }
        let now = self.context.clock.now();
        let run = |(alarm, command)| (self.alarms.command(&alarm, command, user, now), alarm);
        let results = commands.into_iter().map(run).map(|(result, alarm)| (alarm, result)).collect();
        self.apply(ctx);
        Ok(results)
    }
}

impl Actor for NodeAlarmsActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.load(ctx);
        self.look(ctx);
        ctx.run_interval(TICK_INTERVAL, |actor, ctx| actor.look(ctx));
    }
}

impl Handler<Envelope<CommandNodeAlarms>> for NodeAlarmsActor {
    type Result = ();

    fn handle(&mut self, message: Envelope<CommandNodeAlarms>, ctx: &mut Self::Context) {
        let CommandNodeAlarms { commands, user, reply } = message.into_inner();
        let results = self.command(commands, &user, ctx);
        let recorder = self.context.recorder.clone();
        let respond = async move {
            let result = match results {
                Ok(results) => recorder.stored().await.map(|()| results).map_err(|_| AlarmCommandError::NotStored),
                Err(error) => Err(error),
            };
            // The caller may be gone.
            let _ = reply.send(result);
        };
        // After the documents, which may still wait for permits of the recorder's inbox.
        self.outbox.then(async move { drop(actix::spawn(respond)) }, ctx);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_millis(1_773_050_400_000 + second * 1_000).expect("a time")
    }

    fn database(problem: Option<&str>) -> NodeProblems {
        NodePart::ALL.map(|part| (part, problem.filter(|_| part == NodePart::Database).map(ToOwned::to_owned)))
    }

    fn observe(alarms: &mut NodeAlarms, seconds: std::ops::Range<i64>, problem: Option<&str>) {
        seconds.for_each(|second| alarms.observe(database(problem), at(second)));
    }

    fn shown(alarms: &NodeAlarms) -> Vec<(String, State)> {
        alarms.standing().into_iter().map(|alarm| (alarm.id.to_string(), alarm.state)).collect()
    }

    #[test]
    fn the_built_in_definitions_are_valid() {
        assert_eq!(armed().alarms().len(), NodePart::ALL.len());
    }

    #[test]
    fn a_problem_raises_after_its_delay_is_acknowledged_and_returns_also_after_a_restart() {
        let mut alarms = NodeAlarms::new();
        alarms.restore(Vec::new(), at(0));
        observe(&mut alarms, 0..10, Some("it is closed"));
        assert_eq!(shown(&alarms), [], "a hiccup is no alarm");
        observe(&mut alarms, 10..12, Some("it is closed"));
        assert_eq!(shown(&alarms), [("node-database".to_owned(), State::Unacknowledged)]);
        assert!(alarms.standing()[0].help.starts_with("Now: it is closed. "), "{:?}", alarms.standing());
        let id = AlarmId::from_text("node-database");
        alarms.command(&id, Command::Acknowledge { up_to: 1, comment: None }, "user ada", at(12)).expect("allowed");
        let (rows, documents) = alarms.take_changes();
        assert!(rows.iter().all(|row| row.pump.is_none()) && rows.len() == 2);
        let tables: Vec<&str> = documents.iter().map(Document::table).collect();
        assert_eq!(tables, ["alarm_transition", "alarm_transition", "alarm"], "one status after both rows");

        let stored = documents.iter().filter_map(|document| document.read::<AlarmRecord>()?.ok()).collect();
        let mut alarms = NodeAlarms::new();
        alarms.restore(stored, at(20));
        assert_eq!(shown(&alarms), [("node-database".to_owned(), State::Acknowledged)]);
        observe(&mut alarms, 21..100, None);
        assert_eq!(shown(&alarms), [], "it is over");
    }

    #[test]
    fn before_the_stored_alarms_are_read_they_are_shown_and_nothing_is_stored_or_commanded() {
        let mut alarms = NodeAlarms::new();
        observe(&mut alarms, 0..20, Some("it is closed"));
        let standing = alarms.standing();
        assert_eq!((standing.len(), standing[0].allowed.len()), (1, 0));
        let (rows, documents) = alarms.take_changes();
        assert_eq!((rows.len(), documents.len()), (1, 0));
        alarms.restore(Vec::new(), at(20));
        observe(&mut alarms, 21..40, Some("it is closed"));
        assert_eq!((alarms.take_changes().1.len(), shown(&alarms).len()), (2, 1), "raised again, and stored");
    }
}
