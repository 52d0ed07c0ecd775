//! `train`: an epoch of the article's network, 784-512-512-10, on the set in `FASHION_MNIST_DIR`.
//!
//! Batches of 64 a worker, gradients averaged, plain gradient descent at 0.01; that batches of floats are made of bytes is in
//! the time. Every contender has a process of its own, which reads the set once and trains an epoch whenever its turn comes;
//! ours have mimalloc, since glibc's allocator costs burn a third. "ray" is a module of burn in a [`Trainer`], "ray (Mlp, ..)"
//! the hand-written network in one; "hand-written" is that network in a plain loop on one thread, and "products alone" what of
//! its time goes to its matrix products. [`torch`] says what a python adds.
//!
//! All begin every epoch with the same weights, so losses must come out the same, or the bench ends: ours from round to round to
//! the last bit, and those of contenders with equally many workers but for the order of summation.
//!
//! "peak memory" is the most that the process has had resident, images included.
//!
//! [`Trainer`]: ray_train::Trainer

use std::{cell::RefCell, collections::HashMap, env, rc::Rc, time::Duration};

use ray_train::{
    data::{Dataset, FashionMnist, Images},
    model::Mlp,
};

use super::TRAIN;
use crate::{
    child::{self, Stays},
    measure::{Case, Contender, Outcome, USUAL},
    memory,
    ours::train::{Burned, serve as in_trainer},
    peers::{mlp, torch},
};

/// Images of a worker in a step.
pub(crate) const BATCH: usize = 64;
pub(crate) const LEARNING_RATE: f64 = 0.01;

/// The variable that names the folder of the images.
const FOLDER: &str = "FASHION_MNIST_DIR";

