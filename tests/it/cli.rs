//! The command line: output, streams and exit codes.

use std::{
    fs,
    process::{Command, Output},
};

/// Runs the program with `env` as its only environment.
fn volute(args: &[&str], env: &[(&str, &str)]) -> Output {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = Command::new(env!("CARGO_BIN_EXE_volute"));
    command.args(args).env_clear().envs(env.iter().copied()).current_dir(folder.path());
    command.output().expect("the program runs")
}

fn code(output: &Output) -> Option<i32> {
    output.status.code()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("text")
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("text")
}

#[test]
fn check_config_prints_every_value_with_its_source() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("plant.toml");
    fs::write(&file, "[ingest]\nmax_pumps = 12\n").expect("written");
    let file = file.to_str().expect("text");
    let output = volute(
        &["check-config", "--config", file, "--model", "m"],
        &[("VOLUTE__STORE__LINGER_MS", "9"), ("VOLUTE_LONG", "1")],
    );
    assert_eq!((code(&output), stderr(&output).as_str()), (Some(0), ""));
    let shown = stdout(&output);
    for (assignment, origin) in [
        ("max_pumps = 12", format!("file:{file}")),
        ("linger_ms = 9", "env:VOLUTE__STORE__LINGER_MS".into()),
        ("dir = \"m\"", "flag:--model".into()),
        ("listen = \"127.0.0.1:5000\"", "default".into()),
    ] {
        let line = shown.lines().find(|line| line.starts_with(assignment)).expect(assignment);
        assert!(line.ends_with(&format!(" # {origin}")), "{line}");
    }
}

#[test]
fn all_invalid_keys_are_listed_at_once_with_exit_code_2() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("plant.toml");
    fs::write(&file, "[server]\nlisen = \"0.0.0.0:5000\"\n[store]\nlinger_ms = 50\n").expect("written");
    let file = file.to_str().expect("text");
    for command in ["check-config", "serve"] {
        let output = volute(
            &[command, "--config", file, "--profile", "gear"],
            &[("VOLUTE__LIVE__FRAME_MS", "fast"), ("VOLUTE__STOER__DIR", "/x")],
        );
        assert_eq!((code(&output), stdout(&output).as_str()), (Some(2), ""), "{command}");
        let printed = stderr(&output);
        for part in [
            "5 keys are wrong".into(),
            format!("server.lisen = \"0.0.0.0:5000\" (file:{file}): no such key; did you mean server.listen?"),
            format!("store.linger_ms = 50 (file:{file}): allowed: a whole number from 0 to 20"),
            "live.frame_ms = \"fast\" (env:VOLUTE__LIVE__FRAME_MS): allowed: a whole number from 10".into(),
            "stoer.dir = \"/x\" (env:VOLUTE__STOER__DIR): no such key; did you mean store.dir?".into(),
            "model.profile = \"gear\" (flag:--profile): allowed: the name of a profile".into(),
        ] {
            assert!(printed.contains(&part), "{printed}\nsays {part}");
        }
    }
}

#[test]
fn missing_configuration_file_exits_with_2() {
    let output = volute(&["check-config", "--config", "absent.toml"], &[]);
    assert_eq!(code(&output), Some(2));
    assert!(stderr(&output).contains("absent.toml cannot be read"), "{}", stderr(&output));
}

#[test]
fn failure_prints_its_cause_once() {
    let output = volute(&["replay", "--csv", "absent.csv"], &[]);
    assert_eq!(stderr(&output).matches("absent.csv").count(), 1, "{}", stderr(&output));
    assert_eq!(stderr(&output).matches("os error").count(), 1, "{}", stderr(&output));
}

#[test]
fn every_command_has_help_with_an_example() {
    for command in ["serve", "train", "simulate", "evaluate", "replay", "check-config", "bench"] {
        let output = volute(&[command, "--help"], &[]);
        assert_eq!(code(&output), Some(0));
        let help = stdout(&output);
        assert!(help.contains("Example") && help.contains(&format!("volute {command}")), "{help}");
    }
    let output = volute(&["--help"], &[]);
    assert!(code(&output) == Some(0) && stdout(&output).contains("Exit codes:"));
}

#[test]
fn invalid_usage_exits_with_2_and_failure_with_1() {
    for (args, expected) in [
        (&["fly"][..], 2),
        (&[], 2),
        (&["replay", "--csv", "run.csv", "--speed", "fast"], 2),
        (&["train", "--profile", "gear", "--csv", "a.csv", "--out", "m"], 2),
        (&["replay", "--csv", "absent.csv"], 1),
    ] {
        let output = volute(args, &[]);
        assert_eq!((code(&output), stdout(&output).as_str()), (Some(expected), ""), "{args:?}");
        assert!(!stderr(&output).is_empty(), "{args:?}");
    }
}
