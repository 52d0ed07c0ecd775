//! A client that loads an HTTP server. It keeps its connections open and sends one request after the other on each.

use std::{cell::Cell, io, rc::Rc};

use futures::future::try_join_all;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::LocalSet,
};

/// The open connections to one path of a server.
#[derive(Debug)]
pub(crate) struct Load {
    connections: Vec<Connection>,
}

impl Load {
    /// Opens `connections` connections to the server at `address`.
    pub(crate) async fn open(address: &str, path: &str, connections: usize) -> io::Result<Self> {
        let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\n\r\n");
        let mut all = Vec::with_capacity(connections);
        for _ in 0..connections {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            all.push(Connection { stream, request: request.clone(), received: Vec::new() });
        }
        Ok(Load { connections: all })
    }

    /// Sends `count` requests. Each connection sends the next request as soon as the server has answered the previous one.
    pub(crate) async fn requests(&mut self, count: usize) -> io::Result<()> {
        let left = Rc::new(Cell::new(count));
        let tasks = LocalSet::new();
        let running: Vec<_> = self
            .connections
            .drain(..)
            .map(|mut connection| {
                let left = Rc::clone(&left);
                tasks.spawn_local(async move {
                    while left.get() > 0 {
                        left.set(left.get() - 1);
                        connection.request().await?;
                    }
                    Ok::<_, io::Error>(connection)
                })
            })
            .collect();
        let connections = tasks.run_until(try_join_all(running)).await.map_err(io::Error::other)?;
        self.connections = connections.into_iter().collect::<io::Result<_>>()?;
        Ok(())
    }
}

#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    request: String,
    /// The received part of the answer.
    received: Vec<u8>,
}

impl Connection {
    /// Sends one request and waits for the whole answer, which must be a number.
    async fn request(&mut self) -> io::Result<u64> {
        self.stream.write_all(self.request.as_bytes()).await?;
        self.received.clear();
        loop {
            if self.stream.read_buf(&mut self.received).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if let Some(answer) = body(&self.received)? {
                return answer.parse().map_err(|_| invalid(answer));
            }
        }
    }
}

/// The body of an answer, if it is complete. An answer without success or without a length is an error.
fn body(received: &[u8]) -> io::Result<Option<&str>> {
    let text = str::from_utf8(received).map_err(io::Error::other)?;
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return Ok(None) };
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    match length {
        Some(length) if head.starts_with("HTTP/1.1 200") => Ok((body.len() >= length).then_some(body)),
        _ => Err(invalid(head)),
    }
}

fn invalid(answer: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the server answers: {answer}"))
}

#[cfg(test)]
mod tests {
    use super::body;

    #[test]
    fn only_a_complete_answer_has_a_body() {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n42";
        assert_eq!(body(answer).unwrap(), Some("42"));
        for part in 0..answer.len() {
            assert_eq!(body(&answer[..part]).unwrap(), None);
        }
        body(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").unwrap_err();
    }
}
