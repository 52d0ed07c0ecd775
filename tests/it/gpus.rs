//! The ids of the GPUs that tasks, actors and bundles hold.

use ray::{Bundle, Config, remote};

use crate::stage::{Meeting, alone_with, apart, eventually};
use crate::support::{self, PATIENCE};

/// The ids that the body holds while the other bodies of the meeting hold theirs.
#[remote(num_cpus = 0)]
fn ids(meeting: Option<Meeting>) -> Vec<String> {
    if let Some(meeting) = meeting {
        meeting.meet();
    }
    ray::get_gpu_ids()
}

#[remote(num_gpus = 1)]
struct Holder;

#[remote]
impl Holder {
    pub fn new() -> Self {
        Holder
    }

    pub fn ids(&self) -> Vec<String> {
        ray::context().gpu_ids().to_vec()
    }

    pub async fn later(&self) -> Vec<String> {
        ray::context().accelerator_ids()["GPU"].clone()
    }
}

fn start() {
    support::init_with(Config::new().num_cpus(2).num_gpus(4)).unwrap();
}

fn all_free() -> bool {
    ray::available_resources().unwrap() == ray::cluster_resources().unwrap()
}

fn sorted(lists: impl IntoIterator<Item = Vec<String>>) -> Vec<String> {
    let mut all: Vec<String> = lists.into_iter().flatten().collect();
    all.sort();
    all
}

/// Tasks and actors that hold whole GPUs at the same time have different ones.
#[test]
fn whole_gpus_are_distinct() {
    apart(|| {
        start();
        let meeting = Meeting::of(3);
        let one = || ids.options().num_gpus(1).remote(Some(meeting));
        let two = ids.options().num_gpus(2).remote(Some(meeting));
        assert_eq!(sorted(ray::get(vec![one(), two, one()]).unwrap()), ["0", "1", "2", "3"]);
        eventually("all is free", all_free);
        let holders: Vec<_> = (0..3).map(|_| Holder::remote()).collect();
        let held = ray::get(holders.iter().map(|holder| holder.ids.remote()).collect::<Vec<_>>()).unwrap();
        let task = ray::get(ids.options().num_gpus(1).remote(None)).unwrap();
        assert_eq!(sorted(held.iter().cloned().chain([task])), ["0", "1", "2", "3"]);
        assert_eq!(ray::get(holders[1].later.remote()).unwrap(), held[1]);
        assert!(ray::get_gpu_ids().is_empty() && ray::get(ids.remote(None)).unwrap().is_empty());
        drop(holders);
        eventually("all is free", all_free);
    });
}

/// Bundles with fractions need no whole GPU, although their sum is as large as one.
#[test]
fn bundles_take_parts_of_several_gpus() {
    apart(|| {
        support::init_with(Config::new().num_cpus(2).num_gpus(2)).unwrap();
        let holder = |gpus| Holder::options().num_gpus(gpus).remote();
        let id = |holder: &ray::ActorHandle<Holder>| ray::get(holder.ids.remote()).unwrap();
        let first = holder(0.4);
        let filler = holder(0.5);
        assert_eq!((id(&first), id(&filler)), (id(&first), id(&first)), "fractions share a GPU");
        let second = holder(0.4);
        assert_ne!(id(&second), id(&first));
        drop(filler);
        eventually("0.6 of each GPU is free", || ray::available_resources().unwrap()["GPU"] == 1.2);
        for gpus in [0.5, 0.6] {
            let group = ray::placement_group(vec![Bundle::new().num_gpus(gpus); 2]).create().unwrap();
            assert!(group.wait(PATIENCE).unwrap(), "two bundles of {gpus}");
            ray::remove_placement_group(&group).unwrap();
        }
        drop((first, second));
        eventually("all is free", all_free);
    });
}

/// Fractions share a GPU, and leave the others whole. An amount above 1 must be whole.
#[test]
fn fractions_share_a_gpu() {
    apart(|| {
        start();
        let meeting = Meeting::of(3);
        let half = || ids.options().num_gpus(0.5).remote(Some(meeting));
        let held = ray::get(vec![half(), half(), ids.options().num_gpus(3).remote(Some(meeting))]).unwrap();
        assert_eq!(held[0], held[1]);
        assert_eq!(sorted(held.into_iter().skip(1)), ["0", "1", "2", "3"]);
        let error = ids.options().num_gpus(1.5).try_remote(None).unwrap_err();
        assert!(error.is_invalid_argument() && error.to_string().contains("whole"), "{error}");
        eventually("all is free", all_free);
    });
}

/// The bundles of a group have GPUs of their own, and their tasks have those of the bundle.
#[test]
fn bundles_have_gpus() {
    apart(|| {
        start();
        let group = ray::placement_group([Bundle::new().num_gpus(2), Bundle::new().num_gpus(1)]).create().unwrap();
        assert!(group.wait(PATIENCE).unwrap());
        let fractions = ray::placement_group(vec![Bundle::new().num_gpus(0.6); 5]).create().unwrap_err();
        assert!(fractions.is_infeasible() && fractions.to_string().contains("part of one GPU"), "{fractions}");
        let outside = ray::get(ids.options().num_gpus(1).remote(None)).unwrap();
        let of = |bundle, gpus: f64| ids.options().num_gpus(gpus).scheduling_strategy(group.bundle(bundle)).remote(None);
        let (two, one) = ray::get((of(0, 2.0), of(1, 1.0))).unwrap();
        assert_eq!(sorted([outside, two.clone(), one.clone()]), ["0", "1", "2", "3"]);
        let holder = Holder::options().scheduling_strategy(group.bundle(0)).remote();
        let held = ray::get(holder.ids.remote()).unwrap();
        assert!(held.len() == 1 && two.contains(&held[0]), "{held:?} of {two:?}");
        let other = ray::get(of(0, 1.0)).unwrap();
        assert!(other != held && two.contains(&other[0]), "{other:?} of {two:?}");
        ray::remove_placement_group(&group).unwrap();
        eventually("all is free", all_free);
        assert_eq!(ray::get(ids.options().num_gpus(4).remote(None)).unwrap().len(), 4);
    });
}

/// The ids are those of `CUDA_VISIBLE_DEVICES`, if the process has it; more GPUs than it lists are an error of `init`.
#[test]
fn visible_devices() {
    alone_with(&[("CUDA_VISIBLE_DEVICES", "7,GPU-12ab")], || {
        ray::shutdown().unwrap();
        let error = support::init_with(Config::new().num_gpus(3)).unwrap_err();
        assert!(error.is_invalid_argument() && error.to_string().contains("CUDA_VISIBLE_DEVICES"), "{error}");
        support::init_with(Config::new().num_gpus(2)).unwrap();
        assert_eq!(sorted([ray::get(ids.options().num_gpus(2).remote(None)).unwrap()]), ["7", "GPU-12ab"]);
    });
}
