//! Decides about messages: from the rows of alarms, the changes of maintenance events, and the time.
//!
//! An example: e-mails at once for critical alarms, reminders after 30 minutes, a digest after an hour.
//!
//! | time | what happens | e-mail | webhook |
//! | --- | --- | --- | --- |
//! | 10:01 | critical alarm raised | raised | raised |
//! | 10:05 | low alarm raised | | raised |
//! | 10:31 | | reminder | reminder |
//! | 10:40 | the critical one is acknowledged | | |
//! | 11:05 | | digest: the low one | |
//! | 11:20 | the critical one returns | returned | returned |
//!
//! Reminders and escalations are for alarms and events that are sent at once. In the quiet hours of its priority an e-mail
//! becomes a line of the digest, which waits for their end; a webhook call waits; and so do reminders and escalations.
//! No message says that an occurrence has ended whose beginning was held back.
//!
//! [`Planner::take_changes`] returns what has to be stored with the messages. A row with a number that was seen before does
//! nothing, so rows can be read again after a restart.

mod periodic;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use volute_alarm::{Cause, Evidence, Priority, Transition};
use volute_plant::{EventState, MaintenanceEvent, PumpId, Severity, Timestamp, event_status::EventStatus};

use crate::{Budget, Line, Message, MessageKind, Policy, Receiver, Subject, Thread};

/// The maximum number of lines that wait for the digest. Those beyond are counted, and the digest says how many.
pub const MAX_DIGEST_LINES: usize = 200;

/// What is known beside the threads. Its serialized form is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Shared {
    /// When notifications began. Rows before it are not read, and events that were opened before it get no messages.
    pub begin: Timestamp,
    /// Rows with a time well before this one were taken into account.
    pub seen_until: Timestamp,
    /// The lines that wait for the digest, oldest first.
    pub lines: Vec<Line>,
    /// How many more there are of each priority.
    pub more_lines: BTreeMap<Priority, u64>,
    /// The e-mails of each pump. The node itself is under an empty name.
    pub email: BTreeMap<String, Budget>,
    /// The webhook calls of each pump.
    pub webhook: BTreeMap<String, Budget>,
}

/// What has to be stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Changes {
    /// The changed threads.
    pub threads: Vec<Thread>,
    /// The rest.
    pub shared: Shared,
}

/// Decides about messages; see the module documentation.
#[derive(Debug, Clone)]
pub struct Planner {
    policy: Policy,
    shared: Shared,
    threads: BTreeMap<Subject, Thread>,
    /// Those that may need a reminder.
    open: BTreeSet<Subject>,
    changed: BTreeSet<Subject>,
    has_changed: bool,
}

#[derive(Clone, Copy)]
enum Medium {
    Email,
    Webhook,
}

impl Shared {
    /// Creates it for a node whose notifications begin now.
    pub fn begin(now: Timestamp) -> Self {
        Self {
            begin: now,
            seen_until: now,
            lines: Vec::new(),
            more_lines: BTreeMap::new(),
            email: BTreeMap::new(),
            webhook: BTreeMap::new(),
        }
    }
}

impl Planner {
    /// Creates it from what is stored.
    pub fn new(policy: Policy, shared: Shared, threads: Vec<Thread>) -> Self {
        let threads: BTreeMap<Subject, Thread> =
            threads.into_iter().map(|thread| (thread.subject.clone(), thread)).collect();
        let open = threads.values().filter(|thread| thread.unacknowledged).map(|thread| thread.subject.clone());
        Self { open: open.collect(), policy, shared, threads, changed: BTreeSet::new(), has_changed: false }
    }

    /// Returns the policy.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Returns what is known beside the threads.
    pub fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Returns the pumps that may need a reminder.
    pub fn open_pumps(&self) -> BTreeSet<PumpId> {
        self.open.iter().filter_map(|subject| subject.pump().cloned()).collect()
    }

    /// Takes a row of an alarm, in the order of its rows.
    pub fn observe_alarm(&mut self, row: &Transition, title: &str, help: &str, now: Timestamp) -> Vec<Message> {
        let subject = Subject::Alarm { pump: row.pump.clone(), alarm: row.alarm.clone() };
        let known = self.threads.get(&subject);
        // A pump that was removed and registered again counts its rows from 1 again.
        let is_new_pump = known.is_some_and(|known| row.seq == 1 && row.at > known.at);
        if !is_new_pump && known.is_some_and(|known| known.seq >= row.seq) {
            return Vec::new();
        }
        let mut thread = known.filter(|_| !is_new_pump).cloned().unwrap_or_else(|| Thread::new(subject, row.at));
        (thread.seq, thread.at, thread.priority) = (row.seq, row.at, row.priority);
        (thread.title, thread.help) = (title.to_owned(), help.to_owned());
        let mut kind = None;
        if row.announces {
            thread.begin(row.occurrence, row.at);
            kind = Some(MessageKind::Raised);
        }
        match &row.cause {
            Cause::Raised { evidence } => thread.detail = describe(evidence),
            Cause::Returned { evidence, .. } if !thread.returned => {
                thread.returned = true;
                if thread.told {
                    thread.detail = describe(evidence);
                    kind = Some(MessageKind::Returned);
                }
            }
            _ => {}
        }
        thread.unacknowledged = row.to.is_unacknowledged();
        self.tell_and_keep(thread, kind, row.at, now)
    }

