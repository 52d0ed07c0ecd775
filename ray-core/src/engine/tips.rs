//! The tip about loops that call `remote` and then at once `get`, so that one task runs at a time.
//!
//! A thread counts, for its current call site, the gets of a task that it has just submitted. At the eighth in a row (the third, if
//! bodies take a millisecond or more) it warns, once for the site, if the bodies of the function are so long that running them in
//! parallel would pay.

use parking_lot::Mutex;
use std::cell::Cell;
use std::collections::HashSet;
use std::panic::Location;
use std::ptr::{NonNull, null};
use std::time::Duration;

use crate::call::spec::Spec;
use crate::object::entry::Header;

const ENOUGH: u32 = 8;
/// The number of gets that suffices for bodies that are [`LONG`].
const FEW: u32 = 3;
/// Bodies shorter than this are not worth a tip, because the call costs about as much.
const WORTHWHILE: Duration = Duration::from_micros(20);
const LONG: Duration = Duration::from_millis(1);

/// The counters of a thread.
#[derive(Debug)]
pub(crate) struct Watch {
    last: Cell<*const Header>,
    /// The submissions since the last get. If there is more than one, tasks do run in parallel.
    submitted: Cell<u32>,
    site: Cell<*const Location<'static>>,
    count: Cell<u32>,
}

impl Watch {
    pub(crate) fn new() -> Self {
        Self { last: Cell::new(null()), submitted: Cell::new(0), site: Cell::new(null()), count: Cell::new(0) }
    }

    /// Counts a submitted task.
    #[inline]
    pub(crate) fn submitted(&self, task: NonNull<Header>) {
        self.last.set(task.as_ptr());
        self.submitted.set(self.submitted.get().saturating_add(1));
    }

    /// Counts a get of `entry` at `site`. `true`: it may be time to warn.
    #[inline]
    pub(crate) fn got(&self, entry: NonNull<Header>, site: &'static Location<'static>) -> bool {
        let alone = self.submitted.replace(0) == 1 && std::ptr::eq(self.last.get(), entry.as_ptr());
        if !alone || !std::ptr::eq(self.site.get(), site) {
            self.site.set(site);
            self.count.set(0);
        }
        if !alone {
            return false;
        }
        let count = self.count.get() + 1;
        self.count.set(count);
        count == FEW || count == ENOUGH
    }

    /// Whether the last get was at least the eighth in a row.
    pub(crate) fn enough(&self) -> bool {
        self.count.get() >= ENOUGH
    }
}

/// The file, the line and the column of a call.
type Site = (&'static str, u32, u32);

/// Warns about a site, once.
#[cold]
pub(crate) fn warn(spec: &'static Spec, site: &'static Location<'static>, enough: bool) {
    static TOLD: Mutex<Option<HashSet<Site>>> = Mutex::new(None);
    let least = if enough { WORTHWHILE } else { LONG };
    if spec.mean() < least {
        return;
    }
    let new = TOLD.lock().get_or_insert_default().insert((site.file(), site.line(), site.column()));
    if new {
        crate::base::log::tip(&format!(
            "{}:{}: `ray::get` right after `{}.remote(..)`, again and again: one task runs at a time. Submit them all, then get them all: `ray::get(xs.map(|x| {}.remote(x)).collect::<Vec<_>>())` (RAY_TIPS=0 silences this)",
            site.file(),
            site.line(),
            spec.name(),
            spec.name()
        ));
    }
}
