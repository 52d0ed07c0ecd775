//! Not in the article: a web service whose handlers await a function and an actor.
//!
//! A handler is async code on the threads of the web framework. A remote function does the computation: the handler awaits it
//! like any other future, and the threads of the framework serve other requests meanwhile. An actor has the state that all
//! requests share, without a lock. If a call fails, the answer contains its error.

use std::collections::HashMap;
use std::future::IntoFuture;
use std::io;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use futures::future::try_join_all;
use ray::{ActorHandle, remote};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use crate::report::Report;

/// The number of primes below a limit; an error if the limit is too large for a request.
#[remote]
fn primes(below: u64) -> Result<usize, String> {
    if below > 100_000 {
        return Err(format!("the limit {below} is too large"));
    }
    let is_prime = |n: &u64| (2..).take_while(|d| d * d <= *n).all(|d| !n.is_multiple_of(d));
    Ok((2..below).filter(is_prime).count())
}

/// The number of visits of each page.
#[remote]
struct Visits {
    pages: HashMap<String, u64>,
}

#[remote]
impl Visits {
    pub fn new() -> Self {
        Visits { pages: HashMap::new() }
    }

    pub fn visit(&mut self, page: String) -> u64 {
        let visits = self.pages.entry(page).or_default();
        *visits += 1;
        *visits
    }
}

type Answer = Result<String, (StatusCode, String)>;

/// The answer to a request whose call has failed.
fn failed(error: ray::Error) -> (StatusCode, String) {
    (StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
}

async fn count_primes(Path(below): Path<u64>) -> Answer {
    let count = primes.remote(below).await.map_err(failed)?;
    Ok(count.to_string())
}

async fn visit(State(visits): State<ActorHandle<Visits>>, Path(page): Path<String>) -> Answer {
    let count = visits.visit.remote(page).await.map_err(failed)?;
    Ok(count.to_string())
}

/// The service. Every request has a handle of the same actor.
fn service() -> Router {
    Router::new().route("/primes/{below}", get(count_primes)).route("/visit/{page}", post(visit)).with_state(Visits::remote())
}

/// Sends a request and returns the status and the body of the answer.
async fn request(address: &str, line: &str) -> io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(address).await?;
    let text = format!("{line} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(text.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let parts = answer.split_once("\r\n\r\n").and_then(|(head, body)| {
        let status = head.split_whitespace().nth(1)?.parse().ok()?;
        Some((status, body.to_owned()))
    });
    parts.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("the answer is not HTTP: {answer}")))
}

/// Starts the service, sends it requests, and stops it; returns the time of the requests.
async fn serve_and_ask() -> io::Result<Duration> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?.to_string();
    let (stop, stopped) = oneshot::channel::<()>();
    let server = axum::serve(listener, service()).with_graceful_shutdown(async {
        // The drop of the sender stops the service too.
        let _ = stopped.await;
    });
    let server = tokio::spawn(server.into_future());

    let start = Instant::now();
    let limits = [10, 100, 1_000, 10_000];
    let paths: Vec<_> = limits.iter().map(|below| format!("GET /primes/{below}")).collect();
    let answers = try_join_all(paths.iter().map(|path| request(&address, path))).await?;
    for (path, (status, count)) in paths.iter().zip(&answers) {
        println!("{path}: {status}, {count}");
    }
    let counts: Vec<_> = answers.iter().map(|(status, count)| (*status, count.as_str())).collect();
    assert_eq!(counts, [(200, "4"), (200, "25"), (200, "168"), (200, "1229")]);

    // All visits come at the same time, and every visit has a number of its own.
    let visits = try_join_all((0..20).map(|_| request(&address, "POST /visit/home"))).await?;
    let mut numbers: Vec<u64> = visits.iter().map(|(_, number)| number.parse().expect("a number")).collect();
    numbers.sort_unstable();
    println!("20 visits: {numbers:?}");
    assert_eq!(numbers, (1..=20).collect::<Vec<_>>());

    let (status, reason) = request(&address, "GET /primes/1000000").await?;
    println!("GET /primes/1000000: {status}, {reason}");
    assert_eq!(status, 500);
    assert!(reason.contains("is too large"), "{reason}");
    let duration = start.elapsed();

    drop(stop);
    server.await.expect("the server does not panic")?;
    Ok(duration)
}

pub(crate) fn main(report: &mut Report) -> ray::Result<()> {
    ray::init()?;
    let runtime = Runtime::new().map_err(ray::Error::other)?;
    let duration = runtime.block_on(serve_and_ask()).map_err(ray::Error::other)?;
    report.took("25 requests", duration);
    ray::shutdown()
}
