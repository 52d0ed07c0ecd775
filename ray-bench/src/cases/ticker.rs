//! The contenders of [`ticker`](crate::workload::ticker), and the ticker beside them.

use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use crate::{
    callers::current_thread,
    child,
    measure::{Case, Contender},
    ours, peers,
    workload::ticker::{DEFINITION, MARGIN, PERIOD, Situation, Ticks},
};

pub(crate) const CASE: Case = Case { contenders, child: Some(child), ..Case::of(DEFINITION) };

const BLOCKING: &str = "spawn_blocking";

fn contenders() -> Vec<Contender> {
    let mut all = Vec::new();
    for (_, name, group) in Situation::ALL {
        for who in ours::ALONE.into_iter().chain([BLOCKING]) {
            let lateness = format!("{who} ({name})");
            let count = format!("{lateness} late ticks");
            let child = format!("{who}/{name}");
            let both = Contender::many([lateness, count.clone()], move || child::samples(DEFINITION.name, &child));
            all.push(both.with_unit(&count, "ticks").among(group));
        }
    }
    all
}

fn child(who: &str) -> Vec<f64> {
    let (who, name) = who.split_once('/').expect("a library and a situation");
    let (situation, ..) = Situation::ALL.into_iter().find(|(_, named, _)| *named == name).expect("one of the situations");
    let ticks = Ticks::default();
    let runtime = current_thread();
    match who {
        "ray" => {
            ours::first_result();
            runtime.block_on(beside(ticks.clone(), ours::ticker::work(situation, ticks.clone())));
        }
        BLOCKING => runtime.block_on(beside(ticks.clone(), peers::ticker::work(situation, ticks.clone()))),
        _ => panic!("no contender has the name {who}"),
    }
    let seen = ticks.seen();
    vec![seen.latest.as_secs_f64() * 1e3, seen.late as f64]
}

/// Runs `work` as a task beside the ticker, until the work ends.
async fn beside(ticks: Ticks, work: impl Future<Output = ()> + Send + 'static) {
    let ticker = tokio::spawn(tick(ticks.clone()));
    sleep(MARGIN).await;
    ticks.count_from_now();
    tokio::spawn(work).await.expect("the work ends without a panic");
    // The last body may have delayed a tick, which still has to come.
    sleep(MARGIN).await;
    ticker.abort();
}

async fn tick(ticks: Ticks) {
    let mut ticker = interval(PERIOD);
    ticker.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        let due = ticker.tick().await;
        ticks.came(due, Instant::now());
    }
}
