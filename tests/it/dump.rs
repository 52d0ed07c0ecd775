//! `ray::dump`: the state of the engine as text, also while all bodies are blocked.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

use ray::remote;

use crate::stage::{apart, eventually};
use crate::support::{Gate, Tally, in_child};

#[remote]
fn held(running: Tally, gate: Gate) -> u64 {
    running.add();
    gate.wait();
    1
}

#[remote]
struct Clerk;

#[remote]
impl Clerk {
    pub fn new() -> Self {
        Clerk
    }
    pub fn serve(&mut self, running: Tally, gate: Gate) -> u64 {
        running.add();
        gate.wait();
        2
    }
    pub fn next(&mut self) -> u64 {
        3
    }
    pub fn hear(&mut self, _words: (u64, u64)) {}
}

#[track_caller]
fn has(text: &str, words: &str) {
    assert!(text.contains(words), "no `{words}` in:\n{text}");
}

#[test]
fn without_an_engine() {
    apart(|| {
        has(&ray::dump(), "no engine runs");
        ray::init().expect("the engine starts");
        has(&ray::dump(), "ray: engine");
        ray::shutdown().expect("no body runs");
        has(&ray::dump(), "no engine runs");
    });
}

#[test]
fn bodies_claims_gets_and_mailboxes() {
    apart(|| {
        crate::support::init_with(ray::Config::new().num_cpus(2).resource("licence", 3.0)).expect("the engine starts");
        let (gate, running) = (Gate::new(), Tally::new());
        let clerk = Clerk::options().name("front desk").remote();
        let served = clerk.serve.remote(running, gate);
        running.wait_for(1);
        let first = clerk.next.remote();
        let second = clerk.next.remote();
        clerk.hear.tell((1, 2));
        let body = held.remote(running, gate);
        running.wait_for(2);
        let claim = held.options().num_cpus(2.0).resource("licence", 1.0).remote(running, gate);
        let getter = std::thread::Builder::new().name("patient".to_owned()).spawn(move || ray::get(served));
        let getter = getter.expect("a thread");
        eventually("the getter waits", || ray::dump().contains("thread `patient` waits for"));
        let text = ray::dump();
        has(&text, "CPUs: 1 of 2 free");
        has(&text, "licence: 3");
        has(&text, "claims: 1 task(s), actor(s) or placement group(s) ask for");
        has(&text, "dump::held (");
        has(&text, "dump::Clerk::serve (");
        has(&text, "a call, running");
        has(&text, "actor `Clerk` (named `front desk`): live, running, 3 call(s) in its mailbox");
        gate.open();
        assert_eq!(ray::get((body, claim, first, second)).expect("all end"), (1, 1, 3, 3));
        assert_eq!(getter.join().expect("no panic").expect("it ends"), 2);
    });
}

#[test]
fn a_task_that_waits_for_arguments() {
    apart(|| {
        crate::support::init_with(ray::Config::new().num_cpus(2)).expect("the engine starts");
        let (gate, running) = (Gate::new(), Tally::new());
        let late = held.remote(running, gate);
        running.wait_for(1);
        let sum = crate::stage::give.remote(1);
        assert_eq!(ray::get(sum).expect("it ends"), 1);
        #[remote]
        fn more(x: u64) -> u64 {
            x + 1
        }
        let waiting = more.remote(&late);
        let getter = std::thread::spawn(move || ray::get(waiting));
        eventually("the getter waits", || ray::dump().contains("waits for `more`, a task with 1 argument(s) not ready"));
        gate.open();
        assert_eq!(getter.join().expect("no panic").expect("it ends"), 2);
    });
}

/// Bodies that wait for a lock hold every CPU, so no task can start; `ray::dump` still returns.
#[test]
fn a_dump_while_all_bodies_are_blocked() {
    apart(|| {
        static LOCK: std::sync::Mutex<()> = std::sync::Mutex::new(());
        #[remote]
        fn stuck(running: Tally) -> u64 {
            running.add();
            drop(LOCK.lock());
            1
        }
        crate::support::init_with(ray::Config::new().num_cpus(2)).expect("the engine starts");
        let guard = LOCK.lock().expect("the lock is not poisoned");
        let running = Tally::new();
        let all: Vec<_> = (0..3).map(|_| stuck.remote(running)).collect();
        running.wait_for(2);
        let text = ray::dump();
        has(&text, "CPUs: 0 of 2 free");
        assert_eq!(text.matches("runs it::dump::stuck (").count(), 2, "two bodies run:\n{text}");
        drop(guard);
        assert_eq!(ray::get(all).expect("all end"), [1, 1, 1]);
    });
}

/// `ray::dump` works in bodies of every kind, and in a callback.
#[test]
fn a_dump_from_bodies_and_callbacks() {
    apart(|| {
        #[remote]
        async fn asynchronous() -> String {
            ray::dump()
        }
        crate::support::init_with(ray::Config::new().num_cpus(2)).expect("the engine starts");
        has(&ray::get(ray::task(ray::dump).remote()).expect("it ends"), "runs ");
        has(&ray::get(asynchronous.remote()).expect("it ends"), "async bodies: ");
        let (sender, dumped) = std::sync::mpsc::channel();
        crate::stage::give.remote(1).on_ready(move || sender.send(ray::dump()).expect("it is waited for"));
        has(&dumped.recv().expect("the callback runs"), "ray: engine");
    });
}

