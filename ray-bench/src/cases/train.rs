//! The contenders of [`train`](crate::workload::train).

use std::{env, rc::Rc};

use ray_networks::Burned;
use ray_train::{
    data::{Dataset, FashionMnist},
    model::Mlp,
};

use crate::{
    child::{self, Stays},
    measure::{Case, Contender, Outcome},
    memory,
    ours::train::serve as in_trainer,
    peers::{mlp, torch},
    workload::{
        TRAIN,
        train::{DEFINITION, FOLDER, contender},
    },
};

/// A contender of this project: its name, its number of workers, and the main function of its process.
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
/// The name of the child that looks for the images and prints their source. It is not a contender.
const IMAGES: &str = "images";

pub(crate) const CASE: Case = Case { contenders, serve: Some(serve), ready, yardsticks: &[BY_HAND], ..Case::of(DEFINITION) };

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
            "{TRAIN} needs Fashion-MNIST, or a data set in the same format: set {FOLDER} to the folder with \
             train-images-idx3-ubyte.gz and the three other files"
        )
        .into());
    }
    // In a separate process, because glibc allocates in another way after a process has freed a large block.
    let read = child::command(TRAIN, IMAGES).status()?;
    if read.success() { Ok(()) } else { Err(format!("{TRAIN} cannot run without its images").into()) }
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
    let (_, workers, serve) = found.ok_or_else(|| format!("no contender has the name {who}"))?;
    Ok(serve(*workers)?)
}

/// The rounds of the process of this contender. The first round starts the process.
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
