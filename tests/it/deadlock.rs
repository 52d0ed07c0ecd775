//! Deadlock detection: gets that wait for each other fail with an error that names them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use ray::{ActorHandle, ErrorKind, ObjectRef, WeakActorHandle, remote};

use crate::stage::{Meeting, alone, alone_on, late};
use crate::support::{Gate, Tally};

#[remote]
struct Node {
    next: Option<WeakActorHandle<Node>>,
    told: Option<String>,
}

#[remote(local)]
impl Node {
    pub fn new() -> Self {
        Node { next: None, told: None }
    }
    pub fn join(&mut self, next: ActorHandle<Node>) {
        self.next = Some(next.downgrade());
    }
    pub fn leaf(&self) -> u64 {
        1
    }
    /// Asks the next node, `hops` nodes further.
    pub fn ask(&self, hops: u64) -> ray::Result<u64> {
        let next = self.next.as_ref().ok_or_else(|| ray::Error::other("alone"))?;
        if hops == 0 { ray::get(next.leaf.remote()) } else { ray::get(next.ask.remote(hops - 1)) }
    }
    pub fn ask_in_time(&self) -> ray::Result<u64> {
        let next = self.next.as_ref().ok_or_else(|| ray::Error::other("alone"))?;
        ray::get_timeout(next.leaf.remote(), Duration::from_millis(20))
    }
    pub fn ask_and_remember(&mut self) {
        self.told = self.ask(0).err().map(|error| format!("{:?} {error}", error.kind()));
    }
    pub fn told(&self) -> Option<String> {
        self.told.clone()
    }
    /// Asks the next node through a task.
    pub fn ask_by_a_task(&self) -> ray::Result<u64> {
        let next = self.next.clone().ok_or_else(|| ray::Error::other("alone"))?;
        ray::get(ray::task(move || ray::get(next.leaf.remote()).map_err(|error| error.kind())).name("between").remote())?
            .map_err(|kind| ray::Error::other(format!("{kind:?}")))
    }
    /// Asks the next node for a call whose argument is a call of this node, which can only run when this call has ended.
    pub fn ask_with_own_result(&self) -> ray::Result<u64> {
        let me = ray::context().current_actor::<Node>()?;
        let next = self.next.as_ref().ok_or_else(|| ray::Error::other("alone"))?;
        ray::get(next.ask.remote(me.leaf.remote()))
    }
    /// Asks the next node for a call that is queued behind such a call of the same caller.
    pub fn ask_behind_own_result(&self) -> ray::Result<u64> {
        let me = ray::context().current_actor::<Node>()?;
        let next = self.next.as_ref().ok_or_else(|| ray::Error::other("alone"))?;
        drop(next.ask.remote(me.leaf.remote()));
        ray::get(next.leaf.remote())
    }
    /// Asks an actor whose constructor has a call of this node as an argument.
    pub fn ask_one_made_of_own_result(&self) -> ray::Result<u64> {
        let me = ray::context().current_actor::<Node>()?;
        let made = Made::remote(me.leaf.remote());
        ray::get(made.value.remote())
    }
    pub fn ask_several(&self) -> ray::Result<u64> {
        let me = ray::context().current_actor::<Node>()?;
        let all = vec![crate::stage::give_u64.remote(1), me.leaf.remote(), crate::stage::give_u64.remote(2)];
        Ok(ray::get(all)?.into_iter().sum())
    }
}

#[remote]
struct Made {
    value: u64,
}

#[remote]
impl Made {
    pub fn new(value: u64) -> Self {
        Made { value }
    }
    pub fn value(&self) -> u64 {
        self.value
    }
}

/// A ring of `count` nodes.
fn ring(count: usize) -> Vec<ActorHandle<Node>> {
    let nodes: Vec<_> = (0..count).map(|_| Node::remote()).collect();
    for (at, node) in nodes.iter().enumerate() {
        ray::get(node.join.remote(&nodes[(at + 1) % count])).unwrap();
    }
    nodes
}

fn is_deadlock(result: ray::Result<u64>, members: &[&str]) {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Deadlock, "{error}");
    for member in members {
        assert!(error.to_string().contains(member), "{member} in: {error}");
    }
}

