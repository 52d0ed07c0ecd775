//! Namespaces for a test: a network that has only loopback, processes, `/tmp` and `/dev/shm`. They end with the test, and so does all
//! that runs in them.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

/// How long the processes of a driver, and its workers, may take to end.
const ENDS: Duration = Duration::from_secs(40);

/// The address of a head in a space.
pub(crate) const HEAD: &str = "127.0.0.1:6379";

/// The Python with Ray. Skips the test loudly, or fails it, if there is none.
pub(crate) fn python() -> Option<PathBuf> {
    let needed = || {
        let python = std::env::var_os("RAY_PYTHON").filter(|python| !python.is_empty()).ok_or("RAY_PYTHON is not set")?;
        // The folder of a process belongs to its user.
        let user = fs::metadata("/proc/self").map(|folder| std::os::unix::fs::MetadataExt::uid(&folder));
        if !user.is_ok_and(|user| user == 0) {
            return Err("namespaces need root");
        }
        for tool in ["unshare", "nsenter", "ip"] {
            let found = Command::new(tool).arg("--help").stdout(Stdio::null()).stderr(Stdio::null()).status();
            found.map_err(|_| "unshare, nsenter or ip is missing")?;
        }
        Ok::<_, &str>(PathBuf::from(python))
    };
    match needed() {
        Ok(python) => Some(python),
        Err(why) => {
            assert!(
                std::env::var_os("REQUIRE_CLUSTER").is_none_or(|wanted| wanted != "1"),
                "a test of the cluster did not run: {why}"
            );
            // Not `eprintln`, whose output the harness hides.
            let _ = writeln!(std::io::stderr(), "SKIPPED, a test of the cluster did not run: {why}");
            None
        }
    }
}

/// The namespaces of a test.
pub(crate) struct Space {
    /// Ends when its standard input is closed; the namespaces end with it.
    unshare: Child,
    /// The first process of the namespaces.
    first: u32,
    pub(crate) python: PathBuf,
    /// Held while a driver runs whose leftovers are looked for.
    pub(crate) turn: Mutex<()>,
}

/// What is in a space.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Contents {
    processes: BTreeSet<String>,
    temporary: BTreeSet<String>,
    shared_memory: BTreeSet<String>,
    home: BTreeSet<String>,
}

impl Space {
    pub(crate) fn new(python: PathBuf) -> Self {
        const SETUP: &str = "mount -t tmpfs -o size=3g none /tmp && mount -t tmpfs none /dev/shm && ip link set lo up && mkdir /tmp/home /tmp/test \
            && echo ready && cat > /dev/null";
        let mut unshare = Command::new("unshare")
            .args(["--net", "--pid", "--mount", "--fork", "--kill-child", "--mount-proc", "sh", "-c", SETUP])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare starts");
        let mut line = String::new();
        BufReader::new(unshare.stdout.take().expect("it is piped")).read_line(&mut line).expect("the shell says a line");
        assert_eq!(line, "ready\n", "the namespaces are set up");
        let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", unshare.id())).expect("unshare has a child");
        let first = children.trim().parse().expect("one child");
        Self { unshare, first, python, turn: Mutex::new(()) }
    }

