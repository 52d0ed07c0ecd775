//! The list of the tests, with the fate of each on a cluster.
//!
//! A line is one of these:
//!
//! * `runs TEST`
//! * `differs TEST OWN: REASON`: the cluster behaves in another way, which the test `OWN` asserts.
//! * `refused TEST: REASON`: what it tests is not there on a cluster.
//! * `open TEST: REASON`: it does not pass on a cluster yet.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

/// The modules of the tests that assert how a cluster differs: `differs`, and those whose names begin so.
pub(super) const OWN: &str = "cluster::differs";

pub(crate) const FILE: &str = "tests/it/cluster/list.txt";

/// What becomes of a test on a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fate {
    Runs,
    Differs,
    Refused,
    Open,
}

#[derive(Clone, Debug)]
struct Entry {
    fate: Fate,
    /// The name of the test that asserts the difference.
    own: String,
    reason: String,
}

/// The list.
#[derive(Clone, Debug, Default)]
pub(crate) struct List(BTreeMap<String, Entry>);

impl List {
    pub(super) fn read(root: &Path) -> Result<Self, String> {
        let path = root.join(FILE);
        Self::parse(&std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?)
    }

    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut list = Self::default();
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            let (name, entry) = entry(line).ok_or_else(|| format!("{FILE}: the line `{line}` is malformed"))?;
            if list.0.insert(name.to_owned(), entry).is_some() {
                return Err(format!("{FILE}: `{name}` is there twice"));
            }
        }
        Ok(list)
    }

    pub(crate) fn fate(&self, name: &str) -> Option<Fate> {
        self.0.get(name).map(|entry| entry.fate)
    }

    /// Compares the list with the names of the tests.
    pub(super) fn check(&self, names: &[String]) -> Result<(), String> {
        let mut problems = Vec::new();
        for name in names.iter().filter(|name| !name.starts_with(OWN) && !self.0.contains_key(*name)) {
            problems.push(format!("the list does not have `{name}`"));
        }
        for (name, entry) in &self.0 {
            if !names.contains(name) {
                problems.push(format!("there is no test `{name}`"));
            }
            if entry.fate == Fate::Differs && !(entry.own.starts_with(OWN) && names.contains(&entry.own)) {
                problems
                    .push(format!("there is no test `{}`, which is to assert how the cluster differs in `{name}`", entry.own));
            }
        }
        if problems.is_empty() { Ok(()) } else { Err(format!("{FILE}:\n{}", problems.join("\n"))) }
    }
}

fn entry(line: &str) -> Option<(&str, Entry)> {
    let (fate, rest) = line.split_once(' ')?;
    let (rest, reason) = rest.split_once(": ").unwrap_or((rest, ""));
    let mut words = rest.split_whitespace();
    let (name, own) = (words.next()?, words.next().unwrap_or_default());
    let (fate, is_complete) = match fate {
        "runs" => (Fate::Runs, own.is_empty() && reason.is_empty()),
        "differs" => (Fate::Differs, !own.is_empty() && !reason.is_empty()),
        "refused" => (Fate::Refused, own.is_empty() && !reason.is_empty()),
        "open" => (Fate::Open, own.is_empty() && !reason.is_empty()),
        _ => return None,
    };
    (is_complete && words.next().is_none()).then(|| (name, Entry { fate, own: own.to_owned(), reason: reason.to_owned() }))
}

impl fmt::Display for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |fate: Fate| self.0.iter().filter(move |(_, entry)| entry.fate == fate);
        let titles = [(Fate::Runs, "runs"), (Fate::Differs, "differs"), (Fate::Refused, "is refused"), (Fate::Open, "is open")];
        for (fate, title) in titles {
            for (name, Entry { own, reason, .. }) in of(fate) {
                match fate {
                    Fate::Runs => writeln!(f, "{title:<11}{name}")?,
                    Fate::Differs => writeln!(f, "{title:<11}{name}: {reason} (asserted by {own})")?,
                    Fate::Refused | Fate::Open => writeln!(f, "{title:<11}{name}: {reason}")?,
                }
            }
        }
        let count = |fate| of(fate).count();
        let (runs, differs, refused, open) = (count(Fate::Runs), count(Fate::Differs), count(Fate::Refused), count(Fate::Open));
        let share = 100 * runs / self.0.len().max(1);
        writeln!(f, "{runs} of {} tests run ({share} %), {differs} differ, {refused} are refused, {open} are open", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fates() {
        let list =
            List::parse("runs a::b\ndiffers c::d cluster::differs::e: why: so\n\nrefused f::g: no\nopen i::j: slow\n").unwrap();
        let fates = ["a::b", "c::d", "f::g", "i::j", "h"].map(|name| list.fate(name));
        assert_eq!(fates, [Some(Fate::Runs), Some(Fate::Differs), Some(Fate::Refused), Some(Fate::Open), None]);
        assert!(list.to_string().ends_with("1 of 4 tests run (25 %), 1 differ, 1 are refused, 1 are open\n"), "{list}");
    }

    #[test]
    fn malformed_lines() {
        for text in ["runs a b", "runs a: why", "differs a: why", "differs a b", "refused a", "walks a", "runs", "runs a\nruns a"]
        {
            assert!(List::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn differences_from_the_tests() {
        let list = List::parse("runs a::b\ndiffers c::d cluster::differs::e: why\n").unwrap();
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        list.check(&names(&["a::b", "c::d", "cluster::differs::e"])).unwrap();
        assert!(list.check(&names(&["a::b", "c::d"])).unwrap_err().contains("cluster::differs::e"));
        assert!(list.check(&names(&["a::b", "cluster::differs::e"])).unwrap_err().contains("no test `c::d`"));
        assert!(list.check(&names(&["a::b", "c::d", "cluster::differs::e", "x::y"])).unwrap_err().contains("`x::y`"));
    }
}
