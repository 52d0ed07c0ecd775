//! Finds the errors in the signature of a function that makes a stream.

use super::signature::{What, ambiguous};
use crate::model::{Callable, Source, Stream};
use crate::options::Options;
use crate::report::Report;
use crate::types::{self, Contents};

/// Checks what the function returns besides its items, and the type of the items.
pub(super) fn stream(what: What, call: &Callable, options: &Options, local: bool, report: &mut Report) {
    let Some(Stream { source, item }) = &call.output.stream else {
        if let Some(key) = &options.backpressure {
            report.error(
                key,
                "`backpressure` is an option of streams: return `impl Iterator<Item = T>` or `impl Stream<Item = T>`, or take a \
                 `Yielder<T>` as the first parameter",
            );
        }
        return;
    };
    let written = &call.output.written;
    let value = types::result_ok(written).unwrap_or(written);
    // A `Result` without generic arguments is an alias, so rustc must check whether its type is right.
    if *source == Source::Yielder && !types::is_unit(value) && !types::ends_in(value, "Result") {
        let more = if Contents::of(value).opaque.is_empty() { "yield the last value too" } else { "leave the `Yielder` out" };
        report.error(
            &call.sig.output,
            format_args!("{} with a `Yielder` returns nothing, or a `Result<(), E>`: {more}", what.named()),
        );
    }
    if *source == Source::Iterator
        && let Some(token) = &call.sig.asyncness
    {
        report
            .error(token, "an iterator would block the futures beside it: return `impl Stream<Item = T>`, or leave `async` out");
    }
    let contents = Contents::of(item);
    for reference in contents.references {
        report.error(reference, "an item outlives the call, so it cannot borrow: yield owned values, such as clones");
    }
    for lifetime in contents.lifetimes {
        report.error(lifetime, "an item outlives the call, so it cannot borrow: use the owned form, or `'static`");
    }
    for opaque in contents.opaque {
        report.error(opaque, "an item is stored, so its type must have a name: write the type");
    }
    if !local {
        for reference in contents.statics {
            report.error(
                reference,
                "an item from another process does not live for `'static`: yield an owned value, or write #[remote(local)]",
            );
        }
        ambiguous(&contents.ambiguous, report);
    }
}
