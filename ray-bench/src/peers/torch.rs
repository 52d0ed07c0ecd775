//! torch on one thread, and Ray Train's `TorchTrainer`, by the python that `--python` names: see `python/train.py`.
//!
//! Each with the images as tensors in memory, and once more as the article writes it, from torchvision's data set, where that
//! is installed. The processes with torch alone stay, as ours do. Ray's do not, since an idle cluster takes processor time from
//! the others: every round starts a cluster, in which each `TorchTrainer` trains two epochs, of which the second counts. Their
//! peak memory is that of the workers together, without the other processes of Ray.

use std::{
    cell::RefCell,
    fs,
    path::{Path, PathBuf},
    process::Command,
    rc::Rc,
    sync::OnceLock,
};

use ray_train::model::Model;
use tempfile::NamedTempFile;

use crate::{
    cases::train::{Known, contender, network},
    child::{self, Stays},
    measure::{Contender, Outcome},
};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/python/train.py");

/// The python that was named.
static PYTHON: OnceLock<Python> = OnceLock::new();

struct Python {
    path: PathBuf,
    /// Whether it can train as the article writes it.
    torchvision: bool,
}

/// Has this python train beside ours.
pub(crate) fn name(path: PathBuf) -> Outcome {
    let option = format!("--python {}", path.display());
    let output = script(&path, &["check"]).output().map_err(|error| format!("{option}: {error}"))?;
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{option}: that python cannot train, it needs `pip install numpy torch 'ray[train]'`:\n{why}").into());
    }
    let torchvision = output.stdout.trim_ascii() == b"torchvision";
    PYTHON.set(Python { path, torchvision }).map_err(|_| "--python names one python".into())
}

fn script(python: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(python);
    command.arg(SCRIPT).args(arguments);
    command
}

/// The contenders of the named python; none if there is none.
pub(crate) fn contenders(known: &Rc<RefCell<Known>>) -> Vec<Contender> {
    let Some(python) = PYTHON.get() else { return Vec::new() };
    let weights = Rc::new(weights().expect("a file for the weights"));
    let alone = |who: &'static str, data: &'static str| {
        let (weights, mut process) = (Rc::clone(&weights), None);
        let start = move || Stays::start(who, &mut script(&python.path, &["alone", data, path(&weights)]));
        contender(&[(who, 1)], None, known, move || process.get_or_insert_with(&start).round())
    };
    let mut all = vec![alone("torch (1 thread)", "tensors")];
    let mut trainers = vec![("TorchTrainer (2 workers)", 2), ("TorchTrainer (4 workers)", 4)];
    let mut arguments = vec!["trainer", "tensors"];
    if python.torchvision {
        all.push(alone("torch (article, 1 thread)", "article"));
        trainers.extend([("TorchTrainer (article, 2 workers)", 2), ("TorchTrainer (article, 4 workers)", 4)]);
        arguments = vec!["trainer", "tensors,article"];
    }
    all.push(contender(&trainers, None, known, move || {
        child::once("TorchTrainer", script(&python.path, &[&arguments[..], &[path(&weights)]].concat()))
    }));
    all
}

/// A file with the weights that everybody begins with, as torch lays them out: f32, each layer's weight, then its bias.
fn weights() -> std::io::Result<NamedTempFile> {
    let mut bytes = Vec::new();
    network().visit(&mut |_, numbers| bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes())));
    let file = NamedTempFile::new()?;
    fs::write(file.path(), bytes)?;
    Ok(file)
}

fn path(file: &NamedTempFile) -> &str {
    file.path().to_str().expect("a temporary file's name is text")
}
