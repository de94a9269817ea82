//! Alarms over kills at random moments, while two clients command them: no acknowledgement, shelving or comment that was
//! answered is lost, none is there twice, no transition is missing, and each alarm is as its last transition says.
//!
//! 20 kills; with `VOLUTE_LONG` 300 kills and 10,000 transitions.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use serde_json::{Value, json};

use crate::{
    alarms::{BEARING, HOT, in_list, set_own_alarm},
    support::{Node, NodeConfig, Random, now_ms, try_get, try_post_to, wait_until},
};

/// The pumps of each client.
const PUMPS: [[&str; 3]; 2] = [["A-1", "A-2", "A-3"], ["B-1", "B-2", "B-3"]];

/// A command with a comment of its own.
struct Command {
    pump: &'static str,
    cause: &'static str,
    comment: String,
    /// Whether the node answered that it was done. Otherwise it may have been done.
    is_answered: bool,
}

/// What a client knows of a pump.
struct Pump {
    name: &'static str,
    at_ms: i64,
    /// The condition of the last post that the node has answered.
    is_hot: bool,
}

/// A client that posts readings and commands alarms.
struct Client {
    url: String,
    pumps: Vec<Pump>,
    random: Random,
    commands: Vec<Command>,
}

impl Client {
    /// Does something to a pump. Returns whether the node answered.
    fn act(&mut self) -> bool {
        let (which, what) = (self.random.below(3) as usize, self.random.below(6));
        match what {
            0..3 => self.post(which),
            3 => self.acknowledge(which),
            4 => self.command(which, ("shelve", "shelved"), 0),
            _ => self.command(which, ("unshelve", "unshelved"), 0),
        }
    }

    /// Acknowledges what a person would see.
    fn acknowledge(&mut self, which: usize) -> bool {
        let Some(list) = try_get(&format!("{}/api/alarms?pump_id={}", self.url, self.pumps[which].name)) else {
            return false;
        };
        match in_list(&list.body).and_then(|alarm| alarm["occurrence"].as_u64()) {
            Some(occurrence) => self.command(which, ("acknowledge", "acknowledged"), occurrence),
            None => true,
        }
    }

    /// Posts a reading that raises the alarm or ends it.
    fn post(&mut self, which: usize) -> bool {
        let pump = &mut self.pumps[which];
        pump.at_ms = (pump.at_ms + 20).max(now_ms() - 20_000);
        let value = if pump.is_hot { 70.0 } else { 95.0 };
        let body = json!([{"pump_id": pump.name, "timestamp": pump.at_ms, BEARING: value}]).to_string();
        let Some(response) = try_post_to(&format!("{}/api/ingest", self.url), "application/json", &body) else {
            return false;
        };
        // A node that is killed may still say that it is not ready.
        if response.status != 200 {
            return false;
        }
        assert_eq!(response.body["accepted"], 1, "{response:?}");
        pump.is_hot = !pump.is_hot;
        true
    }

    /// Commands the alarm. It may be refused, because of the alarm's state.
    fn command(&mut self, which: usize, (what, cause): (&str, &'static str), occurrence: u64) -> bool {
        let pump = self.pumps[which].name;
        let comment = format!("{what} {pump} {} {}", now_ms(), self.random.below(u32::MAX));
        let until = volute_plant::Timestamp::from_millis(now_ms() + 3_600_000).expect("a time").to_string();
        let mut body =
            json!({"alarms": [{"pump_id": pump, "alarm": HOT, "occurrence": occurrence}], "comment": comment});
        if what == "shelve" {
            body["until"] = json!(until);
        }
        let url = format!("{}/api/alarms/{what}", self.url);
        let response = try_post_to(&url, "application/json", &body.to_string());
        let is_answered = response.as_ref().is_some_and(|response| response.status == 200);
        if response.as_ref().is_none_or(|response| response.status != 409) {
            self.commands.push(Command { pump, cause, comment, is_answered });
        }
        response.is_some()
    }
}

/// The clients of one incarnation of the node.
struct Load {
    clients: Vec<thread::JoinHandle<Client>>,
    stop: Arc<AtomicBool>,
    /// How often the node answered.
    answers: Arc<AtomicUsize>,
}

impl Load {
    fn start(clients: Vec<Client>) -> Self {
        let (stop, answers) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let run = |mut client: Client| {
            let (stop, answers) = (stop.clone(), answers.clone());
            thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) && client.act() {
                    answers.fetch_add(1, Ordering::Relaxed);
                }
                client
            })
        };
        let clients = clients.into_iter().map(run).collect();
        Self { clients, stop, answers }
    }

    fn stop(self) -> Vec<Client> {
        self.stop.store(true, Ordering::Relaxed);
        self.clients.into_iter().map(|client| client.join().expect("no client panicked")).collect()
    }
}

