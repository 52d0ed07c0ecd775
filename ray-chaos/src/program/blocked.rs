//! Bodies that block their thread until other work has run: while they hold a lock, join threads, or run an executor.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use ray::{ActorHandle, ObjectRef, remote};

use super::{Desk, Ledger, Thing, later, make};
use crate::gate;

static LOCKS: [Mutex<()>; 2] = [const { Mutex::new(()) }; 2];
static ONCES: Mutex<Option<HashMap<u64, Arc<OnceLock<i64>>>>> = Mutex::new(None);

/// Submits children and gets them, in the way `how`. Their sum is 3.
fn children(how: u8, ledger: &ActorHandle<Ledger>, desk: &ActorHandle<Desk>) -> ray::Result<i64> {
    let sum = match how {
        0 => ray::get(make.remote(3))?.value(),
        1 => ray::get([make.remote(1), make.remote(2)])?.iter().map(Thing::value).sum(),
        2 => ray::get(later.remote(ray::put(Thing::new(3)), 2))?.value(),
        3 => ray::get(ledger.echo.remote(Thing::new(3)))?.value(),
        4 => ray::get(desk.note.remote(Thing::new(3)))?.value(),
        5 => {
            let (ready, _) = ray::wait([make.remote(3)], 1)?;
            ready.into_iter().map(|object| ray::get(object).map(|thing| thing.value())).sum::<ray::Result<i64>>()?
        }
        _ => {
            let all = (0..3).map(|_| make.remote(1)).chain([make.remote(0)]);
            ray::get(all.collect::<Vec<_>>())?.iter().map(Thing::value).sum()
        }
    };
    Ok(sum)
}

/// Gets its children while it holds a lock. The result is 3.
#[remote]
pub fn under_lock(lock: usize, how: u8, ledger: ActorHandle<Ledger>, desk: ActorHandle<Desk>) -> ray::Result<Thing> {
    let _guard = LOCKS[lock].lock();
    children(how, &ledger, &desk).map(Thing::new)
}

/// Gets its children while it initialises a cell for which other tasks wait. The result is 3.
#[remote]
pub fn initialise(cell: u64, how: u8, ledger: ActorHandle<Ledger>, desk: ActorHandle<Desk>) -> Thing {
    let cell = ONCES.lock().get_or_insert_with(HashMap::new).entry(cell).or_default().clone();
    Thing::new(*cell.get_or_init(|| children(how, &ledger, &desk).unwrap_or(3)))
}

/// Removes the cells of an era.
pub fn forget_cells() {
    *ONCES.lock() = None;
}

/// Submits tasks, gets them on new threads, and joins these threads. The result is 0 + 1 + .. + (`many` - 1).
#[remote]
pub fn on_threads(many: usize) -> ray::Result<Thing> {
    let objects: Vec<_> = (0..many).map(|value| make.remote(value as i64)).collect();
    let sums: Vec<ray::Result<i64>> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            objects.iter().map(|object| scope.spawn(move || ray::get(object).map(|thing| thing.value()))).collect();
        threads.into_iter().map(|thread| thread.join().expect("a getter does not panic")).collect()
    });
    sums.into_iter().sum::<ray::Result<i64>>().map(Thing::new)
}

/// Submits tasks and awaits them in a sync body. The result is 0 + 1 + .. + (`many` - 1). It has `inline = false`, because
/// the driver awaits with the same executor, which panics if it is nested.
#[remote(inline = false)]
pub fn blocking_on(many: usize) -> ray::Result<Thing> {
    let objects = (0..many).map(|value| make.remote(value as i64));
    let things = futures::executor::block_on(futures::future::try_join_all(objects))?;
    Ok(Thing::new(things.iter().map(Thing::value).sum()))
}

/// Blocks until the gate is open.
#[remote]
pub fn at_gate(gate: u64) -> Thing {
    gate::pass(gate);
    Thing::new(1)
}

/// Blocks only if `gate` is not 0. The bodies with 0 are short, so the engine learns that the function is short.
#[remote]
pub fn perhaps_at_gate(gate: u64) -> Thing {
    if gate != 0 {
        gate::pass(gate);
    }
    Thing::new(1)
}

/// Gets an object that it did not submit.
#[remote]
pub fn gets(a: ObjectRef<Thing>) -> ray::Result<Thing> {
    ray::get(a)
}