/// One actor that gets the result of its own call, and rings of up to four actors that get each other's. All stay alive.
#[test]
fn rings_of_actors() {
    alone_on(2, || {
        for count in 1..=4u64 {
            let nodes = ring(count as usize);
            for _ in 0..3 {
                is_deadlock(ray::get(nodes[0].ask.remote(count - 1)), &["ask", "leaf"]);
            }
            is_deadlock(ray::get(nodes[0].ask.remote(2 * count)), &["ask"]);
            for node in &nodes {
                assert_eq!(ray::get(node.leaf.remote()).unwrap(), 1);
            }
            if count > 1 {
                assert_eq!(ray::get(nodes[0].ask.remote(count - 2)).unwrap(), 1, "a chain that does not close is no deadlock");
            }
        }
    });
}

/// The asking calls are submitted by `tell`, so no object represents them in the search.
#[test]
fn cycles_of_told_calls() {
    alone_on(2, || {
        for count in 1..=3 {
            let nodes = ring(count);
            for node in &nodes {
                node.ask_and_remember.tell();
            }
            // In a larger ring some calls may succeed: the cycle closes only while all of them run.
            let told: Vec<_> = nodes.iter().filter_map(|node| ray::get(node.told.remote()).unwrap()).collect();
            assert!(told.iter().all(|error| error.starts_with("Deadlock") && error.contains("ask_and_remember")), "{told:?}");
            assert!(count > 1 || told.len() == 1);
        }
    });
}

/// All members of a ring ask at once: every call either succeeds or fails with a deadlock error.
#[test]
fn a_ring_whose_members_all_ask_at_once() {
    alone_on(2, || {
        for _ in 0..50 {
            let nodes = ring(3);
            let asked: Vec<_> = nodes.iter().map(|node| node.ask.remote(0)).collect();
            for result in ray::get_all_settled(asked) {
                assert!(result.as_ref().is_ok_and(|value| *value == 1) || result.is_err_and(|error| error.is_deadlock()));
            }
        }
    });
}

/// Cycles through a task, a pending argument, an earlier call, a constructor, and a get of several objects.
#[test]
fn indirect_cycles() {
    alone_on(2, || {
        let one = &ring(1)[0];
        // The get that closes the cycle fails: the get inside the task, or this one if it comes later.
        let error = ray::get(one.ask_by_a_task.remote()).unwrap_err();
        assert!(error.is_deadlock() || error.to_string().contains("Deadlock"), "{error}");
        is_deadlock(ray::get(one.ask_several.remote()), &["ask_several", "leaf"]);
        is_deadlock(ray::get(one.ask_one_made_of_own_result.remote()), &["ask_one_made_of_own_result", "leaf"]);
        let two = ring(2);
        is_deadlock(ray::get(two[0].ask_with_own_result.remote()), &["ask_with_own_result", "leaf"]);
        is_deadlock(ray::get(two[0].ask_behind_own_result.remote()), &["ask_behind_own_result", "leaf"]);
        assert_eq!(ray::get(two[0].leaf.remote()).unwrap(), 1);
    });
}

type Slot = Arc<Mutex<Option<ObjectRef<u64>>>>;

/// A task that gets the object in the slot when the gate opens.
fn get_from(slot: &Slot, gate: Gate, name: &str) -> ObjectRef<u64> {
    let slot = Arc::clone(slot);
    let body = move || {
        gate.wait();
        let object = slot.lock().unwrap().clone().unwrap();
        match ray::get(object) {
            Ok(value) => value,
            Err(error) if error.is_deadlock() => {
                assert!(error.to_string().contains("first"), "{error}");
                100
            }
            Err(error) => panic!("{error}"),
        }
    };
    ray::task(body).name(name).remote()
}

