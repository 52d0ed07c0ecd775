//! Tests of the command line, of a small training in each mode, and of the excerpts in the README.

use lexopt::Parser;
use ray_train::model::Model;

use crate::options::{Kill, Options};
use crate::train;

fn parse(arguments: &str) -> ray::Result<Options> {
    let parser = Parser::from_args(arguments.split_whitespace());
    Options::parse(parser).map(|options| options.expect("the arguments do not ask for help"))
}

#[test]
fn options_are_parsed() {
    let options = parse("--workers 4 --epochs=2 --limit 100 --synthetic --kill-rank 3 --at-step 7 --name a --svg b.svg").unwrap();
    assert_eq!((options.workers, options.epochs, options.limit, options.synthetic), (Some(4), 2, Some(100), true));
    assert_eq!((options.kill, options.name.as_deref()), (Some(Kill { rank: 3, step: 7 }), Some("a")));
    assert_eq!(options.svg.to_str(), Some("b.svg"));
    assert!(Options::parse(Parser::from_args(["--help"])).unwrap().is_none());
    assert!(options.check_steps(4).is_ok() && options.check_steps(3).is_err());
}

#[test]
fn invalid_options_are_refused() {
    let cases = [
        ("--wrokers 4", "--wrokers"),
        ("--workers", "missing"),
        ("--workers four", "a whole number, not four"),
        ("--workers 0", "--workers takes a number of at least 1"),
        ("--workers 100000", "1000 at most"),
        ("--epochs -1", "-1"),
        ("--limit 0", "--limit"),
        ("extra", "extra"),
        ("--synthetic --data a", "one of the two"),
        ("--workers 2 --kill-rank 0", "belong together"),
        ("--workers 2 --kill-rank 2 --at-step 1", "from 0 to 1"),
        ("--kill-rank 0 --at-step 1", "needs --workers"),
        ("--name a", "needs --workers"),
    ];
    for (arguments, text) in cases {
        let error = parse(arguments).unwrap_err().to_string();
        assert!(error.contains(text) && error.contains("--help"), "{arguments}: {error}");
    }
    let error = train(&parse("--data /nowhere").unwrap()).unwrap_err().to_string();
    assert!(error.contains("/nowhere"), "{error}");
}

/// A single test, because the initial parameters come from one generator of burn for the whole process.
#[test]
fn a_rank_failure_does_not_change_the_result() {
    let _ = ray::init_with(ray::Config::new().num_cpus(2));
    let folder = tempfile::tempdir().unwrap();
    let svg = folder.path().join("curve.svg");
    let trained = |arguments: &str| {
        let options = parse(&format!("--synthetic --epochs 1 --svg {} {arguments}", svg.display())).unwrap();
        train(&options).unwrap().state_dict()
    };
    // Nine steps, with a checkpoint after eight of them.
    let two = "--limit 1100 --workers 2";
    let uninterrupted = trained(two);
    assert!(trained(&format!("{two} --kill-rank 1 --at-step 9")) == uninterrupted);
    assert!(trained(&format!("{two} --kill-rank 0 --at-step 1")) == uninterrupted);
    assert!(std::fs::read_to_string(&svg).unwrap().contains("</svg>"));

    let [alone, worker] = [trained("--limit 300"), trained("--limit 300 --workers 1")];
    for name in alone.names() {
        let pairs = alone.get(name).unwrap().iter().zip(worker.get(name).unwrap());
        assert!(pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max) < 1e-5, "{name}");
    }
}

/// The program contains each line of the README's excerpts.
#[test]
fn the_readme_shows_this_program() {
    let readme = include_str!("../../../README.md");
    let section = readme.split("\n## ").find(|section| section.starts_with("Training\n")).expect("it has a section on training");
    let mut shown = 0;
    for excerpt in section.split("```rust,ignore\n").skip(1) {
        for line in excerpt.split("```").next().unwrap().lines().map(str::trim).filter(|line| !line.is_empty()) {
            let line = line.split(" //").next().unwrap().trim_end();
            assert!(include_str!("main.rs").contains(line), "the program has no line `{line}`");
            shown += 1;
        }
    }
    assert!(shown > 10);
}
