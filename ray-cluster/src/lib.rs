//! Programs on a Ray cluster: the executor that sends the calls of a program to Ray, through the Python package `ray_rust`.
//!
//! This crate is internal. Programs depend on the crate `ray-remote`, whose library `ray` has its functions.

#[cfg(target_os = "linux")]
mod actors;
#[cfg(target_os = "linux")]
mod call;
#[cfg(target_os = "linux")]
mod channel;
#[cfg(target_os = "linux")]
mod document;
#[cfg(target_os = "linux")]
mod driver;
#[cfg(target_os = "linux")]
mod executor;
#[cfg(target_os = "linux")]
mod frame;
#[cfg(all(target_os = "linux", feature = "_fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
#[cfg(target_os = "linux")]
mod identity;
#[cfg(target_os = "linux")]
mod link;
#[cfg(target_os = "linux")]
mod object;
#[cfg(target_os = "linux")]
mod outcome;
#[cfg(target_os = "linux")]
mod package;
#[cfg(target_os = "linux")]
mod placement;
#[cfg(target_os = "linux")]
mod question;
#[cfg(target_os = "linux")]
mod reading;
#[cfg(target_os = "linux")]
mod worker;

use std::ffi::OsString;

use parking_lot::Mutex;
use ray_core::{Config, Context, Result};

/// The arguments of the programs that workers start; none: those of the driver.
static ARGUMENTS: Mutex<Option<Vec<OsString>>> = Mutex::new(None);

/// Environment variables that workers have in addition to those of their node.
static VARIABLES: Mutex<Vec<(String, String)>> = Mutex::new(Vec::new());

/// Starts the engine with default settings. In a program that runs on one machine this is optional: the first use starts the engine,
/// too. [Ray's page](https://docs.ray.io/en/latest/ray-core/api/doc/ray.init.html).
///
/// If `RAY_ADDRESS` is set, the program joins a Ray cluster (see [`Config::address`]). Then this call must be the first use of ray,
/// first in `main`: Ray's workers start the same program, and it becomes a worker in this function, which does not return there.
///
/// # Errors
/// `AlreadyInitialized` if the engine runs; `ClusterUnavailable` if the cluster cannot be joined; `Authentication` if it refuses
/// the program's token; `InvalidArgument` if an environment variable has an invalid value.
///
/// ```
/// # extern crate ray_core as ray;
/// let context = ray_cluster::init()?;
/// assert!(context.num_cpus() >= 1.0);
/// # Ok::<(), ray::Error>(())
/// ```
pub fn init() -> Result<Context> {
    init_with(Config::new())
}

/// Starts the engine with these settings.
///
/// # Errors
/// Those of [`init`]; `InvalidArgument` if a setting is out of range.
///
/// ```
/// # extern crate ray_core as ray;
/// let context = ray_cluster::init_with(ray::Config::new().num_cpus(4))?;
/// assert_eq!(context.num_cpus(), 4.0);
/// # Ok::<(), ray::Error>(())
/// ```
pub fn init_with(config: Config) -> Result<Context> {
    #[cfg(target_os = "linux")]
    {
        if std::env::var_os(worker::VARIABLE).is_some() {
            worker::serve(config);
        }
        if let Some(address) = config.cluster_address() {
            let arguments = ARGUMENTS.lock().clone().unwrap_or_else(|| std::env::args_os().skip(1).collect());
            return driver::join(config, &address, &arguments);
        }
    }
    ray_core::init_with(config)
}

/// The Python that a driver uses: that of `RAY_PYTHON`, or the first one in the path that has Ray. For the benchmarks.
#[cfg(target_os = "linux")]
#[doc(hidden)]
pub fn python() -> Option<std::path::PathBuf> {
    package::python()
}

/// Sets the arguments with which workers start the program; by default those of the driver. For test binaries, which run tests
/// unless their arguments name one.
#[doc(hidden)]
pub fn set_worker_arguments(arguments: Vec<OsString>) {
    *ARGUMENTS.lock() = Some(arguments);
}

/// Sets environment variables of the workers. For test binaries, whose workers must find the process of the tests: arguments would
/// make the shipped folder of each driver a different one.
#[doc(hidden)]
pub fn set_worker_variables(variables: Vec<(String, String)>) {
    *VARIABLES.lock() = variables;
}
