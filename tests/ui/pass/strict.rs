//! Every form of `#[remote]` under the strictest lints, in a module that imports only the attribute.

#![deny(
    warnings,
    missing_docs,
    missing_debug_implementations,
    unreachable_pub,
    unused,
    unused_qualifications,
    unused_results,
    unused_lifetimes,
    single_use_lifetimes,
    trivial_casts,
    trivial_numeric_casts,
    elided_lifetimes_in_paths,
    explicit_outlives_requirements,
    let_underscore_drop,
    meta_variable_misuse,
    variant_size_differences,
    rust_2018_idioms,
    clippy::all,
    clippy::pedantic
)]
#![allow(unknown_lints, reason = "other versions of the compiler have other lints")]
#![forbid(unsafe_code)]

use ray::remote;

/// Without parameters, without a result.
#[remote]
pub fn nothing() {}

/// Documented.
///
/// In two paragraphs.
#[remote]
pub fn square(x: i64) -> i64 {
    x * x
}

/// Not to be called.
#[deprecated = "for the test"]
#[remote]
pub fn old() {}

/// Not to be called either.
#[remote]
#[deprecated = "for the test"]
pub fn older() {}

#[remote]
fn undocumented_and_private(x: i64) -> i64 {
    square(x)
}

/// Every kind of parameter.
#[remote]
#[must_use]
#[allow(clippy::ptr_arg, reason = "the test needs a parameter `&Vec`")]
pub fn parameters(
    slice: &[f64],
    text: &str,
    whole: &Vec<String>,
    mut owned: Vec<f64>,
    (left, right): (u32, u32),
    _unused: u8,
    object: ray::ObjectRef<i64>,
) -> f64 {
    owned.extend_from_slice(slice);
    drop(object);
    let letters = u32::try_from(whole.concat().len() + text.len()).unwrap_or(u32::MAX);
    owned.iter().sum::<f64>() + f64::from(left + right) + f64::from(letters)
}

/// Async.
///
/// # Errors
/// Never.
#[remote(num_cpus = 0, name = "later", max_retries = 2, retry_exceptions)]
pub async fn later(text: &str, numbers: Vec<u8>) -> Result<usize, std::num::ParseIntError> {
    std::future::ready(()).await;
    text.parse::<usize>().map(|n| n + numbers.len())
}

/// Two results, and all resources.
///
/// # Errors
/// Never.
#[remote(num_returns = 2, num_cpus = 0.5, num_gpus = 0, memory = 1024 * 1024, resources(), retry_exceptions = is_transient)]
pub fn pair(x: i64) -> ray::Result<(i64, String)> {
    if x < 0 {
        return Err(ray::Error::other("negative"));
    }
    Ok((x, x.to_string()))
}

fn is_transient(error: &ray::Error) -> bool {
    error.is_timeout()
}

/// Recursive.
///
/// # Errors
/// What a child's `get` gives.
#[remote]
pub fn fibonacci(n: u64) -> ray::Result<u64> {
    if n < 2 {
        return Ok(n);
    }
    let (a, b) = ray::get((fibonacci.remote(n - 1), fibonacci.remote(n - 2)))?;
    Ok(a + b)
}

/// Generic.
#[remote(local)]
pub fn largest<T, const N: usize>(items: [T; N]) -> Option<T>
where
    T: Ord + Clone + std::fmt::Debug,
{
    items.into_iter().max()
}

/// The limit of concurrent calls.
const CALLS: u32 = 4;

/// An actor.
#[derive(Debug)]
#[remote(num_cpus = 0, max_restarts = 2, max_task_retries = 1, max_concurrency = CALLS, max_pending_calls = -1)]
pub struct Counter {
    value: i64,
}

#[remote]
impl Counter {
    /// A limit.
    pub const LIMIT: i64 = 1 << 40;

    /// Makes a counter.
    #[must_use]
    pub const fn new(value: i64) -> Self {
        Self { value }
    }

    /// Counts.
    pub const fn increment(&mut self) -> i64 {
        self.value += 1;
        self.value
    }

    pub(crate) fn add(&mut self, by: i64, (left, right): (i64, i64)) -> i64 {
        self.value = (self.value + by + left + right).min(Self::LIMIT);
        self.plain()
    }

