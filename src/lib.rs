//! Ray for Rust: put `#[remote]` above a function or a type and call it with `.remote(..)`. The calls of a function run in
//! parallel as tasks; a type becomes an actor, which keeps state between its calls. A call returns a reference to its
//! future result, and a reference can be an argument of further calls.
//!
//! The library offers the programming model of [Ray](https://docs.ray.io) for Python within one process. There is nothing
//! to install or to start, values are not serialised, and a call takes about as long as other libraries need to wake a
//! thread. The same program also runs on a [Ray cluster](#on-a-cluster).
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
//!     ray::init()?;
//!     let futures: Vec<_> = (0..4).map(|i| square.remote(i)).collect(); // four tasks, in parallel
//!     assert_eq!(ray::get(futures)?, [0, 1, 4, 9]);
//!
//!     let counter = Counter::remote(); // an actor, which owns a Counter
//!     assert_eq!(ray::get(counter.increment.remote())?, 1);
//!     assert_eq!(square(7), 49); // a plain call still works
//!     Ok(())
//! }
//! ```
//!
//! # Tasks
//!
//! A *task* is one call of a remote function. A function `f` with the attribute [`remote`] can be called in these ways:
//!
//! | | |
//! |---|---|
//! | `f.remote(x)` | submits a task and returns an [`ObjectRef`] without waiting; getting the reference returns any error |
//! | `f.try_remote(x)` | the same, but returns an `Err` if the task cannot be submitted |
//! | `f.tell(x)` | submits a task without a reference to its result; a failure is logged |
//! | `f.options().num_cpus(2.0).remote(x)` | the same with options for this one call, see [`Configured`] |
//! | `f.map(items)`, `f.map_unordered(items)` | a task for each item, a bounded number at a time, and an iterator over the results, see [`Map`] |
//! | `f(x)`, `f.call(x)` | a plain call on this thread (`f.call` also for `async` and generic functions) |
//! | `ray::task(move \|\| ..).remote()` | a task of a closure, see [`task`] |
//!
//! The type of a parameter determines which arguments it takes. A task starts when all its arguments are ready; until then
//! no thread waits for them.
//!
//! | parameter | takes | what happens |
//! |---|---|---|
//! | `x: T` | `T`, `ObjectRef<T>`, `&ObjectRef<T>`, `Arc<T>` | moved; the value of an object is cloned unless this is its last reference |
//! | `x: String` | a `&str` too | copied |
//! | `xs: Vec<T>` | `Vec<ObjectRef<T>>` too | fan-in: the task starts when all of them are ready |
//! | `x: &T`, `&[T]`, `&str` | the same, and `[T; N]` or `Vec<T>` for `&[T]` | borrowed from the stored object: no clone, and `T` need not be `Clone` |
//! | `x: ObjectRef<T>` | `ObjectRef<T>`, `&ObjectRef<T>` | stays a reference, like a reference nested in a list in Python |
//! | `x: ActorHandle<A>` | `ActorHandle<A>`, `&ActorHandle<A>` | a task may call actors |
//!
//! # Objects
//!
//! An object is an immutable value that [`ObjectRef`]s refer to: the result of a call, or a value passed to [`put`]. It is
//! stored once, passed without copies, and freed with its last reference.
//!
//! ```
//! # use ray::remote;
//! #[remote]
//! fn total(xs: &[f64]) -> f64 {
//!     xs.iter().sum()
//! }
//!
//! let big = ray::put(vec![0.5; 1_000_000]);
//! let sums: Vec<_> = (0..10).map(|_| total.remote(&big)).collect(); // ten tasks read the same object
//! assert_eq!(ray::get(sums)?, [500_000.0; 10]);
//! # Ok::<(), ray::Error>(())
//! ```
//!
//! [`get`] blocks until the values are ready. It takes one reference, a `Vec`, slice or array of references, or a tuple of
//! references of different types. It moves the value out of the object if the reference is the last one, and clones it
//! otherwise. For types without `Clone`, [`ObjectRef::take`] moves the value out, and [`ObjectRef::view`] reads it in
//! place.
//!
//! # Results in the order of completion
//!
//! [`wait`] returns the first `n` references that are ready, and the others; [`as_completed`] iterates over all references
//! in the order in which they become ready. So a program can process the first results while other tasks still run:
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
//! # Streams
//!
//! A remote function or method that returns `impl Iterator<Item = T>`, `impl Stream<Item = T>` or a `Result` of one of them, or
//! whose first parameter is a [`Yielder<T>`](Yielder), makes one object for each item. A call returns an [`ObjectRefStream`], which
//! is an iterator of references. An item can be used while the task still makes the next ones, and the task waits when 64 items
//! (or `backpressure = n`) were not taken yet.
//!
//! ```
//! # use ray::remote;
//! #[remote]
//! fn lines(text: &str) -> impl Iterator<Item = String> {
//!     text.lines().map(str::to_owned)
//! }
//!
//! for line in lines.remote("one\ntwo") {
//!     println!("{}", ray::get(line)?);
//! }
//! # Ok::<(), ray::Error>(())
//! ```
//!
//! # Actors
//!
//! An *actor* is a value inside the engine that programs reach only by calls of its methods. Its struct (or enum) and one
//! of its `impl` blocks have the attribute [`remote`]. The methods of the block with a visibility (`pub`, `pub(crate)`)
//! become remote methods, and `new`, which may be an `async fn`, is the constructor. `Counter::remote(..)` returns an [`ActorHandle`] without waiting.
//! The methods are fields of the handle: `counter.increment.remote()`, `.try_remote()`, `.tell()`, `.options()`.
//!
//! The calls of one caller start in the order in which the caller made them, and by default one call runs at a time. With
//! `#[remote(max_concurrency = 8)]`, or if a method is `async`, calls of `&self` methods run at the same time; a call of a
//! `&mut self` method still runs alone, so there are no data races. An actor without handles finishes its calls and ends;
//! [`kill`] ends an actor immediately. [`get_actor`] finds an actor by its name.
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
//! The members of a [`collective`] group exchange arrays: they form sums and means, copy data and wait at barriers. Each
//! member passes its own buffer, which then contains the result.
//! [`collective`] has an example with tasks, [`create_collective_group`](collective::create_collective_group) one with actors.
//!
//! The module [`util`] has queues, semaphores, events, and pools of actors and of functions.
//!
//! # Sync and async
//!
//! The programs above run on plain threads: `main` needs no async runtime. An [`ObjectRef`] is also a future, which any executor
//! can poll. `async fn` tasks and methods run on a tokio runtime inside the engine, which the first of them starts.
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
//! A blocking [`get`] inside an `async fn` task or method would stall other futures, so it returns an error with its place.
//!
//! # Options
//!
//! The options of a function are `num_cpus`, `num_gpus`, `memory`, `resources(name = amount)`, `num_returns`,
//! `max_retries`, `retry_exceptions`, `backpressure`, `name`, `inline` and `local`, and those that choose a node and an environment:
//! `accelerator_type`, `label_selector(name = "value")`, `scheduling_strategy` and `runtime_env`. The options of an actor's
//! struct are the resources, those four, `max_restarts`, `max_task_retries`, `checkpoint_every`, `max_concurrency`,
//! `groups(name = size)`, `allow_out_of_order_execution` and `max_pending_calls`; its `impl` has `default` and `local`. A method
//! has `num_returns`, `group`, `max_task_retries`, `retry_exceptions`, `backpressure` and `inline`, written in `#[method(..)]`. The builder that `.options()` returns sets options for one call. An unknown option is a compile error; a
//! value out of range is a compile error in an attribute, and an error of the call in a builder.
//!
//! A task requests one CPU by default, an `async fn` task and a call of an actor none: in an engine with `num_cpus(4)` at
//! most four such tasks run at a time, even if the machine has more CPUs. While a task waits in [`get`], its CPU is free
//! for other tasks.
//!
//! # Errors
//!
//! The only error type is [`Error`]. It is cheap to clone, and has a [`kind`](Error::kind) and methods such as
//! [`is_timeout`](Error::is_timeout). A call of a function that returns `Result<T, E>` gives an `ObjectRef<T>`. An `Err` or
//! a panic fails the object and every task that depends on it, and [`Error::downcast_ref`] returns the original `E`:
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
//! println!("{error:?}"); // the cause, and the task with its file and line
//! ```
//!
//! In one process, some programs that would wait without end in Ray fail with an error: a task that requests more of a resource
//! than the engine has (`Infeasible`), and calls that wait for each other (`Deadlock`). The engine logs a report of work that
//! waits for a long time for resources, with their holders. On a cluster such work waits, as in Ray.
//!
//! # Start and shutdown
//!
//! The first use starts the engine. [`init`] and [`init_with`] start it explicitly, to configure it or to learn which resources it
//! has. A process has at most one engine. [`shutdown`] settles every object immediately, waits a limited time for running bodies,
//! and allows a new [`init`]. A return from `main` waits for nothing: a program must get the results that it needs.
//!
//! # On a cluster
//!
//! If the variable `RAY_ADDRESS` (or [`Config::address`]) is set, [`init`] joins a Ray cluster, and tasks and actors run in its
//! workers: `auto` is the cluster of which this machine is a node, `host:port` the one with this head, and `local` a private
//! Ray. The workers start the same program, which serves them in [`init`] and does not return from it there, so `init` stands
//! first in `main`. `docs/cluster.md` says what else differs.
//!
//! # Strict mode
//!
//! Arguments and results must be `Serialize + Deserialize` although they are not serialised within one process, so that a
//! program can also run on a cluster. With `RAY_STRICT=1` (or [`Config::strict`]) every value is encoded as MessagePack
//! and decoded again, so that tests find values that encoding does not preserve. `#[remote(local)]` on a function or on an
//! actor's `impl` removes these requirements, for channels, files and other values that exist in one process only.
//!
//! # Differences to Ray
//!
//! * The type of a parameter determines how it treats a reference, and the return type determines the number of results;
//!   wrong arguments, unknown methods and unknown options are compile errors.
//! * A panic ends an actor. An `Err` does not end it, like an exception in Python.
//! * A thread cannot be killed: [`cancel`] and [`kill`] settle objects immediately, and a long body has to check
//!   [`context`]`().is_cancelled()`.
//! * [`wait`] returns exactly as many references as requested, in the order in which they became ready. Its cost does not
//!   grow with the number of the other references.
//! * Without a cluster there is one process and one node: no worker processes that can crash alone, no dashboard.
//! * The README has a table that translates a Ray program line by line; `docs/semantics.md` lists the guarantees.

