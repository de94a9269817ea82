//! The node's control socket, through which commands on the same machine reach a running node.
//!
//! The socket is a Unix socket in the data directory. Only its owner can open it, so it needs no password, and it
//! cannot be reached over the network. A connection carries one request and one response, each one line of JSON:
//!
//! ```text
//! {"name-pump":{"pump":"line-3","name":"Feed pump 3"}}    the request
//! {"done":null}                                           the response
//! {"failed":"there is no pump line-3"}                    the response if it failed
//! ```
//!
//! Some requests also exist in the HTTP API: those that remove, rename or configure a pump or assign a profile to it,
//! and those that add or remove a kind of pump.

use std::{
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
use volute_access::Principal;
use volute_data::{ChainHash, PumpSetting};
use volute_plant::{PumpId, PumpName};

use crate::access_command::AccessCommand;

/// The socket's name in the data directory.
const SOCKET_NAME: &str = "control.sock";
/// The folder in the data directory in which the socket is created.
const PRIVATE_DIR: &str = ".sock";
/// The maximum size of a request.
const MAX_REQUEST_BYTES: u64 = 1 << 20;
/// The maximum number of requests that are handled at the same time.
const MAX_CONCURRENT_REQUESTS: usize = 4;
/// How long a client may take to send its request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// A request to the node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// Make a backup in this folder.
    Backup {
        /// The folder that holds the backups; absolute.
        repository: PathBuf,
    },
    /// Write a pump's readings to a file.
    Export(volute_data::ExportRequest),
    /// Confirm that the node's clock is right.
    ConfirmClock,
    /// List the pumps.
    Pumps,
    /// Remove a pump with everything that is stored of it.
    RemovePump {
        /// The pump.
        pump: PumpId,
    },
    /// Return the settings of a pump.
    PumpSettings {
        /// The pump.
        pump: PumpId,
    },
    /// Change one setting of a pump.
    SetPump {
        /// The pump.
        pump: PumpId,
        /// The setting.
        setting: PumpSetting,
    },
    /// Set the display name of a pump.
    NamePump {
        /// The pump.
        pump: PumpId,
        /// The name; `None` removes it.
        name: Option<PumpName>,
    },
    /// List the kinds of pumps.
    Profiles,
    /// Add a kind of pump.
    AddProfile {
        /// The profile's text (TOML).
        profile: String,
        /// Where the text comes from, for messages.
        origin: String,
        /// The folder of its model, if it has one; absolute.
        model: Option<PathBuf>,
    },
    /// Remove a kind of pump. No pump may be of this kind.
    RemoveProfile {
        /// The profile's name.
        name: String,
    },
    /// Assign another profile to a pump.
    AssignProfile {
        /// The pump.
        pump: PumpId,
        /// The profile's name.
        profile: String,
    },
    /// Verify the audit log.
    VerifyAudit {
        /// The number and the hash of an entry that were noted earlier.
        expected: Option<(u64, ChainHash)>,
    },
    /// Read or change users and tokens.
    Access(AccessCommand),
    /// Configure a failpoint.
    #[cfg(feature = "failpoints")]
    Failpoint {
        /// The failpoint's name.
        point: String,
        /// The action, in the syntax of the crate `fail`.
        action: String,
    },
}

/// The response to a request.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Response<T> {
    /// The result.
    Done(T),
    /// The reason for the failure.
    Failed(String),
}

/// A request failed.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// No node has this data directory open.
    #[error("no node runs on {}", dir.display())]
    NoNode {
        /// The data directory.
        dir: PathBuf,
    },
    /// The connection failed.
    #[error("the node on {} does not respond: {source}", dir.display())]
    Io {
        /// The data directory.
        dir: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The node reported a failure.
    #[error("{0}")]
    Failed(String),
}

/// The listening socket. Its file is removed on drop.
pub struct ControlSocket {
    listener: UnixListener,
    path: PathBuf,
}

impl ControlSocket {
    /// Creates the socket in the data directory. The caller must hold the directory's lock, so an existing socket is
    /// left over from a killed node.
    pub fn listen(dir: &Path) -> io::Result<Self> {
        let (path, private) = (dir.join(SOCKET_NAME), dir.join(PRIVATE_DIR));
        remove_private_dir(&private)?;
        // The socket is created in a private folder, and moved after its permissions are set, so that other users can
        // never open it. A socket's path is limited to 108 bytes, so the first path must not be longer than the final
        // one.
        DirBuilder::new().mode(0o700).create(&private)?;
        let created = private.join("s");
        let listener = UnixListener::bind(&created)?;
        fs::set_permissions(&created, fs::Permissions::from_mode(0o600))?;
        fs::rename(&created, &path)?;
        fs::remove_dir(&private)?;
        Ok(Self { listener, path })
    }

    /// Handles requests with `handler`, at most [`MAX_CONCURRENT_REQUESTS`] at a time, until the future is dropped.
    pub async fn serve<T, F>(self, handler: impl Fn(Request, Principal) -> F + Clone)
    where
        T: Serialize,
        F: Future<Output = Result<T, String>>,
    {
        let accept_loop = async || loop {
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    if let Err(error) = handle_connection(stream, handler.clone()).await {
                        tracing::warn!(%error, "a connection on the control socket failed");
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "the control socket cannot accept a connection");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        };
        futures::future::join_all((0..MAX_CONCURRENT_REQUESTS).map(|_| accept_loop())).await;
    }
}

