//! The driver: it starts the bridge, which joins the cluster, and reads what the bridge sends.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use ray_core::__private::Encoded;
use ray_core::__private::executor::{fail, init_with_executor};
use ray_core::{ClusterInfo, Config, Context, Error, ErrorKind, Result};
use serde::Serialize;

use crate::channel::{Receiver, Sender};
use crate::executor::{Cluster, Host};
use crate::frame::{Kind, PROTOCOL, Writer, malformed};
use crate::link::Link;
use crate::outcome::kind_of;
use crate::package;
use crate::placement::Environment;

/// How long the address may take to answer.
const ADDRESS: Duration = Duration::from_secs(3);

/// The stages of the bridge, in their order, and the time of each. Ray itself needs a second to join on an idle machine, and many
/// on a loaded one.
const STAGES: [(Duration, &str); 3] = [
    (
        Duration::from_secs(60),
        "the bridge to the cluster `{}` has not started: check that RAY_PYTHON is a Python that can `import ray`",
    ),
    (Duration::from_secs(30), "the head of the cluster `{}` did not answer: check that it runs (`ray status`)"),
    (Duration::from_secs(120), "the cluster `{}` could not be joined: check that its nodes run (`ray status`), and their logs"),
];
/// How long the bridge may take to leave the cluster.
const LEAVE: Duration = Duration::from_secs(20);

/// The namespace of named actors, if the program chooses none; the same as in the embedded engine.
const DEFAULT_NAMESPACE: &str = "default";

/// What the bridge needs beside the address.
#[derive(Debug, Default, Serialize)]
struct Start {
    /// The resources of the node that the bridge starts, under the names of Ray's `init`.
    #[serde(skip_serializing_if = "Option::is_none")]
    num_cpus: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    num_gpus: Option<usize>,
    #[serde(rename = "_memory", skip_serializing_if = "Option::is_none")]
    memory: Option<u64>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    resources: BTreeMap<String, f64>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    labels: BTreeMap<String, String>,
    /// The environment of the workers.
    runtime_env: Environment,
}

impl Start {
    /// The document for the bridge.
    ///
    /// # Errors
    /// `InvalidArgument`: the configuration has resources for the nodes of a cluster that runs already, as Ray refuses it.
    fn of(config: &mut Config, address: &str) -> Result<Vec<u8>> {
        let node = config.take_node();
        if let Some(name) = node.chosen().filter(|_| address != "local") {
            let what = format!(
                "Config::{name} is for an engine that the program starts, and the nodes of the cluster `{address}` have their resources already: leave it out, or use the address `local`"
            );
            return Err(fail::error(ErrorKind::InvalidArgument, what));
        }
        let resources = node.resources.into_iter().map(|(name, amount)| (name.into_owned(), amount)).collect();
        let environment = config.take_runtime_env()?.as_ref().map(Environment::of).unwrap_or_default();
        let start = Start {
            num_cpus: node.num_cpus,
            num_gpus: node.num_gpus,
            memory: node.memory,
            resources,
            labels: node.labels,
            runtime_env: environment.with(crate::VARIABLES.lock().iter().cloned()),
        };
        Ok(Encoded::of(&start)?.bytes)
    }
}

