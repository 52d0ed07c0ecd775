//! Ray for Rust: put `#[remote]` above a function or a type, call it with `.remote(..)`, and the work runs in parallel,
//! with state where it is an actor. What a call returns is a reference to a result to come, and references are what
//! further calls take.
//!
//! It is what [Ray](https://docs.ray.io) gives to Python, in one process: nothing to install or to start, no
//! serialisation on the way, a call in the time that other libraries take to wake a thread.
//!
//! ```
//! use ray::remote;
//!
//! #[remote]
//! fn square(x: i64) -> i64 {
//!     x * x
//! }
//!
//! #[remote]
//! struct Counter {
//!     value: i64,
//! }
//!
//! #[remote]
//! impl Counter {
//!     pub fn new() -> Self {
//!         Counter { value: 0 }
//!     }
//!
//!     pub fn increment(&mut self) -> i64 {
//!         self.value += 1;
//!         self.value
//!     }
//! }
//!
//! fn main() -> ray::Result<()> {
//!     let futures: Vec<_> = (0..4).map(|i| square.remote(i)).collect(); // four tasks, side by side
//!     assert_eq!(ray::get(futures)?, [0, 1, 4, 9]);
//!
//!     let counter = Counter::remote(); // an actor: a Counter of its own
//!     assert_eq!(ray::get(counter.increment.remote())?, 1);
//!     assert_eq!(square(7), 49); // a plain call is still a plain call
//!     Ok(())
//! }
//! ```
//!
//! # Tasks
//!
//! A *task* is one call of a remote function. [`remote`] on a function `f` gives it these ways to be called:
//!
//! | | |
//! |---|---|
//! | `f.remote(x)` | submits a task, returns an [`ObjectRef`] at once; whatever fails comes out of the reference |
//! | `f.try_remote(x)` | the same, but what cannot even begin is an `Err` here |
//! | `f.tell(x)` | submits a task whose result nobody wants; a failure is logged |
//! | `f.options().num_cpus(2.0).remote(x)` | the same with options for this one call, see [`Configured`] |
//! | `f(x)`, `f.call(x)` | an ordinary call, here and now (`f.call` also for `async` and generic functions) |
//!
//! A closure is a task by way of [`task`]: `ray::task(move || ..).remote()`.
//!
//! What a parameter takes shows in its type. Whatever comes as a reference is waited for by the engine, never by a
//! thread: a task starts when all its arguments are there.
//!
//! | parameter | takes | what happens |
//! |---|---|---|
//! | `x: T` | `T`, `ObjectRef<T>`, `&ObjectRef<T>`, `Arc<T>` | moved in, or out of the object where this is its last use, else cloned |
//! | `x: String` | a `&str` too | copied |
//! | `xs: Vec<T>` | `Vec<ObjectRef<T>>` too | fan-in: all of them are waited for |
//! | `x: &T`, `&[T]`, `&str` | the same, and `[T; N]` or `Vec<T>` for `&[T]` | read in the stored object: no clone, no `Clone` |
//! | `x: ObjectRef<T>` | `ObjectRef<T>`, `&ObjectRef<T>` | stays a reference, as one nested in a list does in Python |
//! | `x: ActorHandle<A>` | `ActorHandle<A>`, `&ActorHandle<A>` | a task may call actors |
//!
//! # Objects
//!
//! An object is a value that does not change, reached through [`ObjectRef`]s: the result of a call, or what was [`put`].
//! It is stored once, never copied on its way, and freed with its last reference.
//!
//! ```
//! # use ray::remote;
//! #[remote]
//! fn total(xs: &[f64]) -> f64 {
//!     xs.iter().sum()
//! }
//!
//! let big = ray::put(vec![0.5; 1_000_000]); // put once ..
//! let sums: Vec<_> = (0..10).map(|_| total.remote(&big)).collect(); // .. read by ten tasks
//! assert_eq!(ray::get(sums)?, [500_000.0; 10]);
//! # Ok::<(), ray::Error>(())
//! ```
//!
//! [`get`] blocks until values are there and takes one reference, a `Vec`, slice or array of them, or a tuple of
//! different types. It moves the value out where the reference is the last, else it clones. Types without `Clone`:
//! [`ObjectRef::take`], or read in place with [`ObjectRef::view`].
//!
//! # As results come
//!
//! [`wait`] gives the first `n` that are there, and the others; [`as_completed`] iterates over all in the order in which
//! they end. Get results late, and process them early:
//!
//! ```
//! # use ray::remote;
//! # #[remote]
//! # fn square(x: i64) -> i64 { x * x }
//! let mut rest = ray::Pending::from((0..4).map(|i| square.remote(i)).collect::<Vec<_>>());
//! let mut sum = 0;
//! while !rest.is_empty() {
//!     let (mut done, others) = ray::wait(rest, 1)?;
//!     sum += ray::get(done.remove(0))?;
//!     rest = others;
//! }
//! assert_eq!(sum, 14);
//! # Ok::<(), ray::Error>(())
//! ```
//!
//! # Actors
//!
//! An *actor* is a value that lives in the engine and is reached by calls alone: [`remote`] on its struct (or enum) and
//! on one `impl` block, whose methods with a visibility (`pub`, `pub(crate)`) become remote ones, and whose `new` is the
//! constructor. `Counter::remote(..)` returns an [`ActorHandle`] at once; its methods are fields of the handle:
//! `counter.increment.remote()`, `.try_remote()`, `.tell()`, `.options()`.
//!
//! Calls from one caller start in the order in which they were made, and one runs at a time: `&mut self` is what it
//! says. With `#[remote(max_concurrency = 8)]`, or where a method is `async`, calls by `&self` run side by side; those by
//! `&mut self` still run alone, so a data race does not compile. An actor that nobody has a handle of finishes its calls
//! and ends; [`kill`] ends it now. Named ones are found with [`get_actor`].
//!
//! ```
//! # use ray::remote;
//! # #[remote]
//! # struct Counter(i64);
//! # #[remote]
//! # impl Counter {
//! #     pub fn new() -> Self { Counter(0) }
//! #     pub fn increment(&mut self) -> i64 { self.0 += 1; self.0 }
//! # }
//! let counters: Vec<_> = (0..10).map(|_| Counter::remote()).collect();
//! let ones = ray::get(counters.iter().map(|c| c.increment.remote()).collect::<Vec<_>>())?;
//! assert_eq!(ones, [1; 10]);
//!
//! let named = Counter::options().name("visits").get_if_exists(true).remote();
//! ray::get(named.increment.remote())?;
//! assert_eq!(ray::get(ray::get_actor::<Counter>("visits")?.increment.remote())?, 2);
//! # Ok::<(), ray::Error>(())
//! ```
//!
//! # Groups
//!
//! Members of a [`collective`] group exchange arrays: sums, means, copies, barriers, each in place on its own buffer.
//!
//! ```
//! use ray::collective::{Group, Mean, create_collective_group, get_group};
//! use ray::remote;
//!
//! #[remote]
//! struct Worker {
//!     group: Option<Group>,
//! }
//!
//! #[remote]
//! impl Worker {
//!     pub fn new() -> Self {
//!         Worker { group: None }
//!     }
//!
//!     pub fn join(&mut self, name: &str) -> ray::Result<()> {
//!         self.group = Some(get_group(name)?);
//!         Ok(())
//!     }
//!
//!     pub fn average(&mut self, mut mine: Vec<f32>) -> ray::Result<Vec<f32>> {
//!         self.group.as_mut().expect("it has joined").allreduce(&mut mine, Mean)?;
//!         Ok(mine)
//!     }
//! }
//!
//! let workers = [Worker::remote(), Worker::remote()];
//! create_collective_group("workers", &workers)?;
//! ray::get(workers.each_ref().map(|worker| worker.join.remote("workers")))?;
//! let means: Vec<_> = workers.iter().zip([1.0, 2.0]).map(|(worker, x)| worker.average.remote(vec![x; 3])).collect();
//! assert_eq!(ray::get(means)?, [[1.5; 3], [1.5; 3]]);
//! # Ok::<(), ray::Error>(())
//! ```
//!
//! # Sync and async
//!
//! Everything above is for plain threads: `main` needs no runtime. An [`ObjectRef`] is a future too, which any executor
//! can poll, and `async fn` tasks and methods run on a runtime inside the engine, started by the first of them.
//!
//! ```
//! # use ray::{ObjectRef, remote};
//! #[remote]
//! async fn sum(a: ObjectRef<i64>, b: ObjectRef<i64>) -> ray::Result<i64> {
//!     Ok(a.await? + b.await?)
//! }
//!
//! let answer = sum.remote(ray::put(40), ray::put(2));
//! assert_eq!(futures::executor::block_on(answer)?, 42);
//! # Ok::<(), ray::Error>(())
//! ```
//!
//! A blocking [`get`] inside an `async fn` of the engine would stall other futures: it is an error that says where.
//!
//! # Options
//!
//! On a function: `num_cpus`, `num_gpus`, `memory`, `resources(name = amount)`, `num_returns`, `max_retries`,
//! `retry_exceptions`, `name`, `local`. On an actor's struct: the resources, `max_restarts`, `max_task_retries`,
//! `max_concurrency`, `max_pending_calls`. On its `impl`: `local`. On a method, as `#[method(..)]`: `num_returns`,
//! `max_task_retries`, `retry_exceptions`. What varies from call to call is set by `.options()`; a word that is no option
//! does not compile, a value out of range comes back as an error.
//!
//! A task asks for one CPU unless told otherwise (an `async fn` for none), an actor's calls for none: with
//! `num_cpus(4)` no more than four tasks run at once, whatever the machine has. A [`get`] inside a task lends its CPU to
//! others while it waits.
//!
//! # Errors
//!
//! There is one error type, [`Error`], cheap to clone, with a [`kind`](Error::kind) and questions such as
//! [`is_timeout`](Error::is_timeout). A function that returns `Result<T, E>` gives an `ObjectRef<T>`; its `Err`, or a
//! panic, fails the object and whatever depends on it, and [`Error::downcast_ref`] finds your `E` again:
//!
//! ```
//! # use ray::remote;
//! #[remote]
//! fn parse(text: &str) -> Result<i64, std::num::ParseIntError> {
//!     text.parse()
//! }
//!
//! let error = ray::get(parse.remote("seven")).unwrap_err();
//! assert!(error.downcast_ref::<std::num::ParseIntError>().is_some());
//! println!("{error:?}"); // what failed, in which task, with file and line
//! ```
//!
//! Where Ray would wait for ever there are errors too: more of a resource than there is (`Infeasible`), calls that wait
//! for each other (`Deadlock`). Where things stand still because others hold what is needed, a report says who.
//!
//! # Life
//!
//! The first use starts the engine; [`init`] or [`init_with`] starts it by name, to configure it or to learn what it has.
//! There is one engine in a process. [`shutdown`] settles every object at once, waits a grace for the bodies that run,
//! and lets [`init`] work again. Returning from `main` waits for nothing: get what you want to have happened.
//!
//! # Strict mode
//!
//! Arguments and results are `Serialize + Deserialize`, although nothing is serialised here, so that a program that runs
//! in one process would run on a cluster. `RAY_STRICT=1` (or [`Config::strict`]) sends every value through MessagePack on
//! its way, so that tests find what does not survive it. `#[remote(local)]` on a function or on an actor's `impl` frees it
//! from all this, for channels, files and other things of one process.
//!
//! # Differences to Ray
//!
//! * A type says what a parameter does with a reference, and how many results there are; wrong arguments, unknown methods
//!   and options are compile errors.
//! * A panic, not an error, ends an actor: after `Err` it lives on, as after an exception in Python.
//! * No thread can be killed: [`cancel`] and [`kill`] settle objects at once, and a long body asks
//!   [`context`]`().is_cancelled()`.
//! * `ray.wait` gives exactly as many as were asked for, chosen in the order in which they ended, at a cost that does not
//!   grow with the others.
//! * One process, one node: no processes that crash alone, no runtime environments, no dashboard. The cluster engine is
//!   not there yet; `RAY_ADDRESS` is an error that says so.
//!
//! The README has a table that translates a Ray program line by line; `docs/semantics.md` says what is guaranteed.

