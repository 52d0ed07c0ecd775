//! The error message for a key that is not an option of the item.

use super::on::On;

/// The message for the key `name`, which is not an option of `on`.
pub(super) fn unknown(name: &str, on: On) -> String {
    if let Some(instead) = elsewhere(name, on) {
        return instead;
    }
    if let Some(place) = On::ALL.into_iter().find(|other| other.known().contains(&name)) {
        return format!("`{name}` is not an option of {}: write it in {}", on.described(), place.place());
    }
    let list = on.known().iter().map(|known| format!("`{known}`")).collect::<Vec<_>>().join(", ");
    match on.known().iter().find(|known| distance(known, name) <= 2) {
        Some(close) => format!("unknown option `{name}`; did you mean `{close}`? The options of {} are {list}", on.described()),
        None => format!("unknown option `{name}`; the options of {} are {list}", on.described()),
    }
}

/// The advice for a key that has another name here, or another place.
fn elsewhere(name: &str, on: On) -> Option<String> {
    let instead = match (name, on) {
        ("max_retries", On::Method | On::Class | On::Impl) => {
            "calls of an actor are retried by `max_task_retries`, on the struct or on a method"
        }
        ("max_task_retries", On::Impl) => {
            "`max_task_retries` is written in #[remote(..)] on the struct, or in #[method(..)] on a method"
        }
        ("max_task_retries", On::Function) => "a function is retried by `max_retries`; `max_task_retries` is an option of actors",
        ("retry_exceptions", On::Class | On::Impl) => {
            "`retry_exceptions` is written in #[method(..)] on each method that is retried"
        }
        ("concurrency_groups", _) => {
            "the concurrency groups of an actor are written `groups(io = 2)` in #[remote(..)] on its struct"
        }
        ("concurrency_group", On::Method) => "the concurrency group of a method is written `group = \"io\"`",
        ("lifetime", On::Class | On::Impl) => {
            "the lifetime of an actor is chosen where it is started: `Counter::options().lifetime(ray::Lifetime::Detached).remote(..)`"
        }
        ("name" | "namespace" | "get_if_exists", On::Class | On::Impl) => {
            "an actor is named where it is started: `Counter::options().name(\"..\").remote(..)`"
        }
        ("fallback_strategy", _) => {
            "it is set for a call: `f.options().fallback_strategy([[(\"region\", \"eu\")]]).remote(..)`, or where an actor is started"
        }
        ("lifetime" | "namespace" | "get_if_exists", On::Function | On::Method) => {
            "it is an option of actors, where they are started: `Counter::options().name(\"..\").lifetime(ray::Lifetime::Detached).remote(..)`"
        }
        ("env" | "env_vars" | "pip" | "working_dir", On::Function | On::Class) => {
            "the environment of the workers is set by `runtime_env = environment`, with `fn environment() -> ray::RuntimeEnv`"
        }
        ("accelerator", On::Function | On::Class) => "the accelerator of the node is set by `accelerator_type = \"A100\"`",
        ("labels", On::Function | On::Class) => "the labels of the node are set by `label_selector(region = \"us\")`",
        ("name", On::Method) => "a call is named where it is made: `handle.method.options().name(\"..\").remote(..)`",
        _ => return None,
    };
    Some(format!("unknown option `{name}`: {instead}"))
}

/// The edit distance (Levenshtein distance) between two words.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let edit = corner + usize::from(x != *y);
            corner = row[j + 1];
            row[j + 1] = edit.min(corner + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}
