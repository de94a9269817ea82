//! Runs the commands of the README unchanged, from top to bottom in one folder.
//!
//! A block that begins with `# Terminal 1` stops the node that the previous such block started, and starts another one.
//! All other blocks run in a second terminal, one after the other. A block after `<!-- elsewhere: WHY -->` is not run.
//! Only the node's port differs from the page, `cargo` does nothing, and a `curl` with an error response fails.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    os::unix::{
        fs::{PermissionsExt, symlink},
        process::CommandExt,
    },
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{skip, volute, wait_until};

/// At most this many blocks may be excluded from the test.
const MAX_EXCLUDED_BLOCKS: usize = 3;

#[derive(Debug, PartialEq)]
enum Block {
    /// For the node's terminal; empty if the node is only stopped.
    Node(String),
    Commands(String),
    Elsewhere,
}

/// Returns the page's blocks of commands in order.
fn blocks(page: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let (mut open, mut elsewhere): (Option<String>, bool) = (None, false);
    for line in page.lines() {
        let text = line.trim_start();
        match &mut open {
            None if text.starts_with("<!-- elsewhere: ") => elsewhere = true,
            None if text == "```sh" => open = Some(String::new()),
            None => {}
            Some(_) if text == "```" => {
                let commands = open.take().unwrap_or_default();
                let runs = commands.lines().any(|line| !line.trim_start().starts_with('#'));
                blocks.push(
                    match (std::mem::take(&mut elsewhere), commands.trim_start().starts_with("# Terminal 1")) {
                        (true, _) => Block::Elsewhere,
                        (false, true) => Block::Node(if runs { commands } else { String::new() }),
                        (false, false) => Block::Commands(commands),
                    },
                );
            }
            Some(commands) => *commands = format!("{commands}{line}\n"),
        }
    }
    assert_eq!(open, None, "a block that does not end");
    blocks
}

/// A shell in the folder, with the programs of the page on its path.
fn shell(folder: &Path, port: u16) -> Command {
    let mut command = Command::new("bash");
    let settings = volute();
    for (key, value) in settings.get_envs() {
        match value {
            Some(value) => command.env(key, value),
            None => command.env_remove(key),
        };
    }
    let path = std::env::var("PATH").expect("a path");
    command.env("PATH", format!("{}:{path}", folder.join("programs").display()));
    command.env("VOLUTE__SERVER__LISTEN", format!("127.0.0.1:{port}"));
    command.current_dir(folder).stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}

/// The first terminal, which runs one node at a time.
struct NodeTerminal<'a> {
    folder: &'a Path,
    port: u16,
    node: Option<Child>,
}

impl NodeTerminal<'_> {
    fn run(&mut self, commands: &str) {
        self.stop();
        if commands.is_empty() {
            return;
        }
        // A separate process group, so that Ctrl-C reaches all its processes.
        let path = "export PATH=\"$PWD/target/release:$PATH\"\n";
        let mut shell = shell(self.folder, self.port);
        let mut node = shell.arg("-c").arg(format!("{path}{commands}")).process_group(0).spawn().expect("bash");
        let stdout = BufReader::new(node.stdout.take().expect("piped"));
        self.node = Some(node);
        let listens = stdout.lines().map_while(Result::ok).any(|line| line.contains("Volute listens on"));
        assert!(listens, "no node listens after\n{commands}");
    }

    /// Stops the node with Ctrl-C.
    fn stop(&mut self) {
        let Some(mut node) = self.node.take() else { return };
        let group = format!("-{}", node.id());
        assert!(Command::new("kill").args(["-INT", "--", &group]).status().expect("kill").success());
        node.wait().expect("it ends");
    }
}

