//! What is sent because of the time alone: summaries of what was held back, and the digest.

use volute_alarm::Priority;
use volute_plant::Timestamp;

use super::{Medium, Planner};
use crate::{Line, Message, MessageKind, Receiver, Recipient};

impl Planner {
    /// Returns the summaries of what was held back, where they are due.
    pub(super) fn summaries(&mut self, now: Timestamp) -> Vec<Message> {
        let mut messages = Vec::new();
        let max = self.policy.max_per_pump_and_hour;
        for medium in [Medium::Email, Medium::Webhook] {
            let pumps: Vec<String> = self.budgets(medium).keys().cloned().collect();
            for pump in pumps {
                let Some(budget) = self.budgets(medium).get_mut(&pump) else { continue };
                let Some(priority) = budget.summary_due(max, now) else { continue };
                if self.policy.quiet_until(priority, now).is_some() {
                    continue;
                }
                let held = self.budgets(medium).get_mut(&pump).and_then(|budget| budget.take_summary(now));
                let Some(held) = held else { continue };
                self.has_changed = true;
                self.shared.seen_until = self.shared.seen_until.max(now);
                let to = match medium {
                    Medium::Email => {
                        let addresses = self.addresses(MessageKind::HeldBack, priority);
                        addresses.into_iter().map(Receiver::Email).collect()
                    }
                    Medium::Webhook => vec![Receiver::Webhook],
                };
                let line = Line {
                    kind: MessageKind::HeldBack,
                    at: held.since,
                    subject: None,
                    occurrence: 0,
                    priority,
                    title: format!("{} messages were held back", held.count),
                    help: String::new(),
                    detail: held.detail(),
                };
                messages.extend(to.into_iter().map(|to| Message {
                    id: format!("{pump}/held back/{} to {}", held.since.millis(), to.as_str()),
                    kind: MessageKind::HeldBack,
                    at: now,
                    not_before: now,
                    to,
                    pump: pump.parse().ok(),
                    priority,
                    lines: vec![line.clone()],
                }));
            }
        }
        messages
    }

    /// Returns the digest, if a line of it has waited long enough. Lines whose priority is quiet stay.
    pub(super) fn digest(&mut self, now: Timestamp) -> Vec<Message> {
        let is_quiet = |priority| self.policy.quiet_until(priority, now).is_some();
        let is_due = |line: &Line| {
            let waited_ms = now.since_ms(line.at);
            // A time of the future is one before the clock was set back.
            waited_ms >= self.policy.digest_after_ms || waited_ms < 0
        };
        if !self.shared.lines.iter().any(|line| is_due(line) && !is_quiet(line.priority)) {
            return Vec::new();
        }
        let (quiet, mut lines): (Vec<Line>, Vec<Line>) =
            self.shared.lines.iter().cloned().partition(|line| is_quiet(line.priority));
        let more = std::mem::take(&mut self.shared.more_lines);
        self.shared.lines = quiet;
        self.has_changed = true;
        self.shared.seen_until = self.shared.seen_until.max(now);
        lines.sort_by_key(|line| line.at);
        let Some(email) = &self.policy.email else { return Vec::new() };
        let digest = |recipient: &Recipient| {
            let mut lines: Vec<Line> = lines.iter().filter(|line| line.priority >= recipient.from).cloned().collect();
            let more: u64 = more.range(recipient.from..).map(|(_, count)| count).sum();
            let priority = lines.iter().map(|line| line.priority).max()?;
            if more > 0 {
                let title = format!("{more} more, which are on the page of all alarms");
                lines.push(Line { title, ..more_line(priority, now) });
            }
            let to = Receiver::Email(recipient.address.clone());
            Some(Message {
                id: format!("digest/{} to {}", now.millis(), to.as_str()),
                kind: MessageKind::Digest,
                at: now,
                not_before: now,
                to,
                pump: None,
                priority,
                lines,
            })
        };
        email.recipients.iter().filter_map(digest).collect()
    }
}

fn more_line(priority: Priority, at: Timestamp) -> Line {
    Line {
        kind: MessageKind::Digest,
        at,
        subject: None,
        occurrence: 0,
        priority,
        title: String::new(),
        help: String::new(),
        detail: String::new(),
    }
}
