//! Cases that need a process to themselves: memory and start-up.
//!
//! The bench starts itself again as `ray-bench --child CASE WHO`; the child does the work of that one contender and
//! prints its samples on one line, separated by blanks.

use std::{
    env,
    process::{Command, Stdio},
};

use crate::measure::{Case, Contender};

/// The hidden option that the child is started with.
pub(crate) const OPTION: &str = "child";

/// A contender whose every round is a fresh process, which gives one sample.
pub(crate) fn contender(case: &'static str, who: &'static str) -> Contender {
    Contender::new(who, move || samples(case, who)[0])
}

/// Runs `who` of `case` in a fresh process and returns what it printed.
pub(crate) fn samples(case: &str, who: &str) -> Vec<f64> {
    let executable = env::current_exe().expect("the bench's own executable");
    let output = Command::new(executable)
        .arg(format!("--{OPTION}"))
        .args([case, who])
        .stderr(Stdio::inherit())
        .output()
        .expect("start the bench again");
    assert!(output.status.success(), "the child of {case}, {who} failed: {}", output.status);
    let text = String::from_utf8(output.stdout).expect("samples are text");
    let samples: Vec<f64> = text.split_whitespace().map(|word| word.parse().expect("a sample is a number")).collect();
    assert!(!samples.is_empty(), "the child of {case}, {who} gave nothing");
    samples
}

/// What the child does: runs `who` of `case` here and prints its samples.
pub(crate) fn main(case: &Case, who: &str) {
    let child = case.child.expect("the case runs in child processes");
    let samples: Vec<String> = child(who).iter().map(f64::to_string).collect();
    println!("{}", samples.join(" "));
}
