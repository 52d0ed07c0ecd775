//! Not in the article: an actor that restarts with its last checkpoint after a crash. [Ray's page about fault
//! tolerance](https://docs.ray.io/en/latest/ray-core/fault_tolerance/actors.html) has the actor save and load its state itself;
//! here the engine calls `checkpoint` and `restore`.

use std::collections::BTreeMap;
use std::time::Instant;

use ray::remote;

use crate::report::Report;

#[remote(checkpoint_every = 10, max_restarts = -1, max_task_retries = -1)]
struct WordCount {
    words: BTreeMap<String, u64>,
    lines: u64,
    restored: u64,
}

/// What is kept of the state. It needs no connections, caches and the like, which `restore` can make again.
#[derive(Clone)]
struct Saved {
    words: BTreeMap<String, u64>,
    lines: u64,
    restored: u64,
}

#[remote]
impl WordCount {
    pub fn new() -> Self {
        WordCount { words: BTreeMap::new(), lines: 0, restored: 0 }
    }

    /// Counts the words of a line; returns the number of lines so far.
    pub fn count(&mut self, line: &str) -> u64 {
        for word in line.split_whitespace() {
            *self.words.entry(word.to_owned()).or_default() += 1;
        }
        self.lines += 1;
        self.lines
    }

    /// A bug: the first instance panics.
    pub fn buggy(&mut self) -> u64 {
        assert!(self.restored > 0, "a bug");
        self.lines
    }

    pub fn word(&self, word: &str) -> u64 {
        self.words.get(word).copied().unwrap_or(0)
    }

    // The engine calls it after each tenth successful call of a `&mut self` method.
    fn checkpoint(&self) -> Saved {
        Saved { words: self.words.clone(), lines: self.lines, restored: self.restored }
    }

    // A restart calls it instead of `new`.
    fn restore(saved: Saved) -> Self {
        WordCount { words: saved.words, lines: saved.lines, restored: saved.restored + 1 }
    }
}

pub(crate) fn main(report: &mut Report) -> ray::Result<()> {
    let start = Instant::now();
    let counter = WordCount::remote();
    let lines: Vec<_> = (0..25).map(|n| format!("line {n}")).collect();
    let counted = ray::get(lines.iter().map(|line| counter.count.remote(line)).collect::<Vec<_>>())?;
    assert_eq!(counted.last(), Some(&25));

    // The actor crashes in this call, restarts, and makes the call again, as `max_task_retries` asks for.
    let saved = ray::get(counter.buggy.remote())?;
    println!("after the crash the actor knows {saved} of 25 lines");
    assert_eq!(saved, 20, "the last checkpoint was made after the twentieth line");

    // The caller sends the lines again that were lost.
    ray::get(lines.iter().skip(20).map(|line| counter.count.remote(line)).collect::<Vec<_>>())?;
    assert_eq!(ray::get(counter.word.remote("line"))?, 25);
    assert_eq!(ray::get(counter.word.remote("24"))?, 1);
    report.took("a crash and a restart", start.elapsed());
    ray::shutdown()
}
