//! Labels of nodes, and the conditions by which work chooses nodes. The syntax is that of Ray, which has it from Kubernetes.
//!
//! The functions that check the syntax are `const`, so that a wrong label in an attribute is a compile error.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::base::error::{Error, ErrorKind, Result};
use crate::base::id::NodeId;

/// How many labels an attribute may list. A bound, because a `const` cannot grow a list.
pub(crate) const ATTRIBUTE_LABELS: usize = 8;

/// How the names of the labels begin that Ray gives to nodes.
const OF_RAY: &str = "ray.io/";

/// The longest name or value of a label, and the longest prefix of a name.
const LONGEST_WORD: usize = 63;
const LONGEST_PREFIX: usize = 253;

pub(crate) const INVALID_KEY: &str = "a label's name has 1 to 63 letters, digits, `-`, `_` and `.`, begins and ends with a letter or a digit, and may stand behind a prefix and a slash, as in `ray.io/region`";
pub(crate) const INVALID_SELECTOR: &str = "the value of a label selector is a label's value, as in `spot`, or `!spot`, `in(spot, on-demand)` or `!in(spot, on-demand)`; a label's value has at most 63 letters, digits, `-`, `_` and `.`, and begins and ends with a letter or a digit";
const INVALID_VALUE: &str =
    "a label's value has at most 63 letters, digits, `-`, `_` and `.`, and begins and ends with a letter or a digit";

/// Whether these bytes from `start` to `end` are a name or a value of a label.
const fn is_word(text: &[u8], start: usize, end: usize, longest: usize) -> bool {
    if start >= end || end - start > longest {
        return false;
    }
    let mut at = start;
    while at < end {
        let inside = at > start && at + 1 < end;
        if !(text[at].is_ascii_alphanumeric() || (inside && matches!(text[at], b'-' | b'_' | b'.'))) {
            return false;
        }
        at += 1;
    }
    true
}

/// Whether this is the name of a label.
pub(crate) const fn is_key(key: &str) -> bool {
    let text = key.as_bytes();
    let mut start = 0;
    let mut at = 0;
    while at < text.len() {
        if text[at] == b'/' {
            start = at + 1;
        }
        at += 1;
    }
    (start == 0 || is_word(text, 0, start - 1, LONGEST_PREFIX)) && is_word(text, start, text.len(), LONGEST_WORD)
}

/// Whether this is the value of a label. It may be empty.
pub(crate) const fn is_value(value: &str) -> bool {
    value.is_empty() || is_word(value.as_bytes(), 0, value.len(), LONGEST_WORD)
}

/// Whether this is the value of a label selector.
pub(crate) const fn is_selector(value: &str) -> bool {
    let text = value.as_bytes();
    let start = if !text.is_empty() && text[0] == b'!' { 1 } else { 0 };
    let list = text.len() > start + 4 && text[start] == b'i' && text[start + 1] == b'n' && text[start + 2] == b'(';
    if !list {
        return text.is_empty() || is_word(text, start, text.len(), LONGEST_WORD);
    }
    if text[text.len() - 1] != b')' {
        return false;
    }
    let (mut word, mut at) = (start + 3, start + 3);
    while at < text.len() {
        if at + 1 == text.len() || text[at] == b',' {
            if !is_word(text, word, at, LONGEST_WORD) {
                return false;
            }
            word = at + 1;
            if word < text.len() && text[word] == b' ' {
                word += 1;
                at += 1;
            }
        }
        at += 1;
    }
    true
}

/// A condition on the value of a node's label, for [`SchedulingStrategy::NodeLabel`](crate::SchedulingStrategy::NodeLabel).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LabelMatch {
    /// The node has the label, with one of these values.
    In(Vec<String>),
    /// The node does not have the label, or has it with another value than these.
    NotIn(Vec<String>),
    /// The node has the label.
    Exists,
    /// The node does not have the label.
    DoesNotExist,
}

impl LabelMatch {
    fn allows(&self, value: Option<&String>) -> bool {
        match self {
            LabelMatch::In(values) => value.is_some_and(|value| values.contains(value)),
            LabelMatch::NotIn(values) => value.is_none_or(|value| !values.contains(value)),
            LabelMatch::Exists => value.is_some(),
            LabelMatch::DoesNotExist => value.is_none(),
        }
    }
}

/// The labels of a node.
pub(crate) type Labels = BTreeMap<String, String>;

/// The first of these conditions that a node with these labels does not meet.
pub(crate) fn unmet<'a>(conditions: &'a BTreeMap<String, LabelMatch>, labels: &Labels) -> Option<(&'a str, &'a LabelMatch)> {
    conditions.iter().find(|(key, condition)| !condition.allows(labels.get(*key))).map(|(key, condition)| (&**key, condition))
}

/// The labels of the embedded engine's node, with that which Ray gives to each node.
///
/// # Errors
/// `InvalidArgument`: a name or a value is in a wrong syntax, or a name is one of Ray's.
pub(crate) fn of_node(mut labels: Labels) -> Result<Labels> {
    for (key, value) in &labels {
        let rule = match () {
            () if !is_key(key) => INVALID_KEY,
            () if !is_value(value) => INVALID_VALUE,
            () if key.starts_with(OF_RAY) => "names that begin with `ray.io/` are Ray's: choose another",
            () => continue,
        };
        return Err(Error::new(ErrorKind::InvalidArgument, format!("Config::label `{key}={value}`: {rule}")));
    }
    labels.insert(format!("{OF_RAY}node-id"), NodeId::of_process().to_string());
    Ok(labels)
}

