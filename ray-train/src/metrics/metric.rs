//! The types of metrics: named values.

use std::fmt;

use crate::error::failed;

/// One value of [`Metrics`].
///
/// It is a JSON value, except that a number may be any `f64`: a loss that is NaN is still NaN after it was saved and read.
///
/// ```
/// use ray_train::{Metric, Metrics};
/// let metrics = Metrics::new().with("loss", f64::NAN);
/// assert!(matches!(metrics.value("loss"), Some(Metric::Float(loss)) if loss.is_nan()));
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Metric {
    /// No value.
    Null,
    /// True or false.
    Bool(bool),
    /// An integer between `i64::MIN` and `u64::MAX`.
    Int(i128),
    /// Any other number, NaN and the infinities included.
    Float(f64),
    /// Text.
    Text(String),
    /// A list of values.
    List(Vec<Metric>),
    /// Named values.
    Map(Metrics),
}

impl Metric {
    /// The value as an `f64`; none if it is not a number.
    ///
    /// ```
    /// assert_eq!(ray_train::Metric::Int(3).number(), Some(3.0));
    /// ```
    #[must_use]
    pub fn number(&self) -> Option<f64> {
        match self {
            Metric::Int(integer) => Some(*integer as f64),
            Metric::Float(number) => Some(*number),
            _ => None,
        }
    }
}

impl From<f64> for Metric {
    fn from(number: f64) -> Metric {
        Metric::Float(number)
    }
}

impl From<f32> for Metric {
    fn from(number: f32) -> Metric {
        Metric::Float(number.into())
    }
}

impl From<i64> for Metric {
    fn from(integer: i64) -> Metric {
        Metric::Int(integer.into())
    }
}

impl From<i32> for Metric {
    fn from(integer: i32) -> Metric {
        Metric::Int(integer.into())
    }
}

impl From<u64> for Metric {
    fn from(integer: u64) -> Metric {
        Metric::Int(integer.into())
    }
}

impl From<usize> for Metric {
    fn from(integer: usize) -> Metric {
        Metric::Int(integer as i128)
    }
}

impl From<bool> for Metric {
    fn from(value: bool) -> Metric {
        Metric::Bool(value)
    }
}

impl From<&str> for Metric {
    fn from(text: &str) -> Metric {
        Metric::Text(text.to_owned())
    }
}

/// Names and values, in the order in which they were reported.
///
/// A value that serialises as a struct or a map can be converted to metrics; [`Metrics::with`] builds them by hand.
///
/// ```
/// use ray_train::Metrics;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct Epoch {
///     epoch: usize,
///     loss: f32,
/// }
///
/// let metrics = Metrics::of(&Epoch { epoch: 2, loss: 0.25 })?;
/// assert_eq!(metrics.number("loss"), Some(0.25));
/// assert_eq!(metrics.to::<Epoch>()?.epoch, 2);
/// assert_eq!(metrics, Metrics::new().with("epoch", 2).with("loss", 0.25));
/// # Ok::<(), ray::Error>(())
/// ```
#[derive(Clone, Default, PartialEq)]
pub struct Metrics {
    entries: Vec<(String, Metric)>,
}

impl Metrics {
    /// Empty metrics.
    ///
    /// ```
    /// assert!(ray_train::Metrics::new().is_empty());
    /// ```
    #[must_use]
    pub fn new() -> Metrics {
        Metrics::default()
    }

    /// Adds a value, or replaces the value of a name that exists.
    ///
    /// ```
    /// let metrics = ray_train::Metrics::new().with("loss", 0.5).with("epoch", 1);
    /// assert_eq!(metrics.to_string(), "loss 0.5, epoch 1");
    /// ```
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<Metric>) -> Metrics {
        self.set(name.into(), value.into());
        self
    }

    /// The value of a name.
    ///
    /// ```
    /// assert_eq!(ray_train::Metrics::new().value("loss"), None);
    /// ```
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&Metric> {
        self.entries.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// The value of a name as an `f64`; none if it is not a number.
    ///
    /// ```
    /// assert_eq!(ray_train::Metrics::new().with("epoch", 3).number("epoch"), Some(3.0));
    /// ```
    #[must_use]
    pub fn number(&self, name: &str) -> Option<f64> {
        self.value(name)?.number()
    }

    /// All names and values, in the order in which they were added.
    ///
    /// ```
    /// let metrics = ray_train::Metrics::new().with("b", 1).with("a", 2);
    /// assert_eq!(metrics.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["b", "a"]);
    /// ```
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Metric)> {
        self.entries.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// The number of values.
    ///
    /// ```
    /// assert_eq!(ray_train::Metrics::new().with("loss", 0.5).len(), 1);
    /// ```
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are no values.
    ///
    /// ```
    /// assert!(!ray_train::Metrics::new().with("loss", 0.5).is_empty());
    /// ```
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(crate) fn set(&mut self, name: String, value: Metric) {
        match self.entries.iter_mut().find(|(known, _)| *known == name) {
            Some((_, former)) => *former = value,
            None => self.entries.push((name, value)),
        }
    }

    /// The mean of each number over all ranks, summed in the order of the ranks. Other values are those of rank 0.
    ///
    /// # Errors
    /// Another rank did not report a number of that name. The error names the rank and the metric.
    pub(crate) fn mean(ranks: &[Metrics]) -> ray::Result<Metrics> {
        let [first, others @ ..] = ranks else { return Ok(Metrics::new()) };
        let mut mean = Metrics::new();
        for (name, value) in first.iter() {
            let averaged = match value.number() {
                None => value.clone(),
                Some(number) => {
                    let mut sum = number;
                    for (rank, other) in others.iter().enumerate() {
                        sum += other.number(name).ok_or_else(|| {
                            failed(format!(
                                "report_mean averages the metric `{name}`, but rank {} reported no number of that name: report it \
                                 on every rank",
                                rank + 1
                            ))
                        })?;
                    }
                    Metric::Float(sum / ranks.len() as f64)
                }
            };
            mean.set(name.to_owned(), averaged);
        }
        Ok(mean)
    }
}

impl<N: Into<String>, V: Into<Metric>> FromIterator<(N, V)> for Metrics {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(entries: I) -> Metrics {
        entries.into_iter().fold(Metrics::new(), |metrics, (name, value)| metrics.with(name, value))
    }
}

/// One line: `loss 0.25, epoch 2`.
impl fmt::Display for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (name, value)) in self.iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(f, "{comma}{name} {value}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Metric::Null => f.write_str("none"),
            Metric::Bool(value) => write!(f, "{value}"),
            Metric::Int(integer) => write!(f, "{integer}"),
            Metric::Float(number) => write!(f, "{number}"),
            Metric::Text(text) => write!(f, "{text}"),
            Metric::List(list) => f.debug_list().entries(list.iter().map(Shown)).finish(),
            Metric::Map(map) => write!(f, "{{{map}}}"),
        }
    }
}

/// A value in a list, shown by its `Display`: without quotes.
struct Shown<'a>(&'a Metric);

impl fmt::Debug for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.0, f)
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mean_averages_the_numbers_of_all_ranks() {
        let rank = |loss: f64| Metrics::new().with("loss", loss).with("name", "a");
        let mean = Metrics::mean(&[rank(1.0), rank(2.0)]).unwrap();
        assert_eq!(mean, Metrics::new().with("loss", 1.5).with("name", "a"));
        let error = Metrics::mean(&[rank(1.0), Metrics::new()]).unwrap_err().to_string();
        assert!(error.contains("rank 1") && error.contains("`loss`"), "{error}");
    }
}