    /// Shared.
    ///
    /// # Errors
    /// Never.
    pub async fn wait(&self, text: &str) -> Result<Vec<Self>, String> {
        std::future::ready(()).await;
        if text.is_empty() { Err("empty".to_owned()) } else { Ok(Vec::new()) }
    }

    /// Exclusive.
    #[method(num_returns = 2, max_task_retries = 2, retry_exceptions = true)]
    pub async fn both(&mut self) -> (i64, i64) {
        std::future::ready(()).await;
        self.value += 1;
        (self.value, 2)
    }

    /// Another actor as an argument.
    #[must_use]
    pub fn other(&self, other: ray::ActorHandle<Self>) -> ray::ActorHandle<Self> {
        if self.value > 0 { other } else { std::process::abort() }
    }

    /// A method named like a keyword.
    #[must_use]
    pub fn r#type(&self) -> String {
        self.value.to_string()
    }

    /// Not to be called.
    #[deprecated = "for the test"]
    pub fn old(&self) {}

    /// Plain: no `self`.
    #[must_use]
    pub const fn limit() -> i64 {
        Self::LIMIT
    }

    /// Not compiled.
    #[cfg(any())]
    pub fn gone(&self, x: Missing) -> Missing {
        x
    }

    fn plain(&self) -> i64 {
        self.value
    }
}

impl serde::Serialize for Counter {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(self.value)
    }
}

impl<'de> serde::Deserialize<'de> for Counter {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        i64::deserialize(deserializer).map(Self::new)
    }
}

/// An enum.
#[derive(Clone, Copy, Debug)]
#[remote]
pub enum Light {
    /// Go.
    Green,
    /// Stop.
    Red,
}

#[remote]
impl Light {
    /// Makes one.
    ///
    /// # Errors
    /// If `broken` is set.
    pub fn new(broken: bool) -> Result<Self, String> {
        if broken { Err("broken".to_owned()) } else { Ok(Self::Green) }
    }

    /// Changes it.
    pub const fn change(&mut self) {
        *self = match *self {
            Self::Green => Self::Red,
            Self::Red => Self::Green,
        };
    }
}

/// An actor with groups, whose constructor is async, and whose restarts begin with a checkpoint.
#[derive(Debug)]
#[remote(groups(io = 2, "all else" = LIMIT), allow_out_of_order_execution, checkpoint_every = LIMIT, max_restarts = 1)]
pub struct Grouped {
    value: i64,
}

/// The size of a group.
const LIMIT: u32 = 3;

#[remote]
impl Grouped {
    /// Makes one.
    ///
    /// # Errors
    /// Never.
    pub async fn new(text: &str, value: i64) -> Result<Self, std::num::ParseIntError> {
        std::future::ready(()).await;
        text.parse().map(|number: i64| Self { value: value + number })
    }

    /// In a group.
    #[must_use]
    #[method(group = "io", num_returns = 2)]
    pub const fn fetch(&self) -> (i64, i64) {
        (self.value, 1)
    }

    /// In another group.
    #[method(group = "all else")]
    pub const fn set(&mut self, value: i64) {
        self.value = value;
    }

    const fn checkpoint(&self) -> i64 {
        self.value
    }

    const fn restore(value: i64) -> Self {
        Self { value }
    }
}

/// A generic actor with a group, made by `Default`.
#[derive(Debug, Default)]
#[remote(groups(io = 2))]
pub struct Shelf<T> {
    items: Vec<T>,
}

#[remote(local, default)]
impl<T> Shelf<T>
where
    T: Default,
{
    /// In a group.
    #[must_use]
    #[method(group = "io")]
    pub const fn count(&self) -> usize {
        self.items.len()
    }
}

/// A generic actor.
#[derive(Debug)]
#[remote(max_restarts = 1)]
pub struct Stack<T> {
    items: Vec<T>,
}

#[remote(local)]
impl<T> Stack<T>
where
    T: Clone + std::fmt::Debug,
{
    /// Makes one.
    #[must_use]
    pub const fn new(items: Vec<T>) -> Self {
        Self { items }
    }

    /// Adds one.
    pub fn push(&mut self, item: T) -> usize {
        self.items.push(item);
        self.items.len()
    }

    /// Gives all.
    #[must_use]
    pub fn all(&self) -> Vec<T> {
        self.items.clone()
    }
}

