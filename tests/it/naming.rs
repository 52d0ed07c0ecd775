//! Names: of functions in the registry, and of methods and constructors in errors, logs and the context (`Class.method`).

use ray::{ActorHandle, Config, ErrorKind, ObjectRef, remote};

use crate::cluster;
use crate::support::{Gate, engine, in_child};

#[remote]
struct Bakery {
    open: bool,
}

#[remote]
impl Bakery {
    pub fn new(open: bool) -> Result<Bakery, String> {
        if open { Ok(Bakery { open }) } else { Err("no key".to_owned()) }
    }
    pub fn bake(&mut self, loaves: u32) -> Result<u32, String> {
        if self.open && loaves > 0 { Ok(loaves) } else { Err("no flour".to_owned()) }
    }
    pub fn burn(&mut self) {
        panic!("smoke");
    }
    pub fn name(&self) -> (Option<String>, Option<String>) {
        let context = ray::context();
        (context.task_name().map(str::to_owned), context.function_name().map(str::to_owned))
    }
    pub async fn rest(&self) -> Result<(), String> {
        Err("no rest".to_owned())
    }
    pub async fn blocks(&self) -> ray::Result<()> {
        let gate = Gate::new();
        let pending = crate::stage::wait.remote(gate);
        let told = ray::get(&pending);
        gate.open();
        told
    }
}

#[remote]
struct Oven;

#[remote]
impl Oven {
    pub fn new() -> Oven {
        Oven
    }
    /// Waits for a call of `other`; with its own handle this is a deadlock.
    pub fn wait_for(&mut self, other: ActorHandle<Oven>) -> ray::Result<u32> {
        ray::get(other.heat.remote())
    }
    pub fn heat(&mut self) -> u32 {
        1
    }
}

#[remote]
fn eat(loaves: u32) -> u32 {
    loaves
}

fn link(error: &ray::Error) -> String {
    let text = format!("{error:?}");
    text.lines().find_map(|line| line.trim().strip_prefix("in task ")).unwrap_or_default().to_owned()
}

#[test]
fn errors_name_class_and_method() {
    engine();
    let bakery = Bakery::remote(true);
    let error = ray::get(bakery.bake.remote(0)).unwrap_err();
    assert_eq!(error.to_string(), "task `Bakery.bake` failed: no flour");
    assert!(link(&error).starts_with("`Bakery.bake` (tests/it/naming.rs:"), "{error:?}");
    let error = ray::get(eat.remote(bakery.bake.remote(0))).unwrap_err();
    assert!(error.to_string().starts_with("task `Bakery.bake` failed"), "{error}");
    assert!(ray::get(bakery.rest.remote()).unwrap_err().to_string().starts_with("task `Bakery.rest` failed"));
    let error = ray::get(bakery.blocks.remote()).unwrap_err();
    assert!(
        error.kind() == ErrorKind::BlockingInAsync && error.to_string().contains("inside the async `Bakery.blocks`"),
        "{error}"
    );
    let error = ray::get(bakery.bake.options().name("Sunday").remote(0)).unwrap_err();
    assert_eq!(error.to_string(), "task `Sunday` failed: no flour", "a name in the options overrides the name of the method");

    let error = ray::get(bakery.burn.remote()).unwrap_err();
    let text = error.to_string();
    let place = if cluster::wanted() { "the actor died of a panic" } else { "actor `Bakery` died of a panic" };
    assert!(error.is_actor_died() && text.contains(place) && text.contains("`Bakery.burn`"), "{error}");
    assert!(cluster::wanted() || text.starts_with("task `Bakery.burn` failed"), "{error}");
    if cluster::wanted() {
        // Ray names the class in the error of a dead actor.
        let error = ray::get(bakery.bake.remote(1)).unwrap_err();
        assert!(error.is_actor_died(), "{error:?}");
        return;
    }
    for error in [ray::get(bakery.bake.remote(1)).unwrap_err(), bakery.bake.try_remote(1).unwrap_err()] {
        assert!(error.is_actor_died() && link(&error).starts_with("`Bakery.bake`"), "{error:?}");
    }
    for (error, name) in [
        (ray::get(bakery.ready()).unwrap_err(), "`Bakery.ready`"),
        (ray::get(bakery.with(|bakery| bakery.open)).unwrap_err(), "`Bakery.with`"),
        (ray::get(bakery.terminate()).unwrap_err(), "`Bakery.terminate`"),
    ] {
        assert!(link(&error).starts_with(name), "{name}: {error:?}");
    }
}