impl Drop for NodeTerminal<'_> {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The second terminal.
struct Terminal {
    shell: Child,
    commands: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Terminal {
    fn new(folder: &Path, port: u16) -> Self {
        let mut shell = shell(folder, port).args(["-e", "-o", "pipefail"]).spawn().expect("bash");
        let (commands, stdout) = (shell.stdin.take().expect("piped"), shell.stdout.take().expect("piped"));
        Self { shell, commands, stdout: BufReader::new(stdout) }
    }

    /// Runs commands until all of them have succeeded. Returns what they printed.
    fn run(&mut self, commands: &str) -> String {
        const DONE: &str = "--- done ---";
        self.commands.write_all(format!("{commands}\necho; echo '{DONE}'\n").as_bytes()).expect("the shell reads");
        let mut printed = String::new();
        loop {
            let mut line = String::new();
            let read = self.stdout.read_line(&mut line).expect("text");
            assert!(read > 0, "a command of this block failed:\n{commands}\nit printed:\n{printed}");
            if line.trim_end() == DONE {
                return printed;
            }
            printed += &line;
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ended = self.shell.kill();
        let _ended = self.shell.wait();
    }
}

/// A checkout after its build, with the files that the page's commands use.
fn checkout() -> TempDir {
    let folder = tempfile::tempdir().expect("a directory");
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let at = |name: &str| folder.path().join(name);
    for dir in ["target/release", "programs", "data", "config"] {
        fs::create_dir_all(at(dir)).expect("made");
    }
    symlink(env!("CARGO_BIN_EXE_volute"), at("target/release/volute")).expect("linked");
    for shared in ["models", "data/demo", "config/profiles"] {
        symlink(here.join(shared), at(shared)).expect("linked");
    }
    for (name, script) in [
        ("cargo", "#!/bin/sh\nexit 0\n"),
        ("curl", "#!/bin/sh\nPATH=${PATH#*/programs:}\nexec curl --fail-with-body \"$@\"\n"),
    ] {
        let program = at("programs").join(name);
        fs::write(&program, script).expect("written");
        fs::set_permissions(program, fs::Permissions::from_mode(0o755)).expect("made a program");
    }
    folder
}

#[test]
fn readme_commands_work_from_top_to_bottom() {
    for program in ["curl", "jq"] {
        if Command::new(program).arg("--version").stdout(Stdio::null()).status().is_err() {
            return skip(&format!("there is no {program}"));
        }
    }
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).expect("the page");
    // The page's port may be in use on this machine.
    let port = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("its address").port();
    let folder = checkout();
    let mut node = NodeTerminal { folder: folder.path(), port, node: None };
    let mut terminal = Terminal::new(folder.path(), port);
    let (mut elsewhere, mut found) = (0, false);
    for block in blocks(&page.replace("127.0.0.1:5000", &format!("127.0.0.1:{port}"))) {
        match block {
            Block::Elsewhere => elsewhere += 1,
            Block::Node(commands) => node.run(&commands),
            // A detection is available shortly after its readings, so the command is repeated.
            Block::Commands(commands) if commands.contains("only_anomalies=true") => {
                wait_until("the fault is detected", || {
                    let response = terminal.run(&commands);
                    if has_anomaly(&response) { Ok(()) } else { Err(response) }
                });
                found = true;
            }
            Block::Commands(commands) => drop(terminal.run(&commands)),
        }
    }
    assert_eq!((elsewhere, found), (MAX_EXCLUDED_BLOCKS, true));
}

fn has_anomaly(response: &str) -> bool {
    serde_json::from_str::<Value>(response.trim()).is_ok_and(|response| response["items"][0]["is_anomaly"] == true)
}

#[test]
fn blocks_of_a_page_are_parsed() {
    let page = "```sh\na\n```\n   ```sh\n   # Terminal 1\n   b\n   ```\n```json\nx\n```\n<!-- elsewhere: no -->\n```sh\nc\n```\n\
                ```sh\n# Terminal 1: end\n```\n";
    let [a, b, c, end] = &blocks(page)[..] else { panic!("four blocks") };
    assert_eq!((a, c, end), (&Block::Commands("a\n".into()), &Block::Elsewhere, &Block::Node(String::new())));
    assert_eq!(b, &Block::Node("   # Terminal 1\n   b\n".into()));
}
