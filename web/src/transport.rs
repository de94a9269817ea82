//! The bytes of a connection, with or without TLS. A client that sends plain HTTP to a server with TLS gets a response
//! that says so. Does not parse HTTP or limit a connection; see `connection.rs`.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use actix_web::rt::net::TcpStream;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// The response to a client that sends HTTP to a server with TLS, such as a browser whose user left out `https://`.
const USE_HTTPS: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 55\r\nConnection: close\r\n\r\n\
    This address needs HTTPS: begin its URL with https://.\n";

/// A connection, with or without TLS.
pub(crate) enum Transport {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Transport {
    /// Returns the connection after its TLS handshake, if it has one. Fails if that takes longer than `limit`.
    pub(crate) async fn accept(io: TcpStream, tls: Option<&TlsAcceptor>, limit: Duration) -> io::Result<Self> {
        let Some(tls) = tls else { return Ok(Self::Plain(io)) };
        match timeout(limit, handshake(io, tls)).await {
            Ok(done) => done.map(|stream| Self::Tls(Box::new(stream))),
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "the TLS handshake took too long")),
        }
    }
}

async fn handshake(mut io: TcpStream, tls: &TlsAcceptor) -> io::Result<TlsStream<TcpStream>> {
    let mut first = [0];
    let is_http = io.peek(&mut first).await? == 1 && first[0].is_ascii_uppercase();
    if is_http {
        // A connection that is closed with unread bytes is reset, and the client may not see the response.
        let _ = io.read(&mut [0; 4096]).await?;
        io.write_all(USE_HTTPS).await?;
        io.shutdown().await?;
        return Err(io::Error::new(io::ErrorKind::InvalidData, "HTTP without TLS"));
    }
    tls.accept(io).await
}

impl AsyncRead for Transport {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_read(cx, buffer),
            Self::Tls(io) => Pin::new(io).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Transport {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_write(cx, bytes),
            Self::Tls(io) => Pin::new(io).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_flush(cx),
            Self::Tls(io) => Pin::new(io).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_shutdown(cx),
            Self::Tls(io) => Pin::new(io).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hint_has_its_length() {
        let (head, body) = str::from_utf8(USE_HTTPS).expect("text").split_once("\r\n\r\n").expect("a body");
        assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())), "{}", body.len());
    }
}
