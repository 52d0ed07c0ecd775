//! Which GPUs the process may use.

use std::sync::Arc;

use crate::base::error::{Error, ErrorKind, Result};

/// The variable with the ids of the GPUs that the process may use, as CUDA and Ray read it.
pub(super) const VARIABLE: &str = "CUDA_VISIBLE_DEVICES";

/// More GPUs than a machine has: the engine keeps a number for each of them.
const MOST: u64 = 1 << 16;

/// The ids in the variable; none: the variable is not set.
///
/// # Errors
/// `InvalidArgument`: the engine is to have more GPUs than the variable lists, or more than [`MOST`].
pub(super) fn visible(variable: Option<String>, gpus: u64) -> Result<Option<Arc<[String]>>> {
    let refused = |what: String| Err(Error::new(ErrorKind::InvalidArgument, what));
    if gpus > MOST {
        return refused(format!("Config::num_gpus ({gpus}) must be at most {MOST}"));
    }
    let Some(list) = variable else { return Ok(None) };
    let ids: Arc<[String]> = match list.trim() {
        "" | "NoDevFiles" => [].into(),
        list => list.split(',').map(|id| id.trim().to_owned()).collect(),
    };
    if gpus > ids.len() as u64 {
        return refused(format!(
            "Config::num_gpus ({gpus}) is more than the {} GPU(s) that the process may use: {VARIABLE} is `{list}`; ask for fewer, or change the variable",
            ids.len()
        ));
    }
    Ok(Some(ids))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_lists_the_ids() {
        let ids = |list: &str, gpus| visible(Some(list.to_owned()), gpus).map(|ids| ids.unwrap().to_vec());
        assert_eq!(ids("3, GPU-ab", 2).unwrap(), ["3", "GPU-ab"]);
        assert_eq!(ids("", 0).unwrap(), [""; 0]);
        for (list, gpus) in [("", 1), ("NoDevFiles", 1), ("0,1", 3), ("0", MOST + 1)] {
            assert!(ids(list, gpus).unwrap_err().is_invalid_argument(), "{list}");
        }
        assert!(visible(None, 4).unwrap().is_none());
    }
}
