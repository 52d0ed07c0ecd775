//! Turns panics of bodies into errors with the message and the location of the panic.
//!
//! The payload that `catch_unwind` returns has the message only. Only the panic hook sees the location, so the engine installs
//! a hook once, which records the panic if the thread is inside a body, and then calls the hook that was installed before.

use std::any::{Any, TypeId};
use std::borrow::Cow;
use std::cell::RefCell;
use std::panic;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::sync::Once;

use crate::base::error::{Error, Result};
use crate::base::users_code;
use crate::base::users_code::{drop_payload, enter_body};

/// The longest message, in bytes. A body that unwraps the error of another body repeats its text; over many levels the text would
/// grow to gigabytes.
const LONGEST_MESSAGE: usize = 16 * 1024;

thread_local! {
    static NOTED: RefCell<Option<Note>> = const { RefCell::new(None) };
}

/// The last panic of this thread inside a body.
struct Note {
    /// The type and the message tell whether a caught payload belongs to this note: a body may catch a panic, and resume another
    /// one, which calls no hook.
    payload: TypeId,
    message: Option<Box<str>>,
    location: String,
}

/// Installs the hook, at the first call.
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

/// Runs a body, and turns its panic into an error.
#[inline]
pub(crate) fn catch<R>(body: impl FnOnce() -> R) -> Result<R> {
    let caught = {
        let _inside = enter_body();
        catch_unwind(AssertUnwindSafe(body))
    };
    caught.map_err(take_panic)
}

/// The error of a caught panic: its message, and its location if the hook saw it. To be called on the thread that caught it.
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
        // The payload of `panic_any(error)` becomes the cause.
        Ok(cause) => error.with_cause(*cause),
        Err(payload) => {
            drop_payload(payload);
            error
        }
    }
}

/// Runs inside a panic, so nothing here may panic: a second panic would abort the process.
fn note(panic: &PanicHookInfo<'_>) {
    let location = panic.location().map_or_else(String::new, |at| format!("{}:{}:{}", at.file(), at.line(), at.column()));
    let message = text_of(panic.payload()).map(Box::from);
    let note = Note { payload: panic.payload().type_id(), message, location };
    let _ = NOTED.try_with(|noted| noted.try_borrow_mut().map(|mut noted| *noted = Some(note)));
}

/// The text of a payload that `panic!` and similar macros raise. It also runs inside the hook, so it calls no `Display` of a user's
/// type.
fn text_of(payload: &(dyn Any + Send)) -> Option<&str> {
    payload.downcast_ref::<&'static str>().copied().or_else(|| payload.downcast_ref::<String>().map(String::as_str))
}

/// A text for a payload that is not a text itself.
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
    "a payload that has no text (raised by `panic_any` or `resume_unwind`)".to_owned()
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
    fn an_error_has_message_and_location() {
        let error = error_of(|| panic!("no {}", "bread"));
        let line = line!() - 1;
        assert!(error.is_panic());
        assert_eq!(error.to_string(), format!("a panic at {}:{line}:33: no bread", file!()));
        let error = error_of(|| assert_eq!(1, 2));
        assert!(error.to_string().ends_with("assertion `left == right` failed; left: 1; right: 2"), "{error}");
    }

    #[test]
    fn payloads_that_are_no_text_get_a_text() {
        assert!(error_of(|| panic_any(7i32)).to_string().contains(": 7 (a payload of type `i32`)"));
        assert!(error_of(|| panic_any(Cell::new(0))).to_string().contains("no text"));
        let error = error_of(|| panic_any(Error::other("inner")));
        assert!(std::error::Error::source(&error).unwrap().to_string() == "inner");
    }

    #[test]
    fn a_resumed_panic_does_not_get_the_location_of_another() {
        let error = error_of(|| {
            let caught = catch_unwind(|| panic!("first")).unwrap_err();
            let _ = catch_unwind(|| panic!("second"));
            resume_unwind(caught);
        });
        assert_eq!(error.to_string(), "a panic: first");
    }

    #[test]
    fn a_payload_that_panics_when_dropped_is_caught() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("and again");
            }
        }
        assert!(error_of(|| panic_any(Bomb)).to_string().contains("no text"));
    }

    #[test]
    fn bodies_may_run_inside_each_other() {
        let error = error_of(|| {
            assert!(catch(|| ()).is_ok());
            assert!(users_code::is_in_a_body());
            panic!("outer");
        });
        assert!(error.to_string().contains(file!()) && !users_code::is_in_a_body());
    }

    #[test]
    fn a_long_message_is_shortened() {
        let error = error_of(|| panic!("{}", "é".repeat(1 << 20)));
        assert!(error.to_string().len() < LONGEST_MESSAGE + 200);
    }
}