#[test]
fn constructors_are_called_new() {
    engine();
    for bakery in [Bakery::remote(false), Bakery::options().max_pending_calls(9).remote(false)] {
        let error = ray::get(bakery.bake.remote(1)).unwrap_err();
        assert!(format!("{error:?}").contains("task `Bakery.new` failed: no key"), "{error:?}");
    }
}

#[test]
fn the_context_names_class_and_method() {
    engine();
    let bakery = Bakery::remote(true);
    let (name, function) = ray::get(bakery.name.remote()).unwrap();
    assert_eq!(name.as_deref(), Some("Bakery.name"));
    assert!(function.unwrap().ends_with("::Bakery::name"), "the function name is the path in the source");
}

#[test]
fn a_deadlock_names_class_and_method() {
    engine();
    let oven = Oven::remote();
    let error = ray::get(oven.wait_for.remote(&oven)).unwrap_err();
    assert!(error.to_string().contains("`Oven.wait_for` waits for `Oven.heat`"), "{error}");
}

/// Functions are registered under their module path and name.
#[test]
fn functions_are_registered() {
    let found = ray::__private::lookup("it::naming::eat").unwrap();
    assert!(!found.is_class() && found.methods().is_empty());
    let error = ray::__private::lookup("it::naming::drink").unwrap_err();
    assert!(error.to_string().contains("it::naming::drink"), "{error}");
}

/// Two functions can have the same path. A lookup of that path is an error that names both places.
#[test]
fn two_functions_of_one_path() {
    engine();
    let line = line!();
    fn other() -> ObjectRef<u8> {
        #[remote]
        fn of_one_path() -> u8 {
            1
        }
        of_one_path.remote()
    }
    #[remote]
    fn of_one_path() -> u8 {
        2
    }
    let called = ray::get((other(), of_one_path.remote()));
    let error = ray::__private::lookup("it::naming::of_one_path").unwrap_err();
    if cluster::wanted() {
        // A worker knows the path only.
        let called = called.unwrap_err();
        assert!(called.is_invalid_argument() && called.to_string().contains(&error.to_string()), "{called}");
    } else {
        assert_eq!(called.unwrap(), (1, 2), "each call runs its own function");
    }
    assert!(error.is_invalid_argument());
    for place in [line + 2, line + 8] {
        assert!(error.to_string().contains(&format!("tests/it/naming.rs:{place}")), "{error}");
    }
}

/// Logs name class and method, for calls by `tell` and for calls whose reference was dropped.
#[test]
fn logs_name_class_and_method() {
    let said = in_child("naming::logs_name_class_and_method", || {
        crate::support::init_with(Config::new().num_cpus(1).stall_report(std::time::Duration::from_millis(100))).unwrap();
        let bakery = Bakery::remote(true);
        bakery.bake.tell(0);
        drop(bakery.rest.remote());
        bakery.burn.tell();
        let _ = ray::get(bakery.ready());
        let oven = Oven::options().num_cpus(1.0).remote();
        let held = ray::get(oven.heat.remote()).unwrap();
        let starved = eat.remote(held);
        std::thread::sleep(std::time::Duration::from_secs(1)); // body: nothing starts in this time
        drop(oven);
        ray::get(starved).unwrap();
    });
    for part in ["`Bakery.bake` failed", "`Bakery.rest` failed", "`Bakery.burn` failed"] {
        assert!(said.stderr.contains(part), "{part} in:\n{}", said.stderr);
    }
}
