//! Builds the dashboard into `dashboard/dist` for a release build, which embeds it into the binary.
//!
//! A debug build reads that folder at each request. It needs no npm, and this script does nothing for it.

use std::{
    env,
    error::Error,
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

/// The files and folders that the bundle is built from.
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

/// Returns whether the installed packages are at least as new as `package-lock.json`.
fn is_installed(dashboard: &Path) -> bool {
    let modified = |file: &str| fs::metadata(dashboard.join(file)).and_then(|meta| meta.modified());
    match (modified("node_modules/.package-lock.json"), modified("package-lock.json")) {
        (Ok(installed), Ok(locked)) => installed >= locked,
        _ => false,
    }
}

fn npm(dashboard: &Path, args: &[&str]) -> Result<(), Box<dyn Error>> {
    let program = if cfg!(windows) { "npm.cmd" } else { "npm" };
    let hint = "a release build builds the dashboard with npm: install Node.js 20.19 or later (https://nodejs.org)";
    let output =
        Command::new(program).args(args).current_dir(dashboard).output().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => format!("npm is not installed; {hint}"),
            _ => format!("npm cannot be run: {error}; {hint}"),
        })?;
    if output.status.success() {
        return Ok(());
    }
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let command = format!("npm {} in {}", args.join(" "), dashboard.display());
    Err(format!("{command} failed; {hint}\n{}\n{}", text(&output.stdout), text(&output.stderr)).into())
}
