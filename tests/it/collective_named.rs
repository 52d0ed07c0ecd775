//! Named groups of actors.

use ray::collective::{
    Group, Sum, create_collective_group, destroy_collective_group, get_collective_group_size, get_group, get_rank,
    init_collective_group, is_group_initialized,
};
use ray::remote;

use crate::support::{PATIENCE, engine};

/// An actor that holds the group that it has joined.
#[remote]
struct Member {
    group: Option<Group>,
}

#[remote]
impl Member {
    pub fn new() -> Self {
        Member { group: None }
    }

    pub fn init(&mut self, name: &str, size: usize, rank: usize) -> ray::Result<()> {
        self.group = Some(init_collective_group(name, size, rank)?.with_timeout(PATIENCE));
        Ok(())
    }

    pub fn take(&mut self, name: &str) -> ray::Result<usize> {
        let group = get_group(name)?.with_timeout(PATIENCE);
        let rank = group.rank();
        self.group = Some(group);
        Ok(rank)
    }

    pub fn rank(&self, name: &str) -> ray::Result<usize> {
        get_rank(name)
    }

    pub fn sum(&mut self, mine: i64) -> ray::Result<i64> {
        let mut all = [mine];
        self.group.as_mut().expect("it has joined").allreduce(&mut all, Sum)?;
        Ok(all[0])
    }

    pub fn leave(&mut self) {
        self.group = None;
    }

    pub fn crash(&self) {
        panic!("crashes");
    }
}

fn members(count: usize) -> Vec<ray::ActorHandle<Member>> {
    engine();
    (0..count).map(|_| Member::remote()).collect()
}

#[test]
fn each_actor_joins_by_rank() {
    let members = members(3);
    let joined: Vec<_> = members.iter().enumerate().map(|(rank, member)| member.init.remote("joined", 3, 2 - rank)).collect();
    ray::get(joined).unwrap();
    let sums: Vec<_> = members.iter().zip([1, 10, 100]).map(|(member, mine)| member.sum.remote(mine)).collect();
    assert_eq!(ray::get(sums).unwrap(), [111; 3]);
    assert_eq!(get_collective_group_size("joined").unwrap(), 3);
    assert_eq!(ray::get(members[0].rank.remote("joined")).unwrap(), 2);
    assert!(get_rank("joined").unwrap_err().is_invalid_argument(), "the driver is not a member");
}

#[test]
fn a_group_created_for_actors() {
    let members = members(2);
    create_collective_group("made", &members).unwrap();
    assert!(create_collective_group("made", &members).unwrap_err().to_string().contains("exists"));
    let ranks: Vec<_> = members.iter().map(|member| member.take.remote("made")).collect();
    assert_eq!(ray::get(ranks).unwrap(), [0, 1]);
    let sums: Vec<_> = members.iter().map(|member| member.sum.remote(4)).collect();
    assert_eq!(ray::get(sums).unwrap(), [8; 2]);
    let again = ray::get(members[0].take.remote("made")).unwrap_err();
    assert!(again.is_invalid_argument() && again.to_string().contains("in use"), "{again}");
    let [stranger] = &self::members(1)[..] else { unreachable!() };
    assert!(ray::get(stranger.take.remote("made")).unwrap_err().to_string().contains("no member"));
}

#[test]
fn invalid_groups_are_refused() {
    let twice = members(1);
    let [one] = &twice[..] else { unreachable!() };
    assert!(create_collective_group("twice", [one, one]).unwrap_err().to_string().contains("rank 1"));
    assert!(create_collective_group::<Member>("none", []).unwrap_err().is_invalid_argument());
    assert!(init_collective_group("beyond", 2, 2).unwrap_err().is_invalid_argument());
    assert!(init_collective_group("beyond", 0, 0).unwrap_err().is_invalid_argument());
    let _first = init_collective_group("sizes", 2, 0).unwrap();
    assert!(init_collective_group("sizes", 3, 1).unwrap_err().to_string().contains("2 members, not 3"));
    assert!(init_collective_group("sizes", 2, 0).unwrap_err().to_string().contains("taken before"));
    assert!(get_group("nobody's").unwrap_err().to_string().contains("nobody's"));
    assert!(get_collective_group_size("nobody's").is_err());
}

#[test]
fn an_actor_that_dies_breaks_its_group() {
    let members = members(3);
    let joined: Vec<_> = members.iter().enumerate().map(|(rank, member)| member.init.remote("broken", 3, rank)).collect();
    ray::get(joined).unwrap();
    let sums: Vec<_> = members[..2].iter().map(|member| member.sum.remote(1)).collect();
    assert!(ray::get(members[2].crash.remote()).is_err());
    for sum in sums {
        let error = ray::get(sum).unwrap_err();
        assert!(error.is_collective() && error.to_string().contains("rank 2 left"), "{error}");
    }
}

#[test]
fn an_actor_that_dies_before_it_joins_breaks_its_group() {
    let members = members(2);
    create_collective_group("dead", &members).unwrap();
    ray::get(members[0].take.remote("dead")).unwrap();
    let sum = members[0].sum.remote(1);
    ray::kill(&members[1]).unwrap();
    let error = ray::get(sum).unwrap_err();
    assert!(error.is_collective() && error.to_string().contains("actor of rank 1 died before it joined"), "{error}");
}

/// The body of a killed actor cannot be interrupted, but its collective operation ends.
#[test]
fn a_killed_member_releases_the_others() {
    let members = members(2);
    let joined: Vec<_> = members.iter().enumerate().map(|(rank, member)| member.init.remote("killed", 2, rank)).collect();
    ray::get(joined).unwrap();
    let alone = members[1].sum.remote(1);
    ray::kill(&members[1]).unwrap();
    assert!(ray::get(alone).unwrap_err().is_actor_died());
    let error =
        ray::get(members[0].sum.remote(1)).map_or_else(|error| error, |_| ray::get(members[0].sum.remote(1)).unwrap_err());
    assert!(error.is_collective(), "{error}");
}

#[test]
fn a_destroyed_group_can_be_created_again() {
    let members = members(2);
    let join = || {
        let joined: Vec<_> = members.iter().enumerate().map(|(rank, member)| member.init.remote("destroyed", 2, rank)).collect();
        ray::get(joined).map(drop)
    };
    join().unwrap();
    assert!(is_group_initialized("destroyed"));
    assert!(destroy_collective_group("destroyed") && !destroy_collective_group("destroyed"));
    assert!(!is_group_initialized("destroyed"));
    assert!(ray::get(members[0].sum.remote(1)).unwrap_err().to_string().contains("was destroyed"));
    join().unwrap();
    let sums: Vec<_> = members.iter().map(|member| member.sum.remote(1)).collect();
    assert_eq!(ray::get(sums).unwrap(), [2; 2]);
}

#[test]
fn a_group_name_is_free_when_all_members_have_left() {
    let members = members(2);
    for _ in 0..3 {
        let joined: Vec<_> = members.iter().enumerate().map(|(rank, member)| member.init.remote("again", 2, rank)).collect();
        ray::get(joined).unwrap();
        let sums: Vec<_> = members.iter().map(|member| member.sum.remote(1)).collect();
        assert_eq!(ray::get(sums).unwrap(), [2; 2]);
        ray::get(members.iter().map(|member| member.leave.remote()).collect::<Vec<_>>()).unwrap();
        assert!(!is_group_initialized("again"));
    }
}