    /// Takes a maintenance event after a change of it.
    pub fn observe_event(&mut self, event: &MaintenanceEvent, now: Timestamp) -> Vec<Message> {
        let (pump, rule) = (event.pump.clone(), event.rule.clone());
        let subject = Subject::Event { pump, rule, opened_at: event.opened_at };
        // An imported event was opened elsewhere.
        if event.source.is_some() || event.opened_at < self.shared.begin {
            return Vec::new();
        }
        let known = self.threads.get(&subject);
        let mut thread = known.cloned().unwrap_or_else(|| Thread::new(subject, now));
        let mut kind = None;
        thread.priority = priority(event.severity);
        (thread.title, thread.help) = (event.title.clone(), event.advice.clone());
        thread.detail = described(event.peak, event.limit);
        if known.is_none() {
            thread.begin(0, event.opened_at);
            thread.reminded_at = now;
            kind = Some(MessageKind::Raised);
        }
        thread.unacknowledged = event.work.status() == EventStatus::Open;
        let mut messages = match kind {
            Some(_) => self.tell_and_keep(thread.clone(), kind, event.opened_at, now),
            None => Vec::new(),
        };
        if let Some(known) = self.threads.get(&thread.subject) {
            thread.told = known.told;
        }
        let returns = event.state() == EventState::Resolved && !thread.returned;
        if returns {
            thread.returned = true;
            let kind = thread.told.then_some(MessageKind::Returned);
            messages.extend(self.tell_and_keep(thread, kind, event.resolved_at.unwrap_or(now), now));
        } else if self.threads.get(&thread.subject).is_some_and(|known| known.unacknowledged != thread.unacknowledged) {
            // Another peak of an event is not worth a row.
            thread.at = now;
            messages.extend(self.tell_and_keep(thread, None, now, now));
        }
        messages
    }

    /// Lets time pass: reminders, escalations, summaries, the digest.
    pub fn tick(&mut self, now: Timestamp) -> Vec<Message> {
        let mut messages = self.summaries(now);
        for subject in self.open.clone() {
            let Some(thread) = self.threads.get(&subject) else { continue };
            if thread.priority < self.policy.at_once || self.policy.quiet_until(thread.priority, now).is_some() {
                continue;
            }
            let mut thread = thread.clone();
            if thread.reminded < self.policy.reminders
                && now.since_ms(thread.reminded_at) >= self.policy.remind_after_ms
            {
                thread.reminded += 1;
                thread.reminded_at = now;
                messages.extend(self.tell_and_keep(thread.clone(), Some(MessageKind::Reminder), now, now));
                thread = self.threads.get(&subject).cloned().unwrap_or(thread);
            }
            if !thread.escalated && now.since_ms(thread.raised_at) >= self.policy.escalate_after_ms {
                thread.escalated = true;
                messages.extend(self.tell_and_keep(thread, Some(MessageKind::Escalation), now, now));
            }
        }
        messages.extend(self.digest(now));
        messages
    }

    /// Forgets what is open at a removed pump, so that nobody is reminded of it.
    pub fn forget(&mut self, pump: &PumpId) {
        let of_pump: Vec<Subject> = self.open.iter().filter(|subject| subject.pump() == Some(pump)).cloned().collect();
        for subject in of_pump {
            self.open.remove(&subject);
            if let Some(thread) = self.threads.get_mut(&subject) {
                thread.unacknowledged = false;
                self.changed.insert(subject);
                self.has_changed = true;
            }
        }
    }

    /// Removes and returns what has to be stored; none if nothing has changed.
    pub fn take_changes(&mut self) -> Option<Changes> {
        if !std::mem::take(&mut self.has_changed) {
            return None;
        }
        for budgets in [&mut self.shared.email, &mut self.shared.webhook] {
            let now = self.shared.seen_until;
            budgets.retain(|_, budget| !budget.is_over(now));
        }
        let changed = std::mem::take(&mut self.changed);
        let threads = changed.iter().filter_map(|subject| self.threads.get(subject).cloned()).collect();
        Some(Changes { threads, shared: self.shared.clone() })
    }

