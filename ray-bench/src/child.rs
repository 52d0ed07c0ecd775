//! Contenders that need a process to themselves: memory, start-up, and training.
//!
//! The bench starts itself again as `ray-bench --child CASE WHO`. A child does the work of that one contender and prints its
//! samples on one line, separated by blanks. Most do so once, and a round is a fresh process. One that [stays](Stays) does a
//! round for each line that it reads, so that what is loaded once is loaded once, and waits in between, which costs the others
//! nothing; it ends when there are no more lines.

use std::{
    env,
    process::{Command, Stdio},
};

use crate::measure::{Case, Contender, Outcome};

/// The hidden option that the child is started with.
pub(crate) const OPTION: &str = "child";

/// The command that starts the child of `who` in `case`.
pub(crate) fn command(case: &str, who: &str) -> Command {
    let mut command = Command::new(env::current_exe().expect("the bench's own executable"));
    command.arg(format!("--{OPTION}")).args([case, who]);
    command
}

/// A contender whose every round is a fresh process, which gives one sample.
pub(crate) fn contender(case: &'static str, who: &'static str) -> Contender {
    Contender::new(who, move || samples(case, who)[0])
}

/// Runs `who` of `case` in a fresh process and returns what it printed.
pub(crate) fn samples(case: &str, who: &str) -> Vec<f64> {
    once(&format!("{case}, {who}"), command(case, who))
}

/// Runs a command and returns the samples that it printed; errors call it by its name.
pub(crate) fn once(name: &str, mut command: Command) -> Vec<f64> {
    let output = command.stderr(Stdio::inherit()).output().unwrap_or_else(|error| panic!("{name} does not start: {error}"));
    assert!(output.status.success(), "the process of {name} failed: {}", output.status);
    let samples = numbers(&String::from_utf8(output.stdout).expect("samples are text"));
    assert!(!samples.is_empty(), "the process of {name} gave nothing");
    samples
}

/// The numbers of a line.
fn numbers(line: &str) -> Vec<f64> {
    line.split_whitespace().map(|word| word.parse().expect("a sample is a number")).collect()
}

/// What the child does: runs `who` of `case` here and prints its samples.
pub(crate) fn main(case: &Case, who: &str) -> Outcome {
    if let Some(serve) = case.serve {
        return serve(who);
    }
    let child = case.child.expect("the case runs in child processes");
    let samples: Vec<String> = child(who).iter().map(f64::to_string).collect();
    println!("{}", samples.join(" "));
    Ok(())
}

pub(crate) use stays::{Stays, answer, asked};

mod stays {
    use std::{
        io::{self, BufRead, BufReader, Write},
        process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    };

    /// A child that does one round after the other.
    pub(crate) struct Stays {
        name: String,
        process: Child,
        /// Until it is told to end.
        ask: Option<ChildStdin>,
        answers: BufReader<ChildStdout>,
    }

    impl Stays {
        /// Starts it; errors call it by its name.
        pub(crate) fn start(name: &str, command: &mut Command) -> Self {
            let mut process = command
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap_or_else(|error| panic!("{name} does not start, {command:?}: {error}"));
            let ask = process.stdin.take();
            let answers = BufReader::new(process.stdout.take().expect("it is piped"));
            Stays { name: name.to_owned(), process, ask, answers }
        }

        /// One round's samples.
        pub(crate) fn round(&mut self) -> Vec<f64> {
            let mut ask = self.ask.as_ref().expect("it was not told to end");
            let mut line = String::new();
            // One that has ended is found out by what it does not say.
            let asked = writeln!(ask).and_then(|()| self.answers.read_line(&mut line));
            if !asked.is_ok_and(|read| read > 0) {
                let ended = self.process.wait().map_or_else(|error| error.to_string(), |status| status.to_string());
                panic!("the process of {} has ended: {ended}", self.name);
            }
            super::numbers(&line)
        }
    }

    impl Drop for Stays {
        fn drop(&mut self) {
            drop(self.ask.take());
            if let Err(error) = self.process.wait() {
                eprintln!("the process of {} does not end: {error}", self.name);
            }
        }
    }

    /// In the child: waits until it is asked for a round; `false`: there are no more.
    pub(crate) fn asked() -> bool {
        io::stdin().lock().read_line(&mut String::new()).is_ok_and(|read| read > 0)
    }

    /// In the child: says what the round gave.
    pub(crate) fn answer(samples: &[f64]) {
        let samples: Vec<String> = samples.iter().map(f64::to_string).collect();
        println!("{}", samples.join(" "));
        io::stdout().flush().expect("somebody listens");
    }
}
