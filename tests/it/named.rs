//! Named actors and namespaces.

use ray::{ActorHandle, Config, ErrorKind, remote};

use crate::cluster;
use crate::stage::{Token, alone_on, apart, eventually, late};
use crate::support::{Gate, Tally, calls};

#[remote]
struct Registry {
    value: u64,
    #[allow(dead_code, reason = "the test observes its drop")]
    token: Token,
}

#[remote]
impl Registry {
    pub fn new(made: Tally, dropped: Tally) -> Self {
        Registry { value: made.add(), token: Token(dropped) }
    }
    pub fn value(&self) -> u64 {
        self.value
    }
    pub fn who(&self) -> (Option<String>, String) {
        let context = ray::context();
        (context.actor_name(), context.namespace().to_owned())
    }
    pub fn crash(&mut self) {
        panic!("crashes");
    }
}

#[remote]
struct Other;

#[remote]
impl Other {
    pub fn new() -> Self {
        Other
    }
    pub fn call(&self) -> u64 {
        0
    }
}

fn make(name: &str) -> ray::Result<ActorHandle<Registry>> {
    Registry::options().name(name).try_remote(Tally::new(), Tally::new())
}

/// Actors are found by name and class. An unknown name, a taken name and a name of another class are errors.
#[test]
fn actors_are_found_by_name() {
    alone_on(2, || {
        let registry = make("registry").unwrap();
        let found = ray::get_actor::<Registry>("registry").unwrap();
        assert_eq!(found.id(), registry.id());
        assert_eq!(ray::get(found.value.remote()).unwrap(), 1);
        let error = ray::get_actor::<Registry>("regsitry").unwrap_err();
        assert!(error.is_actor_not_found() && error.to_string().contains("regsitry"), "{error}");
        let error = ray::get_actor::<Other>("registry").unwrap_err();
        assert!(error.is_actor_not_found() && error.to_string().contains("Registry"), "{error}");
        let error = make("registry").unwrap_err();
        assert!(error.is_actor_already_exists() && error.to_string().contains("registry"), "{error}");
        let taken = Registry::options().name("registry").remote(Tally::new(), Tally::new());
        assert!(ray::get(taken.value.remote()).unwrap_err().is_actor_already_exists());
        assert!(ray::get(taken.ready()).unwrap_err().is_actor_already_exists());
        let other = Other::options().name("registry").try_remote().unwrap_err();
        assert!(other.is_actor_already_exists());
        assert_eq!(ray::get(registry.who.remote()).unwrap(), (Some("registry".to_owned()), "default".to_owned()));
        assert_eq!(ray::get(Other::remote().call.remote()).unwrap(), 0);
        assert_eq!(ray::list_named_actors(), [("default".to_owned(), "registry".to_owned())]);
    });
}

/// Each namespace has its own names.
#[test]
fn namespaces() {
    apart(|| {
        crate::support::init_with(Config::new().num_cpus(2).namespace("mine")).unwrap();
        let mine = make("registry").unwrap();
        let theirs = Registry::options().name("registry").namespace("theirs").remote(Tally::new(), Tally::new());
        assert_ne!(mine.id(), theirs.id());
        assert_eq!(ray::get_actor::<Registry>("registry").unwrap().id(), mine.id());
        assert_eq!(ray::get_actor_in::<Registry>("registry", "mine").unwrap().id(), mine.id());
        assert_eq!(ray::get_actor_in::<Registry>("registry", "theirs").unwrap().id(), theirs.id());
        assert!(ray::get_actor_in::<Registry>("registry", "default").unwrap_err().is_actor_not_found());
        let all = [("mine".to_owned(), "registry".to_owned()), ("theirs".to_owned(), "registry".to_owned())];
        assert_eq!(ray::list_named_actors(), all);
        assert_eq!(ray::get(mine.who.remote()).unwrap(), (Some("registry".to_owned()), "mine".to_owned()));
        assert_eq!(ray::context().namespace(), "mine");
    });
}

/// The weak handle of `get_actor` does not keep the actor alive. The name is free again after the actor has ended in any
/// way.
#[test]
fn a_name_is_free_after_its_actor_ended() {
    alone_on(2, || {
        type End = fn(ActorHandle<Registry>);
        // Whether the actor drops its state: a killed process of a cluster does not.
        let ends: [(End, bool); 4] = [
            (drop, true),
            (|registry| ray::kill(&registry).unwrap(), !cluster::wanted()),
            (|registry| assert!(ray::get(registry.crash.remote()).is_err()), true),
            (|registry| ray::get(registry.terminate()).unwrap(), true),
        ];
        for (end, drops) in ends {
            let (made, dropped) = (Tally::new(), Tally::new());
            let registry = Registry::options().name("again").try_remote(made, dropped).unwrap();
            let weak = ray::get_actor::<Registry>("again").unwrap();
            assert_eq!(ray::get(weak.value.remote()).unwrap(), 1);
            end(registry);
            dropped.wait_for(u64::from(drops));
            eventually("the name is free", || ray::get_actor::<Registry>("again").is_err());
            assert!(ray::get(weak.value.remote()).unwrap_err().is_actor_died());
            eventually("no name is left", || ray::list_named_actors().is_empty());
        }
    });
}

/// `get_if_exists` is atomic: of many concurrent creations one creates the actor, and all return the same one.
#[test]
fn get_if_exists() {
    alone_on(2, || {
        for round in 0..calls(3, 20) {
            let (made, dropped) = (Tally::new(), Tally::new());
            let name = format!("single-{round}");
            let handles: Vec<_> = std::thread::scope(|scope| {
                let create = || Registry::options().name(&*name).get_if_exists(true).remote(made, dropped);
                let all: Vec<_> = (0..8).map(|_| scope.spawn(create)).collect();
                all.into_iter().map(|one| one.join().unwrap()).collect()
            });
            assert!(handles.iter().all(|handle| *handle == handles[0]));
            for handle in &handles {
                assert_eq!(ray::get(handle.value.remote()).unwrap(), 1);
            }
            assert_eq!(made.count(), 1);
            drop(handles);
            dropped.wait_for(1);
        }
        let without = Registry::options().get_if_exists(true).try_remote(Tally::new(), Tally::new());
        assert_eq!(without.unwrap_err().kind(), ErrorKind::InvalidArgument);
        let other = make("other").unwrap();
        let wrong = Other::options().name("other").get_if_exists(true).try_remote().unwrap_err();
        assert!(wrong.is_actor_not_found(), "{wrong}");
        drop(other);
    });
}

/// An actor is found by name before its constructor has run. The name is free again after a constructor failed.
#[test]
fn a_name_exists_before_the_constructor_runs() {
    alone_on(2, || {
        let (gate, made, dropped) = (Gate::new(), Tally::new(), Tally::new());
        let registry = Registry::options().name("slow").remote(late(gate, made), dropped);
        let found = ray::get_actor::<Registry>("slow").unwrap();
        let value = found.value.remote();
        assert!(!value.is_ready());
        gate.open();
        assert_eq!(ray::get(value).unwrap(), 1);
        drop(registry);
        let broken = crate::stage::panic_tally.remote("broken".to_owned());
        let unstartable = Registry::options().name("unstartable").remote(&broken, dropped);
        assert!(ray::get(unstartable.ready()).unwrap_err().is_actor_died());
        let is_free = || ray::get_actor::<Registry>("unstartable").is_err_and(|error| error.is_actor_not_found());
        if cluster::wanted() {
            // Ray keeps the name as long as there are handles.
            drop(unstartable);
            eventually("the name is free", is_free);
        }
        assert!(is_free());
        assert!(make("unstartable").is_ok());
    });
}