    /// Namespaces without a Ray, which several tests use.
    pub(crate) fn without_ray() -> Option<&'static Self> {
        static SPACE: OnceLock<Option<Space>> = OnceLock::new();
        SPACE.get_or_init(|| python().map(Space::new)).as_ref()
    }

    /// Namespaces with one node of Ray, which several tests use.
    pub(crate) fn with_ray() -> Option<&'static Self> {
        static SPACE: OnceLock<Option<Space>> = OnceLock::new();
        let start = |python| {
            let space = Space::new(python);
            space.start_head();
            space
        };
        SPACE.get_or_init(|| python().map(start)).as_ref()
    }

    pub(crate) fn start_head(&self) {
        fs::write(self.path("/tmp/token"), "0123456789abcdef0123456789abcdef").expect("a token can be written");
        let head = ["--head", "--port=6379", "--node-ip-address=127.0.0.1", "--temp-dir=/tmp/ray", "--include-dashboard=false"];
        self.start_node(&[&head[..], &["--num-cpus=4", "--object-store-memory=100000000"]].concat());
    }

    /// Starts a node, which Ray sometimes fails to do within its own time on a loaded machine.
    pub(crate) fn start_node(&self, arguments: &[&str]) {
        for _ in 0..3 {
            let mut command = self.command(&self.python);
            command.args(["-m", "ray.scripts.scripts", "start", "--disable-usage-stats"]).args(arguments);
            command.stdout(Stdio::null());
            if command.status().expect("Python starts").success() {
                return;
            }
            self.kill("raylet");
            self.kill("gcs_server");
        }
        panic!("Ray does not start");
    }

    /// A command in the namespaces, with the token of the head.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.first.to_string(), "--net", "--pid", "--mount", "--wd=/"]).arg(program);
        for name in ["RAY_ADDRESS", "RAY_AUTH_TOKEN", "TMPDIR", "RAY_TEST_ADDRESS", "RAY_TEST_EXECUTOR"] {
            command.env_remove(name);
        }
        command.env("RAY_AUTH_MODE", "token").env("RAY_AUTH_TOKEN_PATH", "/tmp/token").env("RAY_USAGE_STATS_ENABLED", "0");
        command.env("HOME", "/tmp/home").env("RAY_PYTHON", &self.python).stdin(Stdio::null());
        command
    }

    /// A path in the namespaces, from outside.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{path}", self.first))
    }

    /// The processes: number outside, command line.
    fn processes(&self) -> Vec<(i32, String)> {
        let namespace = |process: &str| fs::read_link(format!("/proc/{process}/ns/pid")).ok();
        let own = namespace(&self.first.to_string());
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc").expect("/proc can be read").flatten() {
            let name = entry.file_name();
            let Some(number) = name.to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
            let is_zombie = fs::read_to_string(entry.path().join("stat")).map_or(true, |stat| stat.contains(") Z "));
            if is_zombie || namespace(&number.to_string()) != own {
                continue;
            }
            let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            // That of the setup, and the workers that Ray keeps for later jobs. A program of ours is a process of its own.
            if line != "cat " && !line.starts_with("ray::IDLE") {
                found.push((number, line));
            }
        }
        found
    }

    /// Kills the processes whose command line has this text.
    pub(crate) fn kill(&self, text: &str) {
        let found: Vec<_> = self.processes().into_iter().filter(|(_, line)| line.contains(text)).collect();
        for (number, _) in found {
            // `kill` fails if the process has ended meanwhile, and then nothing is left to do.
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(number), nix::sys::signal::SIGKILL);
        }
    }

    pub(crate) fn contents(&self) -> Contents {
        let names = |path: &str| {
            let entries = fs::read_dir(self.path(path)).into_iter().flatten().flatten();
            entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
        };
        let processes = self.processes().into_iter().map(|(number, line)| format!("{number} {line}")).collect();
        Contents { processes, temporary: names("/tmp"), shared_memory: names("/dev/shm"), home: names("/tmp/home") }
    }

    /// Fails if something is left that was not there `before`, also after some time.
    pub(crate) fn expect_nothing_left(&self, before: &Contents) {
        let deadline = Instant::now() + ENDS;
        loop {
            let now = self.contents();
            let mut left: Vec<_> = now.processes.difference(&before.processes).cloned().collect();
            left.extend(now.temporary.difference(&before.temporary).map(|name| format!("/tmp/{name}")));
            left.extend(now.shared_memory.difference(&before.shared_memory).map(|name| format!("/dev/shm/{name}")));
            left.extend(now.home.difference(&before.home).map(|name| format!("~/{name}")));
            if left.is_empty() {
                return;
            }
            assert!(Instant::now() < deadline, "left after {} s: {left:#?}", ENDS.as_secs());
            std::thread::park_timeout(Duration::from_millis(100));
        }
    }

    /// Writes a program into the namespaces.
    pub(crate) fn script(&self, path: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        let there = self.path(path);
        fs::create_dir_all(there.parent().unwrap_or(Path::new("/"))).expect("a folder can be made");
        fs::write(&there, text).expect("a script can be written");
        fs::set_permissions(there, fs::Permissions::from_mode(0o755)).expect("a script can be made executable");
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        drop(self.unshare.stdin.take());
        let _ = self.unshare.wait();
    }
}