/// Threads dump while another one submits, calls, kills, and starts and shuts down engines.
#[test]
fn a_dump_during_other_operations() {
    apart(|| {
        let done = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !done.load(std::sync::atomic::Ordering::Relaxed) {
                        has(&ray::dump(), "ray: ");
                    }
                });
            }
            for round in 0..30 {
                crate::support::init_with(ray::Config::new().num_cpus(2)).expect("the engine starts");
                let clerks: Vec<_> = (0..5).map(|at| Clerk::options().name(format!("{round} {at}")).remote()).collect();
                let calls: Vec<_> = (0..100).map(|at| clerks[at % 5].next.remote()).collect();
                let tasks: Vec<_> = (0..100).map(|x| crate::stage::give.remote(x)).collect();
                ray::kill(&clerks[0]).unwrap();
                assert_eq!(ray::get(tasks).expect("all end").len(), 100);
                drop(calls.into_iter().map(ray::get).collect::<Vec<_>>());
                ray::shutdown().expect("no body runs");
            }
            done.store(true, std::sync::atomic::Ordering::Relaxed);
        });
    });
}

#[cfg(unix)]
#[test]
fn signals_that_cannot_be_caught() {
    for signal in [9, 11, -1, 1000] {
        let error = ray::dump_on_signal(signal).expect_err("no such signal");
        assert!(error.is_invalid_argument(), "{error}");
    }
}

/// A thread sends the signal to itself. ThreadSanitizer runs the handler of such a signal; [`on_a_signal`] cannot run with it.
#[cfg(target_os = "linux")]
#[test]
fn a_signal_that_a_thread_sends_to_itself() {
    use std::os::fd::AsRawFd;

    apart(|| {
        crate::support::init_with(ray::Config::new().num_cpus(2)).expect("the engine starts");
        ray::dump_on_signal(libc::SIGUSR1).expect("it can be caught");
        let (from, into) = std::io::pipe().expect("a pipe");
        // SAFETY: both numbers are open files of this process, in which no other thread opens or closes files now.
        let errors = unsafe { (libc::dup(2), libc::dup2(into.as_raw_fd(), 2)) };
        assert!(errors.0 > 2 && errors.1 == 2, "standard error goes into the pipe");
        drop(into);
        let mut lines = BufReader::new(from).lines();
        for _ in 0..2 {
            // SAFETY: the handler is the one that was just registered.
            assert_eq!(unsafe { libc::raise(libc::SIGUSR1) }, 0);
            assert!(lines.any(|line| line.is_ok_and(|line| line.starts_with("ray: engine"))), "a dump comes");
        }
        // SAFETY: as above.
        assert_eq!(unsafe { libc::dup2(errors.0, 2) }, 2, "standard error is what it was");
    });
}

#[cfg(target_os = "linux")]
#[test]
fn on_a_signal() {
    const NAME: &str = "dump::on_a_signal";
    const TARGET: &str = "RAY_TEST_DUMP_TARGET";
    const SIGUSR1: i32 = 10;
    in_child(NAME, || {
        if std::env::var_os(TARGET).is_some() {
            // This is the process that receives the signals. It ends when its standard input is closed.
            crate::support::init_with(ray::Config::new().num_cpus(2)).expect("the engine starts");
            ray::dump_on_signal(SIGUSR1).expect("it can be caught");
            ray::dump_on_signal(SIGUSR1).expect("a second call changes nothing");
            let (gate, running) = (Gate::new(), Tally::new());
            let body = held.remote(running, gate);
            running.wait_for(1);
            println!("\nhere I am");
            let _ = std::io::stdin().read_to_end(&mut Vec::new());
            gate.open();
            assert_eq!(ray::get(body).expect("it ends"), 1);
            return;
        }
        let mut target = Command::new(std::env::current_exe().expect("the test binary's path"))
            .args([NAME, "--exact", "--nocapture", "--test-threads=1"])
            .env(TARGET, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the test binary runs again");
        let mut stdout = BufReader::new(target.stdout.take().expect("piped")).lines();
        let mut stderr = BufReader::new(target.stderr.take().expect("piped")).lines();
        assert!(stdout.any(|line| line.is_ok_and(|line| line == "here I am")), "the target starts");
        for _ in 0..2 {
            let sent = Command::new("kill").args(["-USR1", &target.id().to_string()]).status();
            assert!(sent.expect("`kill` runs").success());
            assert!(stderr.any(|line| line.is_ok_and(|line| line.starts_with("ray: engine"))), "a dump is printed");
            assert!(stderr.any(|line| line.is_ok_and(|line| line.contains("dump::held ("))), "the dump has the running body");
        }
        drop(target.stdin.take());
        let rest = std::thread::spawn(move || stdout.for_each(drop));
        stderr.for_each(drop);
        rest.join().expect("no panic");
        assert!(target.wait().expect("it ends").success(), "the target exits normally after its dumps");
    });
}
