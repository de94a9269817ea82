//! Sends raw bytes on a connection, for requests that an HTTP client would not make.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use super::Node;

/// A response as received.
#[derive(Debug)]
pub struct RawResponse {
    pub status: u16,
    /// The status line and the headers.
    pub head: String,
    pub body: String,
}

/// Sends bytes on a new connection. Reads on the connection time out after `timeout`.
pub fn send(node: &Node, bytes: impl AsRef<[u8]>, timeout: Duration) -> TcpStream {
    let mut stream = TcpStream::connect(node.address()).expect("connected");
    stream.set_read_timeout(Some(timeout)).expect("set");
    stream.write_all(bytes.as_ref()).expect("sent");
    stream
}

/// Reads the next response.
pub fn receive(stream: &mut impl Read) -> RawResponse {
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
        let read = stream.read(&mut chunk).expect("a response in time");
        assert!(read > 0, "the connection ended before its response: {text:?}");
        bytes.extend_from_slice(&chunk[..read]);
    }
}
