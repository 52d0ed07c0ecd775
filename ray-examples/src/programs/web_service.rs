//! Beyond the article: a web service whose handlers await a function and an actor.
//!
//! A handler is async code on the web framework's threads. What computes is a remote function: a handler awaits it as it
//! awaits anything else, and the framework's threads serve other requests meanwhile. What all requests share is an actor,
//! which needs no lock. A failed call becomes an answer that says so.

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

/// How many primes there are below a limit, as long as it is one that a request may ask for.
#[remote]
fn primes(below: u64) -> Result<usize, String> {
    if below > 100_000 {
        return Err(format!("{below} is too much to ask for"));
    }
    let is_prime = |n: &u64| (2..).take_while(|d| d * d <= *n).all(|d| !n.is_multiple_of(d));
    Ok((2..below).filter(is_prime).count())
}

/// How often each page was visited.
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

/// The answer of a request whose call has failed.
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

/// The service; every request has the handle of the one actor.
fn service() -> Router {
    Router::new().route("/primes/{below}", get(count_primes)).route("/visit/{page}", post(visit)).with_state(Visits::remote())
}

/// Makes a request and returns the status and the body of its answer.
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
    parts.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("no answer of HTTP: {answer}")))
}

/// Starts the service, is its clients, and stops it; returns what the requests took.
async fn serve_and_ask() -> io::Result<Duration> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?.to_string();
    let (stop, stopped) = oneshot::channel::<()>();
    let server = axum::serve(listener, service()).with_graceful_shutdown(async {
        // To drop the sender stops the service too.
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

    // At the same time, and every visit has a number of its own.
    let visits = try_join_all((0..20).map(|_| request(&address, "POST /visit/home"))).await?;
    let mut numbers: Vec<u64> = visits.iter().map(|(_, number)| number.parse().expect("a number")).collect();
    numbers.sort_unstable();
    println!("20 visits: {numbers:?}");
    assert_eq!(numbers, (1..=20).collect::<Vec<_>>());

    let (status, reason) = request(&address, "GET /primes/1000000").await?;
    println!("GET /primes/1000000: {status}, {reason}");
    assert_eq!(status, 500);
    assert!(reason.contains("too much to ask for"), "{reason}");
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
