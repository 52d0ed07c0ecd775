//! What the operating system knows of a thread: whether it computes, and what it waits for.
//!
//! The monitor thread asks when bodies hold every CPU of the limit and nothing moves (see `engine::extra_cpu`). On systems other
//! than Linux the answers are `None`, and the monitor thread is more patient.

/// A thread, for questions from other threads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ThreadHandle {
    #[cfg(target_os = "linux")]
    id: libc::pid_t,
    #[cfg(target_os = "linux")]
    clock: Option<libc::clockid_t>,
}

/// What a thread does now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doing {
    /// It has a processor, or waits for one.
    Computes,
    /// It sleeps for a time, or does I/O: it will go on by itself.
    Pauses,
    /// It waits for events without a limit of time: for I/O, or for another thread that wakes an async runtime.
    WaitsForEvents,
    /// It waits for another thread: for a lock, a condition, the end of a thread.
    WaitsForAThread,
}

impl ThreadHandle {
    /// The calling thread.
    pub(crate) fn current() -> Self {
        #[cfg(target_os = "linux")]
        {
            let mut clock = 0;
            // SAFETY: plain calls on the calling thread; `clock` is written before it is read.
            let (id, failed) = unsafe { (libc::gettid(), libc::pthread_getcpuclockid(libc::pthread_self(), &raw mut clock)) };
            Self { id, clock: (failed == 0).then_some(clock) }
        }
        #[cfg(not(target_os = "linux"))]
        Self {}
    }

    /// Nanoseconds of processor time that the thread has had. `None`: the thread has ended, or the system does not say.
    pub(crate) fn cpu_time(self) -> Option<u64> {
        #[cfg(target_os = "linux")]
        {
            let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
            // SAFETY: the clock of a thread that has ended is refused, not followed.
            let failed = unsafe { libc::clock_gettime(self.clock?, &raw mut time) };
            let nanos =
                |time: libc::timespec| Some(u64::try_from(time.tv_sec).ok()? * 1_000_000_000 + u64::try_from(time.tv_nsec).ok()?);
            (failed == 0).then(|| nanos(time)).flatten()
        }
        #[cfg(not(target_os = "linux"))]
        None
    }

    /// What the thread does now. `None`: the system does not say.
    pub(crate) fn doing(self) -> Option<Doing> {
        #[cfg(target_os = "linux")]
        {
            // "running", or the number of the system call that the thread is in, and its arguments.
            let text = std::fs::read_to_string(format!("/proc/self/task/{}/syscall", self.id)).ok()?;
            let mut words = text.split_whitespace();
            let call = words.next()?.parse::<libc::c_long>();
            // The fourth argument of these is their time-out, an `int`.
            let is_endless = words.nth(3).is_some_and(|word| word.ends_with("ffffffff"));
            Some(match call {
                Err(_) => Doing::Computes,
                Ok(libc::SYS_futex) => Doing::WaitsForAThread,
                #[cfg(target_arch = "x86_64")]
                Ok(libc::SYS_epoll_wait) if is_endless => Doing::WaitsForEvents,
                Ok(libc::SYS_epoll_pwait) if is_endless => Doing::WaitsForEvents,
                Ok(_) => Doing::Pauses,
            })
        }
        #[cfg(not(target_os = "linux"))]
        None
    }
}

/// How often the calling thread has lost its processor to another one before it gave it away. 0 where the system does not say.
pub(crate) fn lost_processor() -> i64 {
    #[cfg(target_os = "linux")]
    {
        let mut usage = std::mem::MaybeUninit::<libc::rusage>::uninit();
        // SAFETY: the call fills `usage`, if it does not fail.
        unsafe { if libc::getrusage(libc::RUSAGE_THREAD, usage.as_mut_ptr()) == 0 { usage.assume_init().ru_nivcsw } else { 0 } }
    }
    #[cfg(not(target_os = "linux"))]
    0
}

/// The machine's memory, in bytes. `None`: the system does not say.
pub(crate) fn memory() -> Option<u64> {
    #[cfg(target_os = "linux")]
    {
        // One call: reading /proc/meminfo takes a good part of the engine's start.
        let mut info = std::mem::MaybeUninit::<libc::sysinfo>::uninit();
        // SAFETY: the call fills `info`, if it does not fail.
        let info = unsafe { (libc::sysinfo(info.as_mut_ptr()) == 0).then(|| info.assume_init()) }?;
        // `c_ulong` has 32 bits on some systems.
        #[allow(clippy::useless_conversion)]
        let units = u64::try_from(info.totalram).ok()?;
        units.checked_mul(u64::from(info.mem_unit))
    }
    #[cfg(not(target_os = "linux"))]
    None
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn a_thread_that_waits_for_a_lock_is_told_from_one_that_computes() {
        let lock = std::sync::Mutex::new(());
        let (sender, receiver) = mpsc::channel();
        std::thread::scope(|scope| {
            let held = lock.lock().unwrap();
            scope.spawn(|| {
                sender.send(ThreadHandle::current()).unwrap();
                drop(lock.lock());
            });
            let other = receiver.recv().unwrap();
            while other.doing() != Some(Doing::WaitsForAThread) {
                std::thread::yield_now();
            }
            let before = other.cpu_time().unwrap();
            assert_eq!(other.cpu_time(), Some(before));
            drop(held);
        });
        let me = ThreadHandle::current();
        let before = me.cpu_time().unwrap();
        while me.cpu_time().unwrap() == before {
            std::hint::black_box(0);
        }
        assert_ne!(me.doing(), Some(Doing::WaitsForAThread));
    }
}
