//! Builds the dashboard into `dashboard/dist` for a release, which carries it inside the binary.
//!
//! A debug build reads that folder from the disk when it is asked for a page, so it needs no npm and
//! nothing is built here for it.

use std::{
    env,
    error::Error,
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

/// What the bundle is made of.
const SOURCES: [&str; 8] = [
    "src",
    "index.html",
    "public",
    "package.json",
    "package-lock.json",
    "vite.config.ts",
    "svelte.config.js",
    "tsconfig.json",
];

fn main() -> Result<(), Box<dyn Error>> {
    let dashboard = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("dashboard");
    println!("cargo::rerun-if-changed=build.rs");
    for source in SOURCES {
        println!("cargo::rerun-if-changed={}", dashboard.join(source).display());
    }
    if env::var("PROFILE")? != "release" {
        return Ok(());
    }
    if !is_installed(&dashboard) {
        npm(&dashboard, &["ci", "--no-audit", "--no-fund"])?;
    }
    npm(&dashboard, &["run", "build"])
}

/// Whether the installed packages are at least as new as the list of them.
fn is_installed(dashboard: &Path) -> bool {
    let changed = |file: &str| fs::metadata(dashboard.join(file)).and_then(|meta| meta.modified());
    match (changed("node_modules/.package-lock.json"), changed("package-lock.json")) {
        (Ok(installed), Ok(listed)) => installed >= listed,
        _ => false,
    }
}

fn npm(dashboard: &Path, args: &[&str]) -> Result<(), Box<dyn Error>> {
    let program = if cfg!(windows) { "npm.cmd" } else { "npm" };
    let needed = "a release build makes the dashboard with npm: install Node.js 20.19 or later (https://nodejs.org)";
    let output =
        Command::new(program).args(args).current_dir(dashboard).output().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => format!("npm is not installed; {needed}"),
            _ => format!("npm cannot be run: {error}; {needed}"),
        })?;
    if output.status.success() {
        return Ok(());
    }
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let command = format!("npm {} in {}", args.join(" "), dashboard.display());
    Err(format!("{command} failed; {needed}\n{}\n{}", said(&output.stdout), said(&output.stderr)).into())
}
