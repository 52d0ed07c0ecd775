//! The system refuses every new thread: a waiting driver runs the work on its own thread, or gets an error.

use std::sync::atomic::{AtomicU64, Ordering};

use ray::{ObjectRef, remote};

use crate::stage::{alone_with, apart};

#[remote]
fn square(x: u64) -> u64 {
    x * x
}

#[remote(num_cpus = 2)]
fn wide(x: u64) -> u64 {
    x + 1
}

#[remote]
fn sum(n: u64) -> u64 {
    if n == 0 { 0 } else { ray::get([sum.remote(n - 1), square.remote(0)]).unwrap()[0] + n }
}

#[remote]
struct Counter {
    count: u64,
}

#[remote]
impl Counter {
    pub fn new() -> Self {
        Counter { count: 0 }
    }
    pub fn add(&mut self) -> u64 {
        self.count += 1;
        self.count
    }
}

/// Makes the system refuse new threads to this process: `clone3`, and `clone` for a thread, return `EAGAIN`. A `clone` for a
/// process is allowed, because the leak check of AddressSanitizer needs one.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub(crate) fn refuse_threads() {
    const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    const IS: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    const HAS: u16 = (libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K) as u16;
    const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
    let step = |code, k, jt, jf| libc::sock_filter { code, jt, jf, k };
    // Offsets in `seccomp_data`: the number of the call, and the lower half of its first argument, the flags of `clone`.
    let (number, flags) = (0, 16);
    let mut filter = [
        step(LOAD, number, 0, 0),
        step(IS, libc::SYS_clone3 as u32, 4, 0),
        step(IS, libc::SYS_clone as u32, 0, 2),
        step(LOAD, flags, 0, 0),
        step(HAS, libc::CLONE_THREAD as u32, 1, 0),
        step(RETURN, libc::SECCOMP_RET_ALLOW, 0, 0),
        step(RETURN, libc::SECCOMP_RET_ERRNO | libc::EAGAIN as u32, 0, 0),
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: system calls with valid arguments. The second call copies the filter, which outlives it, for all existing
    // threads.
    let failed = unsafe {
        let (set_filter, of_all_threads) = (libc::SECCOMP_SET_MODE_FILTER, libc::SECCOMP_FILTER_FLAG_TSYNC);
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0
            || libc::syscall(libc::SYS_seccomp, set_filter, of_all_threads, &raw const program) != 0
    };
    assert!(!failed, "{}", std::io::Error::last_os_error());
    assert!(std::thread::Builder::new().spawn(|| ()).is_err(), "threads are refused");
}

#[test]
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn a_driver_runs_its_work_without_worker_threads() {
    static CALLED: AtomicU64 = AtomicU64::new(0);
    apart(|| {
        crate::support::init_with(ray::Config::new().num_cpus(2)).unwrap();
        refuse_threads();
        assert_eq!(ray::get(square.remote(3)).unwrap(), 9, "a get");
        let squares: Vec<ObjectRef<u64>> = (0..20).map(|x| square.remote(x)).collect();
        assert_eq!(ray::get(&squares).unwrap()[19], 361, "a get of several");
        let (ready, rest) = ray::wait((0..20).map(|x| square.remote(x)).collect::<Vec<_>>(), 5).unwrap();
        assert_eq!((ready.len(), rest.len()), (5, 15), "wait");
        assert_eq!(ray::as_completed((0..20).map(|x| square.remote(x)).collect::<Vec<_>>()).count(), 20, "as_completed");
        assert_eq!(futures::executor::block_on(square.remote(4)).unwrap(), 16, "an await");
        let counter = Counter::remote();
        let counts: Vec<_> = (0..10).map(|_| counter.add.remote()).collect();
        assert_eq!(ray::get(counts).unwrap()[9], 10, "calls of an actor");
        assert_eq!(ray::get(wide.remote(1)).unwrap(), 2, "a task for both CPUs");
        assert_eq!(ray::get(sum.remote(20)).unwrap(), 210, "gets in bodies");
        let chained = square.remote(square.remote(square.remote(2)));
        assert_eq!(ray::get(chained).unwrap(), 256, "a chain");
        let object = square.remote(5);
        object.on_ready(|| {
            CALLED.fetch_add(1, Ordering::SeqCst);
        });
        assert_eq!(ray::get(object).unwrap(), 25);
        ray::shutdown().unwrap();
        assert_eq!(CALLED.load(Ordering::SeqCst), 1, "a callback");
    });
}

#[remote]
async fn doubled(x: u64) -> u64 {
    x * 2
}

#[test]
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn an_async_body_without_a_thread_is_an_error() {
    // tokio panics while it builds a runtime if the system refuses a thread, and leaks what it has allocated.
    alone_with(&[("ASAN_OPTIONS", "detect_leaks=0")], || {
        crate::support::init_with(ray::Config::new().num_cpus(2)).unwrap();
        refuse_threads();
        assert!(ray::get(doubled.remote(1)).unwrap_err().is_threads());
        assert!(futures::executor::block_on(doubled.remote(1)).unwrap_err().is_threads());
    });
}
