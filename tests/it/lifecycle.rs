//! `init`, the configuration, questions about the engine, and `shutdown`.

use std::time::Duration;

use ray::{Config, ErrorKind, ObjectRef, remote};

use crate::cluster;
use crate::stage::{eventually, shut_down_beside_a_body};
use crate::support::{Gate, PATIENCE, Tally, calls, in_child, in_child_with};

#[remote]
fn square(x: i64) -> i64 {
    x * x
}

#[remote]
fn wait_at(gate: Gate) -> i64 {
    gate.wait();
    1
}

/// `init` returns a context with the resources of the engine; by default these are the machine's.
#[test]
fn init_reports_the_resources() {
    in_child("lifecycle::init_reports_the_resources", || {
        assert!(!ray::is_initialized());
        let context = ray::init().unwrap();
        assert!(ray::is_initialized());
        let cores = std::thread::available_parallelism().unwrap().get();
        assert_eq!(context.num_cpus(), cores as f64);
        assert_eq!(context.namespace(), "default");
        assert_eq!(context.resources().num_cpus(), cores as f64);
        assert_eq!(context.resources().num_gpus(), 0.0);
        assert!(context.resources().memory() > 1 << 20, "the machine's memory");
        drop(context);
        assert!(ray::is_initialized(), "dropping the context does nothing");
        assert_eq!(ray::get(square.remote(3)).unwrap(), 9);
    });
}

/// The engine reports the configured resources; `nodes` lists this process only. A cluster of the tests has the same resources.
#[test]
fn configured_resources_are_reported() {
    in_child("lifecycle::configured_resources_are_reported", || {
        let config = Config::new().num_cpus(2).num_gpus(1).memory(1 << 30).resource("licence", 3.0).namespace("mine");
        let context = crate::support::init_with(config).unwrap();
        assert_eq!((context.num_cpus(), context.namespace()), (2.0, "mine"));
        assert_eq!((context.resources().num_gpus(), context.resources().get("licence")), (1.0, 3.0));
        assert_eq!(ray::context().namespace(), "mine");
        let all = ray::cluster_resources().unwrap();
        assert_eq!((all["CPU"], all["GPU"], all["licence"]), (2.0, 1.0, 3.0));
        if !cluster::wanted() {
            assert_eq!(all["memory"], f64::from(1 << 30));
        }
        eventually("all resources are free", || ray::available_resources().unwrap() == all);
        let nodes = ray::nodes().unwrap();
        assert_eq!(nodes.len(), 1);
        assert!(nodes[0].alive);
        assert_eq!(nodes[0].resources.get("licence"), 3.0);

        let gate = Gate::new();
        let started = Gate::new();
        let held = hold.options().num_gpus(0.5).resource("licence", 1.0).remote(started, gate);
        started.wait();
        // A worker thread that searches for work holds a CPU for a moment, and the head of a cluster hears of the task later.
        eventually("the resources of the task are taken", || {
            let free = ray::available_resources().unwrap();
            let taken = free["GPU"] == 0.5 && free["licence"] == 2.0;
            assert!(cluster::wanted() || free["CPU"] <= 1.0 && taken, "{free:?}");
            free["CPU"] == 1.0 && taken
        });
        gate.open();
        ray::get(held).unwrap();
        eventually("all resources are returned", || ray::available_resources().unwrap() == all);
    });
}

#[remote]
fn hold(started: Gate, gate: Gate) {
    started.open();
    gate.wait();
}

/// Any first use starts the engine; `nodes`, `cluster_resources`, `available_resources` and `shutdown` do not.
#[test]
fn first_use_starts_the_engine() {
    in_child("lifecycle::first_use_starts_the_engine", || {
        assert!(ray::nodes().unwrap_err().is_runtime_gone());
        assert!(ray::cluster_resources().unwrap_err().is_runtime_gone());
        assert!(ray::available_resources().unwrap_err().is_runtime_gone());
        ray::shutdown().expect("a shutdown without an engine succeeds");
        assert!(!ray::is_initialized(), "questions start no engine");

        let uses: [(&str, fn()); 8] = [
            ("remote", || assert_eq!(ray::get(square.remote(4)).unwrap(), 16)),
            ("try_remote", || assert_eq!(ray::get(square.try_remote(4).unwrap()).unwrap(), 16)),
            ("tell", || square.tell(4)),
            ("put", || assert_eq!(ray::get(ray::put(5)).unwrap(), 5)),
            ("put_local", || assert_eq!(ray::get(ray::put_local(5)).unwrap(), 5)),
            ("from", || assert_eq!(ray::get(ObjectRef::from(std::sync::Arc::new(5))).unwrap(), 5)),
            ("task", || assert_eq!(ray::get(crate::stage::give.remote(5)).unwrap(), 5)),
            ("context", || assert!(ray::context().task_id().is_none())),
        ];
        for (name, first) in uses {
            assert!(!ray::is_initialized());
            first();
            assert!(ray::is_initialized(), "{name} starts the engine");
            assert!(ray::init().unwrap_err().is_already_initialized(), "after {name}");
            ray::shutdown().unwrap();
        }
    });
}

