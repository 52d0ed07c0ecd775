//! Engines without CPUs, and the stack size of bodies.

use ray::{Config, ObjectRef, remote};

use crate::stage::Meeting;
use crate::support::{in_child, in_child_with};

#[remote]
struct Desk {
    calls: u64,
}

#[remote]
impl Desk {
    pub fn new() -> Self {
        Desk { calls: 0 }
    }
    pub fn call(&mut self) -> u64 {
        self.calls += 1;
        self.calls
    }
}

#[remote]
fn one_cpu() -> u64 {
    1
}

#[remote(num_cpus = 0)]
fn no_cpu(levels: u64) -> u64 {
    if levels == 0 { 0 } else { 1 + ray::get(no_cpu.remote(levels - 1)).unwrap() }
}

#[remote]
async fn waits() -> u64 {
    tokio::time::sleep(std::time::Duration::from_millis(1)).await; // body: async bodies may sleep
    crate::stage::give_u64.options().num_cpus(0.0).remote(5).await.unwrap()
}

/// With no CPUs, work that asks for no CPU runs, and work that asks for one fails at once, as in Ray.
#[test]
fn no_cpus_at_all() {
    in_child("machine::no_cpus_at_all", || {
        let context = crate::support::init_with(Config::new().num_cpus(0)).unwrap();
        assert_eq!((context.num_cpus(), context.resources().num_cpus()), (0.0, 0.0));
        assert_eq!(ray::get(no_cpu.remote(100)).unwrap(), 100);
        assert_eq!(ray::get(waits.remote()).unwrap(), 5);
        let desk = Desk::remote();
        assert_eq!(ray::get(vec![desk.call.remote(), desk.call.remote()]).unwrap(), [1, 2]);
        // Bodies that block get further threads, as on an engine with CPUs.
        let meeting = Meeting::of(4);
        ray::get((0..4).map(|_| crate::stage::meet.options().num_cpus(0.0).remote(meeting)).collect::<Vec<_>>()).unwrap();
        let told = crate::stage::nothing.options().num_cpus(0.0).remote();
        ray::wait([told.any()], 1).unwrap();

        let asked: [(ray::Error, &str); 6] = [
            (ray::get(one_cpu.remote()).unwrap_err(), "`one_cpu`"),
            (one_cpu.try_remote().unwrap_err(), "`one_cpu`"),
            (ray::get(ray::task(|| 7).remote()).unwrap_err(), "`closure`"),
            (ray::get(one_cpu.options().num_cpus(0.5).remote()).unwrap_err(), "`one_cpu`"),
            (ray::get(waits.options().num_cpus(1.0).remote()).unwrap_err(), "`waits`"),
            (Desk::options().num_cpus(1.0).try_remote().unwrap_err(), "actor `Desk`"),
        ];
        for (error, name) in asked {
            assert!(error.is_infeasible(), "{error}");
            assert!(error.to_string().contains(&format!("{name} asks for {{CPU: ")), "{error}");
            assert!(
                error.to_string().contains("is more than 0; ask for less, or pass a Config with more to `ray::init_with`"),
                "{error}"
            );
        }
        assert_eq!(ray::get(desk.call.remote()).unwrap(), 3, "the engine runs further calls");
        ray::shutdown().unwrap();
        crate::support::init_with(Config::new().num_cpus(1)).unwrap();
        assert_eq!(ray::get(one_cpu.remote()).unwrap(), 1);
    });
}

/// Uses at least `kib` KiB of stack.
fn recurse(kib: usize) -> usize {
    let frame = std::hint::black_box([0_u8; 1024]);
    if kib == 0 { 0 } else { usize::from(frame[kib % 1024]) + 1 + recurse(kib - 1) }
}

#[remote]
fn deep(kib: usize) -> usize {
    recurse(kib)
}

#[remote]
async fn deep_async(kib: usize) -> usize {
    recurse(kib)
}

#[remote]
fn deep_below(levels: usize, kib: usize) -> usize {
    if levels == 0 { recurse(kib) } else { ray::get(deep_below.remote(levels - 1, kib)).unwrap() }
}

#[remote]
impl Deep {
    pub fn new() -> Self {
        Deep
    }
    pub fn deep(&self, kib: usize) -> usize {
        recurse(kib)
    }
}

#[remote]
struct Deep;

const MIB: usize = 1 << 20;

/// Uses 8 MiB of stack in bodies of every kind.
fn bodies_use_8_mib() {
    const KIB: usize = 8 * 1024;
    // Several times each: after some short bodies the getter runs them on its own thread.
    for _ in 0..8 {
        assert_eq!(ray::get(deep.remote(KIB)).unwrap(), KIB);
        assert_eq!(ray::get(deep_async.remote(KIB)).unwrap(), KIB);
        assert_eq!(ray::get(deep_below.remote(20, KIB)).unwrap(), KIB);
        assert_eq!(ray::get(Deep::remote().deep.remote(KIB)).unwrap(), KIB);
    }
    let many: Vec<ObjectRef<usize>> = (0..16).map(|_| deep.remote(KIB)).collect();
    assert!(ray::get(many).unwrap().into_iter().all(|kib| kib == KIB));
}

#[test]
fn stacks_as_large_as_configured() {
    in_child("machine::stacks_as_large_as_configured", || {
        crate::support::init_with(Config::new().num_cpus(2).worker_stack_size(64 * MIB)).unwrap();
        bodies_use_8_mib();
        // Getters with a small and with a large stack.
        for stack in [MIB / 2, 128 * MIB] {
            std::thread::Builder::new().stack_size(stack).spawn(bodies_use_8_mib).unwrap().join().unwrap();
        }
    });
}

#[test]
fn stacks_as_large_as_rust_min_stack() {
    let environment = [("RUST_MIN_STACK", "67108864")];
    in_child_with("machine::stacks_as_large_as_rust_min_stack", &environment, bodies_use_8_mib);
}
