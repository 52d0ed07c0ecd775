//! The configuration of the engine: from the program, from the environment, and the defaults.

mod gpus;
mod node;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use crate::base::amount::Amount;
use crate::base::error::{Error, ErrorKind, Result};
use crate::base::labels::{self, Labels};
use crate::base::os;
use crate::base::resources;
use crate::base::resources::{Resources, UNITS};
use crate::base::runtime_env::RuntimeEnv;

/// How many threads the engine may start beyond its CPUs: enough for calls that nest ten thousand levels deep and block a thread
/// at each level, and some for work that asks for no CPU.
const SPARE_THREADS: usize = 10_500;

const DEFAULT_GRACE: Duration = Duration::from_secs(5);
const DEFAULT_STALL: Duration = Duration::from_secs(5);

/// The default stack of a worker thread, in bytes; it is the default of Rust's threads too.
const DEFAULT_STACK: usize = 2 * 1024 * 1024;
/// A getter runs work on its own thread while so many bytes of its stack are left. The stack of a worker thread has at least so
/// many.
const MIN_STACK: usize = 256 * 1024;
/// The largest stack, in bytes; no system gives a thread more.
const MAX_STACK: usize = 1 << 40;

/// The namespace of named actors if the program sets none.
pub(crate) const DEFAULT_NAMESPACE: &str = "default";

