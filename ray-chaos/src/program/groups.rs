//! Bodies that run in placement groups.

use parking_lot::Mutex;
use ray::{ActorHandle, PlacementGroup, SchedulingStrategy, remote};

use super::{Ledger, Thing, make};

static LOCK: Mutex<()> = Mutex::new(());

/// Gets children while it holds a lock that only bodies of placement groups take, on a new thread or on its own. The result is 3.
#[remote]
pub fn under_lock_of_groups(on_thread: bool) -> ray::Result<Thing> {
    let _guard = LOCK.lock();
    let children = [make.remote(1), make.remote(2)];
    let things = if on_thread {
        std::thread::scope(|scope| scope.spawn(move || ray::get(children)).join().expect("a getter does not panic"))?
    } else {
        ray::get(children)?
    };
    Ok(Thing::new(things.iter().map(Thing::value).sum()))
}

/// Makes an actor, calls it and gets the result, which is `value`. The actor runs in the group of the body if that captures it.
#[remote]
pub fn asks_an_actor(value: i64) -> ray::Result<Thing> {
    let actor: ActorHandle<Ledger> = Ledger::remote(Thing::new(0));
    ray::get(actor.echo.remote(Thing::new(value)))
}

/// Makes a call in its own group, with a handle that it was sent. The result is `value`.
#[remote]
pub fn calls_in(group: PlacementGroup, value: i64) -> ray::Result<Thing> {
    let strategy = SchedulingStrategy::from(&group);
    ray::get(make.options().scheduling_strategy(strategy).try_remote(value)?)
}
