//! Errors that consist of a message only, and the wording that messages share.

/// An error of ray-train that consists of its message only.
pub(crate) fn failed(message: impl Into<String>) -> ray::Error {
    ray::Error::other(message.into())
}

/// `rank 1`, `ranks 1, 2 and 4`.
pub(crate) fn rank_list(ranks: &[usize]) -> String {
    match ranks {
        [one] => format!("rank {one}"),
        [first @ .., last] => {
            let first: Vec<String> = first.iter().map(usize::to_string).collect();
            format!("ranks {} and {last}", first.join(", "))
        }
        [] => "no rank".to_owned(),
    }
}
