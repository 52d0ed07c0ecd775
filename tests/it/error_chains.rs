//! The causes of a user's error: `anyhow`, `eyre`, boxed errors and types with a `source()`, from functions and methods.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::num::ParseIntError;

use anyhow::Context as _;
use ray::{Error, remote};

use crate::support::{engine, strict};

/// An error type of the user.
#[derive(Debug, PartialEq)]
struct NoOven(u32);

impl fmt::Display for NoOven {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "oven {} is out", self.0)
    }
}

impl StdError for NoOven {}

/// An error type of the user with a source.
#[derive(Debug)]
struct NoBread(NoOven);

impl fmt::Display for NoBread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no bread")
    }
}

impl StdError for NoBread {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&self.0)
    }
}

#[remote]
fn anyhow_reads(path: String) -> anyhow::Result<String> {
    std::fs::read_to_string(&path).with_context(|| format!("could not read {path}")).context("no recipe")
}

#[remote]
fn anyhow_parses(text: String) -> Result<i64, anyhow::Error> {
    Ok(text.parse::<i64>()?)
}

#[remote]
fn anyhow_bakes() -> anyhow::Result<()> {
    Err(NoBread(NoOven(7))).context("the bakery is closed")
}

#[remote]
fn eyre_reads(path: String) -> eyre::Result<String> {
    use eyre::WrapErr as _;
    std::fs::read_to_string(&path).wrap_err_with(|| format!("could not read {path}")).wrap_err("no recipe")
}

#[remote]
fn eyre_parses(text: String) -> Result<i64, eyre::Report> {
    Ok(text.parse::<i64>()?)
}

#[remote]
fn boxed_bakes() -> Result<(), Box<dyn StdError + Send + Sync>> {
    Err(NoBread(NoOven(8)).into())
}

#[remote]
fn bakes() -> Result<(), NoBread> {
    Err(NoBread(NoOven(9)))
}

#[remote(local)]
fn in_generic_code<T>(value: T) -> Result<T, Box<dyn StdError + Send + Sync>> {
    drop(value);
    Err(NoBread(NoOven(10)).into())
}

#[remote]
async fn anyhow_async() -> anyhow::Result<()> {
    Err(NoBread(NoOven(11))).context("the async bakery is closed")
}

#[remote]
struct Bakery;

#[remote]
impl Bakery {
    pub fn new(path: String) -> anyhow::Result<Bakery> {
        if path.is_empty() {
            return Ok(Bakery);
        }
        std::fs::read_to_string(&path).with_context(|| format!("could not read {path}"))?;
        Ok(Bakery)
    }

    pub fn bake(&mut self) -> anyhow::Result<()> {
        Err(NoBread(NoOven(12))).context("baking")
    }
}

fn missing() -> String {
    "/no/such/recipe".to_owned()
}

/// The texts of the chain of `source()`.
fn sources(error: &Error) -> Vec<String> {
    std::iter::successors(error.source(), |error| (*error).source()).map(ToString::to_string).collect()
}

/// The lines of `{:?}` after "because".
fn causes(error: &Error) -> Vec<String> {
    let text = format!("{error:?}");
    text.lines().filter_map(|line| line.strip_prefix("  because: ")).map(str::to_owned).collect()
}

#[test]
fn a_context_keeps_its_cause() {
    engine();
    for (name, error) in [
        ("anyhow_reads", ray::get(anyhow_reads.remote(missing())).unwrap_err()),
        ("eyre_reads", ray::get(eyre_reads.remote(missing())).unwrap_err()),
    ] {
        assert!(error.is_task());
        let file = io::Error::from_raw_os_error(2).to_string();
        let expected = ["could not read /no/such/recipe".to_owned(), file.clone()];
        assert_eq!(error.to_string(), format!("task `{name}` failed: no recipe"));
        assert_eq!(format!("{error:#}"), format!("task `{name}` failed: no recipe: {}: {file}", expected[0]));
        assert_eq!(causes(&error), expected);
        assert_eq!(sources(&error), expected);
        if !strict() {
            assert_eq!(error.downcast_ref::<io::Error>().map(io::Error::kind), Some(io::ErrorKind::NotFound));
            assert!(error.find::<io::Error>().is_some());
            assert!(error.downcast_ref::<anyhow::Error>().is_some() || error.downcast_ref::<eyre::Report>().is_some());
            assert!(error.downcast_ref::<ParseIntError>().is_none() && error.find::<ParseIntError>().is_none());
        }
    }
}