    /// Tells of a thread, and keeps it.
    fn tell_and_keep(
        &mut self,
        mut thread: Thread,
        kind: Option<MessageKind>,
        at: Timestamp,
        now: Timestamp,
    ) -> Vec<Message> {
        let mut messages = Vec::new();
        if let Some(kind) = kind {
            let (by_email, emails) = self.notify_by_email(&thread, kind, at, now);
            let (by_webhook, calls) = self.tell_by_webhook(&thread, kind, at, now);
            thread.told |= by_email || by_webhook;
            messages.extend(emails);
            messages.extend(calls);
        }
        let subject = thread.subject.clone();
        if thread.unacknowledged {
            self.open.insert(subject.clone());
        } else {
            self.open.remove(&subject);
        }
        self.threads.insert(subject.clone(), thread);
        self.changed.insert(subject);
        self.has_changed = true;
        self.shared.seen_until = self.shared.seen_until.max(now);
        messages
    }

    /// Returns whether there are e-mails now or a line of the digest, and the e-mails.
    fn notify_by_email(
        &mut self,
        thread: &Thread,
        kind: MessageKind,
        at: Timestamp,
        now: Timestamp,
    ) -> (bool, Vec<Message>) {
        let addresses = self.addresses(kind, thread.priority);
        if addresses.is_empty() {
            return (false, Vec::new());
        }
        let is_quiet = self.policy.quiet_until(thread.priority, now).is_some();
        if thread.priority < self.policy.at_once || is_quiet {
            self.add_line(thread.line(kind, at));
            return (true, Vec::new());
        }
        if !self.take_budget(Medium::Email, thread, now) {
            return (false, Vec::new());
        }
        let message = |address: String| self.message(thread, kind, at, (now, now), Receiver::Email(address));
        (true, addresses.into_iter().map(message).collect())
    }

    fn tell_by_webhook(
        &mut self,
        thread: &Thread,
        kind: MessageKind,
        at: Timestamp,
        now: Timestamp,
    ) -> (bool, Option<Message>) {
        if self.policy.webhook_from.is_none_or(|from| thread.priority < from) {
            return (false, None);
        }
        if !self.take_budget(Medium::Webhook, thread, now) {
            return (false, None);
        }
        let not_before = self.policy.quiet_until(thread.priority, now).unwrap_or(now);
        (true, Some(self.message(thread, kind, at, (now, not_before), Receiver::Webhook)))
    }

    fn message(
        &self,
        thread: &Thread,
        kind: MessageKind,
        at: Timestamp,
        (now, not_before): (Timestamp, Timestamp),
        to: Receiver,
    ) -> Message {
        Message {
            id: format!("{} to {}", thread.message_id(kind), to.as_str()),
            kind,
            at: now,
            not_before,
            to,
            pump: thread.subject.pump().cloned(),
            priority: thread.priority,
            lines: vec![thread.line(kind, at)],
        }
    }

    fn addresses(&self, kind: MessageKind, priority: Priority) -> Vec<String> {
        let Some(email) = &self.policy.email else { return Vec::new() };
        if kind == MessageKind::Escalation {
            return email.escalate_to.clone();
        }
        let wanted = email.recipients.iter().filter(|recipient| recipient.from <= priority);
        wanted.map(|recipient| recipient.address.clone()).collect()
    }

    fn take_budget(&mut self, medium: Medium, thread: &Thread, now: Timestamp) -> bool {
        let pump = thread.subject.pump().map_or("", PumpId::as_str).to_owned();
        let (max, priority) = (self.policy.max_per_pump_and_hour, thread.priority);
        self.budgets(medium).entry(pump).or_default().take(max, priority, &thread.title, now)
    }

    fn budgets(&mut self, medium: Medium) -> &mut BTreeMap<String, Budget> {
        match medium {
            Medium::Email => &mut self.shared.email,
            Medium::Webhook => &mut self.shared.webhook,
        }
    }

    fn add_line(&mut self, line: Line) {
        if self.shared.lines.len() < MAX_DIGEST_LINES {
            self.shared.lines.push(line);
        } else {
            *self.shared.more_lines.entry(line.priority).or_default() += 1;
        }
    }
}

fn priority(severity: Severity) -> Priority {
    match severity {
        Severity::Low => Priority::Low,
        Severity::Medium => Priority::Medium,
        Severity::High => Priority::High,
        Severity::Critical => Priority::Critical,
    }
}

fn describe(evidence: &Evidence) -> String {
    described(evidence.value, evidence.limit)
}

fn described(value: Option<f64>, limit: Option<f64>) -> String {
    match (value, limit) {
        (Some(value), Some(limit)) => format!("{value:.2}, limit {limit}"),
        (Some(value), None) => format!("{value:.2}"),
        (None, Some(limit)) => format!("limit {limit}"),
        (None, None) => String::new(),
    }
}

#[cfg(test)]
mod tests;