#![forbid(unsafe_code)]

/// The parts that the expansion of [`remote`] names. Not for use by hand.
#[doc(hidden)]
pub use ray_core::__private;

/// Makes a function a remote function, or a struct (or enum) and its `impl` an actor class.
///
/// # On a function
///
/// ```
/// use ray::{ObjectRef, remote};
///
/// #[remote]
/// fn double(x: i64) -> i64 {
///     x * 2
/// }
///
/// #[remote(num_cpus = 0.5, max_retries = 5, retry_exceptions)]
/// fn fetch(url: &str) -> Result<String, std::io::Error> {
///     Ok(url.to_owned())
/// }
///
/// #[remote(num_returns = 2)]
/// fn split(text: String) -> (String, usize) {
///     let length = text.len();
///     (text, length)
/// }
///
/// let twice: ObjectRef<i64> = double.remote(double.remote(10)); // references flow into calls
/// assert_eq!(ray::get(twice)?, 40);
/// let (text, length) = split.remote(fetch.remote("https://example.org"));
/// assert_eq!(ray::get((text, length))?, ("https://example.org".to_owned(), 19));
/// # Ok::<(), ray::Error>(())
/// ```
///
/// | option | | default |
/// |---|---|---|
/// | `num_cpus = 2`, `num_gpus = 0.5`, `memory = 1_000_000` | what the task holds while it runs | 1 CPU, or 0 for an `async fn` |
/// | `resources(licence = 1, "big disk" = 0.5)` | custom resources | none |
/// | `num_returns = 2` | a tuple comes back as so many references | one reference |
/// | `retry_exceptions`, `retry_exceptions = path::to::rule` | try again after an error, or after those that `fn(&ray::Error) -> bool` allows | never |
/// | `max_retries = 5` | how often; -1 for ever | 3 |
/// | `name = "resize"` | what errors and reports call it | the function's name |
/// | `local` | no serialisation: for types of this process | off |
/// | `crate = ::renamed` | where this crate is found, if the dependency `ray-remote` has another name | `::ray` |
///
/// Generic functions are `local`, and so are generic actors. Numbers may be paths to constants, but for `num_returns`,
/// which is a matter of type.
///
/// # On a type and its methods
///
/// ```
/// use ray::remote; // `#[method]` needs no import: `#[remote]` reads it
///
/// #[remote(max_restarts = 3, max_pending_calls = 1000)]
/// struct Account {
///     cents: i64,
/// }
///
/// #[remote]
/// impl Account {
///     pub fn new(cents: i64) -> Self {
///         Account { cents }
///     }
///
///     /// An `Err` fails the call; the actor lives on.
///     pub fn withdraw(&mut self, cents: i64) -> Result<i64, String> {
///         self.check(cents)?;
///         self.cents -= cents;
///         Ok(self.cents)
///     }
///
///     #[method(num_returns = 2)]
///     pub fn halves(&self) -> (i64, i64) {
///         (self.cents / 2, self.cents - self.cents / 2)
///     }
///
///     /// Without a visibility: an ordinary method, not a remote one.
///     fn check(&self, cents: i64) -> Result<(), String> {
///         if cents > self.cents { Err("not enough".to_owned()) } else { Ok(()) }
///     }
/// }
///
/// let account = Account::remote(100);
/// let (a, b) = account.halves.remote();
/// assert_eq!(ray::get((a, b))?, (50, 50));
/// assert!(ray::get(account.withdraw.remote(101)).is_err());
/// assert_eq!(ray::get(account.withdraw.remote(30))?, 70);
/// # Ok::<(), ray::Error>(())
/// ```
///
/// | option of the struct | | default |
/// |---|---|---|
/// | `num_cpus`, `num_gpus`, `memory`, `resources(..)` | what the actor holds for life | nothing |
/// | `max_restarts = 3` | how often it starts anew after a panic, its state lost; -1 for ever | 0 |
/// | `max_task_retries = 3` | how often a call that a crash cut off is made again; -1 for ever | 0 |
/// | `max_concurrency = 8` | so many `&self` calls run side by side | 1, or 1000 with an `async` method |
/// | `max_pending_calls = 1000` | more calls that have not started are refused | -1: no limit |
///
/// A name is a matter of one actor: `Account::options().name("savings").remote(100)`, see [`ActorBuilder`].
///
/// # What it costs in names
///
/// `square` of `#[remote] fn square` is a constant, so that `square.remote(7)` works. Where it is in scope, nothing else
/// can have that name: `let square = ..`, a parameter or a pattern's binding `square` is an error of rustc (a function's
/// own parameters included, where they have a remote function's name). Name the one or the other differently, or keep
/// remote functions in a module and call them as `tasks::square.remote(7)`.
///
/// What rustc says, and what to write:
///
/// | | |
/// |---|---|
/// | ``let total = ..`: mismatched types, `total` is interpreted as a unit struct`` | another name for the variable: `let sum = ..` |
/// | ``.map(square)`: expected an `FnMut`, found `square``` | `.map(*square)`, or `.map(\|x\| square.remote(x))` for tasks |
/// | `f.remote(vec![])`, `f.remote(iter.collect())`, `f.remote(x.into())`: type annotations needed | `Vec::<u8>::new()`, `collect::<Vec<_>>()`: a parameter takes more than one type |
/// | `generic.remote(&object)`: type annotations needed | `generic.remote::<i32>(&object)`: the object, or the reference itself? |
/// | a return type that hides a `Result` behind another name | write `Result<T, E>` out, so that it can be flattened |
/// | `ray::get(object)` where the type is not `Clone` | `object.take()`, or `object.view()` to read it in place |
#[doc(inline)]
pub use ray_macros::remote;

