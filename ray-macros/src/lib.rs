//! The attributes `#[remote]` and `#[method]`. This is an internal crate: depend on `ray-remote`, whose library `ray`
//! exports both attributes.
//!
//! An item passes through `parse`, `options`, `model`, `check`, and then `expand`, or `fallback` after an error. Each
//! stage is a file of that name. The stages before `expand` collect all errors of the item in one `Report`, each on the
//! user's tokens; `expand` cannot fail. Expansions use the macros and types of the facade's hidden module `__private`.

#![forbid(unsafe_code)]

mod check;
mod expand;
mod fallback;
mod model;
mod options;
mod parse;
mod print;
mod report;
#[cfg(test)]
mod size;
mod types;

use proc_macro::TokenStream;

/// Makes a function a remote function, or a type an actor class, like `@ray.remote` in Python.
///
/// The attribute goes on a `fn` or an `async fn`, on a `struct` or an `enum`, and on the `impl` block with the methods of
/// that type.
///
/// # Functions
///
/// ```
/// use ray::remote;
///
/// #[remote]
/// fn square(x: i64) -> i64 {
///     x * x
/// }
///
/// #[remote(num_cpus = 0.5, name = "total")]
/// fn total(xs: &[f64]) -> f64 {
///     xs.iter().sum()
/// }
///
/// # fn main() -> ray::Result<()> {
/// let four = square.remote(2); // returns an ObjectRef<i64> without waiting
/// let sixteen = square.remote(&four); // starts when `four` is ready
/// assert_eq!(ray::get(sixteen)?, 16);
/// assert_eq!(square(3), 9); // a plain call
/// assert_eq!([1, 2].map(*square), [1, 4]);
///
/// let xs = ray::put(vec![1.0, 2.0]);
/// let sum = total.options().num_cpus(1.0).remote(&xs); // read in place
/// assert_eq!(ray::get(sum)?, 3.0);
/// # Ok(())
/// # }
/// ```
///
/// `square` becomes a constant with the visibility of the function, whose type has these methods:
///
/// | | |
/// |---|---|
/// | `square.remote(x)` | submits a task and returns an `ObjectRef` to the result |
/// | `square.try_remote(x)` | the same, but returns an `Err` if the task cannot be submitted |
/// | `square.tell(x)` | submits a task without a reference to the result |
/// | `square.options()` | options for one call, then `.remote(x)`, `.try_remote(x)` or `.tell(x)` |
/// | `square(x)` | a plain call; for an `async` or a generic function write `square.call(x)` |
///
/// **Parameters.** A parameter `T` takes a `T`, an `ObjectRef<T>`, a `&ObjectRef<T>` or an `Arc<T>`. References and `Arc`s
/// need `T: Clone`: the last reference moves the value out, any other clones it. A parameter `Vec<T>` also takes a
/// `Vec<ObjectRef<T>>`, and a `String` also takes a `&str`. A parameter `&T`, `&[T]`, `&str` or `&Path` is read from the
/// object store in place, without a clone; it takes the owned value too. A parameter `ObjectRef<T>` or `ActorHandle<A>` is passed
/// to the body unchanged.
///
/// **Results.** A function with `-> Result<T, E>` returns an `ObjectRef<T>`: an `Err` fails the object, and every task that
/// depends on it. The macro recognises the type by its last name, `Result` (`io::Result<T>` and `ray::Result<T>` are fine).
/// An alias of another name for a `Result` is a compile error, except in a generic function, where it counts as a plain
/// value.
///
/// **Streams.** A function that returns `impl Iterator<Item = T>`, `impl Stream<Item = T>` or a `Result` of one of them makes an object
/// of each item, and a call returns an `ObjectRefStream<T>`. A function whose first parameter is a `Yielder<T>` makes a stream too;
/// the caller does not pass this parameter, and `out.push(item)?` yields an item. An iterator may borrow the arguments and need not be `Send`. A function that returns `impl
/// Stream` runs as an `async fn` does.
///
/// **Types.** Arguments and results must be `Send + Sync + 'static`. They must also be `Serialize + DeserializeOwned`, so
/// that a program that runs in one process can run on a cluster; `#[remote(local)]` keeps a function in this process and
/// drops the second requirement. Values are encoded as MessagePack, which cannot distinguish `Some(())` or `Some(None)`
/// from `None`: so `Option<()>` and `Option<Option<T>>` in a signature are errors, unless the function is `local`.
///
/// **Generic functions** must be `local`. Their type parameters get the bounds `Send + Sync + 'static`. The compiler infers
/// them from plain values, and from references where the parameter is more than the bare `T`; otherwise write
/// `longest.remote::<String>(&name)`.
///
/// ```
/// # use ray::remote;
/// #[remote(local)]
/// fn largest<T: Ord>(items: Vec<T>) -> Option<T> {
///     items.into_iter().max()
/// }
///
/// # fn main() -> ray::Result<()> {
/// assert_eq!(ray::get(largest.remote(vec![1, 3, 2]))?, Some(3));
/// # Ok(())
/// # }
/// ```
///
/// ## Options of a function
///
/// | option | |
/// |---|---|
/// | `num_cpus = 2`, `num_cpus = 0.5` | the CPUs that a task requests; the default is 1, or 0 for an `async fn` |
/// | `num_gpus = 1` | the GPUs that a task requests |
/// | `memory = 500 * 1024 * 1024` | the bytes that a task requests; like all resources they are counted, not enforced |
/// | `resources(tpu = 1, "big disk" = 0.5)` | custom resources |
/// | `accelerator_type = "A100"` | the type of the accelerator that the node must have |
/// | `label_selector(region = "us", zone = "!b")` | the labels that the node must have; a value is `value`, `!value`, `in(a, b)` or `!in(a, b)` |
/// | `scheduling_strategy = "SPREAD"` | how a cluster chooses the node; `"DEFAULT"` and `"SPREAD"`, others for a call only |
/// | `runtime_env = path` | a `fn() -> ray::RuntimeEnv` that makes the environment of the workers on a cluster |
/// | `num_returns = 2` | a tuple `(A, B)`, or a `Result` of one, comes back as a tuple of references |
/// | `max_retries = 3` | how often a failed task is retried; -1 means without limit |
/// | `retry_exceptions`, `retry_exceptions = is_transient` | the errors of the function after which it is retried: all, or those for which a `fn(&ray::Error) -> bool` returns true; the arguments must be `Clone` |
/// | `backpressure = 8` | of a stream: how many items may wait for their consumer before the task waits, 64 by default; -1 means without limit |
/// | `name = "resize"` | the name in errors and reports |
/// | `inline = false` | a thread that waits for the result never runs the body itself, even if the bodies before were short |
/// | `local` | the function never leaves this process |
/// | `crate = ::renamed` | the path of the library of `ray-remote`, if it is not `::ray` |
///
/// A value is a literal, which the macro checks, or a constant of the type that the builder in `options()` takes (`f64` for
/// amounts), which the compiler checks.
///
/// ```
/// # use ray::remote;
/// #[remote(num_returns = 2)]
/// fn split(text: &str) -> (String, usize) {
///     (text.to_uppercase(), text.len())
/// }
///
/// # fn main() -> ray::Result<()> {
/// let (upper, length) = split.remote("ray");
/// assert_eq!((ray::get(length)?, ray::get(upper)?), (3, "RAY".to_owned()));
/// # Ok(())
/// # }
/// ```
///
/// # Actors
///
/// ```
/// use ray::remote;
///
/// #[remote(max_restarts = 1)]
/// struct Counter {
///     value: i64,
/// }
///
/// #[remote]
/// impl Counter {
///     pub fn new(value: i64) -> Self {
///         Counter { value }
///     }
///
///     pub fn increment(&mut self) -> i64 {
///         self.value += 1;
///         self.value
///     }
///
///     pub async fn get(&self) -> i64 {
///         self.value
///     }
/// }
///
/// # fn main() -> ray::Result<()> {
/// let counter = Counter::remote(5); // returns an ActorHandle<Counter> without waiting; `new` runs in the actor
/// counter.increment.tell();
/// assert_eq!(ray::get(counter.increment.remote())?, 7);
/// let named = Counter::options().name("counter").remote(0);
/// assert_eq!(ray::get(named.get.options().name("look").remote())?, 0);
/// assert_eq!(Counter::new(1).increment(), 2); // plain calls of a plain value
/// # Ok(())
/// # }
/// ```
///
/// The attribute goes on the struct (or enum) and on **one** of its impl blocks. `new` is the constructor; it returns
/// `Self` or `Result<Self, E>`, and may be an `async fn`, which is awaited before the first call. The type gets `Counter::remote(..)`, `Counter::try_remote(..)` and `Counter::options()`,
/// with the visibility of `new`. The handle has a field for each method of the block that has a visibility, with that
/// visibility: `counter.increment.remote()`, `.try_remote()`, `.tell()`, `.options()`. Methods without a visibility,
/// functions without `self` and the other impl blocks of the type stay plain. The state never leaves its actor: write a
/// method to read it.
///
/// Methods take `&self` or `&mut self`. They may be `async`, and they take the parameters and return the results that
/// functions do. A `&mut self` method runs alone. `&self` methods run at the same time, up to `max_concurrency`; so an
/// actor with `&self` methods must be `Sync` if one of its methods is `async`, `max_concurrency` is over 1, or the struct has `groups`.
///
/// **Concurrency groups** have slots of their own, so slow calls of one group do not keep those of another back; `&mut self`
/// excludes all groups. **Checkpoints** are what a restart begins with: without them the state is lost.
///
/// ```
/// # use ray::remote;
/// #[derive(Default)]
/// #[remote(groups(io = 2, compute = 4), checkpoint_every = 10, max_restarts = -1)]
/// struct Library {
///     books: Vec<String>,
/// }
///
/// #[remote(default)] // the constructor is `Library::default()`
/// impl Library {
///     #[method(group = "io")]
///     pub fn load(&self, number: usize) -> Option<String> {
///         self.books.get(number).cloned()
///     }
///
///     pub fn add(&mut self, book: String) -> usize {
///         self.books.push(book);
///         self.books.len()
///     }
///
///     fn checkpoint(&self) -> Vec<String> {
///         self.books.clone() // the engine keeps it after each 10th call of `add`
///     }
///
///     fn restore(books: Vec<String>) -> Self {
///         Library { books } // a restart calls it with the last checkpoint
///     }
/// }
///
/// # fn main() -> ray::Result<()> {
/// let library = Library::remote();
/// assert_eq!(ray::get(library.add.remote("Dune"))?, 1);
/// assert_eq!(ray::get(library.load.remote(0))?.as_deref(), Some("Dune"));
/// assert_eq!(ray::get(library.load.options().group("compute").remote(1))?, None);
/// # Ok(())
/// # }
/// ```
///
/// A `checkpoint` that panics is a crash of the actor: the call after which it was made fails, and the actor restarts from the
/// checkpoint before.
///
/// ## Options of a struct or an enum
///
/// | option | |
/// |---|---|
/// | `num_cpus`, `num_gpus`, `memory`, `resources(..)` | the resources that an actor holds while it lives; the default is none |
/// | `accelerator_type`, `label_selector(..)`, `scheduling_strategy`, `runtime_env` | where an actor runs on a cluster, as for a function |
/// | `max_restarts = 3` | how often an actor is restarted after a panic, with new state; -1 means without limit; the arguments of `new` must be `Clone` |
/// | `max_task_retries = 3` | how often a call that a restart interrupted is retried; the arguments of the methods must be `Clone` |
/// | `checkpoint_every = 10` | after each 10th successful `&mut self` call the engine keeps what `fn checkpoint(&self) -> C` of the type returns, and a restart calls `fn restore(C) -> Self` (or `-> Result<Self, E>`) with it instead of `new`; `C` is `Clone + Send + Sync`; in one process only |
/// | `max_concurrency = 8` | how many `&self` calls run at the same time |
/// | `groups(io = 2, compute = 4)` | concurrency groups, and how many `&self` calls of each run at the same time; a method names its group by `#[method(group = "io")]`, the others run in the default group, whose size is `max_concurrency` |
/// | `allow_out_of_order_execution` | a call whose arguments are ready may begin before an earlier call of the same caller whose arguments are not |
/// | `max_pending_calls = 100` | how many calls may wait; further calls fail; -1 means without limit |
/// | `crate = ::renamed` | the path of the library of `ray-remote`, if it is not `::ray` |
///
/// ## Options of an impl block
///
/// | option | |
/// |---|---|
/// | `default` | the block has no `new`: `Default::default()` makes the actor, and `Counter::remote()` starts it |
/// | `local` | the actor never leaves this process: its values need not be serialisable, and it may be generic |
/// | `crate = ::renamed` | the path of the library of `ray-remote`, if it is not `::ray` |
///
/// ## Options of a method
///
/// They are written in `#[method(..)]` on the method:
///
/// | option | |
/// |---|---|
/// | `num_returns = 2` | as for functions |
/// | `group = "io"` | the concurrency group of the calls, one of the `groups` of the struct; `.options().group("io")` chooses it for one call |
/// | `max_task_retries = 3` | replaces the value of the struct |
/// | `retry_exceptions`, `retry_exceptions = is_transient` | as for functions |
/// | `inline = false` | as for functions |
///
/// # Compile errors, and what to write instead
///
/// | error | instead |
/// |---|---|
/// | a parameter `&mut T` | take `mut x: T` and return it, or keep the state in an actor |
/// | `&dyn Trait` or `dyn Trait` as a parameter, `dyn Trait` as a result | `Arc<dyn Trait>`, with `local` |
/// | `str` or `[T]` as a parameter or result | `String`, `Vec<T>`; as a parameter also `&str`, `&[T]` |
/// | `Result<T, Box<dyn Error>>` | `Result<T, Box<dyn Error + Send + Sync>>`, or `ray::Result<T>` |
/// | `#[cfg]` on a parameter | `#[cfg]` on the function, which is written for each case |
/// | `impl Trait` as a parameter or result | the type itself; a `Vec` for an iterator, an `async fn` for a future |
/// | a reference in a result, or inside the type of a parameter | the owned type |
/// | `&'static T` | an owned type, or `local` |
/// | lifetime parameters | leave them out: parameters are borrowed from the object store |
/// | type parameters without `local` | `local`, or a function for each type |
/// | type parameters of a method | a generic actor type |
/// | a const parameter of another type than `usize` | an ordinary parameter |
/// | `unsafe`, `extern`, `const` or variadic functions, `-> !` | a plain function, which the remote function calls |
/// | more than 12 parameters | a struct |
/// | `Option<()>`, `Option<Option<T>>` | a `bool`, an enum, or `local` |
/// | `num_returns = n` without a tuple of `n` elements as the result | write the tuple out in the signature |
/// | `num_returns = 0` | leave it out, and submit with `tell` |
/// | `new` with `self`, a block without `new` | `pub fn new(..) -> Self`, or `#[remote(default)]` on the block |
/// | a method that takes `self` or `Arc<Self>` | `&self`, `&mut self` |
/// | functions in the block with the names `remote`, `try_remote`, `options` | another name |
/// | a block in which no method has a visibility | `pub fn`, `pub(crate) fn` |
/// | a struct or an enum whose impl block has no `#[remote]` | `#[remote]` on the block that contains `new` |
/// | a state that is not `Send`, such as one with an `Rc` | `Arc` |
/// | an option with a value of Python's, such as `{"tpu": 1}` or `True` | see the message |
/// | an option that is unknown, given twice, out of range, or belongs to another item | see the message |
/// | traits, impls of traits, modules, constants, statics, unions, closures | a function, a struct; `ray::task(move \|\| ..)` |
///
/// # Warnings
///
/// rustc warns of a remote function that is never used, of an actor that nothing creates, and of a method that neither a handle nor
/// the block itself calls. It warns where a function, a method or a `new` with `#[deprecated]` is called. It warns of a function that
/// returns an `ObjectRef`, because the result of a task is an object already; `#[allow(deprecated)]` on the function silences this
/// warning.
///
/// # The name of a remote function
///
/// The name of a remote function is a constant. Where the name is in scope:
///
/// * A variable, a parameter or a binding cannot have that name: beside `#[remote] fn total`, the compiler rejects
///   `let total = 1.0;` with "mismatched types", as it rejects `let None = 1.0;`. A macro that binds that name
///   unhygienically fails too.
/// * The name is not a closure: write `.map(*square)` instead of `.map(square)`, or `.map(|x| square.remote(x))`.
///
/// If another module calls the function by its path (`jobs::total.remote(..)`), that module can use the name.
///
/// With `vec![]`, `.collect()`, `.into()` or `Default::default()` as an argument, the compiler reports "type annotations
/// needed", because a parameter `Vec<T>` takes both a `Vec<T>` and a `Vec<ObjectRef<T>>`: write `Vec::<u8>::new()` or
/// `.collect::<Vec<_>>()`.
#[proc_macro_attribute]
pub fn remote(attribute: TokenStream, item: TokenStream) -> TokenStream {
    expansion(attribute.into(), item.into()).into()
}

