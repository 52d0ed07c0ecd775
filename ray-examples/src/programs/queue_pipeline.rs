//! Three stages that work at the same time, with bounded queues between them, after the example of Ray's page on `ray.util.queue`. Not in
//! the article. A stage that is faster than the next one waits, so the memory is bounded. `None` ends the stream of items.
//!
//! ```python
//! queue = Queue(maxsize=100)
//!
//! @ray.remote
//! def consumer(id, queue):
//!     while (item := queue.get(block=True)) is not None:
//!         print(f"consumer {id} got work {item}")
//!
//! consumers = [consumer.remote(id, queue) for id in range(2)]
//! [queue.put(i) for i in range(10)]
//! ```

use std::time::Instant;

use ray::remote;
use ray::util::{Event, Queue};

use crate::report::Report;

const LINES: u64 = 20_000;
const PARSERS: usize = 3;

/// Reads lines of a log.
#[remote]
fn read(lines: Queue<Option<String>>, start: Event) -> ray::Result<()> {
    start.wait()?;
    for number in 0..LINES {
        lines.put(Some(format!("{number} GET /page/{} {}", number % 10, 100 + number % 7)))?;
    }
    // One end for each parser.
    (0..PARSERS).try_for_each(|_| lines.put(None))
}

/// Finds the page and the duration in each line.
#[remote]
fn parse(lines: Queue<Option<String>>, requests: Queue<Option<(usize, u64)>>) -> ray::Result<u64> {
    let mut count = 0;
    while let Some(line) = lines.get()? {
        let mut words = line.split(' ').skip(2);
        let page = words.next().and_then(|path| path.rsplit('/').next()).and_then(|page| page.parse().ok());
        let took = words.next().and_then(|took| took.parse().ok());
        let request = page.zip(took).ok_or_else(|| ray::Error::other(format!("no request: {line}")))?;
        requests.put(Some(request))?;
        count += 1;
    }
    requests.put(None)?;
    Ok(count)
}

/// Adds up the durations of each page.
#[remote]
fn add_up(requests: Queue<Option<(usize, u64)>>) -> ray::Result<Vec<u64>> {
    let mut totals = vec![0; 10];
    let mut parsers = PARSERS;
    while parsers > 0 {
        match requests.get()? {
            Some((page, took)) => totals[page] += took,
            None => parsers -= 1,
        }
    }
    Ok(totals)
}

pub(crate) fn main(report: &mut Report) -> ray::Result<()> {
    let start = Instant::now();
    let begin = Event::new();
    let (lines, requests) = (Queue::bounded(100)?, Queue::bounded(100)?);

    let reader = read.remote(&lines, &begin);
    let parsers: Vec<_> = (0..PARSERS).map(|_| parse.remote(&lines, &requests)).collect();
    let totals = add_up.remote(&requests);
    begin.set()?;

    ray::get(reader)?;
    let parsed = ray::get(parsers)?;
    println!("lines of each parser: {parsed:?}");
    assert_eq!(parsed.iter().sum::<u64>(), LINES);
    let totals = ray::get(totals)?;
    println!("time of each page: {totals:?}");
    let expected: Vec<u64> = (0..10).map(|page| (0..LINES).filter(|n| n % 10 == page).map(|n| 100 + n % 7).sum()).collect();
    assert_eq!(totals, expected);
    assert!(lines.is_empty()? && requests.is_empty()?);
    report.took("20,000 lines", start.elapsed());
    ray::shutdown()
}