#![forbid(unsafe_code)]

extern crate self as ray;
pub mod util;

/// The items that the expansion of [`remote`] uses. They are not part of the public API.
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
/// let twice: ObjectRef<i64> = double.remote(double.remote(10)); // a reference is an argument
/// assert_eq!(ray::get(twice)?, 40);
/// let (text, length) = split.remote(fetch.remote("https://example.org"));
/// assert_eq!(ray::get((text, length))?, ("https://example.org".to_owned(), 19));
/// # Ok::<(), ray::Error>(())
/// ```
///
/// | option | | default |
/// |---|---|---|
/// | `num_cpus = 2`, `num_gpus = 0.5`, `memory = 1_000_000` | the resources that a task holds while it runs | 1 CPU, or 0 for an `async fn` |
/// | `resources(licence = 1, "big disk" = 0.5)` | custom resources | none |
/// | `accelerator_type = "A100"`, `label_selector(region = "us")` | the accelerator and the labels that the node must have: `value`, `!value`, `in(a, b)` or `!in(a, b)` | any |
/// | `scheduling_strategy = "SPREAD"` | how a cluster chooses the node: `"DEFAULT"` or `"SPREAD"`; [`SchedulingStrategy`] has more, for a call | Ray's |
/// | `runtime_env = path::to::environment` | a `fn() ->` [`RuntimeEnv`] for the workers of a cluster | that of the job |
/// | `num_returns = 2` | a result of two elements comes back as two references | one reference |
/// | `retry_exceptions`, `retry_exceptions = path::to::rule` | retry after all errors, or after those for which a `fn(&ray::Error) -> bool` returns true | never |
/// | `max_retries = 5` | the maximum number of retries; -1 means no limit | 3 |
/// | `backpressure = 8` | of a stream: how many items may wait for their consumer before the task waits; -1 means no limit | 64 |
/// | `name = "resize"` | the name in errors and reports | the function's name |
/// | `inline = false` | a thread that waits for the result never runs the body itself | `true` |
/// | `local` | values need not be serialisable, and the function never leaves this process | off |
/// | `crate = ::renamed` | the path of this crate, if the dependency `ray-remote` has another name | `::ray` |
///
/// Generic functions and generic actors must be `local`. A number may be the path of a constant, except for `num_returns`,
/// which must be a literal.
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
///     /// An `Err` fails the call, but does not end the actor.
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
///     /// A method without a visibility is a plain method.
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
/// | `num_cpus`, `num_gpus`, `memory`, `resources(..)` | the resources that the actor holds while it lives | nothing |
/// | `accelerator_type`, `label_selector(..)`, `scheduling_strategy`, `runtime_env` | as for a function | |
/// | `max_restarts = 3` | how often the actor is restarted after a panic, with new state; -1 means no limit | 0 |
/// | `max_task_retries = 3` | how often a call that a restart interrupted is retried; -1 means no limit | 0 |
/// | `max_concurrency = 8` | how many `&self` calls run at the same time | 1, or 1000 with an `async` method |
/// | `max_pending_calls = 1000` | how many calls may wait for their start; further calls fail; -1 means no limit | -1 |
///
/// A name belongs to one actor, so it is an option of its creation: `Account::options().name("savings").remote(100)`, see
/// [`ActorBuilder`].
///
/// # The name of a remote function
///
/// `#[remote] fn square` defines a constant `square`, so that `square.remote(7)` works. Where the name is in scope,
/// nothing else can have it: rustc rejects a variable, a parameter or a binding in a pattern called `square`. Choose
/// another name for one of the two, or put the remote functions in a module: `tasks::square.remote(7)`.
///
/// # What rustc says
/// The macro explains most mistakes. These are the most frequent ones that only rustc reports; the README has more.
///
/// | rustc says | write |
/// |---|---|
/// | mismatched types, `total` is interpreted as a constant, at `let total = 1.0` | another name for the variable; `total` is a remote function |
/// | expected a `FnMut` closure, found `square`, at `.map(square)` | `.map(*square)`, or `.map(\|x\| square.remote(x))` for tasks |
/// | type annotations needed, at `f.remote(vec![])`, `.collect()` or `.into()` | `Vec::<u8>::new()`, `.collect::<Vec<_>>()`: a parameter accepts several types |
/// | the trait bound `Model: Clone` is not satisfied, at `ray::get` | `object.take()`, or `object.view()` to read the value in place |
#[doc(inline)]
pub use ray_macros::remote;

