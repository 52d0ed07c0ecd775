//! An internal crate of `ray-remote`, whose library `ray` exports the attributes `#[remote]` and `#[method]`: depend on that.
//!
//! `parse` -> `model` -> `check` -> `expand`, or `fallback` after an error. Each stage is a file of that name; only
//! `parse` and `check` can find errors, all of which are reported at once, on the user's tokens; `expand` cannot fail.
//! What expansions are written in lies in `ray-core/src/emit.rs`.

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

/// Makes a function a task, or a type an actor: `@ray.remote`.
///
/// It goes on a `fn` or an `async fn`, on a `struct` or an `enum`, and on the `impl` block with that type's methods.
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
/// let four = square.remote(2); // an ObjectRef<i64>, at once
/// let sixteen = square.remote(&four); // starts when `four` is there
/// assert_eq!(ray::get(sixteen)?, 16);
/// assert_eq!(square(3), 9); // still a function
/// assert_eq!([1, 2].map(*square), [1, 4]);
///
/// let xs = ray::put(vec![1.0, 2.0]);
/// let sum = total.options().num_cpus(1.0).remote(&xs); // read in place
/// assert_eq!(ray::get(sum)?, 3.0);
/// # Ok(())
/// # }
/// ```
///
/// `square` becomes a value (a unit struct of the function's visibility) with these methods:
///
/// | | |
/// |---|---|
/// | `square.remote(x)` | submits; an `ObjectRef` to the result |
/// | `square.try_remote(x)` | the same, but what is wrong with the submission is an `Err` at once |
/// | `square.tell(x)` | submits, and nobody wants the result |
/// | `square.options()` | options for one call, then `.remote(x)`, `.try_remote(x)` or `.tell(x)` |
/// | `square(x)` | a plain call; of an `async` or a generic function it is `square.call(x)` |
///
/// **Parameters.** A parameter `T` takes a `T`, an `ObjectRef<T>`, a `&ObjectRef<T>` or an `Arc<T>` (of references and
/// `Arc`s, `T: Clone`: the value is moved out where this was the last one, and else cloned), a `Vec<T>` also a
/// `Vec<ObjectRef<T>>`, a `String` also a `&str`. A parameter `&T`, `&[T]` or `&str` is read from the object store in place,
/// without a clone; it takes the owned value too. A parameter `ObjectRef<T>` or `ActorHandle<A>` stays what it is.
///
/// **Results.** `-> Result<T, E>` gives an `ObjectRef<T>`: an `Err` fails the object, and every task that depends on it.
/// It goes by the name `Result` (`io::Result<T>` and `ray::Result<T>` are fine); an alias of another name that hides one is
/// refused, but in a generic function, where it is taken for a plain value.
///
/// **Types.** What goes in and out is `Send + Sync + 'static`, and `Serialize + DeserializeOwned` as well, since what runs
/// in this process can run on a cluster: `#[remote(local)]` keeps a function in this process and drops the second demand.
/// MessagePack, in which values travel, writes `Some(())` and `Some(None)` as it writes `None`: `Option<()>` and
/// `Option<Option<T>>` are refused where they are written, unless `local`.
///
/// **Generic functions** are `local`. Their type parameters get `Send + Sync + 'static`; they are inferred from plain
/// values, and from references where the parameter is more than the bare `T`; else write `longest.remote::<String>(&name)`.
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
/// | `num_cpus = 2`, `num_cpus = 0.5` | CPUs that it asks for; 1 otherwise, 0 for an `async fn` |
/// | `num_gpus = 1` | GPUs |
/// | `memory = 500 * 1024 * 1024` | bytes, logical as all resources |
/// | `resources(tpu = 1, "big disk" = 0.5)` | custom resources |
/// | `num_returns = 2` | a tuple `(A, B)`, or a `Result` of one, comes back as a tuple of references |
/// | `max_retries = 3` | how often it is tried again; -1 is without end |
/// | `retry_exceptions`, `retry_exceptions = is_transient` | after which errors of its own: all, or those of which a `fn(&ray::Error) -> bool` says so; the arguments are `Clone` |
/// | `name = "resize"` | its name in errors and reports |
/// | `inline = false` | no thread that waits for a result runs the body itself, however short bodies were so far |
/// | `local` | it never leaves this process |
/// | `crate = ::renamed` | where the library of `ray-remote` is, if not at `::ray` |
///
/// A value is a literal, checked here, or a constant of the type that the builder in `options()` takes (`f64` for amounts),
/// checked when the program is compiled.
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
/// let counter = Counter::remote(5); // an ActorHandle<Counter>, at once; `new` runs in the actor
/// counter.increment.tell();
/// assert_eq!(ray::get(counter.increment.remote())?, 7);
/// let named = Counter::options().name("counter").remote(0);
/// assert_eq!(ray::get(named.get.options().name("look").remote())?, 0);
/// assert_eq!(Counter::new(1).increment(), 2); // still a type
/// # Ok(())
/// # }
/// ```
///
/// The struct (or enum) and **one** impl block of it carry the attribute. `new` is the constructor; it returns `Self` or
/// `Result<Self, E>`. The type gets `Counter::remote(..)`, `Counter::try_remote(..)` and `Counter::options()`, with the
/// visibility of `new`. The handle shows each method of the block that has a visibility, with that visibility, as a field:
/// `counter.increment.remote()`, `.try_remote()`, `.tell()`, `.options()`. Methods without a visibility, functions without
/// `self` and the type's other impl blocks stay plain. The state never leaves its actor: write a method to read it.
///
/// Methods take `&self` or `&mut self`, sync or async, and have the parameters and results of functions. `&mut self` is
/// exclusive; `&self` methods run at the same time where `max_concurrency` allows, so the state is `Sync` where they are
/// `async` or that is over 1.
///
/// ## Options of a struct or an enum
///
/// | option | |
/// |---|---|
/// | `num_cpus`, `num_gpus`, `memory`, `resources(..)` | what an actor holds for life; nothing otherwise |
/// | `max_restarts = 3` | how often it starts anew after a panic, its state lost; -1 is without end; `new`'s arguments are `Clone` |
/// | `max_task_retries = 3` | how often a call is made again that a restart cut off; the methods' arguments are `Clone` |
/// | `max_concurrency = 8` | how many `&self` calls run at the same time |
/// | `max_pending_calls = 100` | more than these that wait are refused; -1 is without limit |
/// | `crate = ::renamed` | where this crate is |
///
/// ## Options of an impl block
///
/// | option | |
/// |---|---|
/// | `local` | the actor never leaves this process: its values need not be serialisable, and it may be generic |
/// | `crate = ::renamed` | where this crate is |
///
/// ## Options of a method
///
/// In `#[method(..)]` on it:
///
/// | option | |
/// |---|---|
/// | `num_returns = 2` | as of functions |
/// | `max_task_retries = 3` | instead of the struct's |
/// | `retry_exceptions`, `retry_exceptions = is_transient` | as of functions |
/// | `inline = false` | as of functions |
///
/// # What it refuses, and what to write instead
///
/// | | |
/// |---|---|
/// | a parameter `&mut T` | `mut x: T`, and return it; state in an actor |
/// | a parameter `impl Trait`, a result `impl Trait` | the type; of an iterator a `Vec`, of a future an `async fn` |
/// | a reference in a result, or inside of a parameter's type | the owned type |
/// | `&'static T` | an owned type, or `local` |
/// | lifetimes | leave them out: parameters are borrowed from the object store |
/// | type parameters without `local`; of methods | a function for each type; a generic type |
/// | a const parameter that is no `usize` | a parameter |
/// | `unsafe`, `extern`, `const`, variadic functions, `-> !` | a plain function around it |
/// | more than 12 parameters | a struct |
/// | `Option<()>`, `Option<Option<T>>` | a `bool`, an enum, or `local` |
/// | `num_returns` without a tuple of that many, or 0 | the tuple, written out; `tell` |
/// | `async fn new`, `new` with `self`, a block without `new` | a plain `new`; what waits in a method |
/// | a method by value (`self`), or by `Arc<Self>` | `&self`, `&mut self` |
/// | functions in the block called `remote`, `try_remote`, `options` | another name |
/// | a block of which no method has a visibility | `pub fn`, `pub(crate) fn` |
/// | an option that is unknown, doubled, out of range, or another item's | the text says which |
/// | traits, impls of traits, modules, constants, statics, unions, closures | a function, a struct; `ray::task(move \|\| ..)` |
///
/// # The price of `square.remote(x)`
///
/// A remote function's name is a unit struct, in the namespaces of values and of types. Where it is in scope:
///
/// * a variable, a parameter or a binding cannot have that name: beside `#[remote] fn total`, `let total = 1.0;` is
///   "mismatched types", as `let None = 1.0;` would be; a macro that binds that name unhygienically breaks too;
/// * a type or a module cannot have it either;
/// * it is no closure: `.map(*square)`, not `.map(square)`; and `.map(|x| square.remote(x))`.
///
/// Call it in another module by its path (`jobs::total.remote(..)`), and the name is free.
///
/// `vec![]`, `.collect()`, `.into()` and `Default::default()` as an argument are "type annotations needed", since a `Vec<T>`
/// can come of a `Vec<T>` and of a `Vec<ObjectRef<T>>`: write `Vec::<u8>::new()`, `.collect::<Vec<_>>()`.
#[proc_macro_attribute]
pub fn remote(attribute: TokenStream, item: TokenStream) -> TokenStream {
    expansion(attribute.into(), item.into()).into()
}

/// Options of a method, inside a block under [`macro@remote`]: `#[method(num_returns = 2, max_task_retries = 3,
/// retry_exceptions)]`.
///
/// [`macro@remote`] on the block reads it; alone it is an error.
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

/// The whole of `#[remote]`, on tokens that tests can make too.
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
