//! Not in the article: a gang of four. [Ray's page about placement
//! groups](https://docs.ray.io/en/latest/ray-core/scheduling/placement-group.html) reserves bundles for an actor and its tasks; here
//! four ranks hold a CPU each, all of them or none, and their nested calls stay in the group.

use std::time::{Duration, Instant};

use ray::{Bundle, Config, PlacementStrategy, SchedulingStrategy, remote};

use crate::report::Report;

/// One member of the gang.
#[remote(num_cpus = 1)]
struct Rank {
    rank: usize,
}

#[remote]
impl Rank {
    pub fn new(rank: usize) -> Self {
        Rank { rank }
    }

    /// The sum of the squares in this rank's quarter. The calls of `square` are captured by the group, and this body lends its CPU to them
    /// while it waits.
    pub fn partial_sum(&self, count: u64) -> ray::Result<u64> {
        let share = (self.rank as u64 * count / 4)..((self.rank as u64 + 1) * count / 4);
        let squares = ray::get(share.map(|number| square.remote(number)).collect::<Vec<_>>())?;
        assert!(squares.iter().all(|(_, in_group)| *in_group));
        Ok(squares.iter().map(|(value, _)| value).sum())
    }

    pub fn is_in_the_group(&self) -> bool {
        ray::context().placement_group().is_some()
    }
}

/// The square of a number, and whether the call runs in a placement group.
#[remote]
fn square(number: u64) -> (u64, bool) {
    (number * number, ray::get_current_placement_group().is_some())
}

pub(crate) fn main(report: &mut Report) -> ray::Result<()> {
    let start = Instant::now();
    ray::init_with(Config::new().num_cpus(4))?;

    // A group that the node cannot have is an error at once.
    let too_large = ray::placement_group(vec![Bundle::new().num_cpus(1); 5]).create();
    assert!(too_large.unwrap_err().is_infeasible());

    // `ready` is an object. `wait` is the same with a time-out.
    let group =
        ray::placement_group(vec![Bundle::new().num_cpus(1); 4]).strategy(PlacementStrategy::Pack).name("gang").create()?;
    ray::get(group.ready())?;
    println!("reserved: {:?}", group.bundle_specs());
    assert_eq!(ray::available_resources()?["CPU"], 0.0);

    // A second gang waits until the first one is removed.
    let next = ray::placement_group(vec![Bundle::new().num_cpus(1); 4]).create()?;
    assert!(!next.wait(Duration::from_millis(20))?);

    // One rank in each bundle. Their calls run in the group, too.
    let ranks: Vec<_> = (0..4)
        .map(|rank| {
            let strategy = SchedulingStrategy::PlacementGroup {
                placement_group: group.clone(),
                bundle_index: Some(rank),
                capture_child_tasks: true,
            };
            Rank::options().scheduling_strategy(strategy).remote(rank)
        })
        .collect();
    assert_eq!(ray::get(ranks.iter().map(|rank| rank.is_in_the_group.remote()).collect::<Vec<_>>())?, [true; 4]);
    let partial = ray::get(ranks.iter().map(|rank| rank.partial_sum.remote(1000)).collect::<Vec<_>>())?;
    let sum: u64 = partial.iter().sum();
    println!("the squares below 1000 have the sum {sum}");
    assert_eq!(sum, (0..1000).map(|number| number * number).sum::<u64>());

    // The removal ends what runs in the group, and the second gang gets its resources.
    ray::remove_placement_group(&group)?;
    assert!(ray::get(ranks[0].is_in_the_group.remote()).unwrap_err().is_actor_died());
    assert!(next.wait(Duration::from_secs(5))?);
    let inside = ray::get(square.options().scheduling_strategy(&next).remote(3))?;
    assert_eq!(inside, (9, true));
    report.took("two gangs of four", start.elapsed());
    ray::shutdown()
}