/// Sets options of a method inside a `#[remote] impl`: `num_returns`, `max_task_retries`, `retry_exceptions`, `backpressure`
/// and `inline`, see [`remote`].
#[doc(inline)]
pub use ray_macros::method;

// Start and shutdown of the engine, and its resources.
#[doc(inline)]
pub use ray_core::{
    Amount, ClusterInfo, Config, Context, Node, Resources, ShutdownGuard, available_resources, cluster_resources, is_initialized,
    nodes, shutdown,
};

// Reports of the engine's state.
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
#[doc(inline)]
pub use ray_core::{ItemStream, Merge, ObjectRefStream, Yielder, merge};

#[doc(inline)]
pub use ray_core::__private::{Configured, IntoArg, IntoShared, RetryOn};
#[doc(inline)]
pub use ray_core::{CancelOnDrop, CancelOptions, RuntimeContext, Task, TraceContext, cancel, cancel_with, context, task};
#[doc(inline)]
pub use ray_core::{
    Chunk, LabelMatch, Lifetime, Map, MapChunks, MapStream, RemoteFunction, RuntimeEnv, SchedulingStrategy, lint,
};

// Placement groups, and the ids of GPUs.
#[doc(inline)]
pub use ray_core::{
    Bundle, PlacementGroup, PlacementGroupBuilder, PlacementGroupInfo, PlacementGroupState, PlacementStrategy,
    get_current_placement_group, get_gpu_ids, get_placement_group, placement_group, placement_group_table,
    remove_placement_group,
};

// Actors, and groups that exchange arrays.
#[doc(inline)]
pub use ray_core::__private::{Actor, ActorBuilder, ConfiguredMethod};
#[doc(inline)]
pub use ray_core::{
    ActorHandle, ActorState, Handle, WeakActorHandle, collective, exit_actor, get_actor, get_actor_in, kill, kill_and_restart,
    list_named_actors,
};

// Errors and identifiers.
#[cfg(feature = "cluster")]
#[doc(hidden)]
pub use ray_cluster as __private_cluster;
#[cfg(feature = "cluster")]
#[doc(inline)]
pub use ray_cluster::{init, init_with};
pub use ray_core::{ActorId, Error, ErrorKind, JobId, NodeId, ObjectId, PlacementGroupId, Result, TaskId, WorkerId};
#[cfg(not(feature = "cluster"))]
#[doc(inline)]
pub use ray_core::{init, init_with};

/// The programs of the README, which run as documentation tests.
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
/// // A retry of `take` would need a clone of its argument, which is not `Clone`.
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
