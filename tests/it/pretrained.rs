//! Detections of the pretrained model on commissioned simulated pumps that are not in its training data.
//!
//! The short form of `volute evaluate --simulated`, whose full figures are in `models/anomaly/BENCHMARKS.md`.

use serde_json::Value;

use crate::support::run;

#[test]
fn commissioned_unseen_pumps_have_few_false_alarms_and_detected_faults() {
    let words = "evaluate --simulated --model models/pretrained/centrifugal --pumps 2 --days 1 --format json";
    let words: Vec<&str> = words.split(' ').collect();
    let figures: Value = serde_json::from_str(&run(&words)).expect("JSON");
    eprintln!("{figures:#}");

    assert!(figures["healthy_pump_days"].as_f64().expect("days") > 1.5, "two pumps were scored for a day each");
    assert!(figures["false_episodes"].as_u64().expect("a count") <= 1);
    assert!(figures["named_first_percent"].as_f64().expect("a share") > 85.0);
    let faults = figures["faults"].as_array().expect("faults");
    let of_machine = |fault: &&Value| !fault["fault"].as_str().expect("a name").starts_with("sensor_");
    let severe: Vec<&Value> = faults.iter().filter(of_machine).filter(|fault| fault["severity"] == 0.9).collect();
    assert_eq!(severe.len(), 13);
    for fault in severe {
        assert_eq!(fault["found"], fault["trials"], "{fault}");
    }
}
