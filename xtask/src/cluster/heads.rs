//! Starts and stops clusters. All run in one network namespace, so each has ports of its own.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The folder below that of the run in which the drivers and Ray make temporary files.
pub(super) const TEMPORARY: &str = "tmp";
/// The folder below that of the run in which the tests have their locks and sockets.
const FILES: &str = "files";
/// The file in which each test that uses a cluster writes its name.
const JOINED: &str = "joined";

/// The clusters of the suite: their CPUs and further resources. Tests share the first one; a test that needs a number of CPUs for
/// itself joins another.
pub(super) const SUITE: [(u32, &[&str]); 6] = [
    (32, &[]),
    (2, WITH_LICENCES),
    (2, WITH_LICENCES),
    (2, WITH_LICENCES),
    (1, &["--resources={\"seat\":1}"]),
    (4, &["--num-gpus=1", "--resources={\"seat\":1}"]),
];
const WITH_LICENCES: &[&str] = &["--num-gpus=1", "--resources={\"licence\":3}"];

/// How often a start is tried. On a loaded machine Ray gives up its own start after 30 s.
const ATTEMPTS: u32 = 3;
/// How long a start may take.
const START: Duration = Duration::from_secs(90);
/// How long the processes of a node may take to end.
const STOP: Duration = Duration::from_secs(30);

/// The first port, and the number of ports of each node beside those of its workers.
const FIRST_PORT: u32 = 20_000;
const PORTS: u32 = 1_000;

/// The environment of Ray's processes. Several drivers use a cluster at the same time, and their idle workers must stay.
const ENVIRONMENT: [(&str, &str); 7] = [
    ("RAY_USAGE_STATS_ENABLED", "0"),
    ("RAY_AUTH_MODE", "token"),
    ("RAY_worker_niceness", "0"),
    ("RAY_num_workers_soft_limit", "64"),
    ("RAY_idle_worker_killing_time_threshold_ms", "600000"),
    ("RAY_prestart_worker_first_driver", "0"),
    ("RUST_BACKTRACE", "0"),
];

/// A node of a cluster.
pub(super) struct Node {
    process: Child,
    /// The address of the cluster.
    pub(super) address: String,
}

/// What all nodes of a run have in common.
pub(super) struct Ground<'a> {
    python: &'a Path,
    folder: &'a Path,
}

impl<'a> Ground<'a> {
    /// Makes the token and the folders.
    pub(super) fn new(python: &'a Path, folder: &'a Path) -> Result<Self, String> {
        let ground = Self { python, folder };
        for below in [TEMPORARY, FILES] {
            fs::create_dir_all(folder.join(below)).map_err(|error| error.to_string())?;
        }
        ground.write_token().map_err(|error| format!("the token cannot be written: {error}"))?;
        Ok(ground)
    }

    /// The names of the tests that have used a cluster.
    pub(super) fn joined(&self) -> BTreeSet<String> {
        let text = fs::read_to_string(self.folder.join(FILES).join(JOINED)).unwrap_or_default();
        text.lines().map(ToOwned::to_owned).collect()
    }

    fn token(&self) -> PathBuf {
        self.folder.join("token")
    }

    fn write_token(&self) -> std::io::Result<()> {
        use std::io::{Read as _, Write as _};
        use std::os::unix::fs::OpenOptionsExt as _;

        let mut random = [0; 32];
        File::open("/dev/urandom")?.read_exact(&mut random)?;
        let text: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(self.token())?;
        file.write_all(text.as_bytes())
    }

    /// The environment of Ray and of drivers.
    pub(super) fn environment(&self) -> Vec<(String, String)> {
        let path = |path: &Path| path.to_string_lossy().into_owned();
        let mut all: Vec<_> = ENVIRONMENT.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        all.push(("RAY_AUTH_TOKEN_PATH".into(), path(&self.token())));
        all.push(("RAY_PYTHON".into(), path(self.python)));
        all.push(("TMPDIR".into(), path(&self.folder.join(TEMPORARY))));
        all.push(("RAY_TEST_FILES".into(), path(&self.folder.join(FILES))));
        all
    }

    /// Starts the node with this number: a head, or a node that joins the cluster of a head.
    pub(super) fn start(&self, number: u32, (cpus, more): (u32, &[&str]), head: Option<&Node>) -> Result<Node, String> {
        let mut why = String::new();
        for _ in 0..ATTEMPTS {
            match self.try_to_start(number, (cpus, more), head) {
                Ok(node) => return Ok(node),
                Err(error) => why = error,
            }
        }
        Err(format!("node {number} of Ray does not start: {why}"))
    }