#[test]
fn an_error_that_is_wrapped_without_a_context_is_found() {
    engine();
    for error in [
        ray::get(anyhow_parses.remote("seven".to_owned())).unwrap_err(),
        ray::get(eyre_parses.remote("seven".to_owned())).unwrap_err(),
    ] {
        assert!(error.to_string().ends_with("failed: invalid digit found in string"), "{error}");
        assert!(causes(&error).is_empty() && sources(&error).is_empty(), "{error:?}");
        assert!(strict() || error.downcast_ref::<ParseIntError>().is_some());
    }
}

#[test]
fn every_link_is_found_by_its_type() {
    engine();
    let actor = Bakery::remote(String::new());
    // A generic function has no path.
    let generic = (!crate::cluster::wanted()).then(|| (10, false, ray::get(in_generic_code.remote(0_u8)).unwrap_err()));
    let others = [
        (7, true, ray::get(anyhow_bakes.remote()).unwrap_err()),
        (8, false, ray::get(boxed_bakes.remote()).unwrap_err()),
        (9, false, ray::get(bakes.remote()).unwrap_err()),
        (11, true, ray::get(anyhow_async.remote()).unwrap_err()),
        (12, true, ray::get(actor.bake.remote()).unwrap_err()),
    ];
    for (number, context, error) in others.into_iter().chain(generic) {
        let oven = NoOven(number);
        let expected: Vec<_> = context.then(|| "no bread".to_owned()).into_iter().chain([oven.to_string()]).collect();
        assert_eq!(causes(&error), expected);
        assert_eq!(sources(&error), expected);
        if !strict() {
            assert_eq!(error.find::<NoOven>(), Some(&oven));
            assert_eq!(error.find::<NoBread>().map(|bread| &bread.0), Some(&oven));
        }
    }
}

#[remote]
fn passes_on() -> anyhow::Result<()> {
    ray::get(anyhow_bakes.remote())?;
    Ok(())
}

#[remote]
fn passes_on_by_eyre() -> eyre::Result<()> {
    ray::get(anyhow_bakes.remote())?;
    Ok(())
}

#[remote]
fn passes_on_with_a_context() -> anyhow::Result<()> {
    ray::get(anyhow_bakes.remote()).context("the order of Monday")?;
    Ok(())
}

/// An error of ray that `?` wraps stays that error. With a context it is a link of the chain, followed by its causes.
#[test]
fn errors_of_ray_in_a_chain() {
    engine();
    for error in [ray::get(passes_on.remote()).unwrap_err(), ray::get(passes_on_by_eyre.remote()).unwrap_err()] {
        assert!(error.to_string().starts_with("task `anyhow_bakes` failed: the bakery is closed"), "{error}");
        assert_eq!(causes(&error), ["no bread", "oven 7 is out"]);
    }
    let error = ray::get(passes_on_with_a_context.remote()).unwrap_err();
    assert_eq!(error.to_string(), "task `passes_on_with_a_context` failed: the order of Monday");
    let told = format!("{error:?}");
    assert_eq!(causes(&error), ["task `anyhow_bakes` failed: the bakery is closed", "no bread", "oven 7 is out"], "{told}");
    assert!(told.contains("    in task `anyhow_bakes` (tests/it/error_chains.rs:"), "{told}");
    if !strict() {
        assert_eq!(error.find::<NoOven>(), Some(&NoOven(7)));
        assert!(error.downcast_ref::<Error>().is_some_and(Error::is_task));
    }
}