/// Tasks that get each other's results, or their own.
#[test]
fn cycles_of_tasks() {
    alone_on(3, || {
        for _ in 0..20 {
            let (gate, slots) = (Gate::new(), [Slot::default(), Slot::default(), Slot::default()]);
            let names = ["first", "second of the first", "third of the first"];
            let tasks: Vec<_> = (0..3).map(|n| get_from(&slots[n], gate, names[n])).collect();
            for (at, slot) in slots.iter().enumerate() {
                *slot.lock().unwrap() = Some(tasks[(at + 1) % 3].clone());
            }
            gate.open();
            assert_eq!(
                ray::get(&tasks).unwrap(),
                [100, 100, 100],
                "one task has the error and returns 100, which the others get"
            );
            slots.iter().for_each(|slot| *slot.lock().unwrap() = None);
        }
        let (gate, slot) = (Gate::new(), Slot::default());
        let own = get_from(&slot, gate, "first");
        *slot.lock().unwrap() = Some(own.clone());
        gate.open();
        assert_eq!(ray::get(own).unwrap(), 100);
        *slot.lock().unwrap() = None;
    });
}

/// Timed gets and awaits are excluded from deadlock detection.
#[test]
fn timed_gets_and_awaits_are_excluded() {
    #[remote]
    struct Room;
    #[remote]
    impl Room {
        pub fn new() -> Self {
            Room
        }
        pub async fn leaf(&self) -> u64 {
            1
        }
        pub async fn ask(&self, me: ActorHandle<Room>) -> ray::Result<u64> {
            me.leaf.remote().await
        }
    }
    alone_on(2, || {
        let one = &ring(1)[0];
        assert!(ray::get(one.ask_in_time.remote()).unwrap_err().is_timeout());
        assert_eq!(ray::get(one.leaf.remote()).unwrap(), 1);
        let room = Room::remote();
        assert_eq!(ray::get(room.ask.remote(&room)).unwrap(), 1);
    });
}

/// Waiting for an actor that runs another call is no deadlock.
#[test]
fn a_busy_actor_is_no_deadlock() {
    #[remote]
    struct Desk;
    #[remote]
    impl Desk {
        pub fn new() -> Self {
            Desk
        }
        pub fn wait_at(&self, running: Tally, gate: Gate) -> u64 {
            running.add();
            gate.wait();
            1
        }
    }
    #[remote]
    fn ask(desk: ActorHandle<Desk>, running: Tally, gate: Gate) -> ray::Result<u64> {
        ray::get(desk.wait_at.remote(running, gate))
    }
    alone_on(2, || {
        let (desk, running, gate) = (Desk::remote(), Tally::new(), Gate::new());
        let held = desk.wait_at.remote(running, gate);
        running.wait_for(1);
        let behind: Vec<_> = (0..4).map(|_| ask.options().num_cpus(0.0).remote(&desk, running, gate)).collect();
        let argument = ask.remote(&desk, running, late(gate, gate));
        gate.open();
        assert_eq!(ray::get(behind).unwrap(), [1; 4]);
        assert_eq!(ray::get((held, argument)).unwrap(), (1, 1));
    });
}

#[remote(max_concurrency = 2)]
struct Pair;

#[remote]
impl Pair {
    pub fn new() -> Self {
        Pair
    }
    pub fn leaf(&self) -> u64 {
        1
    }
    pub fn ask(&self, me: ActorHandle<Pair>, meeting: Option<Meeting>) -> ray::Result<u64> {
        if let Some(meeting) = meeting {
            meeting.meet();
        }
        ray::get(me.leaf.remote())
    }
    /// Asks for a call behind an exclusive call, which in turn waits for this call to end.
    pub fn ask_behind_a_change(&self, me: ActorHandle<Pair>) -> ray::Result<u64> {
        let _change = me.change.remote();
        ray::get(me.leaf.remote())
    }
    pub fn change(&mut self) {}
    pub fn ask_alone(&mut self, me: ActorHandle<Pair>) -> ray::Result<u64> {
        ray::get(me.leaf.remote())
    }
}