/// The configuration of the engine, for [`init_with`](crate::init_with), which checks it.
///
/// An option that is not set comes from the environment, if a variable is named below, or is the default.
///
/// ```
/// # extern crate ray_core as ray;
/// use std::time::Duration;
/// let config = ray::Config::new().num_cpus(4).resource("licence", 2.0).shutdown_grace(Duration::from_secs(1));
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Config {
    num_cpus: Option<f64>,
    num_gpus: Option<f64>,
    memory: Option<u64>,
    resources: Vec<(Cow<'static, str>, f64)>,
    labels: Labels,
    runtime_env: Option<RuntimeEnv>,
    namespace: Option<Cow<'static, str>>,
    strict: Option<bool>,
    ignore_reinit_error: bool,
    address: Option<Cow<'static, str>>,
    shutdown_grace: Option<Duration>,
    stall_report: Option<Duration>,
    max_threads: Option<usize>,
    tips: Option<bool>,
    worker_stack_size: Option<usize>,
}

impl Config {
    /// A configuration with no option set.
    pub fn new() -> Config {
        Config::default()
    }

    /// How many CPUs tasks may hold at once, a whole number; by default the CPUs that this process may run on.
    ///
    /// With 0, as in Ray, work that asks for no CPU runs (`num_cpus = 0`, an `async fn`, an actor that does not ask for
    /// CPUs), and work that asks for one fails at once with `Infeasible`. An actor holds no CPU here unless it asks for one. Ray
    /// needs one CPU to place an actor, so without CPUs it starts no actor.
    pub fn num_cpus(mut self, cpus: impl Amount) -> Config {
        self.num_cpus = Some(cpus.amount());
        self
    }

    /// How many GPUs tasks may hold at once, a whole number; by default none. If the environment variable `CUDA_VISIBLE_DEVICES` is set, at
    /// most as many as it lists. [`get_gpu_ids`](crate::get_gpu_ids) returns those that a body holds.
    pub fn num_gpus(mut self, gpus: impl Amount) -> Config {
        self.num_gpus = Some(gpus.amount());
        self
    }

    /// The memory that tasks may ask for, in bytes; by default the memory of the machine, or of the container if it has a limit.
    /// As with the other resources, the engine counts what tasks ask for, and does not measure what they use.
    pub fn memory(mut self, bytes: u64) -> Config {
        self.memory = Some(bytes);
        self
    }

    /// The amount of a custom resource; a multiple of 0.0001. `init` returns an error for the names `CPU`, `GPU`, `memory` and the
    /// empty one, and for an amount that is negative, above 1e15, or has more than four decimals.
    pub fn resource(mut self, name: impl Into<Cow<'static, str>>, amount: impl Amount) -> Config {
        self.resources.push((name.into(), amount.amount()));
        self
    }

    /// A label of the node, which the options `label_selector` and `scheduling_strategy` ask for. `init` returns an error for a name
    /// or a value that breaks the syntax of [Ray's labels](https://docs.ray.io/en/latest/ray-core/scheduling/labels.html). Names
    /// that begin with `ray.io/` are those of Ray: each node has the label `ray.io/node-id`.
    pub fn label(mut self, name: impl Into<String>, value: impl Into<String>) -> Config {
        self.labels.insert(name.into(), value.into());
        self
    }

    /// The environment of all tasks and actors of this program on a cluster, unless their own options say otherwise. Without a
    /// cluster `init` returns an error.
    pub fn runtime_env(mut self, environment: RuntimeEnv) -> Config {
        self.runtime_env = Some(environment);
        self
    }

    /// The namespace of this program's named actors if a call gives no other one; by default `default`. `init` returns an error for
    /// an empty name.
    pub fn namespace(mut self, namespace: impl Into<Cow<'static, str>>) -> Config {
        self.namespace = Some(namespace.into());
        self
    }

    /// Strict mode: whether every value is serialised and deserialised, so that tests find values that a cluster would refuse. If it
    /// is not set, the variable `RAY_STRICT` (`1` or `0`) decides; by default it is off.
    pub fn strict(mut self, strict: bool) -> Config {
        self.strict = Some(strict);
        self
    }

    /// Whether `init` returns the running engine, instead of an error, if one runs already; by default not.
    pub fn ignore_reinit_error(mut self, ignore: bool) -> Config {
        self.ignore_reinit_error = ignore;
        self
    }

    /// The address of the Ray cluster to join; if it is not set, that of the variable `RAY_ADDRESS`. Without an address the engine
    /// runs in this process. The address is one of these:
    ///
    /// * `auto`: the cluster that runs on this machine.
    /// * `host:port`: the cluster whose head has this address. This machine must be one of its nodes.
    /// * `local`: a new Ray on this machine, which ends with the program.
    ///
    /// It needs Linux, the feature `cluster` of the crate, and Python with Ray on the machine.
    pub fn address(mut self, address: impl Into<Cow<'static, str>>) -> Config {
        self.address = Some(address.into());
        self
    }

    /// How long `shutdown` waits for running bodies to end before it logs their names and returns; by default 5 s.
    pub fn shutdown_grace(mut self, grace: Duration) -> Config {
        self.shutdown_grace = Some(grace);
        self
    }

    /// After how long without progress the engine logs what each waiting thread waits for; by default 5 s. Zero: never.
    pub fn stall_report(mut self, after: Duration) -> Config {
        self.stall_report = Some(after);
        self
    }

    /// The largest number of worker threads; by default 10,500 more than CPUs, so that blocking calls can nest ten thousand levels
    /// deep. Threads are started when they are needed, and end when they are idle. The engine starts one more than this only if
    /// every one of them blocks on something outside of the engine, so that no work could make progress.
    pub fn max_threads(mut self, threads: usize) -> Config {
        self.max_threads = Some(threads);
        self
    }

    /// Whether the engine logs tips: once for each call site, that a `get` right after each `remote` makes the tasks of a loop run
    /// one after the other. If it is not set, the variable `RAY_TIPS` (`1` or `0`) decides; by default it is on.
    pub fn tips(mut self, tips: bool) -> Config {
        self.tips = Some(tips);
        self
    }

    /// The stack of each thread that runs bodies, also async ones, in bytes; if it is not set, that of the variable
    /// `RUST_MIN_STACK`; by default 2 MiB. The system provides memory as a stack grows, so a large stack costs address space only.
    ///
    /// A `get` may run the body that it waits for on the getter's own stack. If the size is set, it does so only while at least
    /// half as much is left there, so a body has at least half of it, whichever thread runs it. `init` returns an error for
    /// less than 256 KiB or more than 1 TiB.
    ///
    /// ```
    /// # extern crate ray_core as ray;
    /// let config = ray::Config::new().worker_stack_size(64 << 20);
    /// ```
    pub fn worker_stack_size(mut self, bytes: usize) -> Config {
        self.worker_stack_size = Some(bytes);
        self
    }

    /// The address of the cluster to join, of the program or of the environment.
    #[doc(hidden)]
    #[must_use]
    pub fn cluster_address(&self) -> Option<Cow<'static, str>> {
        self.address_in(&|name| std::env::var(name).ok())
    }

    fn address_in(&self, environment: &dyn Fn(&str) -> Option<String>) -> Option<Cow<'static, str>> {
        let address = self.address.clone().or_else(|| environment("RAY_ADDRESS").map(Cow::Owned));
        address.filter(|address| !address.is_empty())
    }

    /// The namespace of named actors, if the program sets one.
    #[doc(hidden)]
    #[must_use]
    pub fn chosen_namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    /// Removes the environment of the program's workers, and returns it.
    ///
    /// # Errors
    /// `InvalidArgument`: it has a field that cannot be sent.
    #[doc(hidden)]
    pub fn take_runtime_env(&mut self) -> Result<Option<RuntimeEnv>> {
        let environment = self.runtime_env.take();
        match environment.as_ref().and_then(|environment| environment.error.as_ref()) {
            Some(why) => Err(invalid(format!("Config::runtime_env: {why}"))),
            None => Ok(environment),
        }
    }

    /// The stack of each thread that runs bodies, in bytes, for an engine whose bodies run on threads of their own.
    #[doc(hidden)]
    #[must_use]
    pub fn body_stack_size(&self) -> usize {
        self.chosen_stack_in(&|name| std::env::var(name).ok()).unwrap_or(DEFAULT_STACK)
    }

    fn chosen_stack_in(&self, environment: &dyn Fn(&str) -> Option<String>) -> Option<usize> {
        // A value that is not a number is ignored, as in the standard library.
        let from_environment =
            || environment("RUST_MIN_STACK")?.parse().ok().map(|bytes: usize| bytes.clamp(MIN_STACK, MAX_STACK));
        self.worker_stack_size.or_else(from_environment)
    }

    /// # Errors
    /// `ClusterUnavailable`: an address is set, but the engine that starts is the embedded one.
    pub(crate) fn check_no_address(&self) -> Result<()> {
        match self.cluster_address() {
            None => Ok(()),
            Some(address) => Err(Error::new(
                ErrorKind::ClusterUnavailable,
                format!(
                    "the address `{address}` (of RAY_ADDRESS or of Config::address) asks for a Ray cluster, which a program joins in `ray::init()`: call it first in `main`, before any other use of ray, on Linux and with the crate's feature `cluster`; unset RAY_ADDRESS to run embedded, in this process"
                ),
            )),
        }
    }

    /// Whether a second `init` is accepted: the only option that is read if an engine runs already.
    pub(crate) fn ignores_reinit_error(&self) -> bool {
        self.ignore_reinit_error
    }

    /// Checks all options, before the program joins a cluster.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] for an invalid value.
    #[doc(hidden)]
    pub fn check(&self) -> Result<()> {
        self.clone().resolve().map(drop)
    }

    /// Checks all options, and completes them from the environment and the machine.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] for an invalid value.
    pub(crate) fn resolve(self) -> Result<Resolved> {
        self.resolve_in(&|name| std::env::var(name).ok())
    }

    fn resolve_in(self, environment: &dyn Fn(&str) -> Option<String>) -> Result<Resolved> {
        let set = |name: &str| environment(name).filter(|value| !value.is_empty());
        let (cpu, gpu) = (whole("CPU", "num_cpus", self.num_cpus)?, whole("GPU", "num_gpus", self.num_gpus)?);
        let visible_gpus = gpus::visible(environment(gpus::VARIABLE), gpu.unwrap_or(0) / UNITS)?;
        let num_cpus = match cpu {
            Some(units) => (units / UNITS) as usize,
            None => std::thread::available_parallelism().map_or(1, Into::into),
        };
        // Without CPUs, work that asks for no CPU needs a thread too.
        let workers = num_cpus.max(1);
        let max_threads = self.max_threads.unwrap_or(num_cpus.saturating_add(SPARE_THREADS));
        if max_threads < workers {
            return Err(invalid(format!(
                "Config::max_threads ({max_threads}) must be at least 1 and at least num_cpus ({num_cpus})"
            )));
        }
        if let Some(bytes) = self.worker_stack_size.filter(|bytes| !(MIN_STACK..=MAX_STACK).contains(bytes)) {
            return Err(invalid(format!("Config::worker_stack_size ({bytes} bytes) must be at least 256 KiB and at most 1 TiB")));
        }
        let chosen_stack = self.chosen_stack_in(environment);
        let strict = self.strict.map_or_else(|| switch("RAY_STRICT", set("RAY_STRICT"), false), Ok)?;
        let namespace = self.namespace.unwrap_or(Cow::Borrowed(DEFAULT_NAMESPACE));
        if namespace.is_empty() {
            return Err(invalid("Config::namespace must not be empty".into()));
        }
        if self.runtime_env.is_some() {
            return Err(invalid(
                "Config::runtime_env is for the workers of a cluster, and the embedded engine runs all bodies in this process: leave it out, or set the address (`local` starts a cluster on this machine)".into(),
            ));
        }
        let custom = self.resources.into_iter().map(|(name, amount)| resources::custom(name, amount));
        let total = Resources::new(
            num_cpus as u64 * UNITS,
            gpu.unwrap_or(0),
            self.memory.unwrap_or_else(os::memory_of_process),
            custom.collect::<Result<Vec<_>>>()?,
        );
        Ok(Resolved {
            workers,
            total,
            labels: labels::of_node(self.labels)?,
            namespace,
            mode: if strict { Mode::Strict } else { Mode::Embedded },
            checks_submissions: strict || num_cpus == 0,
            worker_stack: chosen_stack.unwrap_or(DEFAULT_STACK),
            inline_stack: chosen_stack.map_or(MIN_STACK, |bytes| (bytes / 2).max(MIN_STACK)),
            tips: self.tips.map_or_else(|| switch("RAY_TIPS", set("RAY_TIPS"), true), Ok)?,
            shutdown_grace: self.shutdown_grace.unwrap_or(DEFAULT_GRACE),
            visible_gpus,
            stall_report: Some(self.stall_report.unwrap_or(DEFAULT_STALL)).filter(|after| !after.is_zero()),
            max_threads,
        })
    }
}

