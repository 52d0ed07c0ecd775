//! The driver in Python, a child process; see `python/cluster.py`.

use std::cell::RefCell;
use std::env;
use std::process::Command;

use crate::child::{self, Stays};

/// The name of its rows.
pub(crate) const PYTHON: &str = "python";

const SCRIPT: &str = include_str!("../../python/cluster.py");

thread_local! {
    /// The driver, from its first case on.
    static DRIVER: RefCell<Option<Stays>> = const { RefCell::new(None) };
}

fn script(arguments: &[&str]) -> Result<Command, &'static str> {
    let python = ray::__private_cluster::python()
        .ok_or("no Python with Ray was found: install it (`pip install \"ray[default]\"`), or set RAY_PYTHON")?;
    let mut command = Command::new(python);
    command.args(["-c", SCRIPT]).args(arguments);
    Ok(command)
}

/// The script with the address of the cluster.
fn on_cluster(mode: &str) -> Command {
    let address = env::var("RAY_ADDRESS").expect("the driver has an address");
    script(&[mode, &address]).expect("the driver has found the Python as well")
}

/// The command that starts a private Ray and runs `driver` on it.
pub(crate) fn start(driver: &Command) -> Result<Command, &'static str> {
    let mut command = script(&["start"])?;
    command.arg(driver.get_program()).args(driver.get_args());
    Ok(command)
}

/// The samples of a round.
pub(crate) fn ask(request: &str) -> Vec<f64> {
    DRIVER.with_borrow_mut(|driver| {
        driver.get_or_insert_with(|| Stays::start("the driver in Python", &mut on_cluster("drive"))).ask(request)
    })
}

/// The seconds that a new driver needs to join, and those of its first task.
pub(crate) fn connect() -> Vec<f64> {
    child::once("a new driver in Python", on_cluster("connect"))
}

/// Ends the driver.
pub(crate) fn end() {
    DRIVER.take();
}
