//! The stored state of notifications is read back unchanged, from the head and from the database.

use std::collections::BTreeMap;

use volute_alarm::{Alarm, AlarmId, AlarmKey, Evidence, Priority, Signal, Status};
use volute_notify::{Delivery, EmailPolicy, Planner, Policy, Recipient, Shared, Text};

use super::*;

fn policy() -> Policy {
    let recipient = Recipient { address: "ops@plant.example".into(), from: Priority::Low };
    Policy {
        email: Some(EmailPolicy { recipients: vec![recipient], escalate_to: Vec::new() }),
        webhook_from: Some(Priority::Low),
        at_once: Priority::Critical,
        digest_after_ms: 3_600_000,
        remind_after_ms: 60_000,
        reminders: 1,
        escalate_after_ms: 60_000,
        // One message, so that the others are held back.
        max_per_pump_and_hour: 1,
        quiet: BTreeMap::new(),
        zone: chrono_tz::UTC,
    }
}

#[test]
fn the_outbox_and_what_was_told_are_read_as_they_were_stored() {
    with_store(async |store| {
        let mut planner = Planner::new(policy(), Shared::begin(at(0)), Vec::new());
        let mut messages = Vec::new();
        for (n, priority) in [Priority::Low, Priority::Critical].into_iter().enumerate() {
            // A pump's id may be any text.
            let key = AlarmKey { pump: Some(pump("10 PAC/'1\"")), alarm: AlarmId::from_text(&format!("hot {n}")) };
            let mut alarm = Alarm::new(key, priority, false, Status::default());
            let evidence = Evidence { value: Some(95.1), limit: Some(93.0), ..Evidence::at(at(1)) };
            let row = alarm.observe(Signal::Raise(evidence), at(1)).expect("a row");
            messages.extend(planner.observe_alarm(&row, "Hot", "cool it", at(1)));
        }
        let text = Text { subject: "s".into(), body: "b".into() };
        let mut deliveries: Vec<Delivery> =
            messages.into_iter().map(|message| Delivery::new(message, text.clone())).collect();
        assert_eq!(deliveries.len(), 2, "a call for the first, an e-mail for the second");
        deliveries[0].begin(at(2));
        let changes = planner.take_changes().expect("changes");
        assert_eq!((changes.threads.len(), changes.shared.lines.len()), (2, 1));
        let mut rows = documents(&deliveries);
        rows.extend(documents(&changes.threads));
        rows.push(Document::of(&changes.shared));
        store.commit(&Batch { documents: rows, ..Batch::default() }).await.expect("stored");
        for _ in 0..2 {
            let stored = store.stored_notifications(at(0)).await.expect("read");
            assert_eq!(stored.shared.as_ref(), Some(&changes.shared));
            let mut threads = stored.threads;
            threads.sort_by(|a, b| a.subject.cmp(&b.subject));
            assert_eq!(threads, changes.threads);
            let mut read = stored.deliveries;
            read.sort_by_key(|delivery| deliveries.iter().position(|one| one.message.id == delivery.message.id));
            assert_eq!(read, deliveries);
            store.flush_all().await.expect("flushed");
        }
        deliveries[0].give_up("too old", at(3));
        let batch = Batch { documents: documents(&deliveries[..1]), ..Batch::default() };
        store.commit(&batch).await.expect("stored");
        let stored = store.stored_notifications(at(0)).await.expect("read");
        assert_eq!(stored.deliveries, deliveries[1..], "what is over is not read");
    });
}
