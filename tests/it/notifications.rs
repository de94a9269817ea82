//! Notifications of a real node to a real mail server and a real receiver of webhook calls: nothing is lost by an outage or a
//! kill, and nothing comes twice without saying so.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tempfile::TempDir;
use volute_courier::{SIGNATURE_HEADER, Secret, TIMESTAMP_HEADER, signature};

use crate::support::{
    Node, NodeConfig, now_ms, output,
    sinks::{Answer, Sink, Taken},
    volute,
};

const BEARING: &str = "Bearing_Temperature_C";
const HOT: &str = "bearing-temperature-c-high-high";
const SECRET: &str = "swordfish";
const REPEATED: &str = "X-Volute-Possibly-Repeated";

/// A pump that sends current readings, each with a time of its own.
struct Pump {
    name: String,
    at_ms: i64,
}

impl Pump {
    /// Registers a pump, and arms an alarm of critical priority without delays.
    fn new(node: &Node, name: &str) -> Self {
        let mut pump = Self { name: name.to_owned(), at_ms: 0 };
        pump.post(node, 70.0);
        let alarm = json!({
            "id": HOT, "title": "Bearing hot", "priority": "critical", "on_delay_s": 0, "off_delay_s": 0,
            "help": "Look at the oil.", "condition": {"kind": "high_high", "channel": BEARING, "limit": 93}
        });
        let set = node.send_json("PUT", &format!("/api/pumps/{name}/alarms"), &json!({"alarms": [alarm]}));
        assert_eq!(set.status, 200, "{set:?}");
        pump
    }

    fn post(&mut self, node: &Node, value: f64) {
        self.at_ms = (self.at_ms + 1_000).max(now_ms() - 40_000);
        let response = node.post(&json!([{"pump_id": self.name, "timestamp": self.at_ms, BEARING: value}]));
        assert_eq!((response.status, &response.body["accepted"]), (200, &json!(1)), "{response:?}");
    }

    fn acknowledge(&self, node: &Node, occurrence: u32) {
        let body = json!({"alarms": [{"pump_id": self.name, "alarm": HOT, "occurrence": occurrence}]});
        let done = node.send_json("POST", "/api/alarms/acknowledge", &body);
        assert_eq!(done.status, 200, "{done:?}");
    }
}

