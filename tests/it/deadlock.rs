//! Gets that wait for each other: an error that names them, never a hang.

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
    /// Asks the next one, so many times around.
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
    /// Through a task in between.
    pub fn ask_by_a_task(&self) -> ray::Result<u64> {
        let next = self.next.clone().ok_or_else(|| ray::Error::other("alone"))?;
        ray::get(ray::task(move || ray::get(next.leaf.remote()).map_err(|error| error.kind())).name("between").remote())?
            .map_err(|kind| ray::Error::other(format!("{kind:?}")))
    }
    /// What the next one can only do when this has ended: it has this one's leaf for an argument.
    pub fn ask_with_own_result(&self) -> ray::Result<u64> {
        let me = ray::context().current_actor::<Node>()?;
        let next = self.next.as_ref().ok_or_else(|| ray::Error::other("alone"))?;
        ray::get(next.ask.remote(me.leaf.remote()))
    }
    /// The same in an earlier call of this caller.
    pub fn ask_behind_own_result(&self) -> ray::Result<u64> {
        let me = ray::context().current_actor::<Node>()?;
        let next = self.next.as_ref().ok_or_else(|| ray::Error::other("alone"))?;
        drop(next.ask.remote(me.leaf.remote()));
        ray::get(next.leaf.remote())
    }
    /// And in the constructor of the one that is asked.
    pub fn ask_one_made_of_own_result(&self) -> ray::Result<u64> {
        let me = ray::context().current_actor::<Node>()?;
        let made = Made::remote(me.leaf.remote());
        ray::get(made.value.remote())
    }
    pub fn ask_several(&self) -> ray::Result<u64> {
        let me = ray::context().current_actor::<Node>()?;
        let all = vec![ray::task(|| 1).remote(), me.leaf.remote(), ray::task(|| 2).remote()];
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

/// A ring of so many.
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

/// A20: an actor that gets its own result, and two or three that get each other's; they live on.
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
                assert_eq!(ray::get(nodes[0].ask.remote(count - 2)).unwrap(), 1, "a way that ends is none");
            }
        }
    });
}

/// A20: the asking call was told, so that nothing but the actor itself stands for it.
#[test]
fn cycles_of_told_calls() {
    alone_on(2, || {
        for count in 1..=3 {
            let nodes = ring(count);
            for node in &nodes {
                node.ask_and_remember.tell();
            }
            // In a larger ring some may come through: it is a cycle only if all are inside.
            let told: Vec<_> = nodes.iter().filter_map(|node| ray::get(node.told.remote()).unwrap()).collect();
            assert!(told.iter().all(|error| error.starts_with("Deadlock") && error.contains("ask_and_remember")), "{told:?}");
            assert!(count > 1 || told.len() == 1);
        }
    });
}

/// A20: all of a ring ask at once: at least one is told, and nobody waits for ever.
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

/// A20: through a task, an argument that is not ready, an earlier call, a constructor, one of several.
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

/// A task that gets whatever is in the slot when the gate opens.
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

/// Decision 8: tasks that get each other's results, or their own.
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
            assert_eq!(ray::get(&tasks).unwrap(), [100, 100, 100], "one is told, the others get its value");
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

/// Timed gets, `wait` and awaits are not judged: they may go on without it.
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

/// No cycle: an actor that is only busy with another's call is waited for.
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
    /// Behind a call that needs the state for itself, which waits for this one.
    pub fn ask_behind_a_change(&self, me: ActorHandle<Pair>) -> ray::Result<u64> {
        let _change = me.change.remote();
        ray::get(me.leaf.remote())
    }
    pub fn change(&mut self) {}
    pub fn ask_alone(&mut self, me: ActorHandle<Pair>) -> ray::Result<u64> {
        ray::get(me.leaf.remote())
    }
}

/// Decision 8: a threaded actor has a cycle only when all its slots are held by bodies that wait for it.
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

/// The error comes long before any time-out would.
#[test]
fn a_deadlock_is_reported_at_once() {
    alone(|| {
        let one = &ring(1)[0];
        let asked = one.ask.remote(0);
        let error = ray::get_timeout(asked, Duration::from_secs(10)).unwrap_err();
        assert!(error.is_deadlock(), "{error}");
    });
}

/// A `wait` may end by its time-out. So a body that waits for its own end is no deadlock: the wait ends with the time-out.
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

/// Layers of actors with two slots each, where every call has two ways to the ground: the search takes each edge once, or
/// this would take a billion steps.
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
        // The root's get, or that of a layer that was late, is refused; all the others follow from it.
        assert!(ray::get(root).map_or_else(|error| error.is_deadlock(), |one| one == 1));
        let errors = calls.into_iter().filter_map(|call| ray::get(call).err()).collect::<Vec<_>>();
        assert!(errors.iter().all(ray::Error::is_deadlock), "{errors:?}");
    });
}