/// The errors of the calls of an actor have the causes of the constructor's error.
#[test]
fn causes_of_a_constructor() {
    engine();
    let error = ray::get(Bakery::remote(missing()).bake.remote()).unwrap_err();
    assert!(causes(&error).iter().any(|cause| cause.contains("could not read /no/such/recipe")), "{error:?}");
    assert!(format!("{error:#}").ends_with(&io::Error::from_raw_os_error(2).to_string()), "{error:#}");
    assert!(strict() || error.downcast_ref::<io::Error>().is_some());
}

/// `Error::from_std` keeps the sources of an error. `Error::other` needs only `Display`: it keeps the causes of `anyhow` and
/// `eyre` errors as text.
#[test]
fn errors_made_by_hand() {
    let error = Error::from_std(NoBread(NoOven(1)));
    assert!(error.is_other());
    assert_eq!((error.find(), sources(&error)), (Some(&NoOven(1)), vec!["oven 1 is out".to_owned()]));
    let error = Error::other(anyhow::Error::new(NoBread(NoOven(2))).context("closed"));
    assert_eq!(error.to_string(), "closed");
    assert_eq!(format!("{error:#}"), "closed: no bread: oven 2 is out");
    assert_eq!(causes(&error), ["no bread: oven 2 is out"]);
    let error = Error::other(eyre::Report::new(NoBread(NoOven(3))).wrap_err("closed"));
    assert_eq!(causes(&error), ["no bread: oven 3 is out"]);
    assert!(Error::other(io::Error::other("x")).downcast_ref::<io::Error>().is_some());
}

/// The misbehaviour of a user's error type.
#[derive(Debug)]
enum Faulty {
    DisplayPanics,
    DisplayFails,
    SourcePanics,
    EndlessSource,
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Faulty::DisplayPanics => panic!("no text"),
            Faulty::DisplayFails => Err(fmt::Error),
            _ => f.write_str("faulty"),
        }
    }
}

impl StdError for Faulty {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Faulty::SourcePanics => panic!("no source"),
            Faulty::EndlessSource => Some(self),
            _ => None,
        }
    }
}

impl Drop for Faulty {
    fn drop(&mut self) {
        if matches!(self, Faulty::SourcePanics) {
            panic!("no end");
        }
    }
}

#[remote]
fn is_faulty(how: u8) -> Result<(), Faulty> {
    Err(match how {
        0 => Faulty::DisplayPanics,
        1 => Faulty::DisplayFails,
        2 => Faulty::SourcePanics,
        _ => Faulty::EndlessSource,
    })
}

#[remote]
fn faulty_in_a_context(how: u8) -> anyhow::Result<()> {
    is_faulty(how).context("a context")
}

#[test]
fn errors_whose_methods_panic_or_never_end() {
    engine();
    for (how, text, links) in [(0, "Display panicked", 0), (1, "Display failed", 0), (2, "faulty", 0), (3, "faulty", 128)] {
        let error = ray::get(is_faulty.remote(how)).unwrap_err();
        assert!(error.to_string().contains(text), "{error}");
        assert_eq!(causes(&error).len(), links);
        assert!(error.find::<NoOven>().is_none() && format!("{error:#}").contains(text));
        let error = ray::get(faulty_in_a_context.remote(how)).unwrap_err();
        assert!(error.to_string().ends_with("a context"), "{error}");
        assert!(causes(&error)[0].contains(text), "{error:?}");
        // These failures are not read: the engine logs them, and drops them on its own threads.
        drop((is_faulty.remote(how), faulty_in_a_context.remote(how)));
    }
    assert_eq!(ray::get(crate::stage::give.remote(7)).unwrap(), 7);
}