/// A second `init` is an error, unless `ignore_reinit_error` is set.
#[test]
fn init_twice() {
    in_child("lifecycle::init_twice", || {
        crate::support::init_with(Config::new().num_cpus(3)).unwrap();
        let error = ray::init().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyInitialized);
        assert!(error.to_string().contains("ignore_reinit_error"), "the error says what to do: {error}");
        let again = crate::support::init_with(Config::new().num_cpus(7).ignore_reinit_error(true)).unwrap();
        // The cluster of the tests that has three CPUs has four.
        assert_eq!(again.num_cpus(), calls(4.0, 3.0), "the first engine still runs");
    });
}

/// The engine can be started again after a shutdown, with another configuration.
#[test]
fn init_again_after_a_shutdown() {
    in_child("lifecycle::init_again_after_a_shutdown", || {
        // A test on a cluster keeps the cluster that it has joined first.
        for cpus in calls([2; 4], [1, 2, 3, 4]) {
            let context = crate::support::init_with(Config::new().num_cpus(cpus)).unwrap();
            assert_eq!(context.num_cpus(), f64::from(cpus));
            let squares: Vec<_> = (0..calls(20, 100)).map(|x| square.remote(x)).collect();
            assert_eq!(ray::get(squares).unwrap()[19], 19 * 19);
            ray::shutdown().unwrap();
            assert!(!ray::is_initialized());
            ray::shutdown().expect("a second shutdown succeeds");
        }
    });
}

/// Every use of a reference of a former engine is an error, also while another engine runs.
#[test]
fn stale_references() {
    in_child("lifecycle::stale_references", || {
        crate::support::init_with(Config::new().num_cpus(2).shutdown_grace(Duration::from_secs(30))).unwrap();
        let gate = Gate::new();
        let ready = square.remote(3);
        ray::get(&ready).unwrap();
        let stored = ray::put(vec![1, 2]);
        let view = stored.view().unwrap();
        let running = wait_at.remote(gate);
        let waiting = square.remote(&running);
        gate.open();
        ray::shutdown().unwrap();

        let check = |when: &str| {
            for stale in [&ready, &running, &waiting] {
                let gone = |error: ray::Error| assert!(error.is_runtime_gone(), "{when}: {error}");
                gone(ray::get(stale).unwrap_err());
                gone(ray::get_timeout(stale, Duration::ZERO).unwrap_err());
                gone(ray::get(vec![stale.clone(), stale.clone()]).unwrap_err());
                gone(stale.try_get().unwrap_err());
                gone(stale.view().unwrap_err());
                gone(ray::Error::from(stale.clone().take().unwrap_err()));
                gone(ray::wait(vec![stale.clone()], 1).unwrap_err());
                gone(ray::cancel(stale).unwrap_err());
                gone(futures::executor::block_on(stale.clone()).unwrap_err());
                gone(ray::get_all_settled(vec![stale.clone()]).remove(0).unwrap_err());
                let completed: Vec<_> = ray::as_completed(vec![stale.clone()]).collect();
                assert_eq!(completed, std::slice::from_ref(stale), "{when}: it is yielded, and getting it is an error");
                assert!(stale.is_ready(), "{when}: a reference of a former engine counts as ready");
            }
            assert!(ray::get(&stored).unwrap_err().is_runtime_gone(), "{when}");
            assert_eq!(*view, [1, 2], "a view keeps its value");
        };
        check("after the shutdown");
        crate::support::init_with(Config::new().num_cpus(calls(2, 1))).unwrap();
        check("under another engine");
        let error = ray::get(square.remote(&ready)).unwrap_err();
        assert!(error.is_runtime_gone(), "as an argument: {error}");
        assert_eq!(ray::get(square.remote(5)).unwrap(), 25, "the new engine works");
    });
}

