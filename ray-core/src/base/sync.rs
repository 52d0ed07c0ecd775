//! The atomics and locks of the protocols that the model checker tries: loom's under `--cfg loom`, otherwise the standard library's
//! atomics and parking_lot's locks. parking_lot is compiled with the sanitizers, so ThreadSanitizer sees which accesses its locks
//! order.

#[cfg(loom)]
pub(crate) use ::loom::sync::atomic::AtomicBool;
#[cfg(loom)]
pub(crate) use ::loom::sync::atomic::AtomicI64;
#[cfg(loom)]
pub(crate) use ::loom::sync::atomic::AtomicPtr;
#[cfg(loom)]
pub(crate) use ::loom::sync::atomic::AtomicU8;
#[cfg(loom)]
pub(crate) use ::loom::sync::atomic::AtomicU16;
#[cfg(loom)]
pub(crate) use ::loom::sync::atomic::AtomicU32;
#[cfg(loom)]
pub(crate) use ::loom::sync::atomic::AtomicU64;
#[cfg(loom)]
pub(crate) use ::loom::sync::atomic::AtomicUsize;
#[cfg(loom)]
pub(crate) use ::loom::sync::atomic::Ordering;
#[cfg(loom)]
pub(crate) use ::loom::sync::atomic::fence;
#[cfg(loom)]
pub(crate) use locks::Mutex;
#[cfg(loom)]
pub(crate) use locks::MutexGuard;
#[cfg(not(loom))]
pub(crate) use parking_lot::Mutex;
#[cfg(not(loom))]
pub(crate) use parking_lot::MutexGuard;
#[cfg(not(loom))]
pub(crate) use std::sync::atomic::AtomicBool;
#[cfg(not(loom))]
pub(crate) use std::sync::atomic::AtomicI64;
#[cfg(not(loom))]
pub(crate) use std::sync::atomic::AtomicPtr;
#[cfg(not(loom))]
pub(crate) use std::sync::atomic::AtomicU8;
#[cfg(not(loom))]
pub(crate) use std::sync::atomic::AtomicU16;
#[cfg(not(loom))]
pub(crate) use std::sync::atomic::AtomicU32;
#[cfg(not(loom))]
pub(crate) use std::sync::atomic::AtomicU64;
#[cfg(not(loom))]
pub(crate) use std::sync::atomic::AtomicUsize;
#[cfg(not(loom))]
pub(crate) use std::sync::atomic::Ordering;
#[cfg(not(loom))]
pub(crate) use std::sync::atomic::fence;

/// Stands between two sequentially consistent accesses of a thread. They are ordered without it; loom treats them as acquire and
/// release, and needs a fence in between.
#[inline(always)]
pub(crate) fn seq_cst_in_models() {
    #[cfg(loom)]
    fence(Ordering::SeqCst);
}

/// Fetches a cache line that will be written soon, in exclusive state, so that the write does not have to wait for it. A hint: it
/// is harmless for any address.
#[inline]
pub(crate) fn prefetch<T>(place: *const T) {
    #[cfg(all(target_arch = "x86_64", not(loom)))]
    // SAFETY: a prefetch never faults, whatever the address; a processor without this instruction executes it as a no-op.
    unsafe {
        std::arch::asm!("prefetchw [{0}]", in(reg) place, options(nostack, preserves_flags, readonly));
    }
    #[cfg(not(all(target_arch = "x86_64", not(loom))))]
    let _ = place;
}

/// As [`prefetch`], for each line of the next `bytes` bytes.
#[inline]
pub(crate) fn prefetch_all<T>(place: *const T, bytes: usize) {
    prefetch_lines(place, bytes.div_ceil(LINE));
}

/// The size of a cache line.
pub(crate) const LINE: usize = 64;

/// As [`prefetch`], for so many lines.
#[inline]
pub(crate) fn prefetch_lines<T>(place: *const T, lines: usize) {
    for line in 0..lines {
        prefetch(place.wrapping_byte_add(line * LINE));
    }
}

/// One turn of a spin loop. Every eighth turn yields the processor, because the thread that is waited for may have lost its own.
#[inline]
pub(crate) fn spin(turn: &mut u32) {
    *turn = turn.wrapping_add(1);
    #[cfg(loom)]
    ::loom::thread::yield_now();
    #[cfg(not(loom))]
    if (*turn).is_multiple_of(8) {
        std::thread::yield_now();
    } else {
        std::hint::spin_loop();
    }
}

/// A barrier between a store and a later load of this thread. It pairs with a [`heavy_barrier`] of another thread between its own
/// store and its own later load: at least one of the two threads sees the other's store. On Linux this side costs nothing.
#[inline]
pub(crate) fn light_barrier() {
    #[cfg(all(target_os = "linux", not(loom)))]
    std::sync::atomic::compiler_fence(Ordering::SeqCst);
    #[cfg(not(all(target_os = "linux", not(loom))))]
    fence(Ordering::SeqCst);
}

/// The other side of [`light_barrier`]: on Linux, `membarrier` makes every running thread of the process execute a full barrier.
/// `false`: the kernel refuses it (it is older than 4.14, or a sandbox forbids it), and the two barriers order nothing.
#[must_use]
pub(crate) fn heavy_barrier() -> bool {
    fence(Ordering::SeqCst);
    #[cfg(all(target_os = "linux", not(loom)))]
    {
        membarrier::everywhere()
    }
    #[cfg(not(all(target_os = "linux", not(loom))))]
    {
        true
    }
}

#[cfg(all(target_os = "linux", not(loom)))]
mod membarrier {
    use std::sync::OnceLock;

    /// `MEMBARRIER_CMD_PRIVATE_EXPEDITED` and the command that registers for it, of `linux/membarrier.h`.
    const EVERYWHERE: libc::c_int = 1 << 3;
    const REGISTER: libc::c_int = 1 << 4;

    fn call(command: libc::c_int) -> bool {
        // SAFETY: membarrier takes a command, flags and a CPU, all of them integers; it touches no memory of the process.
        unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) == 0 }
    }

    pub(super) fn everywhere() -> bool {
        static REGISTERED: OnceLock<bool> = OnceLock::new();
        *REGISTERED.get_or_init(|| call(REGISTER)) && call(EVERYWHERE)
    }
}

/// loom's mutex with the interface of parking_lot's, which does not poison.
#[cfg(loom)]
mod locks {
    pub(crate) use ::loom::sync::MutexGuard;

    #[derive(Debug)]
    pub(crate) struct Mutex<T>(::loom::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(::loom::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().expect("a poisoned mutex: the model has failed already")
        }
    }
}
