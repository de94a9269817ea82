//! The node's control socket: how commands on the same machine reach a node that runs.
//!
//! It is a file in the data directory that only its owner can open, so it needs no password and opens no door to the
//! network. One request a connection: a line of JSON, answered by a line of JSON. Of what the API does, only removing a pump,
//! naming it, its settings and its profile, and adding a kind of pump can be asked for here as well.

use std::{
    fmt,
    fs::{self, DirBuilder},
    io,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream},
};
use volute_data::PumpSetting;
use volute_plant::{PumpId, PumpName};

/// The socket's name in the data directory.
const NAME: &str = "control.sock";
/// The folder in the data directory where the socket is made.
const PRIVATE: &str = ".sock";
/// The longest request.
const MAX_REQUEST_BYTES: u64 = 64 << 10;
/// Requests served at the same time.
const AT_ONCE: usize = 4;
/// How long a client may take to say what it wants.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a node can be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// Make a backup in this folder.
    Backup {
        /// The folder that holds the backups; absolute.
        repository: PathBuf,
    },
    /// Write a pump's readings into a file.
    Export(volute_data::Export),
    /// Believe the node's clock.
    ConfirmClock,
    /// Say which pumps there are.
    Pumps,
    /// Remove a pump with all that is stored of it.
    RemovePump {
        /// Which pump.
        pump: PumpId,
    },
    /// Say what is set for a pump alone.
    PumpSettings {
        /// Which pump.
        pump: PumpId,
    },
    /// Set one thing for a pump alone.
    SetPump {
        /// Which pump.
        pump: PumpId,
        /// What.
        setting: PumpSetting,
    },
    /// Name a pump for people.
    NamePump {
        /// Which pump.
        pump: PumpId,
        /// Its name; none: it has none any more.
        name: Option<PumpName>,
    },
    /// Say which kinds of pumps there are.
    Profiles,
    /// Add a kind of pump.
    AddProfile {
        /// The profile's text (TOML).
        profile: String,
        /// Where it is from, for people.
        origin: String,
        /// The folder of its model, if it has one; absolute.
        model: Option<PathBuf>,
    },
    /// Assign another profile to a pump.
    AssignProfile {
        /// Which pump.
        pump: PumpId,
        /// The profile's name.
        profile: String,
    },
    /// Set what happens at a point where tests make a part fail.
    #[cfg(feature = "failpoints")]
    Failpoint {
        /// The point's name.
        point: String,
        /// What happens there, in the words of the crate `fail`.
        action: String,
    },
}

/// Who asks, as the system says: the number of the user whose command it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    uid: u32,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "uid {}", self.uid)
    }
}

/// How a request ended, as it is sent.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Answer<T> {
    /// Done.
    Done(T),
    /// Not done, and why not.
    Failed(String),
}

/// Why a node could not be told.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// Nobody listens: no node has this data directory open.
    #[error("no node runs on {}", dir.display())]
    NoNode {
        /// The data directory.
        dir: PathBuf,
    },
    /// The connection broke.
    #[error("the node on {} does not answer: {source}", dir.display())]
    Io {
        /// The data directory.
        dir: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The node says no.
    #[error("{0}")]
    Refused(String),
}

/// The socket, removed when it is dropped.
pub struct Control {
    listener: UnixListener,
    path: PathBuf,
}

impl Control {
    /// Opens the socket in the data directory. Whoever calls holds the directory's lock: a socket that is there already
    /// is a leftover.
    pub fn listen(dir: &Path) -> io::Result<Self> {
        let (path, private) = (dir.join(NAME), dir.join(PRIVATE));
        clear(&private)?;
        // Made where nobody else can reach it, and moved when it is closed to others: at no moment can they open it. The
        // path there is no longer than the one that it gets, for a socket's path may have no more than 108 bytes.
        DirBuilder::new().mode(0o700).create(&private)?;
        let made = private.join("s");
        let listener = UnixListener::bind(&made)?;
        fs::set_permissions(&made, fs::Permissions::from_mode(0o600))?;
        fs::rename(&made, &path)?;
        fs::remove_dir(&private)?;
        Ok(Self { listener, path })
    }

    /// Answers requests, and who asks, some at a time, until it is dropped.
    pub async fn serve<T, F>(self, answer: impl Fn(Request, Peer) -> F + Clone)
    where
        T: Serialize,
        F: Future<Output = Result<T, String>>,
    {
        let one = async || loop {
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    if let Err(error) = converse(stream, answer.clone()).await {
                        tracing::warn!(%error, "a command on the control socket was not answered");
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "the control socket");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        };
        futures::future::join_all((0..AT_ONCE).map(|_| one())).await;
    }
}

/// Removes what a start left that was cut short.
fn clear(private: &Path) -> io::Result<()> {
    match fs::remove_dir_all(private) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        // The directory may be gone already.
        let _ = fs::remove_file(&self.path);
    }
}

