//! The memory of a process: the bytes that its global allocator has given out, and its resident memory.
//!
//! The allocator is the system's. It counts only after a call of [`count`], in the children of `mem`. The children of
//! `train` use mimalloc instead, as ray-train recommends for programs that train: burn asks for memory in every operation,
//! and glibc returns large pieces to the system each time. [`MIMALLOC`] chooses between the two. In all other processes an
//! allocation pays one predictable branch, the same for every contender and in every build.
//!
//! The unsafe code relies on two rules:
//!
//! 1. One source: the first allocation of the process chooses the source of its memory, and the process keeps that source. A
//!    block goes back to the source that it came from. `Counted` takes its memory from `System`, so a change from `PLAIN` to
//!    `COUNTED` keeps this rule.
//! 2. Pass through: a call reaches one source with the arguments of the caller, and the result of the source goes back
//!    unchanged. So the source receives a call that obeys its contract if the caller obeys the contract of `GlobalAlloc`.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    fs,
    sync::atomic::{AtomicI64, AtomicU8, Ordering::Relaxed},
};

/// The environment variable of a process that uses mimalloc.
#[cfg(feature = "train")]
pub(crate) const MIMALLOC: &std::ffi::CStr = c"RAY_BENCH_MIMALLOC";

/// The source of memory: the system's allocator, the same with a count, mimalloc, or no source before the first allocation.
const PLAIN: u8 = 0;
const COUNTED: u8 = 1;
#[cfg(feature = "train")]
const TRAINING: u8 = 2;
#[cfg(feature = "train")]
const UNDECIDED: u8 = 3;

#[cfg(feature = "train")]
static SOURCE: AtomicU8 = AtomicU8::new(UNDECIDED);
#[cfg(not(feature = "train"))]
static SOURCE: AtomicU8 = AtomicU8::new(PLAIN);

static LIVE: AtomicI64 = AtomicI64::new(0);

/// The allocator of this process.
struct Chosen;

#[global_allocator]
static ALLOCATOR: Chosen = Chosen;

/// Whether the source is the system's allocator without a count.
fn plain() -> bool {
    SOURCE.load(Relaxed) == PLAIN
}

/// The source where it is not [`plain`].
#[cold]
fn unusual() -> &'static dyn GlobalAlloc {
    match SOURCE.load(Relaxed) {
        COUNTED => &Counted,
        #[cfg(feature = "train")]
        TRAINING => &mimalloc::MiMalloc,
        #[cfg(feature = "train")]
        UNDECIDED => decide(),
        _ => &System,
    }
}

/// Chooses the source, in the first allocation of this process, which comes before `main`.
#[cfg(feature = "train")]
fn decide() -> &'static dyn GlobalAlloc {
    // SAFETY: `getenv` needs a string that ends with a zero, which a `CStr` is, and an environment that no thread changes
    // meanwhile: this code runs before `main`, on the only thread. (`std::env::var_os` would allocate.)
    let chosen = unsafe { !libc::getenv(MIMALLOC.as_ptr()).is_null() };
    SOURCE.store(if chosen { TRAINING } else { PLAIN }, Relaxed);
    unusual()
}

// SAFETY: rules 1 and 2: every source is a `GlobalAlloc`, and the blocks of this allocator are blocks of one source.
unsafe impl GlobalAlloc for Chosen {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: rule 2: the caller obeys the contract of `alloc`, which is the same for every source.
        unsafe { if plain() { System.alloc(layout) } else { unusual().alloc(layout) } }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: rule 2: the caller obeys the contract of `alloc_zeroed`, which is the same for every source.
        unsafe { if plain() { System.alloc_zeroed(layout) } else { unusual().alloc_zeroed(layout) } }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: rule 1: `block` came from the source of this process; rule 2: with this layout.
        unsafe { if plain() { System.dealloc(block, layout) } else { unusual().dealloc(block, layout) } }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: rule 1: `block` came from the source of this process; rule 2: with this layout, and the caller obeys the
        // rest of the contract of `realloc`.
        unsafe { if plain() { System.realloc(block, layout, new_size) } else { unusual().realloc(block, layout, new_size) } }
    }
}

/// The system's allocator, with a count of the live bytes.
struct Counted;

/// Adds `bytes` to the live bytes.
fn record(bytes: i64) {
    LIVE.fetch_add(bytes, Relaxed);
}

// SAFETY: rule 2, with `System` as the source.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        record(layout.size() as i64);
        // SAFETY: rule 2: the caller obeys the contract of `alloc`, which is that of `System`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        record(layout.size() as i64);
        // SAFETY: rule 2: the caller obeys the contract of `alloc_zeroed`, which is that of `System`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        record(-(layout.size() as i64));
        // SAFETY: rule 1: `block` came from `System`; rule 2: with this layout.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        record(new_size as i64 - layout.size() as i64);
        // SAFETY: rule 1: `block` came from `System`; rule 2: with this layout, and the caller obeys the rest of the
        // contract of `realloc`.
        unsafe { System.realloc(block, layout, new_size) }
    }
}

/// Begins to count, in a process with the system's allocator.
pub(crate) fn count() {
    assert!(plain(), "only the system's allocator can count");
    SOURCE.store(COUNTED, Relaxed);
}

/// The bytes allocated since [`count`], minus the bytes freed since.
pub(crate) fn live() -> i64 {
    LIVE.load(Relaxed)
}

/// The resident memory of this process, in KiB.
pub(crate) fn resident() -> f64 {
    kib("/proc/self/smaps_rollup", "Rss:")
}

/// The largest resident memory that this process has had, in KiB.
#[cfg(feature = "train")]
pub(crate) fn peak() -> f64 {
    kib("/proc/self/status", "VmHWM:")
}

fn kib(file: &str, name: &str) -> f64 {
    let text = fs::read_to_string(file).expect("Linux has this file for every process");
    text.lines()
        .find_map(|line| line.strip_prefix(name))
        .and_then(|rest| rest.trim().strip_suffix("kB"))
        .and_then(|number| number.trim().parse().ok())
        .expect("the file has a line of that name")
}