/// Options of a method, inside a `#[remote] impl`: `num_returns`, `max_task_retries` and `retry_exceptions`, as in
/// [`remote`].
#[doc(inline)]
pub use ray_macros::method;

// Starting, asking, ending.
#[doc(inline)]
pub use ray_core::{
    Config, Context, Node, Resources, ShutdownGuard, available_resources, cluster_resources, init, init_with, is_initialized,
    nodes, shutdown,
};

// What it is doing.
#[doc(inline)]
pub use ray_core::dump;
#[cfg(unix)]
#[doc(inline)]
pub use ray_core::dump_on_signal;

// Objects.
#[doc(inline)]
pub use ray_core::{AnyRef, Get, ObjectRef, RefFuture, TakeError, View, get, get_all_settled, get_timeout, put, put_local};
#[doc(inline)]
pub use ray_core::{AsCompleted, CompletedStream, Pending, Reference, WaitOptions, as_completed, first, wait};

// Tasks.
#[doc(inline)]
pub use ray_core::__private::{Configured, IntoArg, IntoShared, RetryOn};
#[doc(inline)]
pub use ray_core::{CancelOnDrop, CancelOptions, RuntimeContext, Task, cancel, cancel_with, context, task};

// Actors.
#[doc(inline)]
pub use ray_core::__private::{Actor, ActorBuilder, ConfiguredMethod, Method};
#[doc(inline)]
pub use ray_core::{
    ActorHandle, ActorState, WeakActorHandle, exit_actor, get_actor, get_actor_in, kill, kill_and_restart, list_named_actors,
};

