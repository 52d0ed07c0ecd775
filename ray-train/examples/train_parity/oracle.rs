//! The results of torch 2.15 for the same weights, batches of 64 for each worker, and plain gradient descent at 0.01.

use ray_train::data::FashionMnist;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Rank 0's losses in an epoch.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Losses {
    /// The mean over its batches, with equal weights.
    pub mean: f64,
    /// The loss of its last batch.
    pub last: f64,
}

/// The allowed differences. The order of summation differs from that of torch, which changes the last digits, even in f64.
const MEANS: f64 = 1e-4;
const LASTS: f64 = 3e-4;
const ACCURACIES: f64 = 0.002;

/// The known results for a number of workers.
pub(crate) struct Known {
    epochs: &'static [(f64, f64)],
    /// The test accuracy after three epochs.
    accuracy: Option<f64>,
}

/// The set of the known results: the first digits of the SHA-256 of its uncompressed files.
const SET: [&str; 4] = ["f5adb9d76cb36d4c", "c4d1fe4d6e655498", "7cf57bdfcbad8be1", "82373d441481ed4d"];

/// Whether a set is that of the known results.
pub(crate) fn is_its_set(data: &FashionMnist) -> bool {
    let sums = [&data.train, &data.test].into_iter().flat_map(|images| {
        let size = [images.labels().len(), images.rows(), images.columns()].map(|size| (size as u32).to_be_bytes()).concat();
        [sum(&[&[0, 0, 8, 3], &size, images.pixels()]), sum(&[&[0, 0, 8, 1], &size[..4], images.labels()])]
    });
    sums.eq(SET.map(str::to_owned))
}

fn sum(parts: &[&[u8]]) -> String {
    let mut digest = Sha256::new();
    parts.iter().for_each(|part| digest.update(part));
    digest.finalize()[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The known results for a number of workers and of images.
pub(crate) fn losses(workers: usize, limit: Option<usize>) -> Option<Known> {
    let (epochs, accuracy): (&[_], _) = match (workers, limit) {
        (1, None) => (&[(1.5295, 0.7492), (0.4786, 0.3258), (0.3245, 0.2240)], Some(0.904)),
        (2, None) => (&[(2.0278, 1.6058), (1.0328, 0.7959), (0.5478, 0.5658)], Some(0.868)),
        (4, None) => (&[(2.2204, 2.1096), (1.8302, 1.5608), (1.2369, 1.0131)], Some(0.779)),
        (1, Some(6400)) => (&[(2.276452, 2.236522)], None),
        (2, Some(6400)) => (&[(2.292006, 2.275624)], None),
        (4, Some(6400)) => (&[(2.297268, 2.291990)], None),
        _ => return None,
    };
    Some(Known { epochs, accuracy })
}

impl Known {
    /// Compares losses, and the accuracy if there is one, with the known results. Prints the differences, and returns whether all agree.
    pub(crate) fn agree(&self, losses: &[Losses], accuracy: Option<f64>) -> bool {
        let mut agree = true;
        let mut compare = |what: &str, found: f64, known: f64, within: f64| {
            // NaN never agrees.
            if found.is_nan() || (found - known).abs() > within {
                println!("{what} is {found:.6}, and torch has {known}; the allowed difference is {within}");
                agree = false;
            }
        };
        for (epoch, (found, (mean, last))) in losses.iter().zip(self.epochs).enumerate() {
            compare(&format!("epoch {epoch}: mean"), found.mean, *mean, MEANS);
            compare(&format!("epoch {epoch}: last"), found.last, *last, LASTS);
        }
        if let (Some(found), Some(known)) = (accuracy, self.accuracy) {
            compare("test accuracy", found, known, ACCURACIES);
        }
        if agree {
            println!("agrees with torch in {} of {} epochs", losses.len().min(self.epochs.len()), losses.len());
        }
        agree
    }
}
