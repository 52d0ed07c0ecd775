//! Panics of bodies as errors: what was said, and where.
//!
//! The payload that `catch_unwind` gives has the message only. The place is known to the panic hook alone, so one is
//! installed, once, which calls the one that was there before. It notes what it sees if the thread is inside a body;
//! every other panic of the process passes it by.

use std::any::{Any, TypeId};
use std::borrow::Cow;
use std::cell::RefCell;
use std::panic;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::sync::Once;

use crate::base::error::{Error, Result};
use crate::base::users_code;
use crate::base::users_code::{drop_payload, enter_body};

/// A body that unwraps another's error repeats that one's text, level for level: without an end it would grow to gigabytes.
const LONGEST_MESSAGE: usize = 16 * 1024;

thread_local! {
    static NOTED: RefCell<Option<Note>> = const { RefCell::new(None) };
}

/// The last panic of this thread inside a body.
struct Note {
    /// Together these tell whether a caught payload is the one that was noted: a body may catch a panic of its own, and raise
    /// another again that no hook sees.
    payload: TypeId,
    message: Option<Box<str>>,
    location: String,
}

/// Puts the hook in its place; again and again does no harm.
pub(crate) fn install_hook() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let former = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            if users_code::is_in_a_body() {
                note(panic);
            }
            former(panic);
        }));
    });
}

/// Runs a body inside the guard, and turns its panic into an error.
#[inline]
pub(crate) fn catch<R>(body: impl FnOnce() -> R) -> Result<R> {
    let caught = {
        let _inside = enter_body();
        catch_unwind(AssertUnwindSafe(body))
    };
    caught.map_err(take_panic)
}

/// The error of a caught panic: its message, and its place if the hook saw it. On the thread that caught it.
#[cold]
pub(crate) fn take_panic(payload: Box<dyn Any + Send>) -> Error {
    let note = NOTED.try_with(|noted| noted.try_borrow_mut().ok()?.take()).ok().flatten();
    let message = text_of(&*payload);
    let location = note
        .filter(|note| note.message.as_deref() == message && (message.is_some() || note.payload == (*payload).type_id()))
        .map(|note| note.location);
    let message = match message {
        Some(text) => bounded(text),
        None => no_text(&*payload),
    };
    let error = Error::panic(message, location);
    match payload.downcast::<Error>() {
        // `panic_any(error)`: what it says goes into the chain.
        Ok(cause) => error.with_cause(*cause),
        Err(payload) => {
            drop_payload(payload);
            error
        }
    }
}

/// Inside a panic: a second one would end the process, so nothing here may.
fn note(panic: &PanicHookInfo<'_>) {
    let location = panic.location().map_or_else(String::new, |at| format!("{}:{}:{}", at.file(), at.line(), at.column()));
    let message = text_of(panic.payload()).map(Box::from);
    let note = Note { payload: panic.payload().type_id(), message, location };
    let _ = NOTED.try_with(|noted| noted.try_borrow_mut().map(|mut noted| *noted = Some(note)));
}

/// The text of what `panic!` and its like raise. Runs inside the hook: no code of the user's, so no other type's `Display`.
fn text_of(payload: &(dyn Any + Send)) -> Option<&str> {
    payload.downcast_ref::<&'static str>().copied().or_else(|| payload.downcast_ref::<String>().map(String::as_str))
}

/// What can be said of a payload that is no text.
fn no_text(payload: &(dyn Any + Send)) -> String {
    macro_rules! shown {
        ($($type:ty),*) => {
            $(if let Some(value) = payload.downcast_ref::<$type>() {
                return bounded(&format!("{value} (a payload of type `{}`)", stringify!($type)));
            })*
        };
    }
    if let Some(error) = payload.downcast_ref::<Error>() {
        return bounded(&format!("{error} (a payload of type `ray::Error`)"));
    }
    shown!(i8, i16, i32, i64, i128, isize, u8, u16, u32, u64, u128, usize, f32, f64, bool, char);
    shown!(Box<str>, Cow<'static, str>, std::io::Error);
    "a payload of a type that is no text (raised by `panic_any` or `resume_unwind`)".to_owned()
}

/// The text, without its middle if it is too long.
fn bounded(text: &str) -> String {
    if text.len() <= LONGEST_MESSAGE {
        return text.to_owned();
    }
    let head = text.floor_char_boundary(LONGEST_MESSAGE / 2);
    let tail = text.ceil_char_boundary(text.len() - LONGEST_MESSAGE / 2);
    format!("{}\n.. {} bytes left out ..\n{}", &text[..head], tail - head, &text[tail..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::panic::{panic_any, resume_unwind};

    fn error_of(body: impl FnOnce()) -> Error {
        install_hook();
        catch(body).unwrap_err()
    }

    #[test]
    fn message_and_place() {
        let error = error_of(|| panic!("no {}", "bread"));
        let line = line!() - 1;
        assert!(error.is_panic());
        assert_eq!(error.to_string(), format!("a panic at {}:{line}:33: no bread", file!()));
        let error = error_of(|| assert_eq!(1, 2));
        assert!(error.to_string().ends_with("assertion `left == right` failed; left: 1; right: 2"), "{error}");
    }

    #[test]
    fn payloads_that_are_no_text() {
        assert!(error_of(|| panic_any(7i32)).to_string().contains(": 7 (a payload of type `i32`)"));
        assert!(error_of(|| panic_any(Cell::new(0))).to_string().contains("no text"));
        let error = error_of(|| panic_any(Error::other("inner")));
        assert!(std::error::Error::source(&error).unwrap().to_string() == "inner");
    }

    #[test]
    fn a_place_is_that_of_its_panic() {
        let error = error_of(|| {
            let caught = catch_unwind(|| panic!("first")).unwrap_err();
            let _ = catch_unwind(|| panic!("second"));
            resume_unwind(caught);
        });
        assert_eq!(error.to_string(), "a panic: first");
    }

    #[test]
    fn a_payload_that_panics_when_dropped() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("and again");
            }
        }
        assert!(error_of(|| panic_any(Bomb)).to_string().contains("no text"));
    }

    #[test]
    fn bodies_inside_bodies() {
        let error = error_of(|| {
            assert!(catch(|| ()).is_ok());
            assert!(users_code::is_in_a_body());
            panic!("outer");
        });
        assert!(error.to_string().contains(file!()) && !users_code::is_in_a_body());
    }

    #[test]
    fn a_message_has_an_end() {
        let error = error_of(|| panic!("{}", "é".repeat(1 << 20)));
        assert!(error.to_string().len() < LONGEST_MESSAGE + 200);
    }
}
