//! `train`: an epoch of the article's network, 784-512-512-10, on the set in `FASHION_MNIST_DIR`.
//!
//! A worker trains in batches of 64, the workers average their gradients, and the optimiser is plain gradient descent at
//! 0.01. The time covers the conversion of each batch from bytes to floats. Every contender has a process of its own, which
//! reads the set once and trains an epoch in each of its turns. The processes of this project use mimalloc, because with
//! glibc's allocator burn takes a third longer. "ray" is a module of burn in a [`Trainer`], and "ray (Mlp, ..)" is the
//! hand-written network in one.
//! "hand-written" is that network in a plain loop on one thread, and "products alone" is the part of its time that its
//! matrix products take. [`torch`](crate::peers::torch) describes the contenders in Python.
//!
//! All contenders begin every epoch with the same weights, so their losses must agree, or the bench ends. The losses of one
//! process agree from round to round to the last bit. The losses of contenders with equal numbers of workers differ only by
//! the order of summation.
//!
//! "peak memory" is the largest resident memory of the process, including the images.
//!
//! [`Trainer`]: ray_train::Trainer

use std::{cell::RefCell, collections::HashMap, rc::Rc, time::Duration};

use ray_networks::ARTICLE;
use ray_train::{
    data::{FashionMnist, Images},
    model::Mlp,
};

use super::TRAIN;
use crate::{
    child,
    measure::{Contender, Definition},
    memory,
};

pub(crate) const DEFINITION: Definition =
    Definition { name: TRAIN, what: "an epoch of the article's network, batches of 64 a worker; seconds", unit: "s" };

/// Images of a worker in a step.
pub(crate) const BATCH: usize = 64;
pub(crate) const LEARNING_RATE: f64 = 0.01;

/// The variable that names the folder of the images.
pub(crate) const FOLDER: &str = "FASHION_MNIST_DIR";

/// The images to train with.
pub(crate) fn images() -> ray::Result<Images> {
    Ok(FashionMnist::find(None)?.train)
}

/// The article's network, with the weights at the beginning of every epoch.
pub(crate) fn network() -> Mlp {
    Mlp::new(&ARTICLE, 1)
}

/// A contender with a row for each of `whos`, a name and its number of workers. `round` returns the numbers of an [`Epoch`]
/// for each of them. `part` is the name of the row of the last number, where an epoch has one more.
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
    /// The mean over its batches, all with the same weight.
    mean: f64,
    /// The loss of its last batch.
    last: f64,
}

/// The first losses for each number of workers, and the name of the contender that had them.
#[derive(Default)]
pub(crate) struct Known(HashMap<usize, (String, Losses)>);

impl Known {
    /// Ends the bench if `losses` differ from the first ones for that number of workers.
    fn check(&mut self, who: &str, workers: usize, losses: Losses) {
        let (first, known) = self.0.entry(workers).or_insert_with(|| (who.to_owned(), losses));
        // NaN is not near any number, itself included.
        let near = |a: f64, b: f64, within: f64| (a - b).abs() < within;
        assert!(
            near(losses.mean, known.mean, 1e-4) && near(losses.last, known.last, 3e-4),
            "the losses of {who} and {first} differ: {losses:?} and {known:?}"
        );
    }
}

/// The losses of one epoch, collected in the contender's process.
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

    /// Sends the bench the numbers of the epoch, and checks its losses against those of the `first` epoch of the process.
    pub(crate) fn answer(&self, first: &mut Option<Losses>, elapsed: Duration, part: Option<Duration>) {
        let losses = Losses { mean: self.sum / self.steps as f64, last: self.last };
        assert_eq!(*first.get_or_insert(losses), losses, "the losses of the first epoch, and of this one from the same weights");
        let mut samples = vec![elapsed.as_secs_f64(), memory::peak() * 1024.0 / 1e6, losses.mean, losses.last];
        samples.extend(part.map(|part| part.as_secs_f64()));
        child::answer(&samples);
    }
}
