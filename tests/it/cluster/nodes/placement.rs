//! The options that choose a node and an environment, on two nodes. Their labels `place` are `first` and `second`; the second one
//! has an accelerator of the type A100, as far as Ray knows.

use ray::{ActorHandle, Config, LabelMatch, Lifetime, Node, NodeId, ObjectRef, RuntimeEnv, SchedulingStrategy};

use super::{CPUS, both, joined, node};
use crate::cluster;
use crate::stage::{Meeting, apart, eventually};
use crate::support::PATIENCE;

const VARIABLE: &str = "RAY_TEST_PLACE";

#[ray::remote(scheduling_strategy = "SPREAD", num_cpus = 0)]
fn spread(meeting: Meeting) -> String {
    meeting.meet();
    node()
}

#[ray::remote]
fn where_it_runs() -> NodeId {
    ray::context().node_id()
}

#[ray::remote(label_selector(place = "!first"))]
fn labelled() -> NodeId {
    ray::context().node_id()
}

#[ray::remote(accelerator_type = "A100")]
fn accelerated() -> NodeId {
    ray::context().node_id()
}

fn environment() -> RuntimeEnv {
    RuntimeEnv::new().env_var(VARIABLE, "attribute")
}

#[ray::remote(runtime_env = environment)]
fn variable() -> Option<String> {
    std::env::var(VARIABLE).ok()
}

/// The variable, as a call of this body sees it.
#[ray::remote(num_cpus = 0)]
fn inherited() -> (Option<String>, Option<String>) {
    let own = std::env::var(VARIABLE).ok();
    (own, ray::get(plain.remote()).unwrap())
}

#[ray::remote]
fn plain() -> Option<String> {
    std::env::var(VARIABLE).ok()
}

#[ray::remote]
struct Place(u64);

#[ray::remote]
impl Place {
    pub fn new() -> Self {
        Place(0)
    }

    pub fn add(&mut self) -> u64 {
        self.0 += 1;
        self.0
    }

    pub fn node(&self) -> NodeId {
        ray::context().node_id()
    }

    pub fn variable(&self) -> Option<String> {
        std::env::var(VARIABLE).ok()
    }
}

/// The node with this label.
fn labelled_node(place: &str) -> Node {
    let nodes = ray::nodes().unwrap();
    let there = nodes.iter().find(|node| node.labels.get("place").is_some_and(|label| label == place));
    there.unwrap_or_else(|| panic!("no node has the label place={place}: {nodes:?}")).clone()
}

fn get<T: Clone + Send + Sync + 'static>(object: ObjectRef<T>) -> T {
    ray::get_timeout(object, PATIENCE).unwrap()
}

#[test]
fn spread_tasks_run_on_both() {
    if joined() {
        // They need no CPUs, so that the default strategy would run all on one node.
        let meeting = Meeting::of(CPUS as u64);
        both(&ray::get((0..CPUS).map(|_| spread.remote(meeting)).collect::<Vec<_>>()).unwrap());
    }
}

#[test]
fn affinity_chooses_the_node() {
    if joined() {
        for there in ray::nodes().unwrap() {
            let strategy = SchedulingStrategy::NodeAffinity { node_id: there.id, soft: false };
            assert_eq!(get(where_it_runs.options().scheduling_strategy(strategy.clone()).remote()), there.id);
            let actor: ActorHandle<Place> = Place::options().scheduling_strategy(strategy).remote();
            assert_eq!(get(actor.node.remote()), there.id);
        }
    }
}

/// A node that does not exist: a hard strategy fails, a soft one takes another node.
#[test]
fn affinity_to_no_node() {
    if joined() {
        let node_id: NodeId = "ab".repeat(28).parse().unwrap();
        let with =
            |soft| where_it_runs.options().scheduling_strategy(SchedulingStrategy::NodeAffinity { node_id, soft }).remote();
        let error = ray::get_timeout(with(false), PATIENCE).unwrap_err();
        assert!(error.is_infeasible(), "{error:?}");
        assert_ne!(get(with(true)), node_id);
    }
}