mod inner {
    use ray::remote;

    #[derive(Clone, serde::Serialize, serde::Deserialize)]
    struct Private(i64);

    #[remote]
    pub(super) fn cube(x: i64) -> i64 {
        private(&Private(x * x * x))
    }

    #[remote]
    fn private(x: &Private) -> i64 {
        x.0
    }

    /// Public, with a constructor that is not.
    #[remote]
    pub(crate) struct Server(i64);

    #[remote]
    impl Server {
        fn new(Private(x): Private) -> Self {
            Self(x)
        }

        pub(crate) fn start() -> ray::ActorHandle<Self> {
            Self::remote(Private(7))
        }

        pub(super) fn get(&self) -> i64 {
            self.0
        }
    }
}

/// Calls all items of this module.
///
/// # Errors
/// If a call fails.
///
/// # Panics
/// If a call returns a wrong result.
pub fn run() -> ray::Result<()> {
    #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
    struct Point(i64);

    #[remote]
    fn in_a_body(Point(x): Point) -> Point {
        Point(x + 1)
    }

    #[remote]
    struct Local(i64);
    #[remote]
    impl Local {
        fn new() -> Self {
            Self(2)
        }
        pub(crate) fn times(&self, Point(x): Point) -> Point {
            Point(x * self.0)
        }
    }

    ray::get(nothing.remote())?;
    assert_eq!((square(3), square.call(3), ray::get(square.remote(3))?), (9, 9, 9));
    assert_eq!((1..4).map(*square).sum::<i64>(), 14);
    assert_eq!(ray::get(undocumented_and_private.options().name("x").num_cpus(0.5).remote(square.remote(2)))?, 16);
    let slice = ray::put(vec![1.0, 2.0]);
    let sum = parameters.remote(&slice, "text", vec!["a".to_owned()], vec![1.0], (1, 1), 0, ray::put(1));
    assert!((ray::get(sum)? - 11.0).abs() < 1e-9);
    assert_eq!(ray::get(later.remote("12", vec![1]))?, 13);
    assert!(ray::get(later.remote("x", vec![1])).is_err());
    assert_eq!(ray::get(pair.remote(7))?, (7, "7".to_owned()));
    assert_eq!(ray::get(fibonacci.remote(10))?, 55);
    assert_eq!((ray::get(largest.remote([1, 3, 2]))?, largest.call(["a"])), (Some(3), Some("a")));
    assert_eq!(ray::get(inner::cube.remote(3))?, 27);
    assert_eq!(ray::get(in_a_body.remote(Point(1)))?, Point(2));
    assert_eq!(ray::get(Local::remote().times.remote(Point(2)))?, Point(4));
    assert_eq!(ray::get(inner::Server::start().get.remote())?, 7);

    let grouped = Grouped::remote("3", 4);
    grouped.set.tell(5);
    let (value, one) = grouped.fetch.options().group("all else").remote();
    assert_eq!((ray::get(one)?, [5, 7].contains(&ray::get(value)?)), (1, true));
    assert_eq!(ray::get(Shelf::<u8>::remote().count.remote())?, 0);

    let counter = Counter::remote(1);
    counter.increment.tell();
    assert_eq!(ray::get(counter.increment.remote())?, 3);
    assert_eq!(ray::get(counter.add.remote(1, (1, 1)))?, 6);
    assert!(counter.wait.remote("x").view().is_ok_and(|counters| counters.is_empty()));
    assert_eq!(ray::get(counter.both.options().name("both").remote())?, (7, 2));
    assert_eq!(ray::get(counter.r#type.try_remote()?)?, "7");
    assert_eq!(ray::get(counter.other.remote(&counter))?, counter);
    assert_eq!((Counter::limit(), Counter::new(1).increment()), (Counter::LIMIT, 2));

    let light = Light::try_remote(false)?;
    ray::get(light.change.remote())?;
    assert!(ray::get(Light::options().name("broken").remote(true).change.remote()).is_err());

    let stack = Stack::remote(vec![1]);
    assert_eq!(ray::get((stack.push.remote(2), stack.all.remote()))?, (2, vec![1, 2]));
    Ok(())
}