/// A shutdown wakes every waiting thread with an error.
#[test]
fn a_shutdown_wakes_all_waiters() {
    in_child("lifecycle::a_shutdown_wakes_all_waiters", || {
        crate::support::init_with(Config::new().num_cpus(2).shutdown_grace(Duration::ZERO)).unwrap();
        let (gate, started) = (Gate::new(), Gate::new());
        let object = hold.remote(started, gate);
        started.wait();
        let (sender, receiver) = std::sync::mpsc::channel();
        type IsTold = fn(ObjectRef<()>) -> bool;
        let waits: [(&str, IsTold); 5] = [
            ("get", |object| ray::get(object).unwrap_err().is_runtime_gone()),
            ("get of several", |object| ray::get([object.clone(), object]).unwrap_err().is_runtime_gone()),
            ("get_timeout", |object| ray::get_timeout(object, PATIENCE).unwrap_err().is_runtime_gone()),
            ("wait", |object| match ray::wait([object.clone()], 1) {
                Err(error) => error.is_runtime_gone(),
                // The object of a former engine counts as ready, if the wait sees it before it sees the shutdown.
                Ok(_) => cluster::wanted() && ray::get(object).unwrap_err().is_runtime_gone(),
            }),
            ("await", |object| futures::executor::block_on(object).unwrap_err().is_runtime_gone()),
        ];
        for (name, wait) in waits {
            let (object, sender) = (object.clone(), sender.clone());
            std::thread::spawn(move || {
                sender.send((name, None)).unwrap();
                let right = wait(object);
                sender.send((name, Some(right))).unwrap();
            });
        }
        for _ in 0..waits.len() {
            assert_eq!(receiver.recv_timeout(PATIENCE).unwrap().1, None);
        }
        if cluster::wanted() {
            shut_down_beside_a_body();
        } else {
            assert!(ray::shutdown().unwrap_err().to_string().contains("hold"), "the task still runs");
        }
        for _ in 0..waits.len() {
            let (name, right) = receiver.recv_timeout(PATIENCE).unwrap();
            assert_eq!(right, Some(true), "{name}");
        }
        gate.open();
    });
}

/// A shutdown guard shuts down its own engine only.
#[test]
fn shutdown_on_drop() {
    in_child("lifecycle::shutdown_on_drop", || {
        {
            let guard = crate::support::init_with(Config::new().num_cpus(2)).unwrap().shutdown_on_drop();
            assert_eq!(guard.num_cpus(), 2.0);
            assert_eq!(ray::get(square.remote(2)).unwrap(), 4);
        }
        assert!(!ray::is_initialized());
        let guard = ray::init().unwrap().shutdown_on_drop();
        ray::shutdown().unwrap();
        ray::init().unwrap();
        drop(guard);
        assert!(ray::is_initialized(), "the guard's engine was gone already");
    });
}

#[remote]
fn shuts_down() -> bool {
    ray::shutdown().is_err_and(|error| error.kind() == ErrorKind::InvalidArgument)
}

/// A body cannot shut down the engine that runs it.
#[test]
fn a_shutdown_in_a_body_is_refused() {
    in_child("lifecycle::a_shutdown_in_a_body_is_refused", || {
        if cluster::wanted() {
            crate::support::init_with(Config::new()).unwrap();
        }
        assert!(ray::get(shuts_down.remote()).unwrap());
        assert!(ray::is_initialized());
    });
}

/// With an address in the environment, `init` joins the cluster, and every other call that would start the engine is an error.
#[test]
fn a_use_before_init_is_refused_if_an_address_is_set() {
    let said = in_child_with("lifecycle::a_use_before_init_is_refused_if_an_address_is_set", &[("RAY_ADDRESS", "auto")], || {
        let refused = |error: ray::Error| {
            assert_eq!(error.kind(), ErrorKind::ClusterUnavailable, "{error}");
            let text = error.to_string();
            assert!(text.contains("call it first in `main`") && text.contains("auto") && text.contains("RAY_ADDRESS"), "{text}");
        };
        refused(ray::get(square.remote(3)).unwrap_err());
        refused(square.try_remote(3).unwrap_err());
        refused(ray::get(ray::put(3)).unwrap_err());
        refused(ray::get(ray::task(|| 3).remote()).unwrap_err());
        refused(ray::Error::from(ray::put_local(3).take().unwrap_err()));
        assert!(!ray::is_initialized());
        assert_eq!(square(3), 9, "the function is still a function");
    });
    assert!(!said.stderr.contains("panicked"), "{}", said.stderr);
}