/// Returns the alarm's transitions, oldest first.
fn transitions(node: &Node, pump: &str) -> Vec<Value> {
    let mut rows = node.all_items(&format!("/api/alarm-transitions?pump_id={pump}&alarm={HOT}&limit=1000"));
    rows.reverse();
    rows
}

/// Checks that each transition follows the one before. Returns the last state, and whether the condition holds.
fn follow(name: &str, rows: &[Value]) -> (String, bool) {
    let mut state = "normal".to_owned();
    let (mut occurrence, mut is_hot) = (0, false);
    for (index, row) in rows.iter().enumerate() {
        assert_eq!((row["seq"].as_u64(), &row["from"]), (Some(index as u64 + 1), &json!(state)), "{name}: {row}");
        state = row["to"].as_str().expect("a state").to_owned();
        occurrence += u64::from(row["announces"] == true);
        assert_eq!(row["occurrence"], occurrence, "{name}: {row}");
        match row["cause"].as_str() {
            Some("raised") => is_hot = true,
            Some("returned") => is_hot = false,
            _ => {}
        }
    }
    (state, is_hot)
}

/// Checks one pump's transitions, and that its alarm is as the last one says. Returns how many there are, and what a client
/// knows of the pump.
fn check(node: &Node, name: &'static str, commands: &[Command]) -> (usize, Pump) {
    let (mut rows, mut is_hot) = (Vec::new(), false);
    // After a start a pump's alarms are read in the background, and readings whose transitions were not stored are evaluated
    // again.
    wait_until("the alarm is as its last transition says", || {
        rows = transitions(node, name);
        let (state, holds) = follow(name, &rows);
        is_hot = holds;
        let list = node.get_ok(&format!("/api/alarms?pump_id={name}"));
        let shown = match in_list(&list) {
            Some(alarm) => (alarm["state"].as_str().unwrap_or_default().to_owned(), alarm["holds"] == true),
            None => ("normal".to_owned(), false),
        };
        if shown == (state, holds) { Ok(()) } else { Err((shown, rows.last().cloned())) }
    });
    for command in commands.iter().filter(|command| command.pump == name) {
        let done = rows.iter().filter(|row| row["comment"] == command.comment && row["cause"] == command.cause).count();
        let expected = if command.is_answered { 1..=1 } else { 0..=1 };
        assert!(expected.contains(&done), "{}: {done} times, answered: {}", command.comment, command.is_answered);
    }
    (rows.len(), Pump { name, at_ms: 0, is_hot })
}

#[test]
fn nothing_that_people_did_is_lost_over_kills() {
    let (kills, wanted) = if std::env::var_os("VOLUTE_LONG").is_some() { (300, 10_000) } else { (20, 300) };
    let data = tempfile::tempdir().expect("a directory");
    let config = NodeConfig::new(&data, "centrifugal");
    let mut node = config.node();
    let mut times = [[0; 3]; 2];
    for name in PUMPS.as_flattened() {
        let at_ms = now_ms() - 30_000;
        assert_eq!(node.post(&json!([{"pump_id": name, "timestamp": at_ms, BEARING: 70.0}])).status, 200);
        assert_eq!(set_own_alarm(&node, name).status, 200);
    }
    let mut commands: Vec<Command> = Vec::new();
    let (mut random, mut rows) = (Random(7), 0);
    for kill in 0..=kills {
        rows = 0;
        let mut clients = Vec::new();
        for (client, names) in PUMPS.iter().enumerate() {
            let mut pumps = Vec::new();
            for (index, name) in names.iter().enumerate() {
                let (count, pump) = check(&node, name, &commands);
                rows += count;
                pumps.push(Pump { at_ms: times[client][index], ..pump });
            }
            let random = Random(random.below(u32::MAX));
            clients.push(Client { url: node.url.clone(), pumps, random, commands: Vec::new() });
        }
        if kill == kills {
            break;
        }
        let load = Load::start(clients);
        let answers = load.answers.clone();
        // So many transitions are made before each kill that there are enough at the end.
        let answers_wanted = 3 * wanted / kills;
        wait_until("the node answers", || match answers.load(Ordering::Relaxed) {
            enough if enough >= answers_wanted => Ok(()),
            few => Err(few),
        });
        // The moment must not depend on anything that the node does, so it depends on the time.
        thread::sleep(Duration::from_micros(u64::from(random.below(50_000))));
        node.kill();
        for (client, of_client) in load.stop().into_iter().zip(&mut times) {
            for (pump, at_ms) in client.pumps.iter().zip(of_client) {
                *at_ms = pump.at_ms;
            }
            commands.extend(client.commands);
        }
        node = config.node();
    }
    let answered = commands.iter().filter(|command| command.is_answered).count();
    println!("{kills} kills, {rows} transitions, {answered} commands answered, {} in doubt", commands.len() - answered);
    assert!(rows >= wanted && answered >= wanted / 4, "{rows} transitions, {answered} commands");
}