#[test]
fn labels_choose_the_node() {
    if joined() {
        let (first, second) = (labelled_node("first").id, labelled_node("second").id);
        assert_eq!(get(labelled.remote()), second);
        for (selector, expected) in [("first", first), ("second", second), ("in(other, second)", second), ("!second", first)] {
            assert_eq!(get(where_it_runs.options().label_selector([("place", selector)]).remote()), expected, "{selector}");
        }
        let falls_back = where_it_runs.options().label_selector([("place", "third")]).fallback_strategy([[("place", "second")]]);
        assert_eq!(get(falls_back.remote()), second);
        let hard = [("place".to_owned(), LabelMatch::NotIn(vec!["second".to_owned()]))].into();
        let strategy = SchedulingStrategy::NodeLabel { hard, soft: [].into() };
        let actor: ActorHandle<Place> = Place::options().scheduling_strategy(strategy).remote();
        assert_eq!(get(actor.node.remote()), first);
    }
}

#[test]
fn the_accelerator_chooses_the_node() {
    if joined() {
        let second = labelled_node("second").id;
        assert_eq!(get(accelerated.remote()), second);
        let actor: ActorHandle<Place> = Place::options().accelerator_type("A100").remote();
        assert_eq!(get(actor.node.remote()), second);
    }
}

/// The variables of an environment reach bodies and the calls that these make.
#[test]
fn variables_of_an_environment() {
    if joined() {
        let mine = || RuntimeEnv::new().env_var(VARIABLE, "call");
        assert_eq!(get(plain.remote()), None);
        assert_eq!(get(variable.remote()).as_deref(), Some("attribute"));
        assert_eq!(get(variable.options().runtime_env(mine()).remote()).as_deref(), Some("call"));
        let actor: ActorHandle<Place> = Place::options().runtime_env(mine()).remote();
        assert_eq!(get(actor.variable.remote()).as_deref(), Some("call"));
        let (own, nested) = get(inherited.options().runtime_env(mine()).remote());
        assert_eq!((own.as_deref(), nested.as_deref()), (Some("call"), Some("call")));
        let wrong = plain.options().runtime_env(RuntimeEnv::new().field("pip", &1)).remote();
        let error = ray::get_timeout(wrong, PATIENCE).unwrap_err();
        assert!(error.is_invalid_argument() && error.to_string().contains("pip"), "{error:?}");
    }
}

/// A detached actor outlives its driver; the next driver finds it by name and namespace, and ends it.
#[test]
fn a_detached_actor_outlives_its_driver() {
    if std::env::var("RAY_TEST_NODES").is_ok_and(|nodes| nodes == "2") {
        apart(|| {
            let join = || cluster::start_shared(Config::new().namespace("mine").runtime_env(environment())).unwrap();
            let job = join().cluster().unwrap().job_id.clone();
            let name = "detached";
            let actor = Place::options().name(name).namespace("theirs").lifetime(Lifetime::Detached).remote();
            assert_eq!(get(actor.add.remote()), 1);
            let other = Place::options().name("other").remote();
            assert_eq!(get(other.add.remote()), 1);
            ray::shutdown().unwrap();
            assert_ne!(join().cluster().unwrap().job_id, job, "it is another driver");
            assert!(ray::get_actor::<Place>(name).unwrap_err().is_actor_not_found());
            assert!(ray::get_actor::<Place>("other").unwrap_err().is_actor_not_found());
            let found = ray::get_actor_in::<Place>(name, "theirs").unwrap();
            assert_eq!(get(found.add.remote()), 2);
            assert_eq!(get(found.variable.remote()).as_deref(), Some("attribute"), "the job's environment");
            ray::kill(&found.upgrade().unwrap()).unwrap();
            // Ray's `kill` returns before the actor has ended.
            eventually("the actor is dead", || {
                ray::get_timeout(found.add.remote(), PATIENCE).is_err_and(|error| error.is_actor_died())
            });
        });
    }
}
