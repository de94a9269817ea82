//! The couriers against real servers.

#![allow(clippy::expect_used, clippy::panic, reason = "clippy.toml allows them in tests, and not in their helpers")]

#[path = "../../tests/it/support/sinks.rs"]
#[allow(dead_code)]
mod sinks;

use sinks::{Answer, Sink};
use volute_alarm::Priority;
use volute_courier::{
    EmailCourier, EmailSettings, EmailTls, SIGNATURE_HEADER, Secret, TIMESTAMP_HEADER, WebhookCourier, WebhookSettings,
    signature,
};
use volute_notify::{Courier, Delivery, Message, MessageKind, Outcome, Receiver, Text};
use volute_plant::Timestamp;

fn delivery(to: Receiver, subject: &str, body: &str) -> Delivery {
    let at: Timestamp = "2026-03-09T10:01:00Z".parse().expect("a time");
    let message = Message {
        id: "P-7/hot/1".into(),
        kind: MessageKind::Raised,
        at,
        not_before: at,
        to,
        pump: None,
        priority: Priority::Critical,
        lines: Vec::new(),
    };
    Delivery::new(message, Text { subject: subject.into(), body: body.into() })
}

fn email(port: u16) -> EmailCourier {
    EmailCourier::new(EmailSettings {
        host: "127.0.0.1".into(),
        port,
        tls: EmailTls::Off,
        login: None,
        from: "Volute <volute@plant.example>".into(),
        authorities: None,
    })
    .expect("valid")
}

fn kind(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Accepted => "accepted",
        Outcome::NotAccepted(_) => "not accepted",
        Outcome::Refused(_) => "refused",
        Outcome::Unknown(_) => "unknown",
    }
}

#[test]
fn an_email_arrives_and_the_outcome_is_what_is_known() {
    let server = Sink::smtp(0);
    let courier = email(server.port());
    server.answer([Answer::Accept, Answer::Refuse(550), Answer::Refuse(451), Answer::TakeAndHangUp]);
    let mut mail = delivery(Receiver::Email("ops@plant.example".into()), "Bearing hot, 95 °C", "Look.\n.\nEnd");
    let outcomes: Vec<&str> = (0..4).map(|_| kind(courier.send(&mail))).collect();
    assert_eq!(outcomes, ["accepted", "refused", "not accepted", "unknown"]);
    mail.may_be_repeated = true;
    assert_eq!(kind(courier.send(&mail)), "accepted");
    let taken = server.taken();
    assert_eq!(taken.len(), 3);
    assert_eq!(taken[0].to, "ops@plant.example");
    assert_eq!(taken[0].body.trim_end(), "Look.\n.\nEnd", "a line with a dot stays");
    assert_eq!(taken[0].header("Message-ID"), taken[2].header("Message-ID"));
    assert_eq!(taken[0].header("Auto-Submitted"), Some("auto-generated"));
    assert_eq!(taken[0].header("X-Volute-Possibly-Repeated"), None);
    assert_eq!(taken[2].header("X-Volute-Possibly-Repeated"), Some("yes"));
    assert!(taken[2].header("Subject").expect("a subject").starts_with("[possibly repeated] Bearing hot"));
    drop(server);
    assert_eq!(kind(courier.send(&mail)), "not accepted", "nobody listens");
    let other = delivery(Receiver::Email("not an address".into()), "s", "b");
    assert_eq!(kind(courier.send(&other)), "refused");
}

#[test]
fn tls_is_not_given_up() {
    let server = Sink::smtp(0);
    let settings = EmailSettings {
        host: "127.0.0.1".into(),
        port: server.port(),
        tls: EmailTls::StartTls,
        login: Some(("volute".into(), Secret::new("swordfish").expect("a secret"))),
        from: "volute@plant.example".into(),
        authorities: None,
    };
    let courier = EmailCourier::new(settings).expect("valid");
    let outcome = courier.send(&delivery(Receiver::Email("ops@plant.example".into()), "s", "b"));
    let Outcome::NotAccepted(reason) = outcome else { panic!("{outcome:?}") };
    assert!(reason.contains("STARTTLS") && !reason.contains("swordfish"), "{reason}");
    assert!(server.taken().is_empty());
}

#[test]
fn a_call_is_signed_and_the_outcome_is_what_is_known() {
    let server = Sink::http(0);
    let secret = Secret::new("swordfish").expect("a secret");
    let url = format!("http://127.0.0.1:{}/volute", server.port());
    let courier =
        WebhookCourier::new(WebhookSettings { url, secret: secret.clone(), authorities: None }).expect("valid");
    server.answer([Answer::Accept, Answer::Refuse(422), Answer::Refuse(500), Answer::TakeAndHangUp]);
    let mut call = delivery(Receiver::Webhook, "raised", r#"{"id":"P-7/hot/1"}"#);
    let outcomes: Vec<&str> = (0..4).map(|_| kind(courier.send(&call))).collect();
    assert_eq!(outcomes, ["accepted", "refused", "not accepted", "unknown"]);
    call.may_be_repeated = true;
    assert_eq!(kind(courier.send(&call)), "accepted");
    let taken = server.taken();
    assert_eq!(taken[0].to, "/volute");
    let timestamp_s: u64 = taken[0].header(TIMESTAMP_HEADER).expect("a time").parse().expect("seconds");
    assert_eq!(taken[0].header(SIGNATURE_HEADER), Some(signature(&secret, timestamp_s, &taken[0].body).as_str()));
    let repeated =
        |body: &str| serde_json::from_str::<serde_json::Value>(body).expect("JSON")["possibly_repeated"].clone();
    assert_eq!((repeated(&taken[0].body), repeated(&taken[2].body)), (false.into(), true.into()));
    drop(server);
    assert_eq!(kind(courier.send(&call)), "not accepted", "nobody listens");
}
