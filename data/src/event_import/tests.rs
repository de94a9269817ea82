//! Tests of tables of maintenance events in several forms, and of their errors.

use super::*;

fn read_with(text: &str, mapping: &str, pump: Option<&str>, dialect: &Dialect) -> Result<EventsFile, RecordingError> {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("maintenance_events.csv");
    std::fs::write(&path, text).expect("written");
    let mapping: EventMapping = serde_json::from_str(mapping).expect("a mapping");
    let pump = pump.map(|pump| pump.parse().expect("a name"));
    let currency = Currency::try_from("INR".to_owned()).expect("a currency");
    read_events(&path, &mapping, pump.as_ref(), currency, dialect)
}

fn read(text: &str) -> Result<EventsFile, RecordingError> {
    read_with(text, "{}", Some("P"), &Dialect::default())
}

#[test]
fn tables_of_several_forms_give_the_same_event() {
    for (name, text, mapping) in [
        (
            "the usual names",
            "id,created_at,severity,description,recommended_action,estimated_cost,status,event_type\n\
             1,2024-05-01 08:00:00,high,\"Bearing hot,\nseal dry\",Grease it.,15000,completed,Bearing Failure\n",
            "{}",
        ),
        (
            "a pump, an offset and a sign of the currency",
            "timestamp;pump_id;severity;message;notes;cost;state;type\n\
             2024-05-01T08:00:00+0000;P;HIGH;\"Bearing hot,\nseal dry\";Grease it.;₹15000.0;completed;bearing failure\n",
            "{}",
        ),
        (
            "a mapping",
            "wann,wie,was,tun,teuer,stand,art\n1714550400,dringend,\"Bearing hot,\nseal dry\",Grease it.,15000,completed,\
             bearing_failure\n",
            r#"{"opened": "wann", "severity": "wie", "title": "was", "advice": "tun", "cost": "teuer", "status": "stand",
                "kind": "art", "severities": {"Dringend": "high"}}"#,
        ),
    ] {
        let read = read_with(text, mapping, Some("P"), &Dialect::default());
        let events = read.unwrap_or_else(|error| panic!("{name}: {error}")).events;
        let [event] = &events[..] else { panic!("{name}: {events:?}") };
        let MaintenanceEvent { rule, title, advice, severity, cost, source, .. } = event;
        assert_eq!((rule.as_str(), title.as_str()), ("bearing-failure", "Bearing hot,\nseal dry"), "{name}");
        assert_eq!(advice, "Grease it. Status in the system that it is from: completed.", "{name}");
        assert_eq!(
            (*severity, cost.amount, cost.currency.to_string()),
            (Severity::High, 15_000.0, "INR".into()),
            "{name}"
        );
        assert_eq!(source.as_deref(), Some("imported: maintenance_events.csv"), "{name}");
        assert_eq!(event.opened_at.to_string(), "2024-05-01T08:00:00.000Z", "{name}");
        assert_eq!(event.resolved_at, Some(event.opened_at), "{name}");
    }
}

#[test]
fn events_of_one_kind_and_time_are_numbered_and_repeats_are_left_out() {
    let row = |title: &str| format!("2024-05-01 08:00:00,low,{title}\n");
    let text = format!("timestamp,severity,title\n{}{}{}", row("a"), row("b"), row("a"));
    let file = read(&text).expect("read");
    let titles: Vec<_> = file.events.iter().map(|event| (event.rule.as_str(), event.title.as_str())).collect();
    assert_eq!(titles, [("imported", "a"), ("imported-2", "b")]);
    assert_eq!(
        file.remarks,
        ["no cost column, such as estimated_cost: all costs are 0", "1 rows left out: exact repeats"]
    );
}

#[test]
fn all_errors_of_a_table_are_reported_at_once() {
    let text = "timestamp,severity,estimated_cost,pump\n01.05.2024 08:00:00,low,1,P\nyesterday,odd,\"1,000\",P\n\
                2024-05-01 08:00:00,odd,-1,*\n2024-05-01 08:00:00,low,1,\n";
    let error = read_with(text, "{}", None, &Dialect::default()).expect_err("invalid").to_string();
    for expected in [
        "line 2: the time: \"01.05.2024 08:00:00\" (and 1 more) is not an unambiguous time",
        "line 3: the severity: \"odd\" (and 1 more); allowed: low",
        "line 3: the cost: \"1,000\"; allowed",
        "line 4: the cost: \"-1\"",
        "line 4: the pump: \"*\"",
        "line 5: no pump is named: say it with --pump",
    ] {
        assert!(error.contains(expected), "{expected} is in {error}");
    }
    for (text, mapping, expected) in [
        ("severity\nlow\n", "{}", "column \"timestamp\" is missing"),
        (
            "timestamp\n2024-05-01 08:00:00\n",
            "{}",
            "column \"severity\" is missing: say which column is the severity, as severity = \"NAME\" below \
             [maintenance_events] in a file for --mapping; the table has timestamp",
        ),
        ("timestamp,severity\n", r#"{"cost": "kosten"}"#, "column \"kosten\" of the mapping does not exist"),
    ] {
        let error = read_with(text, mapping, Some("P"), &Dialect::default()).expect_err(expected).to_string();
        assert!(error.contains(expected), "{error}");
    }
}
