//! What a process uses: bytes that are allocated, as a counting global allocator sees them, and resident memory.
//!
//! The allocator is the system's. It counts only once [`count`] was called, in the children of `mem`; everywhere else
//! an allocation pays one predictable branch, the same for every contender.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    fs,
    sync::atomic::{AtomicBool, AtomicI64, Ordering::Relaxed},
};

static COUNTING: AtomicBool = AtomicBool::new(false);
static LIVE: AtomicI64 = AtomicI64::new(0);

/// The system's allocator, counted.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Adds `bytes` to what is live, where anybody counts.
fn record(bytes: i64) {
    if COUNTING.load(Relaxed) {
        LIVE.fetch_add(bytes, Relaxed);
    }
}

// SAFETY: every call goes to `System` with the arguments that came in, and what it returns goes back unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        record(layout.size() as i64);
        // SAFETY: the caller keeps `alloc`'s contract, which is `System`'s.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        record(layout.size() as i64);
        // SAFETY: the caller keeps `alloc_zeroed`'s contract, which is `System`'s.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        record(-(layout.size() as i64));
        // SAFETY: `block` came from `System`, through this allocator, with this layout.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        record(new_size as i64 - layout.size() as i64);
        // SAFETY: `block` came from `System`, through this allocator, with this layout; the caller keeps the rest of
        // `realloc`'s contract.
        unsafe { System.realloc(block, layout, new_size) }
    }
}

/// Starts to count.
pub(crate) fn count() {
    COUNTING.store(true, Relaxed);
}

/// Bytes allocated since [`count`] less those freed since.
pub(crate) fn live() -> i64 {
    LIVE.load(Relaxed)
}

/// The memory of this process that is resident, in KiB.
pub(crate) fn resident() -> f64 {
    let rollup = fs::read_to_string("/proc/self/smaps_rollup").expect("Linux tells a process's memory");
    rollup
        .lines()
        .find_map(|line| line.strip_prefix("Rss:"))
        .and_then(|rest| rest.trim().strip_suffix("kB"))
        .and_then(|number| number.trim().parse().ok())
        .expect("smaps_rollup has the line Rss")
}