/// Sets options of a method in an impl block with [`macro@remote`]: `#[method(num_returns = 2, max_task_retries = 3,
/// retry_exceptions)]`.
///
/// The attribute [`macro@remote`] on the block reads it. Outside such a block it is a compile error.
///
/// ```
/// use ray::remote;
///
/// #[remote]
/// struct Splitter;
///
/// #[remote]
/// impl Splitter {
///     pub fn new() -> Self {
///         Splitter
///     }
///
///     #[method(num_returns = 2)]
///     pub fn split(&self, text: &str) -> (String, usize) {
///         (text.to_uppercase(), text.len())
///     }
/// }
///
/// # fn main() -> ray::Result<()> {
/// let (upper, length) = Splitter::remote().split.remote("ray");
/// assert_eq!(ray::get((upper, length))?, ("RAY".to_owned(), 3));
/// # Ok(())
/// # }
/// ```
#[proc_macro_attribute]
pub fn method(_: TokenStream, item: TokenStream) -> TokenStream {
    let mut report = report::Report::default();
    report.syntax(syn::Error::new(
        proc_macro2::Span::call_site(),
        "#[method] belongs on a method inside a #[remote] impl; is #[remote] missing on the impl block?",
    ));
    let mut tokens = report.into_tokens();
    tokens.extend(proc_macro2::TokenStream::from(item));
    tokens.into()
}

