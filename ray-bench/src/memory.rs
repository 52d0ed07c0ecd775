//! What a process uses: bytes that are allocated, as a counting global allocator sees them, and resident memory.
//!
//! The allocator is the system's. It counts only once [`count`] was called, in the children of `mem`. The children of `train`
//! have mimalloc in its place, as programs that train are told to: burn asks for memory in every operation, and glibc gives
//! large pieces back each time. Which of them a process has is decided before its first allocation ([`MIMALLOC`]) and never
//! changes; everywhere else an allocation pays one predictable branch, the same for every contender and in every build.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    fs,
    sync::atomic::{AtomicI64, AtomicU8, Ordering::Relaxed},
};

/// The variable with which a process is started that is to have mimalloc.
#[cfg(feature = "train")]
pub(crate) const MIMALLOC: &std::ffi::CStr = c"RAY_BENCH_MIMALLOC";

/// Where memory comes from: the system's allocator, the same counted, mimalloc, or nobody has asked for any yet.
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

/// Whether memory comes from the system's allocator, and nothing else is to be done.
fn plain() -> bool {
    SOURCE.load(Relaxed) == PLAIN
}

/// The allocator where it is not [`plain`].
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

/// The first allocation of this process, before `main`, decides for all.
#[cfg(feature = "train")]
fn decide() -> &'static dyn GlobalAlloc {
    // SAFETY: the name ends with a zero, and nobody sets variables of this process. (The standard library's way allocates.)
    let chosen = unsafe { !libc::getenv(MIMALLOC.as_ptr()).is_null() };
    SOURCE.store(if chosen { TRAINING } else { PLAIN }, Relaxed);
    unusual()
}

// SAFETY: every call goes with the arguments that came in to one allocator, which is the same for as long as the process lives
// (`Counted` is `System`), and what it returns goes back unchanged.
unsafe impl GlobalAlloc for Chosen {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps `alloc`'s contract, which is that of both.
        unsafe { if plain() { System.alloc(layout) } else { unusual().alloc(layout) } }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps `alloc_zeroed`'s contract, which is that of both.
        unsafe { if plain() { System.alloc_zeroed(layout) } else { unusual().alloc_zeroed(layout) } }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: `block` came from the one allocator of this process, with this layout.
        unsafe { if plain() { System.dealloc(block, layout) } else { unusual().dealloc(block, layout) } }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: `block` came from the one allocator of this process, with this layout; the caller keeps the rest of
        // `realloc`'s contract.
        unsafe { if plain() { System.realloc(block, layout, new_size) } else { unusual().realloc(block, layout, new_size) } }
    }
}

/// The system's allocator, counted.
struct Counted;

/// Adds `bytes` to what is live.
fn record(bytes: i64) {
    LIVE.fetch_add(bytes, Relaxed);
}

// SAFETY: every call goes to `System` with the arguments that came in, and what it returns goes back unchanged.
unsafe impl GlobalAlloc for Counted {
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
        // SAFETY: `block` came from `System`, with this layout.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        record(new_size as i64 - layout.size() as i64);
        // SAFETY: `block` came from `System`, with this layout; the caller keeps the rest of `realloc`'s contract.
        unsafe { System.realloc(block, layout, new_size) }
    }
}

/// Starts to count, in a process that has the system's allocator.
pub(crate) fn count() {
    assert!(plain(), "what another allocator gave cannot be counted");
    SOURCE.store(COUNTED, Relaxed);
}

/// Bytes allocated since [`count`] less those freed since.
pub(crate) fn live() -> i64 {
    LIVE.load(Relaxed)
}

/// The memory of this process that is resident, in KiB.
pub(crate) fn resident() -> f64 {
    kib("/proc/self/smaps_rollup", "Rss:")
}

/// The most memory that this process has had resident, in KiB.
#[cfg(feature = "train")]
pub(crate) fn peak() -> f64 {
    kib("/proc/self/status", "VmHWM:")
}

fn kib(file: &str, name: &str) -> f64 {
    let text = fs::read_to_string(file).expect("Linux tells a process's memory");
    text.lines()
        .find_map(|line| line.strip_prefix(name))
        .and_then(|rest| rest.trim().strip_suffix("kB"))
        .and_then(|number| number.trim().parse().ok())
        .expect("it has a line of that name")
}