/// Joins a cluster, and starts the engine of this process with it.
///
/// # Errors
/// `ClusterUnavailable`, `Authentication`: the cluster cannot be joined. Those of [`ray_core::init_with`].
pub(crate) fn join(mut config: Config, address: &str, arguments: &[OsString]) -> Result<Context> {
    if ray_core::is_initialized() {
        // The running engine decides: an error, or itself if the configuration allows that.
        return ray_core::init_with(config);
    }
    let start = Start::of(&mut config, address)?;
    config.check()?;
    check_address(address)?;
    let python = package::python().ok_or_else(|| {
        unavailable(
            "no Python with Ray was found, which a driver needs to join a cluster: install it (`pip install \"ray[default]\"`), or set RAY_PYTHON to a Python that has it",
        )
    })?;
    package::sweep(address == "local");
    let folder = package::write(arguments, address == "local")
        .map_err(|error| unavailable(format!("the folder for the workers of the cluster cannot be written: {error}")))?;
    let (mine, other) = UnixStream::pair().map_err(|error| unavailable(format!("no socket for the bridge: {error}")))?;
    let search =
        env::join_paths(std::iter::once(folder.path.clone()).chain(env::var_os("PYTHONPATH").iter().flat_map(env::split_paths)));
    let mut command = Command::new(&python);
    command.args(["-m", "ray_rust.bridge"]).env("PYTHONPATH", search.unwrap_or_else(|_| folder.path.clone().into()));
    // A folder `ray` beside the program is not the package.
    command.env("PYTHONSAFEPATH", "1");
    // The bridge joins the address that it is sent.
    command.env_remove("RAY_ADDRESS").stdin(Stdio::from(OwnedFd::from(other))).stdout(Stdio::null());
    let bridge = command.spawn().map_err(|error| {
        unavailable(format!(
            "the Python `{}` cannot be started: {error}: set RAY_PYTHON to a Python that has Ray",
            python.display()
        ))
    })?;
    drop(command);
    let bridge = Arc::new(Mutex::new(bridge));

    let sender = Sender::new(mine.try_clone().map_err(|error| unavailable(error.to_string()))?);
    let mut frame = Writer::new(Kind::Hello);
    let folder_of_driver = &folder;
    let greeting = || {
        let folder = folder_of_driver.path.to_str().ok_or_else(|| malformed("the path of the temporary folder is not UTF-8"))?;
        frame.u32(PROTOCOL).text(folder)?.text(address)?.text(config.chosen_namespace().unwrap_or(DEFAULT_NAMESPACE))?;
        frame.blob(&folder_of_driver.identity)?.rest(&start);
        Ok(frame)
    };
    let frame = greeting().map_err(|error: io::Error| unavailable(error.to_string()))?;
    sender.send(frame).map_err(|error| unavailable(error.to_string()))?;
    let mut receiver = Receiver::new(mine.try_clone().map_err(|error| unavailable(error.to_string()))?);
    let joined = wait_for_bridge(&mine, &mut receiver, &bridge, address);
    if joined.is_err() {
        sender.close();
        end(&bridge, LEAVE);
    }
    let info = joined?;

    let link = Link::new(sender, None);
    let folder = Arc::new(Mutex::new(Some(folder)));
    let host = Bridge { link: Arc::clone(&link), bridge: Arc::clone(&bridge), folder: Arc::clone(&folder) };
    let cluster = Cluster::new(Arc::clone(&link), 0, info, Box::new(host));
    let context = init_with_executor(config, cluster).inspect_err(|error| {
        link.end(error);
        end(&bridge, LEAVE);
    })?;
    std::thread::Builder::new()
        .name("ray-cluster".into())
        .spawn(move || read(&link, receiver, &bridge, &folder))
        .map_err(|error| fail::error(ErrorKind::Threads, format!("no thread for the bridge's answers: {error}")))?;
    Ok(context)
}

fn unavailable(what: impl Into<String>) -> Error {
    fail::error(ErrorKind::ClusterUnavailable, what)
}

/// # Errors
/// `ClusterUnavailable`: it is no address, or nobody listens there.
fn check_address(address: &str) -> Result<()> {
    if matches!(address, "auto" | "local") {
        return Ok(());
    }
    if let Some((scheme, _)) = address.split_once("://") {
        let what = if scheme == "ray" {
            "a driver joins a cluster from one of its nodes: start it there with `ray job submit -- ./program`, and set the address to `auto`"
        } else {
            "write `auto`, `local` or `host:port`"
        };
        return Err(unavailable(format!("the address `{address}` is not supported: {what}")));
    }
    let found = resolve(address).map_err(|error| {
        unavailable(format!("`{address}` is no address of a cluster ({error}): write `auto`, `local` or `host:port`"))
    })?;
    let mut last = None;
    for found in found {
        match TcpStream::connect_timeout(&found, ADDRESS) {
            Ok(stream) => return check_head(&stream, address),
            Err(error) => last = Some(error),
        }
    }
    let why = last.map_or_else(|| "the name has no address".to_owned(), |error| error.to_string());
    Err(unavailable(format!(
        "nobody answers at `{address}` ({why}): check the address of the cluster's head (`ray status` prints it), and that the cluster runs"
    )))
}

/// The addresses of a name, which the system may look up for longer than a driver waits.
fn resolve(address: &str) -> io::Result<Vec<SocketAddr>> {
    let (found, answer) = mpsc::channel();
    let name = address.to_owned();
    std::thread::spawn(move || found.send(name.to_socket_addrs().map(Iterator::collect)));
    answer
        .recv_timeout(ADDRESS)
        .unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "the name was not found in time")))
}

/// Checks that a server of HTTP/2 answers, which the head of a cluster is. Ray would try for 40 seconds to speak to another server.
///
/// # Errors
/// `ClusterUnavailable`: something else answers, or nothing.
fn check_head(stream: &TcpStream, address: &str) -> Result<()> {
    /// What a client of HTTP/2 sends first: the preface, and an empty frame of settings.
    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    /// The kind of a frame of settings, which a server sends first.
    const SETTINGS: u8 = 4;

    if env::var_os("RAY_USE_TLS").is_some_and(|tls| tls == "1") {
        // Nothing is answered before the keys are exchanged.
        return Ok(());
    }
    let mut head = [0; 9];
    let asked = stream
        .set_read_timeout(Some(ADDRESS))
        .and_then(|()| stream.set_write_timeout(Some(ADDRESS)))
        .and_then(|()| { stream }.write_all(PREFACE))
        .and_then(|()| { stream }.read_exact(&mut head));
    if asked.is_ok() && head[3] == SETTINGS {
        return Ok(());
    }
    Err(unavailable(format!(
        "a program listens at `{address}`, but it is not the head of a Ray cluster: check the address (`ray status` prints it; the head's port is 6379 by default, and not 8265, that of the dashboard)"
    )))
}