/// A threaded actor is in a deadlock only when bodies that wait for it hold all of its slots.
#[test]
fn cycles_of_threaded_actors() {
    alone_on(2, || {
        let pair = Pair::remote();
        assert_eq!(ray::get(pair.ask.remote(&pair, None)).unwrap(), 1, "a slot is free");
        is_deadlock(ray::get(pair.ask_alone.remote(&pair)), &["ask_alone", "leaf"]);
        is_deadlock(ray::get(pair.ask_behind_a_change.remote(&pair)), &["ask_behind_a_change", "leaf"]);
        for _ in 0..20 {
            let meeting = Meeting::of(2);
            let both = [pair.ask.remote(&pair, Some(meeting)), pair.ask.remote(&pair, Some(meeting))];
            let results = ray::get_all_settled(both);
            let told = results.iter().filter(|result| result.as_ref().is_err_and(ray::Error::is_deadlock)).count();
            assert!((1..=2).contains(&told), "{results:?}");
        }
        assert_eq!(ray::get(pair.leaf.remote()).unwrap(), 1);
    });
}

/// The error comes at once, not after a time-out.
#[test]
fn a_deadlock_is_reported_at_once() {
    alone(|| {
        let one = &ring(1)[0];
        let asked = one.ask.remote(0);
        let error = ray::get_timeout(asked, Duration::from_secs(10)).unwrap_err();
        assert!(error.is_deadlock(), "{error}");
    });
}

/// A `wait` for the next call of its own actor is not reported as a deadlock: it ends with its time-out.
#[test]
fn a_wait_for_the_own_end_times_out() {
    alone_on(2, || {
        let node = Node::remote();
        let (pending, ready) = ray::get(node.with(move |_| {
            let me = ray::context().current_actor::<Node>().unwrap();
            // A serial actor's next call starts when this one has ended.
            let next = me.leaf.remote();
            let (ready, pending) = ray::wait([next.any()], ray::first(1).timeout(Duration::from_millis(20))).unwrap();
            (pending.len(), ready.len())
        }))
        .unwrap();
        assert_eq!((pending, ready), (1, 0));
        assert_eq!(ray::get(node.leaf.remote()).unwrap(), 1);
    });
}

#[remote(max_concurrency = 2)]
struct Layer;

#[remote(local)]
impl Layer {
    pub fn new() -> Self {
        Layer
    }
    pub fn ask(&self, below: ActorHandle<Layer>, inside: Tally) -> ray::Result<u64> {
        inside.add();
        ray::get(below.leaf.remote())
    }
    pub fn hold(&self, root: Vec<ObjectRef<u64>>, inside: Tally) -> ray::Result<u64> {
        inside.add();
        ray::get(&root[0])
    }
    pub fn leaf(&self) -> u64 {
        1
    }
}

#[remote(local)]
fn climb(top: Mutex<std::sync::mpsc::Receiver<ActorHandle<Layer>>>, first: Gate, gate: Gate) -> ray::Result<u64> {
    first.open();
    let top = top.lock().unwrap().recv().unwrap();
    gate.wait();
    ray::get(top.leaf.remote())
}

/// Layers of actors with two slots each, in which every call has two paths to the next layer. A search that followed every
/// path would take a billion steps; the engine follows each edge once.
#[test]
fn the_search_follows_each_edge_once() {
    const LAYERS: usize = 30;
    alone(|| {
        let (gate, first) = (Gate::new(), Gate::new());
        let (asks, asked) = std::sync::mpsc::channel::<ActorHandle<Layer>>();
        let root = climb.options().num_cpus(0.0).remote(Mutex::new(asked), first, gate);
        first.wait();
        let inside = Tally::new();
        let mut layer = Layer::remote();
        let mut calls: Vec<_> = (0..2).map(|_| layer.hold.remote(vec![root.clone()], inside)).collect();
        for depth in 1..LAYERS {
            inside.wait_for(2 * depth as u64);
            let above = Layer::remote();
            calls.extend((0..2).map(|_| above.ask.remote(&layer, inside)));
            layer = above;
        }
        inside.wait_for(2 * LAYERS as u64);
        asks.send(layer).unwrap();
        gate.open();
        // The get of the root, or of the last call that began, is the error; all other calls end because of it.
        assert!(ray::get(root).map_or_else(|error| error.is_deadlock(), |one| one == 1));
        let errors = calls.into_iter().filter_map(|call| ray::get(call).err()).collect::<Vec<_>>();
        assert!(errors.iter().all(ray::Error::is_deadlock), "{errors:?}");
    });
}