/// The implementation of `#[remote]`. It takes the tokens of `proc_macro2`, so that tests can call it.
fn expansion(attribute: proc_macro2::TokenStream, item: proc_macro2::TokenStream) -> proc_macro2::TokenStream {
    use model::{Actor, Class, Function};
    use options::{On, Options};
    use parse::Target;

    let mut report = report::Report::default();
    let target = match Target::parse(item.clone()) {
        Ok(target) => target,
        Err(error) => {
            report.syntax(error);
            let mut tokens = report.into_tokens();
            tokens.extend(item);
            return tokens;
        }
    };
    let entries = parse::entries(attribute, &mut report);
    let mut tokens = match target {
        Target::Function(item) => {
            let model = Function::new(item, Options::read(entries, On::Function, &mut report));
            if check::function(&model, &mut report) { expand::function(&model) } else { fallback::function(model) }
        }
        Target::Class(item) => {
            let model = Class::new(item, Options::read(entries, On::Class, &mut report));
            if check::class(&model, &mut report) { expand::class(&model) } else { fallback::class(&model) }
        }
        Target::Impl(item) => {
            let options = Options::read(entries, On::Impl, &mut report);
            let model = Actor::new(item, options, &mut report);
            if check::actor(&model, &mut report) { expand::actor(&model) } else { fallback::actor(model) }
        }
        Target::Other(other) => {
            check::other(&other, &mut report);
            item
        }
    };
    tokens.extend(report.into_tokens());
    tokens
}