/// Tells the node on a data directory something, and waits for its answer.
pub async fn tell<T: DeserializeOwned>(dir: &Path, request: &Request) -> Result<T, ControlError> {
    let broken = |source| ControlError::Io { dir: dir.to_owned(), source };
    let stream = UnixStream::connect(dir.join(NAME)).await.map_err(|source| match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => ControlError::NoNode { dir: dir.to_owned() },
        _ => broken(source),
    })?;
    let mut stream = BufReader::new(stream);
    let mut line = serde_json::to_string(request).map_err(|error| broken(error.into()))?;
    line.push('\n');
    stream.write_all(line.as_bytes()).await.map_err(broken)?;
    let mut said = String::new();
    if stream.read_line(&mut said).await.map_err(broken)? == 0 {
        return Err(broken(io::Error::new(io::ErrorKind::UnexpectedEof, "it ended before it had answered")));
    }
    match serde_json::from_str(&said).map_err(|error| broken(error.into()))? {
        Answer::Done(done) => Ok(done),
        Answer::Failed(why) => Err(ControlError::Refused(why)),
    }
}

async fn converse<T, F>(stream: UnixStream, answer: impl Fn(Request, Peer) -> F) -> io::Result<()>
where
    T: Serialize,
    F: Future<Output = Result<T, String>>,
{
    let peer = Peer { uid: stream.peer_cred()?.uid() };
    let (read, mut write) = stream.into_split();
    let mut line = String::new();
    let mut read = BufReader::new(read.take(MAX_REQUEST_BYTES));
    tokio::time::timeout(PATIENCE, read.read_line(&mut line)).await??;
    let said = match serde_json::from_str(&line) {
        Ok(request) => match answer(request, peer).await {
            Ok(done) => Answer::Done(done),
            Err(why) => Answer::Failed(why),
        },
        Err(error) => Answer::Failed(format!("not understood: {error}")),
    };
    let mut said = serde_json::to_string(&said)?;
    said.push('\n');
    write.write_all(said.as_bytes()).await
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    fn backup() -> Request {
        Request::Backup { repository: "/backups".into() }
    }

    #[tokio::test]
    async fn what_is_told_is_answered_and_nobody_there_is_said() {
        let dir = tempfile::tempdir().expect("a directory");
        let nobody = tell::<String>(dir.path(), &backup()).await;
        assert!(matches!(nobody, Err(ControlError::NoNode { .. })), "{nobody:?}");
        let control = Control::listen(dir.path()).expect("listening");
        let mode = fs::metadata(dir.path().join(NAME)).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "nobody else may open it");
        let serving = control.serve(|request, peer| async move {
            match request {
                Request::Backup { repository } if repository == Path::new("/full") => Err("no room".to_owned()),
                other => Ok(format!("{other:?} {peer}")),
            }
        });
        let asking = async {
            let done: String = tell(dir.path(), &backup()).await.expect("done");
            let me = fs::metadata(dir.path()).expect("there").uid();
            assert!(done.contains("/backups") && done.ends_with(&format!(" uid {me}")), "{done}");
            let full = tell::<String>(dir.path(), &Request::Backup { repository: "/full".into() }).await;
            assert!(matches!(full, Err(ControlError::Refused(why)) if why == "no room"));
        };
        tokio::select! {
            () = serving => panic!("it ended"),
            () = asking => {}
        }
        assert!(!dir.path().join(NAME).exists(), "the socket goes with its node");
    }

    #[tokio::test]
    async fn the_socket_takes_the_place_of_what_a_killed_node_left() {
        let dir = tempfile::tempdir().expect("a directory");
        let precious = dir.path().join("precious");
        fs::write(&precious, "precious").expect("written");
        std::os::unix::fs::symlink(&precious, dir.path().join(NAME)).expect("linked");
        fs::create_dir(dir.path().join(PRIVATE)).expect("made");
        fs::write(dir.path().join(PRIVATE).join("s"), "").expect("written");
        let _control = Control::listen(dir.path()).expect("listening");
        assert!(!dir.path().join(PRIVATE).exists());
        assert_eq!(fs::metadata(dir.path().join(NAME)).expect("there").permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read(&precious).expect("read"), b"precious");
    }

    #[tokio::test]
    async fn nonsense_is_answered_too() {
        let dir = tempfile::tempdir().expect("a directory");
        let control = Control::listen(dir.path()).expect("listening");
        let asking = async {
            let mut stream = UnixStream::connect(dir.path().join(NAME)).await.expect("connected");
            stream.write_all(b"{\"dance\":1}\n").await.expect("sent");
            let mut said = String::new();
            stream.read_to_string(&mut said).await.expect("answered");
            assert!(said.contains("not understood"), "{said}");
        };
        tokio::select! {
            () = control.serve(async |_, _| Ok(())) => panic!("it ended"),
            () = asking => {}
        }
    }
}
