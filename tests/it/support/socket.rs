//! A connection on which a test sends bytes as they are, for requests that no client would make.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use super::Node;

/// A response, as it came.
#[derive(Debug)]
pub struct RawResponse {
    pub status: u16,
    /// The status line and the headers.
    pub head: String,
    pub body: String,
}

/// Sends this on a connection of its own, on which an answer is waited for so long.
pub fn send(node: &Node, bytes: impl AsRef<[u8]>, patience: Duration) -> TcpStream {
    let mut stream = TcpStream::connect(node.address()).expect("connected");
    stream.set_read_timeout(Some(patience)).expect("set");
    stream.write_all(bytes.as_ref()).expect("sent");
    stream
}

/// The next response that comes.
pub fn receive(stream: &mut TcpStream) -> RawResponse {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.to_lowercase();
            let length = length.split_once("content-length: ").and_then(|(_, rest)| rest.lines().next()?.parse().ok());
            if body.len() >= length.unwrap_or(0) {
                let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
                return RawResponse { status, head: head.to_owned(), body: body.to_owned() };
            }
        }
        let mut chunk = [0; 4096];
        let read = stream.read(&mut chunk).expect("an answer in time");
        assert!(read > 0, "the connection ended before its answer: {text:?}");
        bytes.extend_from_slice(&chunk[..read]);
    }
}
