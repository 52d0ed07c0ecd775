//! The options that choose a node and an environment. The embedded engine has one node.

use ray::{Config, Error, LabelMatch, Lifetime, NodeId, RuntimeEnv, SchedulingStrategy, remote};

use crate::stage::{Token, apart, eventually};
use crate::support::{self, Tally};

#[remote(label_selector(place = "in(here, there)", disk = "!slow"), scheduling_strategy = "SPREAD")]
fn chosen() -> u32 {
    1
}

#[remote(accelerator_type = "A100")]
fn accelerated() -> f64 {
    ray::context().assigned_resources().get("accelerator_type:A100")
}

fn environment() -> RuntimeEnv {
    RuntimeEnv::new().env_var("PLACE", "there")
}

#[remote(runtime_env = environment)]
fn elsewhere() {}

#[remote(label_selector(place = "here"))]
struct Kept(Token);

#[remote]
impl Kept {
    pub fn new(dropped: Tally) -> Self {
        Kept(Token(dropped))
    }

    pub fn dropped(&self) -> u64 {
        self.0.0.count()
    }
}

/// An engine whose node has labels.
fn labelled() {
    support::init_with(Config::new().num_cpus(2).label("place", "here").resource("accelerator_type:A100", 1.0)).unwrap();
}

#[track_caller]
fn infeasible(error: &Error, what: &str) {
    assert!(error.is_infeasible() && error.to_string().contains(what), "{error}");
}

fn other_node() -> NodeId {
    "ab".repeat(28).parse().unwrap()
}

/// A task and an actor run if this node is the one that they ask for; otherwise the error names what is missing.
#[test]
fn the_only_node_is_chosen_or_refused() {
    apart(|| {
        labelled();
        let node = ray::nodes().unwrap().remove(0);
        assert_eq!(node.labels["place"], "here");
        assert_eq!(node.labels["ray.io/node-id"], node.id.to_string());
        let affinity = |node_id, soft| SchedulingStrategy::NodeAffinity { node_id, soft };
        assert_eq!(ray::get(chosen.remote()).unwrap(), 1);
        assert_eq!(ray::get(chosen.options().scheduling_strategy(affinity(node.id, false)).remote()).unwrap(), 1);
        assert_eq!(ray::get(chosen.options().scheduling_strategy(affinity(other_node(), true)).remote()).unwrap(), 1);
        let refused = chosen.options().scheduling_strategy(affinity(other_node(), false));
        infeasible(&refused.try_remote().unwrap_err(), &other_node().to_string());
        let hard = [("disk".to_owned(), LabelMatch::Exists)].into();
        let refused = chosen.options().scheduling_strategy(SchedulingStrategy::NodeLabel { hard, soft: [].into() });
        infeasible(&ray::get(refused.remote()).unwrap_err(), "`disk`");
        let refused = chosen.options().label_selector([("place", "there")]);
        infeasible(&ray::get(refused.remote()).unwrap_err(), "{place=there}");
        let falls_back = chosen.options().label_selector([("place", "there")]).fallback_strategy([[("place", "here")]]);
        assert_eq!(ray::get(falls_back.remote()).unwrap(), 1);
        infeasible(&ray::get(ray::task(|| 1).label_selector([("place", "!here")]).remote()).unwrap_err(), "{place=!here}");
        let kept = Kept::remote(Tally::new());
        assert_eq!(ray::get(kept.dropped.remote()).unwrap(), 0);
        let refused = Kept::options().label_selector([("place", "there")]).try_remote(Tally::new());
        infeasible(&refused.unwrap_err(), "`Kept`");
        let refused = Kept::options().scheduling_strategy(affinity(other_node(), false)).remote(Tally::new());
        infeasible(&ray::get(refused.dropped.remote()).unwrap_err(), "`Kept");
    });
}

/// The type of an accelerator is a resource of the node.
#[test]
fn the_type_of_the_accelerator() {
    apart(|| {
        labelled();
        assert_eq!(ray::get(accelerated.remote()).unwrap(), 0.001);
        let refused = accelerated.options().accelerator_type("H100");
        infeasible(&ray::get(refused.remote()).unwrap_err(), "accelerator_type:H100");
        let refused = Kept::options().accelerator_type("H100").try_remote(Tally::new());
        infeasible(&refused.unwrap_err(), "accelerator_type:H100");
    });
}

/// An environment needs a cluster, and the error says so; labels in a wrong syntax are errors of the call.
#[test]
fn an_environment_and_wrong_labels_are_refused() {
    apart(|| {
        labelled();
        let wrong =
            |error: Error, what: &str| assert!(error.is_invalid_argument() && error.to_string().contains(what), "{error}");
        wrong(ray::get(elsewhere.remote()).unwrap_err(), "RAY_ADDRESS=local");
        wrong(ray::get(chosen.options().runtime_env(environment()).remote()).unwrap_err(), "runtime_env");
        wrong(Kept::options().runtime_env(environment()).try_remote(Tally::new()).unwrap_err(), "runtime_env");
        wrong(ray::get(chosen.options().label_selector([("place", "in(")]).remote()).unwrap_err(), "place=in(");
        ray::shutdown().unwrap();
        wrong(support::init_with(Config::new().runtime_env(environment())).unwrap_err(), "Config::runtime_env");
        wrong(support::init_with(Config::new().label("ray.io/place", "x")).unwrap_err(), "ray.io/");
    });
}

/// A detached actor lives without handles, with a name and without, until a kill or the shutdown.
#[test]
fn a_detached_actor_lives_without_handles() {
    apart(|| {
        labelled();
        let (plain, named, nameless) = (Tally::new(), Tally::new(), Tally::new());
        drop(Kept::remote(plain));
        drop(Kept::options().name("kept").lifetime(Lifetime::Detached).remote(named));
        let weak = Kept::options().lifetime(Lifetime::Detached).remote(nameless).downgrade();
        plain.wait_for(1);
        let found = ray::get_actor::<Kept>("kept").unwrap();
        assert_eq!(ray::get(found.dropped.remote()).unwrap(), 0);
        assert_eq!(ray::get(weak.dropped.remote()).unwrap(), 0);
        ray::kill(&found.upgrade().unwrap()).unwrap();
        named.wait_for(1);
        eventually("the name is free", || ray::get_actor::<Kept>("kept").is_err());
        let again = Kept::options().name("kept").lifetime(Lifetime::Detached).remote(Tally::new());
        ray::get(again.ready()).unwrap();
        drop(again);
        assert_eq!(nameless.count(), 0);
        ray::shutdown().unwrap();
        nameless.wait_for(1);
    });
}