/// One of ours: its name, how many workers, and what its process does.
type Ours = (&'static str, usize, fn(usize) -> ray::Result<()>);

const OURS: [Ours; 6] = [
    ("ray (1 worker)", 1, in_trainer::<Burned>),
    ("ray (2 workers)", 2, in_trainer::<Burned>),
    ("ray (4 workers)", 4, in_trainer::<Burned>),
    ("ray (Mlp, 1 worker)", 1, in_trainer::<Mlp>),
    ("ray (Mlp, 2 workers)", 2, in_trainer::<Mlp>),
    ("ray (Mlp, 4 workers)", 4, in_trainer::<Mlp>),
];

const BY_HAND: &str = "hand-written";
/// No contender: the child that says whether there are images, and which.
const IMAGES: &str = "images";

pub(crate) const CASE: Case = Case {
    name: TRAIN,
    what: "an epoch of the article's network, batches of 64 a worker; seconds",
    unit: "s",
    contenders,
    serve: Some(serve),
    ready,
    yardsticks: &[BY_HAND],
    ..USUAL
};

fn contenders() -> Vec<Contender> {
    let known = Rc::default();
    let mut all = Vec::new();
    all.extend(OURS.map(|(who, workers, _)| contender(&[(who, workers)], None, &known, staying(who))));
    all.push(contender(&[(BY_HAND, 1)], Some("hand-written, products alone"), &known, staying(BY_HAND)));
    all.extend(torch::contenders(&known));
    all
}

fn ready() -> Outcome {
    if env::var_os(FOLDER).is_none_or(|folder| folder.is_empty()) {
        return Err(format!(
            "{TRAIN} is measured on Fashion-MNIST, or on a set of its form: have {FOLDER} name the folder that holds \
             train-images-idx3-ubyte.gz and the three others"
        )
        .into());
    }
    // In a process of its own: glibc serves a process in another way once it has freed something large.
    let read = child::command(TRAIN, IMAGES).status()?;
    if read.success() { Ok(()) } else { Err(format!("{TRAIN} is not measured without its images").into()) }
}

fn serve(who: &str) -> Outcome {
    if who == IMAGES {
        let data = FashionMnist::find(None)?;
        eprintln!("{TRAIN}: {} images, {}", data.train.len(), data.source());
        return Ok(());
    }
    if who == BY_HAND {
        return Ok(mlp::serve()?);
    }
    let found = OURS.iter().find(|(name, ..)| *name == who);
    let (_, workers, serve) = found.ok_or_else(|| format!("nobody is called {who}"))?;
    Ok(serve(*workers)?)
}

/// The rounds of our process of that name, which starts with the first.
fn staying(who: &'static str) -> impl FnMut() -> Vec<f64> + 'static {
    let mut process = None;
    move || {
        let start = || {
            let mimalloc = memory::MIMALLOC.to_str().expect("a name in ASCII");
            Stays::start(who, child::command(TRAIN, who).env(mimalloc, "1"))
        };
        process.get_or_insert_with(start).round()
    }
}

/// The images to train with.
pub(crate) fn images() -> ray::Result<Images> {
    Ok(FashionMnist::find(None)?.train)
}

/// The article's network, with the weights that everybody begins with.
pub(crate) fn network() -> Mlp {
    Mlp::new(&[784, 512, 512, 10], 1)
}

/// A contender whose `round` gives for each of `whos`, a name and its number of workers, what an [`Epoch`] answers. `part`
/// names what the last of them answers beyond that.
pub(crate) fn contender(
    whos: &[(&str, usize)],
    part: Option<&str>,
    known: &Rc<RefCell<Known>>,
    mut round: impl FnMut() -> Vec<f64> + 'static,
) -> Contender {
    let whos: Vec<(String, usize)> = whos.iter().map(|(who, workers)| ((*who).to_owned(), *workers)).collect();
    let peak = |who: &str| format!("{who}, peak memory");
    let peaks: Vec<String> = whos.iter().map(|(who, _)| peak(who)).collect();
    let mut rows: Vec<String> = whos.iter().flat_map(|(who, _)| [who.clone(), peak(who)]).collect();
    rows.extend(part.map(str::to_owned));
    let known = Rc::clone(known);
    let contender = Contender::many(rows, move || {
        let numbers = round();
        let (epochs, part) = numbers.as_chunks();
        let mut samples = Vec::new();
        for ((who, workers), [seconds, peak, mean, last]) in whos.iter().zip(epochs) {
            known.borrow_mut().check(who, *workers, Losses { mean: *mean, last: *last });
            samples.extend([*seconds, *peak]);
        }
        samples.extend(part);
        samples
    });
    peaks.iter().fold(contender, |contender, peak| contender.with_unit(peak, "MB"))
}

/// The losses of rank 0 in an epoch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Losses {
    /// Over its batches, each counting the same.
    mean: f64,
    /// Of its last batch.
    last: f64,
}

/// The losses that came first, by the number of workers, and whose they are.
#[derive(Default)]
pub(crate) struct Known(HashMap<usize, (String, Losses)>);

impl Known {
    /// Ends the bench if these are not what others found.
    fn check(&mut self, who: &str, workers: usize, losses: Losses) {
        let (first, known) = self.0.entry(workers).or_insert_with(|| (who.to_owned(), losses));
        // NaN is near nothing.
        let near = |a: f64, b: f64, within: f64| (a - b).abs() < within;
        assert!(
            near(losses.mean, known.mean, 1e-4) && near(losses.last, known.last, 3e-4),
            "{who} and {first} do not train the same: {losses:?} and {known:?}"
        );
    }
}

/// In a process: one epoch's losses, as they come.
#[derive(Default)]
pub(crate) struct Epoch {
    steps: usize,
    sum: f64,
    last: f64,
}

impl Epoch {
    pub(crate) fn step(&mut self, loss: f32) {
        self.steps += 1;
        self.last = f64::from(loss);
        self.sum += self.last;
    }

    /// Answers what the epoch took and gave; checks its losses against those of the process's `first`.
    pub(crate) fn answer(&self, first: &mut Option<Losses>, elapsed: Duration, part: Option<Duration>) {
        let losses = Losses { mean: self.sum / self.steps as f64, last: self.last };
        assert_eq!(*first.get_or_insert(losses), losses, "the first epoch's losses, and this one's from the same weights");
        let mut samples = vec![elapsed.as_secs_f64(), memory::peak() * 1024.0 / 1e6, losses.mean, losses.last];
        samples.extend(part.map(|part| part.as_secs_f64()));
        child::answer(&samples);
    }
}
