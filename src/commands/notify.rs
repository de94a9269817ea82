//! `volute notify test`: sends a test message to everybody who is notified, and prints the outcomes.
//!
//! Sends directly, without the outbox: who gives the command sees the outcome, and nothing is sent later.

use std::{collections::BTreeSet, io::Write};

use anyhow::{Context, Result, bail};
use volute_alarm::Priority;
use volute_notify::{Delivery, Line, Message, MessageKind, Outcome, Policy, Receiver};

use super::notifications::notification_settings;
use crate::{clock::node_clock, config::Config};

/// Runs `volute notify test`.
pub(super) fn run(config: &Config, output: &mut dyn Write) -> Result<()> {
    let settings = notification_settings(config)?;
    let settings = settings.context("nobody is notified: set notify.email.server, notify.webhook.url or both")?;
    let mut failed = 0;
    for receiver in receivers(&settings.policy) {
        let message = test_message(receiver);
        let text = settings.renderer.render(&message, &settings.policy);
        let to = message.to.as_str().to_owned();
        let courier = settings.couriers.of(&message.to).context("there is no courier")?;
        let mut delivery = Delivery::new(message, text);
        delivery.begin(delivery.message.at);
        let outcome = match courier.send(&delivery) {
            Outcome::Accepted => "accepted".to_owned(),
            Outcome::NotAccepted(why) => format!("not accepted: {why}"),
            Outcome::Refused(why) => format!("refused: {why}"),
            Outcome::Unknown(why) => format!("no answer, it may have arrived: {why}"),
        };
        failed += usize::from(outcome != "accepted");
        writeln!(output, "{to}  {outcome}")?;
    }
    if failed > 0 {
        bail!("{failed} test messages were not accepted");
    }
    Ok(())
}

/// Returns everybody who may get a message, each once.
fn receivers(policy: &Policy) -> BTreeSet<Receiver> {
    let email = policy.email.iter();
    let recipients = email.clone().flat_map(|email| email.recipients.iter().map(|recipient| &recipient.address));
    let addresses = recipients.chain(email.flat_map(|email| &email.escalate_to));
    let webhook = policy.webhook_from.map(|_| Receiver::Webhook);
    addresses.cloned().map(Receiver::Email).chain(webhook).collect()
}

fn test_message(to: Receiver) -> Message {
    let now = node_clock().now();
    let line = Line {
        kind: MessageKind::Test,
        at: now,
        subject: None,
        occurrence: 0,
        priority: Priority::Low,
        title: "Test message".into(),
        help: String::new(),
        detail: String::new(),
    };
    Message {
        id: format!("test/{} to {}", now.millis(), to.as_str()),
        kind: MessageKind::Test,
        at: now,
        not_before: now,
        to,
        pump: None,
        priority: Priority::Low,
        lines: vec![line],
    }
}