    fn try_to_start(&self, number: u32, (cpus, more): (u32, &[&str]), head: Option<&Node>) -> Result<Node, String> {
        let first = FIRST_PORT + number * PORTS;
        let log = self.folder.join(format!("node{number}.log"));
        let output = File::create(&log).map_err(|error| error.to_string())?;
        let errors = output.try_clone().map_err(|error| error.to_string())?;
        let mut command = Command::new(self.python.with_file_name("ray"));
        command.args(["start", "--block", "--disable-usage-stats", "--object-store-memory=300000000"]);
        command.arg(format!("--num-cpus={cpus}")).args(more);
        // Ray takes 127.0.0.1 for an address of another machine when a node joins, so a second node has another one.
        command.arg(format!("--node-ip-address=127.0.0.{}", if head.is_some() { 2 } else { 1 }));
        command.arg(format!("--temp-dir={}", self.folder.join(format!("n{number}")).display()));
        let ports = [
            "node-manager-port",
            "object-manager-port",
            "runtime-env-agent-port",
            "dashboard-agent-grpc-port",
            "dashboard-agent-listen-port",
            "metrics-export-port",
        ];
        for (port, name) in (first + 1..).zip(ports) {
            command.arg(format!("--{name}={port}"));
        }
        command.arg(format!("--min-worker-port={}", first + 20)).arg(format!("--max-worker-port={}", first + PORTS - 1));
        let address = match head {
            Some(head) => {
                command.arg(format!("--address={}", head.address));
                head.address.clone()
            }
            None => {
                command.args(["--head", "--include-dashboard=false"]);
                command.arg(format!("--port={first}")).arg(format!("--ray-client-server-port={}", first + 10));
                format!("127.0.0.1:{first}")
            }
        };
        command.envs(self.environment()).env_remove("RAY_ADDRESS");
        let process = command.stdin(Stdio::null()).stdout(output).stderr(errors).spawn();
        let mut node = Node { process: process.map_err(|error| format!("`ray` cannot be started: {error}"))?, address };
        let deadline = Instant::now() + START;
        loop {
            let text = fs::read_to_string(&log).unwrap_or_default();
            if text.contains("Ray runtime started") {
                return Ok(node);
            }
            let ended = node.process.try_wait().is_ok_and(|status| status.is_some());
            if ended || Instant::now() > deadline {
                let _ = node.stop();
                return Err(text);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Node {
    /// Ends `ray start --block`, which ends the processes of its node.
    pub(super) fn stop(mut self) -> Result<(), String> {
        let number = self.process.id().to_string();
        let _ = Command::new("kill").args(["-TERM", &number]).status();
        let deadline = Instant::now() + STOP;
        while Instant::now() < deadline {
            if self.process.try_wait().map_err(|error| error.to_string())?.is_some() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
        Err(format!("a node of Ray has not ended within {} s", STOP.as_secs()))
    }
}

/// Clusters of one node each.
pub(super) struct Heads<'a> {
    ground: Ground<'a>,
    nodes: Vec<(u32, Node)>,
}

impl<'a> Heads<'a> {
    /// The names of the tests that have used a cluster.
    pub(super) fn joined(&self) -> BTreeSet<String> {
        self.ground.joined()
    }

    /// Starts clusters with these CPUs and further resources.
    pub(super) fn start(python: &'a Path, folder: &'a Path, clusters: &[(u32, &[&str])]) -> Result<Self, String> {
        let ground = Ground::new(python, folder)?;
        let mut nodes = Vec::new();
        for (number, (cpus, more)) in (0..).zip(clusters) {
            nodes.push((*cpus, ground.start(number, (*cpus, more), None)?));
        }
        Ok(Self { ground, nodes })
    }

    /// The environment of the tests.
    pub(super) fn environment(&self) -> Vec<(String, String)> {
        let heads: Vec<_> = self.nodes.iter().map(|(cpus, node)| format!("{cpus}={}", node.address)).collect();
        let mut all = self.ground.environment();
        all.push(("RAY_TEST_EXECUTOR".into(), "cluster".into()));
        all.push(("RAY_TEST_HEADS".into(), heads.join(" ")));
        all
    }

    pub(super) fn stop(self) -> Result<(), String> {
        let stopped: Vec<_> = self.nodes.into_iter().rev().map(|(_, node)| node.stop()).collect();
        stopped.into_iter().collect()
    }
}
