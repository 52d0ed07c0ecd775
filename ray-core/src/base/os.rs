//! Queries to the operating system: whether a thread computes, what it waits for, and how much memory there is.
//!
//! The monitor thread asks when bodies hold every CPU of the limit and no work makes progress (see `engine::extra_cpu`). On
//! systems other than Linux the answers are `None`, and the monitor thread waits longer before it acts.

/// A thread, for queries by other threads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ThreadHandle {
    #[cfg(target_os = "linux")]
    id: libc::pid_t,
    #[cfg(target_os = "linux")]
    clock: Option<libc::clockid_t>,
}

/// The present activity of a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doing {
    /// It has a processor, or waits for one.
    Computes,
    /// It sleeps for a limited time, or does I/O: it will continue without another thread.
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
            // SAFETY: both calls ask about the calling thread, and write at most `clock`, which is a valid `clockid_t`.
            let (id, failed) = unsafe { (libc::gettid(), libc::pthread_getcpuclockid(libc::pthread_self(), &raw mut clock)) };
            Self { id, clock: (failed == 0).then_some(clock) }
        }
        #[cfg(not(target_os = "linux"))]
        Self {}
    }

    /// The processor time of the thread, in nanoseconds. `None`: the thread has ended, or the system does not tell.
    pub(crate) fn cpu_time(self) -> Option<u64> {
        #[cfg(target_os = "linux")]
        {
            let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
            // SAFETY: the call writes `time` only; for the clock of a thread that has ended it returns an error.
            let failed = unsafe { libc::clock_gettime(self.clock?, &raw mut time) };
            let nanos =
                |time: libc::timespec| Some(u64::try_from(time.tv_sec).ok()? * 1_000_000_000 + u64::try_from(time.tv_nsec).ok()?);
            (failed == 0).then(|| nanos(time)).flatten()
        }
        #[cfg(not(target_os = "linux"))]
        None
    }

    /// The activity of the thread. `None`: the system does not tell.
    pub(crate) fn doing(self) -> Option<Doing> {
        #[cfg(target_os = "linux")]
        {
            // The file has "running", or the number of the system call that the thread is in, and its arguments.
            let text = std::fs::read_to_string(format!("/proc/self/task/{}/syscall", self.id)).ok()?;
            let mut words = text.split_whitespace();
            let call = words.next()?.parse::<libc::c_long>();
            // The fourth argument of the epoll calls is their time-out, an `int`; -1 is no time-out.
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

/// How often the calling thread was preempted by another thread (involuntary context switches). 0 where the system does not tell.
pub(crate) fn lost_processor() -> i64 {
    #[cfg(target_os = "linux")]
    {
        let mut usage = std::mem::MaybeUninit::<libc::rusage>::uninit();
        // SAFETY: `usage` has room for an `rusage`, which the call fills unless it fails; it is read only then.
        unsafe { if libc::getrusage(libc::RUSAGE_THREAD, usage.as_mut_ptr()) == 0 { usage.assume_init().ru_nivcsw } else { 0 } }
    }
    #[cfg(not(target_os = "linux"))]
    0
}

/// The machine's memory, in bytes. `None`: the system does not tell.
pub(crate) fn memory() -> Option<u64> {
    #[cfg(target_os = "linux")]
    {
        // One system call; reading /proc/meminfo would take a considerable part of the engine's start.
        let mut info = std::mem::MaybeUninit::<libc::sysinfo>::uninit();
        // SAFETY: `info` has room for a `sysinfo`, which the call fills unless it fails; it is read only then.
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
    fn a_waiting_thread_is_distinguished_from_a_computing_one() {
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

/// The memory that this process may use, in bytes: the memory of the machine, or the limit of the container if that is less.
/// `u64::MAX` where the system does not tell.
pub(crate) fn memory_of_process() -> u64 {
    let container = std::fs::read_to_string("/sys/fs/cgroup/memory.max").ok().and_then(|text| text.trim().parse::<u64>().ok());
    memory().into_iter().chain(container).min().unwrap_or(u64::MAX)
}