// Groups that exchange arrays.
#[doc(inline)]
pub use ray_core::collective;

// Errors and names of things.
#[doc(inline)]
pub use ray_core::{ActorId, Error, ErrorKind, JobId, NodeId, ObjectId, Result, TaskId, WorkerId};

/// The README's programs, compiled and run as tests of the documentation.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// ```compile_fail,E0080
/// use ray::remote;
/// struct Ticket;
/// #[remote]
/// struct Booth;
/// #[remote(local)]
/// impl Booth {
///     pub fn new() -> Self {
///         Booth
///     }
///     pub fn take(&self, ticket: Ticket) {
///         drop(ticket);
///     }
/// }
/// // `take` could not be called again: its argument is not `Clone`.
/// let booth = Booth::options().max_restarts(1).max_task_retries(-1).remote();
/// ray::get(booth.take.remote(Ticket)).unwrap();
/// ```
///
/// ```
/// use ray::remote;
/// struct Ticket;
/// #[remote]
/// struct Booth;
/// #[remote(local)]
/// impl Booth {
///     pub fn new() -> Self {
///         Booth
///     }
///     pub fn take(&self, ticket: Ticket) {
///         drop(ticket);
///     }
/// }
/// let booth = Booth::options().max_restarts(1).remote();
/// ray::get(booth.take.remote(Ticket)).unwrap();
/// ```
#[cfg(doctest)]
struct RetriesNeedClone;
