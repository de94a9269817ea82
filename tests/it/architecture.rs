//! The arrows between the crates and the rules of the house (`ARCHITECTURE.md`), kept by a test.

use std::{
    fs,
    path::{Path, PathBuf},
};

use cargo_metadata::{Metadata, MetadataCommand, Package};

/// Which crates of ours a crate may use, be it for its tests. `None`: all of them.
const ARROWS: [(&str, Option<&[&str]>); 11] = [
    ("volute-runtime", Some(&[])),
    ("volute-journal", Some(&[])),
    ("volute-plant", Some(&[])),
    ("volute-simulator", Some(&["volute-plant"])),
    ("volute-anomaly", Some(&["volute-plant"])),
    ("volute-diagnosis", Some(&["volute-plant"])),
    ("volute-data", Some(&["volute-plant", "volute-journal"])),
    (
        "volute-actors",
        Some(&[
            "volute-runtime",
            "volute-plant",
            "volute-anomaly",
            "volute-diagnosis",
            "volute-data",
            "volute-simulator",
        ]),
    ),
    ("volute-web", Some(&["volute-plant", "volute-data", "volute-actors"])),
    ("volute", None),
    ("surrealkv", Some(&[])),
];

/// Foreign crates, by the beginning of their names, and who alone may use them.
const WALLS: [(&str, &[&str]); 4] = [
    ("candle", &["volute-anomaly"]),
    ("surrealdb", &["volute-data"]),
    ("surrealkv", &["surrealkv"]),
    ("actix-web", &["volute-web", "volute"]),
];

fn workspace() -> Metadata {
    MetadataCommand::new().no_deps().exec().expect("cargo metadata")
}

fn dependencies(package: &Package) -> impl Iterator<Item = &str> {
    package.dependencies.iter().map(|dependency| dependency.name.as_str())
}

#[test]
fn crates_use_only_the_crates_of_ours_that_they_may() {
    for package in workspace().workspace_packages() {
        let name = package.name.as_str();
        let Some((_, allowed)) = ARROWS.iter().find(|(known, _)| *known == name) else {
            panic!("{name} has no place in ARROWS yet: say what it may use")
        };
        let Some(allowed) = allowed else { continue };
        for used in dependencies(package).filter(|used| used.starts_with("volute")) {
            assert!(allowed.contains(&used), "{name} must not use {used}");
        }
    }
}

#[test]
fn candle_surrealdb_and_actix_web_stay_behind_their_walls() {
    for package in workspace().workspace_packages() {
        for used in dependencies(package) {
            for (foreign, allowed) in WALLS {
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
fn every_module_says_what_it_is_for() {
    for file in sources() {
        let text = fs::read_to_string(&file).expect("a source file");
        assert!(text.starts_with("//! "), "{} opens with `//!`", file.display());
    }
}

#[test]
fn unsafe_code_is_for_models_only() {
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
fn the_runtime_knows_no_pump() {
    let root = workspace().workspace_root.join("actors/runtime/src");
    let mut files = Vec::new();
    collect(root.as_std_path(), &mut files);
    assert!(files.len() > 10, "the sources are where they are looked for");
    for file in files {
        let text = fs::read_to_string(&file).expect("a source file");
        assert!(!text.to_lowercase().contains("pump"), "{} speaks of pumps", file.display());
    }
}

/// Every `.rs` file under the `src` of every package.
fn sources() -> Vec<PathBuf> {
    let mut files = Vec::new();
    for package in workspace().workspace_packages() {
        let root = package.manifest_path.parent().expect("a folder").join("src");
        collect(root.as_std_path(), &mut files);
    }
    assert!(files.len() > 10, "the sources are where they are looked for");
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
