//! Contenders that need a process of their own: for memory, start-up, servers and training.
//!
//! The bench starts itself again as `ray-bench --child CASE WHO`. A child does the work of that one contender and prints its
//! samples on one line, with blanks between them. Most children do one round, and each round starts a fresh process. A child
//! that [stays](Stays) does a round for each line that it reads, so it loads its data only once. Between its rounds it
//! waits, which costs the other contenders nothing. It ends at the end of its input.

use std::{
    env,
    process::{Command, Stdio},
};

use crate::measure::{Case, Contender, Outcome};

/// The hidden option on the command line of a child.
pub(crate) const OPTION: &str = "child";

/// The command that starts the child of `who` in `case`.
pub(crate) fn command(case: &str, who: &str) -> Command {
    let mut command = Command::new(env::current_exe().expect("the bench's own executable"));
    command.arg(format!("--{OPTION}")).args([case, who]);
    command
}

/// A contender with a fresh process for each round, and one sample.
pub(crate) fn contender(case: &'static str, who: &'static str) -> Contender {
    Contender::new(who, move || samples(case, who)[0])
}

/// Runs `who` of `case` in a fresh process and returns its samples.
pub(crate) fn samples(case: &str, who: &str) -> Vec<f64> {
    once(&format!("{case}, {who}"), command(case, who))
}

/// Runs a command and returns the samples that it prints. Errors contain `name`.
pub(crate) fn once(name: &str, mut command: Command) -> Vec<f64> {
    let output =
        command.stderr(Stdio::inherit()).output().unwrap_or_else(|error| panic!("the process of {name} does not start: {error}"));
    assert!(output.status.success(), "the process of {name} failed: {}", output.status);
    let samples = numbers(&String::from_utf8(output.stdout).expect("samples are text"));
    assert!(!samples.is_empty(), "the process of {name} printed no samples");
    samples
}

/// The numbers of a line.
fn numbers(line: &str) -> Vec<f64> {
    line.split_whitespace().map(|word| word.parse().expect("a sample is a number")).collect()
}

/// The main function of a child: runs `who` of `case` and prints its samples.
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

    /// A child process for all rounds of a contender.
    pub(crate) struct Stays {
        name: String,
        process: Child,
        /// The input of the child; its end tells the child to end.
        ask: Option<ChildStdin>,
        answers: BufReader<ChildStdout>,
    }

    impl Stays {
        /// Starts the child. Errors contain `name`.
        pub(crate) fn start(name: &str, command: &mut Command) -> Self {
            let mut process = command
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap_or_else(|error| panic!("the process of {name} does not start, {command:?}: {error}"));
            let ask = process.stdin.take();
            let answers = BufReader::new(process.stdout.take().expect("the output is piped"));
            Stays { name: name.to_owned(), process, ask, answers }
        }

        /// One round's samples.
        pub(crate) fn round(&mut self) -> Vec<f64> {
            self.ask("")
        }

        /// The samples that the child prints for this request, which is one line.
        pub(crate) fn ask(&mut self, request: &str) -> Vec<f64> {
            let mut ask = self.ask.as_ref().expect("only the drop closes the input");
            let mut line = String::new();
            // A child that has ended gives no line.
            let asked = writeln!(ask, "{request}").and_then(|()| self.answers.read_line(&mut line));
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

    /// In the child: waits for the next request for a round; `false` after the last one.
    pub(crate) fn asked() -> bool {
        io::stdin().lock().read_line(&mut String::new()).is_ok_and(|read| read > 0)
    }

    /// In the child: prints the samples of the round.
    pub(crate) fn answer(samples: &[f64]) {
        let samples: Vec<String> = samples.iter().map(f64::to_string).collect();
        println!("{}", samples.join(" "));
        io::stdout().flush().expect("the bench reads the samples");
    }
}
