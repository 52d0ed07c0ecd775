//! The servers of [`axum`](crate::workload::axum), and the processes that load them.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use tokio::net::TcpListener;

use crate::{
    callers::{current_thread, runtime},
    child::{self, Stays},
    load::Load,
    measure::{Case, Contender, Outcome},
    ours,
    peers::web,
    workload::{
        arithmetic::{TWENTY_MICROSECONDS, Work},
        axum::{DEFINITION, LOADS},
    },
};

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

/// The name of the child that sends the requests. It is not a contender.
const LOAD: &str = "load";

pub(crate) const CASE: Case =
    Case { contenders, serve: Some(serve), yardsticks: &["tokio::spawn", "tokio mpsc actor"], ..Case::of(DEFINITION) };

fn contenders() -> Vec<Contender> {
    // All servers do the same work.
    let steps = Work::calibrated(TWENTY_MICROSECONDS).steps();
    let contender = |(who, _): (&'static str, Service)| {
        let mut server = None;
        let start = move || Stays::start(who, &mut child::command(DEFINITION.name, &format!("{who}/{steps}")));
        let round = move || server.get_or_insert_with(start).round();
        Contender::many(LOADS.map(|(.., name, _)| format!("{who} ({name})")), round).in_groups(LOADS.map(|(.., group)| group))
    };
    SERVERS.map(contender).into()
}

/// Runs a server, or the client that loads one.
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

/// Runs a server. After each round it answers with the processor time of a request, for each load.
fn server(service: Service, work: Work) -> Outcome {
    let listener = runtime().block_on(TcpListener::bind(("127.0.0.1", 0)))?;
    let address = listener.local_addr()?;
    let service = service(work);
    runtime().spawn(async { axum::serve(listener, service).await });

    let start = |index| Stays::start(LOAD, &mut child::command(DEFINITION.name, &format!("{LOAD}/{address}/{index}")));
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

/// Runs the client of the load with this index: it sends the requests of the load once in each round.
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

/// The processor time of this process, without its children.
fn processor_time() -> nix::Result<Duration> {
    Ok(Duration::from(clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID)?))
}