/// The checked configuration that the engine starts with.
#[derive(Clone, Debug)]
pub(crate) struct Resolved {
    /// How many threads start when there is work for them: one for each CPU, and at least one.
    pub(crate) workers: usize,
    pub(crate) total: Resources,
    pub(crate) labels: Labels,
    pub(crate) namespace: Cow<'static, str>,
    pub(crate) mode: Mode,
    /// Tasks of one CPU do not take the fast path into the queue: in another mode than `Embedded`, and without CPUs.
    pub(crate) checks_submissions: bool,
    /// In bytes.
    pub(crate) worker_stack: usize,
    /// A getter runs work on its own thread while so many bytes of its stack are left.
    pub(crate) inline_stack: usize,
    pub(crate) tips: bool,
    pub(crate) shutdown_grace: Duration,
    /// None: never.
    pub(crate) stall_report: Option<Duration>,
    pub(crate) max_threads: usize,
    /// The ids of the GPUs that the process may use; none: it may use all, which are numbered.
    visible_gpus: Option<Arc<[String]>>,
}

impl Resolved {
    /// The id of the GPU of this number.
    pub(crate) fn gpu_id(&self, number: u32) -> String {
        let visible = self.visible_gpus.as_ref().and_then(|ids| ids.get(number as usize));
        visible.cloned().unwrap_or_else(|| number.to_string())
    }
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::InvalidArgument, message)
}

