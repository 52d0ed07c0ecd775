//! Reads a million records of 1 KB, a gigabyte in all, with a consumer that is slower than the producer. The records come as a
//! stream, as in Ray's "Generators": the task waits when 64 records are there that the consumer has not taken, so the program needs
//! a few megabytes.
//!
//! ```sh
//! cargo run --release -p ray-examples --bin generator_stream
//! ```
//!
//! In Python:
//!
//! ```python
//! @ray.remote(_generator_backpressure_num_objects=64)
//! def records(n):
//!     for number in range(n):
//!         yield np.full(1000, number % 251, dtype=np.uint8)
//!
//! for ref in records.remote(1_000_000):
//!     consume(ray.get(ref))
//! ```

use std::fs;
use std::thread;
use std::time::Duration;

use ray::remote;
use serde::{Deserialize, Serialize};

const RECORDS: u64 = 1_000_000;
/// How much memory the program may need beyond what it had at its begin, in bytes.
const LIMIT: u64 = 40_000_000;

#[derive(Clone, Serialize, Deserialize)]
struct Record {
    number: u64,
    payload: Vec<u8>,
}

/// Each record is made when the consumer is ready for it.
#[remote]
fn records(n: u64) -> impl Iterator<Item = Record> {
    (0..n).map(|number| Record { number, payload: vec![checksum(number); 1000] })
}

fn checksum(number: u64) -> u8 {
    u8::try_from(number % 251).expect("a remainder of 251 is below 256")
}

pub(crate) fn main() -> ray::Result<()> {
    ray::init()?;
    let before = memory("VmRSS");
    reset_peak();
    let mut bytes = 0;
    for (number, record) in (0..).zip(records.remote(RECORDS)) {
        let record = ray::get(record)?;
        assert_eq!((record.number, record.payload[999]), (number, checksum(number)), "the records come in order");
        bytes += record.payload.len();
        if number % 2000 == 0 {
            // The consumer is slow.
            thread::sleep(Duration::from_millis(1));
        }
    }
    assert_eq!(bytes, 1_000_000_000);
    println!("{RECORDS} records, {} MB", bytes / 1_000_000);
    if let (Some(before), Some(peak)) = (before, memory("VmHWM")) {
        println!("peak memory: {} MB", peak / 1_000_000);
        let grown = peak.saturating_sub(before);
        assert!(grown < LIMIT, "the memory grew by {grown} bytes");
    }
    ray::shutdown()
}

/// A line of `/proc/self/status`, in bytes; none on other systems than Linux.
fn memory(name: &str) -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}

/// Makes `VmHWM` the peak from now on, because other programs may have run in this process before.
fn reset_peak() {
    let _ = fs::write("/proc/self/clear_refs", "5");
}