/// The program that stands in for Python is not started: the address is checked before.
#[test]
fn an_address_that_is_none_is_refused() {
    in_child_with("lifecycle::an_address_that_is_none_is_refused", &[("RAY_PYTHON", "/bin/true")], || {
        for address in ["ray://10.0.0.1:10001", "nowhere"] {
            let error = ray::init_with(Config::new().address(address)).unwrap_err();
            assert!(error.is_cluster_unavailable() && error.to_string().contains(address), "{error}");
            assert!(!ray::is_initialized());
        }
        ray::init().expect("an `init` without an address succeeds");
    });
}

/// Invalid settings are errors that name the setting, and start no engine.
#[test]
fn invalid_settings() {
    in_child("lifecycle::invalid_settings", || {
        let absurd = [
            (Config::new().worker_stack_size(1), "worker_stack_size"),
            (Config::new().num_cpus(usize::MAX), "CPU"),
            (Config::new().max_threads(0), "max_threads"),
            (Config::new().namespace(""), "namespace"),
            (Config::new().resource("licence", -1.0), "licence"),
            (Config::new().resource("licence", f64::NAN), "licence"),
            (Config::new().resource("licence", f64::INFINITY), "licence"),
            (Config::new().resource("licence", 0.000_01), "licence"),
            (Config::new().resource("CPU", 1.0), "num_cpus"),
            (Config::new().resource("GPU", 1.0), "num_gpus"),
            (Config::new().resource("memory", 1.0), "memory"),
            (Config::new().resource("", 1.0), "resource"),
        ];
        // The resources of a cluster are not those of the program: `cluster::differs` has the errors for them.
        let of_nodes = ["CPU", "licence", "num_cpus", "num_gpus", "memory", "resource"];
        for (config, word) in absurd.into_iter().filter(|(_, word)| !cluster::wanted() || !of_nodes.contains(word)) {
            let told = format!("{config:?}");
            let error = crate::support::init_with(config).expect_err(&told);
            assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{told}: {error}");
            assert!(error.to_string().contains(word), "{told}: {error}");
            assert!(!ray::is_initialized(), "{told}");
        }
        crate::support::init_with(Config::new().resource("licence", 0.0001)).unwrap();
        if !cluster::wanted() {
            assert_eq!(ray::cluster_resources().unwrap()["licence"], 0.0001);
        }
    });
}

#[test]
fn an_invalid_environment() {
    let environment = [("RAY_STRICT", "perhaps")];
    in_child_with("lifecycle::an_invalid_environment", &environment, || {
        let error = ray::init().unwrap_err();
        assert!(error.is_invalid_argument() && error.to_string().contains("RAY_STRICT=perhaps"), "{error}");
        assert!(ray::get(square.remote(1)).unwrap_err().is_invalid_argument());
        crate::support::init_with(Config::new().strict(false)).expect("the configuration overrides the environment");
    });
}

/// A submitted task runs on another thread while the submitting thread continues.
#[test]
fn tasks_run_on_other_threads() {
    in_child("lifecycle::tasks_run_on_other_threads", || {
        crate::support::init_with(Config::new().num_cpus(2)).unwrap();
        let (gate, started) = (Gate::new(), Gate::new());
        let object = hold.remote(started, gate);
        started.wait();
        assert!(!object.is_ready(), "the task runs while this thread continues");
        gate.open();
        ray::get(object).unwrap();
    });
}

/// A shutdown runs pending callbacks and ends pending iterations of `as_completed`.
#[test]
fn a_shutdown_ends_callbacks_and_iterations() {
    in_child("lifecycle::a_shutdown_ends_callbacks_and_iterations", || {
        crate::support::init_with(Config::new().num_cpus(1).shutdown_grace(Duration::ZERO)).unwrap();
        let (started, gate, called) = (Gate::new(), Gate::new(), Tally::new());
        let objects = [hold.remote(started, gate), hold.remote(started, gate)];
        started.wait();
        for object in &objects {
            object.on_ready(move || _ = called.add());
        }
        let completed = ray::as_completed(&objects);
        let iterating =
            std::thread::spawn(move || completed.map(|object| ray::get(object).unwrap_err().kind()).collect::<Vec<_>>());
        shut_down_beside_a_body();
        assert_eq!(iterating.join().unwrap(), [ErrorKind::RuntimeGone; 2]);
        called.wait_for(2);
        gate.open();
    });
}

/// The process ends without waiting for running tasks.
#[test]
fn the_end_of_the_process_waits_for_nothing() {
    in_child("lifecycle::the_end_of_the_process_waits_for_nothing", || {
        let started = Gate::new();
        ray::task(move || {
            started.open();
            loop {
                std::thread::park();
            }
        })
        .tell::<()>();
        started.wait();
    });
}