/// A node that sends e-mails to this port, and tries again after a second.
fn with_email(data: &TempDir, port: u16) -> NodeConfig {
    NodeConfig::new(data, "centrifugal")
        .with_env("VOLUTE__SERVER__PUBLIC_URL", "https://volute.example")
        .with_env("VOLUTE__NOTIFY__RETRY_S", "1")
        .with_env("VOLUTE__NOTIFY__MAX_PER_PUMP_AND_HOUR", "1000")
        .with_env("VOLUTE__NOTIFY__EMAIL__SERVER", &format!("127.0.0.1:{port}"))
        .with_env("VOLUTE__NOTIFY__EMAIL__TLS", "off")
        .with_env("VOLUTE__NOTIFY__EMAIL__FROM", "Volute <volute@plant.example>")
        .with_env("VOLUTE__NOTIFY__EMAIL__TO", r#"{"ops@plant.example"="low"}"#)
}

fn with_webhook(config: NodeConfig, port: u16) -> NodeConfig {
    config
        .with_env("VOLUTE__NOTIFY__WEBHOOK__URL", &format!("http://127.0.0.1:{port}/volute"))
        .with_env("VOLUTE_WEBHOOK_SECRET", SECRET)
}

fn subject(mail: &Taken) -> &str {
    mail.header("Subject").unwrap_or_default()
}

fn is_repeated(mail: &Taken) -> bool {
    mail.header(REPEATED).is_some()
}

/// Returns how many e-mails of each message there are, and how many of these say that they may be repetitions.
fn copies(mails: &[Taken]) -> BTreeMap<&str, (usize, usize)> {
    let mut copies = BTreeMap::new();
    for mail in mails {
        let (all, marked): &mut (usize, usize) = copies.entry(mail.header("Message-ID").expect("an id")).or_default();
        *all += 1;
        *marked += usize::from(is_repeated(mail));
    }
    copies
}

#[test]
fn an_alarm_and_its_end_come_by_email_and_webhook() {
    let data = tempfile::tempdir().expect("a directory");
    let (mail, hook) = (Sink::smtp(0), Sink::http(0));
    let node = with_webhook(with_email(&data, mail.port()), hook.port()).node();
    let mut pump = Pump::new(&node, "P-1");
    // The first answer of the receiver is lost, so the call comes again and says so.
    hook.answer([Answer::TakeAndHangUp]);
    pump.post(&node, 95.0);
    let raised = mail.wait_for(1, |_| true).remove(0);
    assert_eq!((raised.to.as_str(), subject(&raised)), ("ops@plant.example", "critical: Bearing hot at P-1"));
    for part in ["Value: 95.00, limit 93", "What to do: Look at the oil.", "https://volute.example/pumps/P-1?at=3D20"] {
        let body = raised.body.replace("=\n", "");
        assert!(body.contains(part) || body.contains(&part.replace("=3D", "=")), "{part} in {body}");
    }
    let calls = hook.wait_for(2, |_| true);
    let bodies: Vec<Value> = calls.iter().map(|call| serde_json::from_str(&call.body).expect("JSON")).collect();
    assert_eq!((&bodies[0]["id"], &bodies[0]["pump"]), (&bodies[1]["id"], &json!("P-1")));
    let repeated: Vec<&Value> = bodies.iter().map(|body| &body["possibly_repeated"]).collect();
    assert_eq!(repeated, [false, true]);
    let secret = Secret::new(SECRET).expect("a secret");
    for call in &calls {
        let at_s = call.header(TIMESTAMP_HEADER).and_then(|at| at.parse().ok()).expect("a time");
        assert_eq!(call.header(SIGNATURE_HEADER), Some(signature(&secret, at_s, &call.body).as_str()));
    }

    pump.acknowledge(&node, 1);
    pump.post(&node, 70.0);
    mail.wait_for(1, |mail| subject(mail) == "Over: Bearing hot at P-1");
    hook.wait_for(1, |call| call.body.contains(r#""kind":"returned""#));
    assert!(node.terminate().success());
    assert_eq!((mail.taken().len(), hook.taken().len()), (2, 3), "nothing more");
}

/// The server is down for ten minutes, by the node's clock.
#[test]
fn after_an_outage_of_the_mail_server_everything_comes_once() {
    let data = tempfile::tempdir().expect("a directory");
    let port = Sink::smtp(0).port();
    let config = with_email(&data, port);
    let node = config.node();
    for name in ["P-1", "P-2", "P-3"] {
        Pump::new(&node, name).post(&node, 95.0);
    }
    let node = {
        // A restart in the outage loses nothing.
        node.kill();
        config.node()
    };
    let sent = |status: &Value| {
        status["status"] == "degraded" && status["reason"].as_str().is_some_and(|why| why.contains("3 wait"))
    };
    node.wait_until("/api/live-data?pump_id=P-1", |live| {
        live["totals"]["node"]["notification_failures"].as_u64() > Some(0)
    });
    config.inject("clock", "return(610000)");
    node.wait_until("/readyz", sent);
    let mail = Sink::smtp(port);
    let mails = mail.wait_for(3, |mail| subject(mail).starts_with("critical: Bearing hot"));
    node.wait_until("/readyz", |status| status["status"] == "ready");
    assert!(node.terminate().success());
    let copies = copies(&mails);
    assert_eq!(copies.len(), 3, "one of each pump: {copies:?}");
    assert!(mail.taken().iter().all(|mail| !is_repeated(mail)), "no server had taken any");
    assert_eq!(mail.taken().iter().filter(|mail| subject(mail).starts_with("critical")).count(), 3);
}

/// The node is killed after the server has accepted, and before the node has recorded it.
#[test]
fn a_kill_before_the_record_repeats_the_message_and_says_so() {
    let kills = if std::env::var_os("VOLUTE_LONG").is_some() { 200 } else { 10 };
    let data = tempfile::tempdir().expect("a directory");
    let mail = Sink::smtp(0);
    let config = with_email(&data, mail.port());
    let mut node = config.node();
    let mut pump = Pump::new(&node, "P-1");
    for kill in 1..=kills {
        config.inject("notify-accepted", "pause");
        pump.post(&node, 95.0);
        let is_raised = |mail: &Taken| subject(mail).ends_with("critical: Bearing hot at P-1");
        mail.wait_for(2 * kill as usize - 1, is_raised);
        node.kill();
        node = config.node();
        let raised = mail.wait_for(2 * kill as usize, is_raised);
        let [first, second] = &raised[2 * (kill as usize - 1)..] else { panic!("two: {raised:#?}") };
        assert_eq!(first.header("Message-ID"), second.header("Message-ID"));
        assert_eq!((is_repeated(first), is_repeated(second)), (false, true));
        pump.acknowledge(&node, kill);
        pump.post(&node, 70.0);
        mail.wait_for(kill as usize, |mail| subject(mail) == "Over: Bearing hot at P-1");
        // The server has the message before the node knows, and the next failpoint must not stop this one.
        node.wait_until("/api/live-data?pump_id=P-1", |live| live["totals"]["node"]["notifications_sent"] == 2);
    }
    assert!(node.terminate().success());
    let mails = mail.taken();
    let copies = copies(&mails);
    assert_eq!(copies.len(), 2 * kills as usize, "one message for each beginning and each end");
    for (id, (all, marked)) in copies {
        assert_eq!(all, marked + 1, "{id}: each copy but the first says so");
    }
}

/// The node is killed as soon as a post has its response.
#[test]
fn a_kill_at_any_moment_loses_no_message() {
    let kills = if std::env::var_os("VOLUTE_LONG").is_some() { 200 } else { 8 };
    let data = tempfile::tempdir().expect("a directory");
    let mail = Sink::smtp(0);
    let config = with_email(&data, mail.port());
    let mut node = config.node();
    for kill in 1..=kills {
        Pump::new(&node, &format!("P-{kill}")).post(&node, 95.0);
        if kill % 2 == 0 {
            // Somewhere between the first row of the message and its last.
            mail.wait_for(1, |mail| subject(mail).ends_with(&format!("hot at P-{kill}")));
        }
        node.kill();
        node = config.node();
    }
    for pump in 1..=kills {
        mail.wait_for(1, |mail| subject(mail).ends_with(&format!("hot at P-{pump}")));
    }
    assert!(node.terminate().success());
    let mails = mail.taken();
    for (id, (all, marked)) in copies(&mails) {
        assert!(marked == all - 1 || marked == all, "{id}: {all} copies, {marked} of which say so");
    }
}

#[test]
fn a_test_message_shows_whether_the_servers_accept() {
    let data = tempfile::tempdir().expect("a directory");
    let (mail, hook) = (Sink::smtp(0), Sink::http(0));
    let test = || {
        let config = with_webhook(with_email(&data, mail.port()), hook.port());
        let mut command = volute();
        command.args(["notify", "test"]).envs(config.env.iter().map(|(key, value)| (key, value)));
        let output = output(&mut command);
        (
            output.status.success(),
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr),
        )
    };
    let (accepted, said) = test();
    assert!(accepted && said == "ops@plant.example  accepted\nwebhook  accepted\n", "{said}");
    mail.answer([Answer::Refuse(550)]);
    let (accepted, said) = test();
    assert!(!accepted && said.contains("ops@plant.example  refused: ") && !said.contains(SECRET), "{said}");
    assert_eq!(subject(&mail.taken()[0]), "Test message of Volute");
}

#[test]
fn a_check_of_the_configuration_reads_the_templates() {
    let data = tempfile::tempdir().expect("a directory");
    let mut config = with_email(&data, 25).with_env("VOLUTE__NOTIFY__TEMPLATES", data.path().to_str().expect("UTF-8"));
    let check = |config: &NodeConfig| {
        let mut command = volute();
        command.arg("check-config").envs(config.env.iter().map(|(key, value)| (key, value)));
        let output = output(&mut command);
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (is_valid, said) = check(&config);
    assert!(is_valid, "the built-in ones are used: {said}");
    config = config.with_env("VOLUTE__NOTIFY__TEMPLATES", "/nothing-there");
    let (is_valid, said) = check(&config);
    assert!(!is_valid && said.contains("notify.templates") && said.contains("/nothing-there"), "{said}");
}
