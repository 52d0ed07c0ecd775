//! The concurrency groups of an actor class, as the attribute of its struct declares them.

use crate::base::error::{Error, ErrorKind, Result};

/// The groups of a class: the name of each, and how many of its calls may run at once.
pub type GroupSizes = &'static [(&'static str, u32)];

/// The largest number of groups of a class.
pub(crate) const MOST_GROUPS: usize = 64;

/// A concurrency group of a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group {
    /// The place in the list of the class, counted from 1; 0 is the default group.
    pub(crate) index: u8,
    pub(crate) name: &'static str,
}

/// The group with this name.
const fn find(groups: GroupSizes, name: &str) -> Option<Group> {
    let mut at = 0;
    while at < groups.len() {
        if is_same(groups[at].0, name) {
            // The attribute has at most `MOST_GROUPS` groups.
            #[allow(clippy::cast_possible_truncation)]
            return Some(Group { index: at as u8 + 1, name: groups[at].0 });
        }
        at += 1;
    }
    None
}

const fn is_same(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    let mut at = 0;
    while at < one.len() && at < other.len() && one[at] == other[at] {
        at += 1;
    }
    at == one.len() && at == other.len()
}

/// The group of a method's attribute.
///
/// # Panics
/// The class has no such group. In an attribute the panic is a compile error.
#[must_use]
#[track_caller]
pub const fn group_of_attribute(name: &str, groups: GroupSizes) -> Group {
    match find(groups, name) {
        Some(group) => group,
        None => {
            let message = Message::unknown(name, groups);
            panic!("{}", message.text())
        }
    }
}

/// The group of a call's options.
///
/// # Errors
/// `InvalidArgument`: the class has no such group.
pub(crate) fn group_of_call(name: &str, class: &str, groups: GroupSizes) -> Result<Group> {
    find(groups, name).ok_or_else(|| {
        let known: Vec<_> = groups.iter().map(|(group, _)| format!("`{group}`")).collect();
        let what = if known.is_empty() {
            format!("`{class}` has no concurrency groups: declare `{name}` with `#[remote(groups({name} = 2))]` on the struct")
        } else {
            format!("`{class}` has no concurrency group `{name}`: its groups are {}", known.join(", "))
        };
        Error::new(ErrorKind::InvalidArgument, what)
    })
}

/// A message that is made at compile time. A text that is too long is cut off.
struct Message {
    bytes: [u8; 512],
    len: usize,
}

impl Message {
    const fn unknown(name: &str, groups: GroupSizes) -> Self {
        let mut message = Self { bytes: [0; 512], len: 0 };
        message = message.add("no concurrency group of the actor is called `").add(name);
        if groups.is_empty() {
            return message.add("`: declare it in #[remote(groups(..))] on the struct, which has no groups");
        }
        message = message.add("`: the groups of its struct are ");
        let mut at = 0;
        while at < groups.len() {
            message = message.add(if at == 0 { "`" } else { ", `" }).add(groups[at].0).add("`");
            at += 1;
        }
        message
    }

    const fn add(mut self, text: &str) -> Self {
        let text = text.as_bytes();
        if self.len + text.len() > self.bytes.len() {
            return self;
        }
        let mut at = 0;
        while at < text.len() {
            self.bytes[self.len + at] = text[at];
            at += 1;
        }
        self.len += text.len();
        self
    }

    const fn text(&self) -> &str {
        let (text, _) = self.bytes.split_at(self.len);
        match std::str::from_utf8(text) {
            Ok(text) => text,
            Err(_) => "no such concurrency group",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUPS: GroupSizes = &[("io", 2), ("compute", 4)];

    #[test]
    fn groups_are_found_by_name() {
        assert_eq!(group_of_attribute("compute", GROUPS), Group { index: 2, name: "compute" });
        assert_eq!(group_of_call("io", "Server", GROUPS).unwrap().index, 1);
        assert!(find(GROUPS, "i").is_none() && find(GROUPS, "ioo").is_none());
    }

    #[test]
    fn an_unknown_group_is_an_error_that_lists_the_groups() {
        for error in
            [group_of_call("disk", "Server", GROUPS).unwrap_err().to_string(), Message::unknown("disk", GROUPS).text().into()]
        {
            assert!(error.contains("`disk`") && error.contains("`io`, `compute`"), "{error}");
        }
        for error in [group_of_call("disk", "Server", &[]).unwrap_err().to_string(), Message::unknown("disk", &[]).text().into()]
        {
            assert!(error.contains("`disk`") && error.contains("groups("), "{error}");
        }
        assert!(Message::unknown(&"x".repeat(600), GROUPS).text().contains("compute"));
    }
}