/// A label selector: for each label a value, in the syntax of Ray.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Selector(BTreeMap<String, String>);

impl Selector {
    /// # Errors
    /// `InvalidArgument`.
    pub(crate) fn new<K: Into<String>, V: Into<String>>(pairs: impl IntoIterator<Item = (K, V)>) -> Result<Self> {
        // Ray takes a space behind a comma for a part of the value.
        let written = |value: V| value.into().replace(", ", ",");
        let pairs: BTreeMap<String, String> = pairs.into_iter().map(|(key, value)| (key.into(), written(value))).collect();
        for (key, value) in &pairs {
            let rule = if is_key(key) { (!is_selector(value)).then_some(INVALID_SELECTOR) } else { Some(INVALID_KEY) };
            if let Some(rule) = rule {
                return Err(Error::new(ErrorKind::InvalidArgument, format!("label_selector `{key}={value}`: {rule}")));
            }
        }
        Ok(Self(pairs))
    }

    pub(crate) fn pairs(&self) -> &BTreeMap<String, String> {
        &self.0
    }

    /// Whether a node with these labels meets all conditions.
    pub(crate) fn allows(&self, labels: &Labels) -> bool {
        self.0.iter().all(|(key, value)| condition(value).allows(labels.get(key)))
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_labels(f, &self.0)
    }
}

/// Writes labels as `{region=us, spot=yes}`.
fn write_labels(f: &mut impl fmt::Write, labels: &BTreeMap<String, String>) -> fmt::Result {
    f.write_str("{")?;
    for (i, (key, value)) in labels.iter().enumerate() {
        write!(f, "{}{key}={value}", if i == 0 { "" } else { ", " })?;
    }
    f.write_str("}")
}

/// Labels as text.
pub(crate) fn text(labels: &Labels) -> String {
    let mut text = String::new();
    let _ = write_labels(&mut text, labels);
    text
}

/// The condition of a checked value of a selector.
fn condition(value: &str) -> LabelMatch {
    let (negated, value) = value.strip_prefix('!').map_or((false, value), |rest| (true, rest));
    let list = value.strip_prefix("in(").and_then(|rest| rest.strip_suffix(')'));
    let values = match list {
        Some(list) => list.split(',').map(ToOwned::to_owned).collect(),
        None => vec![value.to_owned()],
    };
    if negated { LabelMatch::NotIn(values) } else { LabelMatch::In(values) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values() {
        for key in ["a", "region", "ray.io/node-id", "a-._b", "123"] {
            assert!(is_key(key), "{key}");
        }
        for key in ["", "-a", "a-", "a b", "/a", "a/", "my@label", &"x".repeat(64)] {
            assert!(!is_key(key), "{key}");
        }
        assert!(is_value("") && is_value("us-west_1.a") && !is_value("us-") && !is_value("us west"));
        let error = of_node([("region".into(), "us west".into())].into()).unwrap_err();
        assert!(error.is_invalid_argument() && error.to_string().contains("region=us west"), "{error}");
    }

    #[test]
    fn selectors_of_ray() {
        for value in ["spot", "!GPU", "213521", "in(A123, B456,C789)", "!in(spot, on-demand)", "valid-value", "", "in"] {
            assert!(is_selector(value), "{value}");
        }
        for value in
            ["-spot", "spot_", "in()", "in(spot,", "in(spot,)", "in(H100, TPU!GPU)", "!!in(H100, TPU)", "!", "in(a  , b)"]
        {
            assert!(!is_selector(value), "{value}");
        }
    }

    #[test]
    fn a_selector_allows_nodes() {
        let labels = Labels::from([("region".into(), "us".into()), ("empty".into(), String::new())]);
        let allows = |key: &str, value: &str| Selector::new([(key, value)]).unwrap().allows(&labels);
        assert!(allows("region", "us") && allows("region", "in(eu, us)") && allows("region", "!eu"));
        assert!(!allows("region", "eu") && !allows("region", "!us") && !allows("region", "!in(eu,us)"));
        assert!(allows("other", "!x") && !allows("other", "x") && !allows("other", "") && allows("empty", ""));
        assert_eq!(Selector::new([("b", "1"), ("a", "!in(2, 3)")]).unwrap().to_string(), "{a=!in(2,3), b=1}");
        assert!(Selector::new([("region", "in(")]).unwrap_err().is_invalid_argument());
    }

    #[test]
    fn conditions_of_a_strategy() {
        let labels = Labels::from([("region".into(), "us".into())]);
        let unmet = |key: &str, condition: LabelMatch| unmet(&[(key.into(), condition)].into(), &labels).is_some();
        assert!(!unmet("region", LabelMatch::Exists) && unmet("region", LabelMatch::DoesNotExist));
        assert!(!unmet("zone", LabelMatch::NotIn(vec!["a".into()])) && unmet("zone", LabelMatch::Exists));
        assert!(unmet("region", LabelMatch::In(vec!["eu".into()])) && !unmet("region", LabelMatch::In(vec!["us".into()])));
    }
}