/// Removes the private folder, which an interrupted start leaves behind.
fn remove_private_dir(private: &Path) -> io::Result<()> {
    match fs::remove_dir_all(private) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        // The directory may have been removed already.
        let _ = fs::remove_file(&self.path);
    }
}

/// Sends a request to the node that runs on a data directory, and waits for the response.
pub async fn send_request<T: DeserializeOwned>(dir: &Path, request: &Request) -> Result<T, ControlError> {
    let io_error = |source| ControlError::Io { dir: dir.to_owned(), source };
    let stream = UnixStream::connect(dir.join(SOCKET_NAME)).await.map_err(|source| match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => ControlError::NoNode { dir: dir.to_owned() },
        _ => io_error(source),
    })?;
    let mut stream = BufReader::new(stream);
    let mut line = serde_json::to_string(request).map_err(|error| io_error(error.into()))?;
    line.push('\n');
    stream.write_all(line.as_bytes()).await.map_err(io_error)?;
    let mut response = String::new();
    if stream.read_line(&mut response).await.map_err(io_error)? == 0 {
        return Err(io_error(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "the connection was closed without a response",
        )));
    }
    match serde_json::from_str(&response).map_err(|error| io_error(error.into()))? {
        Response::Done(result) => Ok(result),
        Response::Failed(reason) => Err(ControlError::Failed(reason)),
    }
}

/// Reads one request and writes its response.
async fn handle_connection<T, F>(stream: UnixStream, handler: impl Fn(Request, Principal) -> F) -> io::Result<()>
where
    T: Serialize,
    F: Future<Output = Result<T, String>>,
{
    // The user whose process sent the request, as the system reports it.
    let who = Principal::LocalOperator { uid: stream.peer_cred()?.uid() };
    let (read, mut write) = stream.into_split();
    let mut line = String::new();
    let mut read = BufReader::new(read.take(MAX_REQUEST_BYTES));
    tokio::time::timeout(REQUEST_TIMEOUT, read.read_line(&mut line)).await??;
    let response = match serde_json::from_str(&line) {
        Ok(request) => match handler(request, who).await {
            Ok(result) => Response::Done(result),
            Err(reason) => Response::Failed(reason),
        },
        Err(error) => Response::Failed(format!("not a valid request: {error}")),
    };
    let mut response = serde_json::to_string(&response)?;
    response.push('\n');
    write.write_all(response.as_bytes()).await
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    fn backup() -> Request {
        Request::Backup { repository: "/backups".into() }
    }

    #[tokio::test]
    async fn a_request_gets_its_response_or_the_error_that_no_node_runs() {
        let dir = tempfile::tempdir().expect("a directory");
        let no_node = send_request::<String>(dir.path(), &backup()).await;
        assert!(matches!(no_node, Err(ControlError::NoNode { .. })), "{no_node:?}");
        let control = ControlSocket::listen(dir.path()).expect("listening");
        let mode = fs::metadata(dir.path().join(SOCKET_NAME)).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "only the owner can open it");
        let serving = control.serve(|request, peer| async move {
            match request {
                Request::Backup { repository } if repository == Path::new("/full") => Err("disk full".to_owned()),
                other => Ok(format!("{other:?} {peer}")),
            }
        });
        let client = async {
            let done: String = send_request(dir.path(), &backup()).await.expect("done");
            let me = fs::metadata(dir.path()).expect("there").uid();
            assert!(done.contains("/backups") && done.ends_with(&format!(" uid {me}")), "{done}");
            let full = send_request::<String>(dir.path(), &Request::Backup { repository: "/full".into() }).await;
            assert!(matches!(full, Err(ControlError::Failed(reason)) if reason == "disk full"));
        };
        tokio::select! {
            () = serving => panic!("it ended"),
            () = client => {}
        }
        assert!(!dir.path().join(SOCKET_NAME).exists(), "the socket is removed with its node");
    }

    #[tokio::test]
    async fn the_socket_of_a_killed_node_is_replaced() {
        let dir = tempfile::tempdir().expect("a directory");
        let precious = dir.path().join("precious");
        fs::write(&precious, "precious").expect("written");
        std::os::unix::fs::symlink(&precious, dir.path().join(SOCKET_NAME)).expect("linked");
        fs::create_dir(dir.path().join(PRIVATE_DIR)).expect("created");
        fs::write(dir.path().join(PRIVATE_DIR).join("s"), "").expect("written");
        let _control = ControlSocket::listen(dir.path()).expect("listening");
        assert!(!dir.path().join(PRIVATE_DIR).exists());
        assert_eq!(fs::metadata(dir.path().join(SOCKET_NAME)).expect("there").permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read(&precious).expect("read"), b"precious");
    }

    #[tokio::test]
    async fn an_invalid_request_gets_a_response() {
        let dir = tempfile::tempdir().expect("a directory");
        let control = ControlSocket::listen(dir.path()).expect("listening");
        let client = async {
            let mut stream = UnixStream::connect(dir.path().join(SOCKET_NAME)).await.expect("connected");
            stream.write_all(b"{\"dance\":1}\n").await.expect("sent");
            let mut response = String::new();
            stream.read_to_string(&mut response).await.expect("a response");
            assert!(response.contains("not a valid request"), "{response}");
        };
        tokio::select! {
            () = control.serve(async |_, _| Ok(())) => panic!("it ended"),
            () = client => {}
        }
    }
}
