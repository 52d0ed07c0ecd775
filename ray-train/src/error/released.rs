//! The error of a rank that was released because another rank failed.

use thiserror::Error;

use super::training::TrainingFailed;

/// The error that the other ranks get when the group ends because of one rank. The rank that gets it has not failed.
#[derive(Clone, Debug, Error)]
#[error("{reason}")]
pub(crate) struct Released {
    reason: String,
}

impl Released {
    pub(crate) fn error(reason: impl Into<String>) -> ray::Error {
        ray::Error::other(Released { reason: reason.into() })
    }

    /// Whether an error is a release, or was caused by one.
    ///
    /// The search stops at a [`TrainingFailed`]: below it are the errors of another run, which the loop of this rank started.
    pub(crate) fn is_in(error: &ray::Error) -> bool {
        let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
        while let Some(error) = next {
            if let Some(error) = error.downcast_ref::<ray::Error>() {
                // First, because `downcast_ref` also searches the causes of an error that was made with `from_std`.
                if error.downcast_ref::<TrainingFailed>().is_some() {
                    return false;
                }
                if error.downcast_ref::<Released>().is_some() {
                    return true;
                }
            }
            next = error.source();
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::super::training::WorkerFailure;
    use super::*;

    #[derive(Debug, Error)]
    #[error("the step failed")]
    struct StepFailed(#[source] ray::Error);

    #[test]
    fn a_release_is_found_below_other_errors() {
        let released = Released::error("rank 1 failed");
        assert!(Released::is_in(&released));
        assert!(Released::is_in(&ray::Error::from_std(StepFailed(released))));
        assert!(!Released::is_in(&ray::Error::from_std(StepFailed(ray::Error::other("no weights")))));
    }

    #[test]
    fn a_release_in_another_run_is_not_one_of_this_run() {
        let worker_failures = vec![WorkerFailure { rank: 0, error: Released::error("rank 1 failed") }];
        let inner = TrainingFailed { run: "inner".into(), worker_failures, failures: 1, restart: None, checkpoint: None };
        assert!(!Released::is_in(&ray::Error::other(inner.clone())));
        assert!(!Released::is_in(&ray::Error::from_std(inner)));
    }
}
