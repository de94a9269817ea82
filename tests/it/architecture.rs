//! Checks the dependencies between the crates and the code rules of `ARCHITECTURE.md`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use cargo_metadata::{Metadata, MetadataCommand, Package};

use crate::support::skip;

/// The workspace crates that each crate may depend on, tests included. `None`: all of them.
const ALLOWED_DEPENDENCIES: [(&str, Option<&[&str]>); 15] = [
    ("volute-runtime", Some(&[])),
    ("volute-journal", Some(&[])),
    ("volute-plant", Some(&[])),
    ("volute-access", Some(&["volute-plant"])),
    ("volute-alarm", Some(&["volute-plant"])),
    ("volute-notify", Some(&["volute-plant", "volute-alarm"])),
    ("volute-courier", Some(&["volute-notify", "volute-plant", "volute-alarm"])),
    ("volute-simulator", Some(&["volute-plant"])),
    ("volute-anomaly", Some(&["volute-plant", "volute-simulator"])),
    ("volute-diagnosis", Some(&["volute-plant"])),
    ("volute-data", Some(&["volute-plant", "volute-access", "volute-alarm", "volute-notify", "volute-journal"])),
    (
        "volute-actors",
        Some(&[
            "volute-runtime",
            "volute-plant",
            "volute-alarm",
            "volute-notify",
            "volute-anomaly",
            "volute-diagnosis",
            "volute-data",
            "volute-simulator",
        ]),
    ),
    ("volute-web", Some(&["volute-plant", "volute-access", "volute-alarm", "volute-data", "volute-actors"])),
    ("volute", None),
    ("surrealkv", Some(&[])),
];

/// External crates by the prefix of their names, and the only crates that may depend on them.
const RESTRICTED_CRATES: [(&str, &[&str]); 5] = [
    ("candle", &["volute-anomaly"]),
    ("lettre", &["volute-courier"]),
    ("surrealdb", &["volute-data"]),
    ("surrealkv", &["surrealkv"]),
    ("actix-web", &["volute-web", "volute"]),
];

/// Words of an earlier vocabulary, which no file of the repository may contain. `docs/concepts.md` has the words in use.
const RETIRED_WORDS: [&str; 36] = [
    "Deliberately absent",
    "Answers with",
    "whoever asked",
    "CloseGate",
    "KeeperActor",
    "KeptDetections",
    "MaintenanceDesk",
    "PumpStaff",
    "WindowRules",
    "TimeRules",
    "footing",
    "held against its limits",
    "is told to the",
    "learned anew",
    "put back in use",
    "verdicts of the model",
    "whom_to_call",
    "wedged_after",
    "AlarmBoard",
    "WorkBoard",
    "BacklogPermit ",
    "ErasedMailbox",
    "PumpMailboxes",
    "MAILBOX_CAPACITY",
    "ReplyTo",
    "JudgeContext",
    "JudgedStep",
    "StepJudgement",
    "judges_steps",
    "PumpMode::Judged",
    "Decider::follow",
    "NotScoredReason",
    "LiveNotScored",
    "LiveFeedState",
    "LiveFeedChanged",
    "the life of one alarm",
];
/// Files that name a retired word on purpose: this one, and the one that rejects renamed configuration keys.
const MAY_NAME_RETIRED_WORDS: [&str; 3] =
    ["tests/it/architecture.rs", "src/config/diagnostics.rs", "src/config/layers/tests.rs"];

fn workspace() -> Metadata {
    MetadataCommand::new().no_deps().exec().expect("cargo metadata")
}

fn dependencies(package: &Package) -> impl Iterator<Item = &str> {
    package.dependencies.iter().map(|dependency| dependency.name.as_str())
}

#[test]
fn crates_depend_on_allowed_workspace_crates_only() {
    for package in workspace().workspace_packages() {
        let name = package.name.as_str();
        let Some((_, allowed)) = ALLOWED_DEPENDENCIES.iter().find(|(known, _)| *known == name) else {
            panic!("{name} is missing in ALLOWED_DEPENDENCIES")
        };
        let Some(allowed) = allowed else { continue };
        for used in dependencies(package).filter(|used| used.starts_with("volute")) {
            assert!(allowed.contains(&used), "{name} must not use {used}");
        }
    }
}

#[test]
fn restricted_crates_are_used_by_their_owners_only() {
    for package in workspace().workspace_packages() {
        for used in dependencies(package) {
            for (foreign, allowed) in RESTRICTED_CRATES {
                let inside = allowed.contains(&package.name.as_str());
                assert!(inside || !used.starts_with(foreign), "{} must not use {used}", package.name);
            }
        }
    }
}

#[test]
fn every_package_inherits_the_workspaces_lints() {
    for package in workspace().workspace_packages() {
        let text = fs::read_to_string(&package.manifest_path).expect("a manifest");
        let manifest: toml::Table = text.parse().expect("TOML");
        let inherits = manifest.get("lints").and_then(|lints| lints.get("workspace"));
        assert_eq!(inherits, Some(&toml::Value::Boolean(true)), "{}", package.name);
    }
}

#[test]
fn every_module_begins_with_documentation() {
    for file in sources() {
        let text = fs::read_to_string(&file).expect("a source file");
        assert!(text.starts_with("//! "), "{} begins with `//!`", file.display());
    }
}

#[test]
fn unsafe_code_is_in_models_only() {
    let models = workspace().workspace_root.join("models");
    for file in sources().into_iter().filter(|file| !file.starts_with(&models)) {
        let text = fs::read_to_string(&file).expect("a source file");
        for line in text.lines().filter(|line| !line.trim_start().starts_with("//")) {
            let is_unsafe = line.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == "unsafe");
            assert!(!is_unsafe, "{}: {line}", file.display());
        }
    }
}

#[test]
fn runtime_does_not_mention_pumps() {
    let root = workspace().workspace_root.join("actors/runtime/src");
    let mut files = Vec::new();
    collect(root.as_std_path(), &mut files);
    assert!(files.len() > 10, "the sources are found");
    for file in files {
        let text = fs::read_to_string(&file).expect("a source file");
        assert!(!text.to_lowercase().contains("pump"), "{} mentions pumps", file.display());
    }
}

#[test]
fn retired_words_do_not_come_back() {
    let root = workspace().workspace_root;
    // The checkout may belong to another user than the one who tests.
    let listed = Command::new("git").args(["-c", "safe.directory=*", "ls-files", "-z"]).current_dir(&root).output();
    let Some(listed) = listed.ok().filter(|listed| listed.status.success()) else {
        return skip("this is not a git checkout");
    };
    let names = String::from_utf8(listed.stdout).expect("UTF-8");
    let mut read = 0;
    for name in names.split_terminator('\0').filter(|name| !MAY_NAME_RETIRED_WORDS.contains(name)) {
        // Binary files, and files that were removed and are not committed yet, have no words.
        let Ok(text) = fs::read_to_string(root.join(name)) else { continue };
        read += 1;
        for word in RETIRED_WORDS {
            assert!(!text.contains(word), "{name} contains {word:?}");
        }
    }
    assert!(read > 100, "the files are found");
}

/// All `.rs` files in the `src` folders of all packages.
fn sources() -> Vec<PathBuf> {
    let mut files = Vec::new();
    for package in workspace().workspace_packages() {
        let root = package.manifest_path.parent().expect("a folder").join("src");
        collect(root.as_std_path(), &mut files);
    }
    assert!(files.len() > 10, "the sources are found");
    files
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}
