//! The directory of a run.
//!
//! ```text
//! <storage>/<name>/
//!     run.json              the run and the list of its checkpoints         (replaced atomically)
//!     reports.jsonl         one line for each report                        (appended to)
//!     config.json           the configuration of the loop, for people to read
//!     checkpoint_000004/    the files of report 4, and .manifest.json       (assembled in .staging, then renamed)
//!     .staging/             files of checkpoints that are not committed yet (removed at each start)
//!     .lock                 locked while the run is in progress; the system unlocks it when the process ends
//! ```
//!
//! The order of writes makes a report crash-safe: the files of a checkpoint, its manifest, the rename, the line of the report, then
//! `run.json`. A checkpoint that `run.json` does not list does not count, and the next start removes it.

mod commit;
mod contents;
mod directory;
mod layout;
mod lock;
mod record;
mod retention;

pub(crate) use commit::CommitError;
pub(crate) use contents::RunContents;
#[cfg(feature = "_fuzzing")]
pub(crate) use contents::read_lists;
pub(crate) use directory::RunDirectory;
pub(crate) use retention::best;