/// A number of CPUs or GPUs of the node, in units; `setter` is the function of [`Config`] that chooses it.
fn whole(name: &str, setter: &str, count: Option<f64>) -> Result<Option<u64>> {
    let Some(count) = count else { return Ok(None) };
    match resources::quantity(name, count)? {
        units if units.is_multiple_of(UNITS) => Ok(Some(units)),
        _ => Err(invalid(format!("Config::{setter} must be a whole number, not {count}"))),
    }
}

/// Where bodies run, and whether values are encoded on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// In this process; values are moved.
    Embedded,
    /// In this process; values are encoded and decoded on the way, to find those that could not leave it.
    Strict,
    /// Where the [executor](crate::task::executor) runs them.
    Remote,
}

/// Reads a variable that is 1 or 0. Other values are refused: a user who believes that strict mode is on must not be wrong.
fn switch(name: &str, value: Option<String>, default: bool) -> Result<bool> {
    match value.as_deref() {
        None => Ok(default),
        Some("1" | "true") => Ok(true),
        Some("0" | "false") => Ok(false),
        Some(other) => Err(invalid(format!("{name}={other} is neither on nor off: write 1 or 0"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(config: Config, environment: &[(&str, &str)]) -> Result<Resolved> {
        config.resolve_in(&|name| environment.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn defaults() {
        let resolved = resolve(Config::new(), &[("RAY_ADDRESS", "")]).unwrap();
        assert!(resolved.workers >= 1 && resolved.max_threads >= 10_500 && resolved.tips && resolved.mode == Mode::Embedded);
        assert_eq!(resolved.total.num_cpus(), resolved.workers as f64);
        assert_eq!((resolved.stall_report, &*resolved.namespace), (Some(DEFAULT_STALL), "default"));
    }

    #[test]
    fn the_program_overrides_the_environment() {
        let environment = [("RAY_STRICT", "1"), ("RAY_TIPS", "0")];
        let resolved = resolve(Config::new().tips(true), &environment).unwrap();
        assert!(resolved.mode == Mode::Strict && resolved.tips);
        assert!(resolve(Config::new(), &[("RAY_STRICT", "ja")]).unwrap_err().is_invalid_argument());
    }

    #[test]
    fn addresses() {
        let address = |config: Config, variable: &str| config.address_in(&|_| Some(variable.to_owned()));
        assert_eq!(address(Config::new(), ""), None);
        assert_eq!(address(Config::new(), "auto").as_deref(), Some("auto"));
        assert_eq!(address(Config::new().address("local"), "auto").as_deref(), Some("local"));
        let error = Config::new().address("10.0.0.1:6379").check_no_address().unwrap_err();
        assert!(error.is_cluster_unavailable() && error.to_string().contains("unset RAY_ADDRESS"), "{error}");
    }

    #[test]
    fn the_choices_about_the_node() {
        let mut config = Config::new().num_cpus(3).resource("seat", 1.0).namespace("mine");
        let node = config.take_node();
        assert_eq!((node.num_cpus, node.resources.len(), node.chosen()), (Some(3), 1, Some("num_cpus")));
        assert_eq!((config.take_node().chosen(), config.chosen_namespace()), (None, Some("mine")));
        assert_eq!(Config::new().resource("seat", 1.0).take_node().chosen(), Some("resource"));
    }

    #[test]
    fn no_cpus_at_all() {
        let resolved = resolve(Config::new().num_cpus(0), &[]).unwrap();
        assert_eq!((resolved.workers, resolved.total.cpu()), (1, 0));
        assert!(resolved.checks_submissions && resolved.mode == Mode::Embedded);
        assert!(!resolve(Config::new().num_cpus(1), &[]).unwrap().checks_submissions);
    }

    #[test]
    fn stack_sizes() {
        let stacks = |config: Config, environment: &[(&str, &str)]| {
            let resolved = resolve(config, environment).unwrap();
            (resolved.worker_stack, resolved.inline_stack)
        };
        const MIB: usize = 1 << 20;
        assert_eq!(stacks(Config::new(), &[]), (2 * MIB, MIB / 4));
        assert_eq!(stacks(Config::new(), &[("RUST_MIN_STACK", "67108864")]), (64 * MIB, 32 * MIB));
        assert_eq!(stacks(Config::new(), &[("RUST_MIN_STACK", "1")]), (MIB / 4, MIB / 4));
        assert_eq!(stacks(Config::new(), &[("RUST_MIN_STACK", "much")]), (2 * MIB, MIB / 4));
        assert_eq!(stacks(Config::new().worker_stack_size(4 * MIB), &[("RUST_MIN_STACK", "67108864")]), (4 * MIB, 2 * MIB));
    }

    #[test]
    fn invalid_options_are_refused() {
        for config in [
            Config::new().num_cpus(0).max_threads(0),
            Config::new().worker_stack_size(0),
            Config::new().worker_stack_size(256 * 1024 - 1),
            Config::new().worker_stack_size(usize::MAX),
            Config::new().num_cpus(usize::MAX).max_threads(usize::MAX),
            Config::new().num_cpus(4).max_threads(3),
            Config::new().num_cpus(2.5),
            Config::new().num_gpus(-1),
            Config::new().resource("CPU", 1.0),
            Config::new().resource("x", -1.0),
            Config::new().namespace(""),
            Config::new().label("a b", ""),
            Config::new().label("region", "us west"),
            Config::new().label("ray.io/region", "us"),
            Config::new().runtime_env(RuntimeEnv::new()),
        ] {
            assert!(resolve(config.clone(), &[]).unwrap_err().is_invalid_argument(), "{config:?}");
        }
    }
}
