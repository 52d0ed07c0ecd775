//! Tests in a process of their own: this binary again, with the one test. The tests of models have this file too.

use std::process::Command;

const CHILD: &str = "RAY_TRAIN_TEST_CHILD";

/// The command that runs one test of this binary in a process of its own.
pub(crate) fn child(name: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([name, "--exact", "--nocapture", "--test-threads", "1"]).env(CHILD, name);
    command
}

/// Whether this is that process.
pub(crate) fn is_child(name: &str) -> bool {
    std::env::var(CHILD).is_ok_and(|child| child == name)
}

/// Reads until a line with that in it.
pub(crate) fn await_line(from: impl std::io::Read, text: &str) {
    use std::io::BufRead;
    let mut seen = String::new();
    for line in std::io::BufReader::new(from).lines() {
        let line = line.unwrap();
        if line.contains(text) {
            return;
        }
        seen.push_str(&line);
    }
    panic!("no line with `{text}` in `{seen}`");
}
