//! torch on one thread, and Ray Train's `TorchTrainer`. The Python of `--python` runs them; see `python/train.py`.
//!
//! Each of them trains from tensors in memory. If torchvision is installed, each also trains as in the article, from
//! torchvision's data set. The processes with torch alone stay for all rounds, like ours. Those of Ray do not, since an
//! idle cluster takes processor time from the other contenders: every round starts a cluster, each `TorchTrainer` trains
//! two epochs in it, and the second one counts. Their peak memory is the sum of the workers, without the other processes of
//! Ray.

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
    child::{self, Stays},
    measure::{Contender, Outcome},
    workload::train::{Known, contender, network},
};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/python/train.py");

/// The Python of `--python`.
static PYTHON: OnceLock<Python> = OnceLock::new();

struct Python {
    path: PathBuf,
    /// Whether torchvision is installed, so that it can train as in the article.
    torchvision: bool,
}

/// Adds the contenders of this Python.
pub(crate) fn add(path: PathBuf) -> Outcome {
    let option = format!("--python {}", path.display());
    let output = script(&path, &["check"]).output().map_err(|error| format!("{option}: {error}"))?;
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        return Err(format!(
            "{option}: this Python cannot train: install the packages with `pip install numpy torch 'ray[train]'`:\n{why}"
        )
        .into());
    }
    let torchvision = output.stdout.trim_ascii() == b"torchvision";
    PYTHON.set(Python { path, torchvision }).map_err(|_| "--python may be given once".into())
}

fn script(python: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(python);
    command.arg(SCRIPT).args(arguments);
    command
}

/// The contenders of the Python; none without `--python`.
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

/// A file with the weights at the beginning of every epoch, in torch's layout: f32, the weight of each layer, then its
/// bias.
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
