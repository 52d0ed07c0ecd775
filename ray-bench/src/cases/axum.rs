//! `axum`: the processor time that a web server takes for a request, whose handler awaits the contender.
//!
//! Every contender is a server in a process of its own, which stays. The load comes from child processes of that one, over the
//! loopback interface: their processor time does not count, that of the server does, all of its threads and the system's part
//! for it. A handler has nothing to do, or 20 microseconds of arithmetic; one client asks at a time, or 32.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use tokio::net::TcpListener;

use crate::{
    cases::par20::Work,
    child::{self, Stays},
    load::Load,
    measure::{Case, Contender, Outcome, USUAL},
    ours,
    peers::{current_thread, runtime, web},
};

/// What is measured of every server: the path, connections, requests a round, what a row and its group are called.
const LOADS: [(&str, usize, usize, &str, &str); 4] = [
    ("/noop", 1, 3_000, "no-op, 1", "no-op, 1 connection"),
    ("/noop", 32, 12_000, "no-op, 32", "no-op, 32 connections"),
    ("/work", 1, 3_000, "20 us, 1", "20 us of work, 1 connection"),
    ("/work", 32, 12_000, "20 us, 32", "20 us of work, 32 connections"),
];

/// Makes the service whose handlers await a contender.
type Service = fn(Work) -> axum::Router;

const SERVERS: [(&str, Service); 6] = [
    ("ray function", ours::web::function),
    ("ray actor", ours::web::actor),
    ("tokio::spawn", web::spawn),
    ("tokio mpsc actor", web::actor),
    ("spawn_blocking", web::blocking),
    ("plain", web::plain),
];

/// The child that makes the requests, in the place of a contender's name.
const LOAD: &str = "load";

pub(crate) const CASE: Case = Case {
    name: "axum",
    what: "an axum handler that awaits; us of the server's CPU per request",
    unit: "us",
    contenders,
    serve: Some(serve),
    yardsticks: &["tokio::spawn", "tokio mpsc actor"],
    ..USUAL
};

fn contenders() -> Vec<Contender> {
    // The same work for all of them.
    let steps = Work::calibrated().steps();
    let contender = |(who, _): (&'static str, Service)| {
        let mut server = None;
        let start = move || Stays::start(who, &mut child::command(CASE.name, &format!("{who}/{steps}")));
        let round = move || server.get_or_insert_with(start).round();
        Contender::many(LOADS.map(|(.., name, _)| format!("{who} ({name})")), round).in_groups(LOADS.map(|(.., group)| group))
    };
    SERVERS.map(contender).into()
}

/// Is a server, or the load of one.
fn serve(who: &str) -> Outcome {
    let words: Vec<&str> = who.split('/').collect();
    match words[..] {
        [LOAD, address, index] => load(address, index.parse()?),
        [who, steps] => {
            let (_, service) = SERVERS.into_iter().find(|(name, _)| *name == who).ok_or("no server has that name")?;
            server(service, Work::of_steps(steps.parse()?))
        }
        _ => Err("neither a server nor a load".into()),
    }
}

/// Serves, and says after each round what a request of each load took of the processors.
fn server(service: Service, work: Work) -> Outcome {
    let listener = runtime().block_on(TcpListener::bind(("127.0.0.1", 0)))?;
    let address = listener.local_addr()?;
    let service = service(work);
    runtime().spawn(async { axum::serve(listener, service).await });

    let start = |index| Stays::start(LOAD, &mut child::command(CASE.name, &format!("{LOAD}/{address}/{index}")));
    let mut loads: Vec<Stays> = (0..LOADS.len()).map(start).collect();
    while child::asked() {
        let mut samples = Vec::new();
        for (load, (_, _, requests, ..)) in loads.iter_mut().zip(LOADS) {
            let before = processor_time()?;
            load.round();
            samples.push((processor_time()? - before).as_secs_f64() * 1e6 / requests as f64);
        }
        child::answer(&samples);
    }
    Ok(())
}

/// Makes the requests of the load of that number, once a round.
fn load(address: &str, index: usize) -> Outcome {
    let (path, connections, requests, ..) = LOADS[index];
    let runtime = current_thread();
    let mut load = runtime.block_on(Load::open(address, path, connections))?;
    while child::asked() {
        runtime.block_on(load.requests(requests))?;
        child::answer(&[requests as f64]);
    }
    Ok(())
}

/// What this process, and no child of it, has had of the processors.
fn processor_time() -> nix::Result<Duration> {
    Ok(Duration::from(clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID)?))
}