/// What the bridge says in a greeting.
enum Said {
    Joined(ClusterInfo),
    Stage(u8),
}

/// Waits until the bridge has joined.
fn wait_for_bridge(socket: &UnixStream, receiver: &mut Receiver, bridge: &Mutex<Child>, address: &str) -> Result<ClusterInfo> {
    let (mut within, mut late) = STAGES[0];
    loop {
        let _ = socket.set_read_timeout(Some(within));
        let mut said = None;
        let read = receiver.next(|kind, frame| {
            if kind != Kind::Hello {
                return Err(malformed("the first frame is no greeting"));
            }
            said = Some(match frame.u8()? {
                1 => Encoded::from(frame.rest().to_vec()).decode().map(Said::Joined),
                2 => Ok(Said::Stage(frame.u8()?)),
                _ => {
                    let (kind, text) = (frame.text()?, frame.text()?);
                    Err(fail::error(kind_of(&kind), text))
                }
            });
            Ok(())
        });
        let _ = socket.set_read_timeout(None);
        match (read, said) {
            (Ok(true), Some(Ok(Said::Joined(joined)))) => return Ok(joined),
            (Ok(true), Some(Ok(Said::Stage(stage)))) => {
                (within, late) = STAGES[usize::from(stage).min(STAGES.len() - 1)];
            }
            (Ok(true), Some(Err(refused))) => return Err(refused),
            (Ok(_), _) => {
                let status = end(bridge, Duration::from_secs(5));
                return Err(unavailable(format!(
                    "the bridge to the cluster `{address}` has ended before it joined ({status}): its last lines above say why; RAY_PYTHON must be a Python that has Ray"
                )));
            }
            (Err(error), _) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                let late = late.replace("{}", address);
                return Err(unavailable(format!("within {} s {late}", within.as_secs())));
            }
            (Err(error), _) => {
                return Err(unavailable(format!("the bridge answers with something else than a greeting: {error}")));
            }
        }
    }
}

/// Reads the frames of the bridge, to its end.
fn read(link: &Arc<Link>, mut receiver: Receiver, bridge: &Mutex<Child>, folder: &Mutex<Option<package::Folder>>) {
    let ended = loop {
        let read = receiver.next(|kind, frame| match kind {
            Kind::Settled => link.settled(frame),
            Kind::Answer => link.answered(frame),
            other => Err(malformed(format!("a driver gets no frame of kind {other:?}"))),
        });
        match read {
            Ok(true) => {}
            Ok(false) => break None,
            Err(error) => break Some(error),
        }
    };
    let status = wait(bridge, Duration::from_secs(1)).unwrap_or_else(|| "it leaves the cluster".to_owned());
    let why = ended.map_or_else(
        || format!("its bridge has ended ({status}): the lines of its standard error above may say why"),
        |error| format!("its bridge sends no frames: {error}"),
    );
    link.end(&fail::error(
        ErrorKind::System,
        format!("the connection to the cluster is lost: {why}; call `ray::shutdown()` and `ray::init()` to join again"),
    ));
    end(bridge, LEAVE);
    *folder.lock() = None;
}

/// Waits until the bridge has ended; how it ended. `None`: it runs after this time.
fn wait(bridge: &Mutex<Child>, within: Duration) -> Option<String> {
    let deadline = Instant::now() + within;
    loop {
        match bridge.lock().try_wait() {
            Ok(Some(status)) => return Some(status.to_string()),
            Err(error) => return Some(error.to_string()),
            Ok(None) if Instant::now() >= deadline => return None,
            Ok(None) => {}
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until the bridge has ended, and kills it after this time. How it ended.
fn end(bridge: &Mutex<Child>, within: Duration) -> String {
    wait(bridge, within).unwrap_or_else(|| {
        let mut bridge = bridge.lock();
        let _ = bridge.kill();
        bridge.wait().map_or_else(|error| error.to_string(), |status| status.to_string())
    })
}

struct Bridge {
    link: Arc<Link>,
    bridge: Arc<Mutex<Child>>,
    /// The reader of the bridge's frames may remove it at the same time; the lock is held until it is removed.
    folder: Arc<Mutex<Option<package::Folder>>>,
}

impl Host for Bridge {
    fn shutdown(&self) {
        self.link.end(&fail::error(ErrorKind::RuntimeGone, "the engine was shut down"));
        end(&self.bridge, LEAVE);
        *self.folder.lock() = None;
    }

    fn exit_actor(&self, _actor: u64) -> Result<()> {
        Err(fail::error(ErrorKind::InvalidArgument, "no actor runs in the driver: only a method of an actor can call exit_actor"))
    }

    fn lends_cpu(&self) -> bool {
        false
    }
}
