//! The mailbox: the calls that were sent to an actor and have not begun.
//!
//! It consists of two buffers of words. Senders append to `back` under the actor's lock. The runner consumes `front`, and
//! swaps the two buffers when `front` is empty. So a send costs one short lock and no allocation of its own, and the runner
//! takes the lock once for a batch.
//!
//! # Records and rules
//!
//! 1. A *call* takes one word: the address of its entry, with a hold. A *told* call, which has no reference and no entry,
//!    takes the address of its table with the lowest bit set, its caller, and its arguments in as many words as they need.
//! 2. [`head`](crate::actor::head) states which thread may use which buffer (its rule 4).
//! 3. Each record is consumed or dropped once.

use std::mem::MaybeUninit;
use std::ptr::NonNull;

use smallvec::SmallVec;

use crate::base::error::Error;
use crate::call::spec::Spec;
use crate::engine::thread_state::ThreadState;
use crate::object::entry::{Header, Hold};

type Word = MaybeUninit<usize>;

/// The entry of a call is prefetched when the call that lies so many records before it is taken out.
const AHEAD: usize = 4;

/// The capacity, in words, above which an empty buffer is freed, so that an idle actor is small.
const KEPT: usize = 4;

/// What the mailbox and the runner know of a told call without its types.
pub(crate) struct Told {
    /// Reads the arguments from the words, leaves the mailbox, and runs the body on the actor, whose head is passed by its
    /// address; returns the panic, if the body panicked.
    pub(crate) run: unsafe fn(NonNull<()>, *const Word, &ThreadState) -> Option<Error>,
    /// Drops the arguments.
    pub(crate) drop: unsafe fn(*const Word),
    /// The number of words of the arguments.
    pub(crate) words: usize,
    pub(crate) spec: &'static Spec,
}

/// A message that was taken out. The arguments of a told call stay in the buffer until the buffer changes.
pub(crate) enum Record {
    Call(Hold),
    Told(&'static Told, *const Word),
}

/// The next message, which stays in the buffer.
pub(crate) enum Next {
    /// The entry of a call, which the buffer holds.
    Call(NonNull<Header>),
    Told {
        caller: u64,
        /// The definition whose body runs.
        definition: &'static Spec,
    },
}

/// One of the two buffers.
#[derive(Default)]
pub(crate) struct Buffer {
    /// The mailbox of an idle actor needs no allocation.
    words: SmallVec<[Word; 2]>,
    next: u32,
    /// The words may contain told calls, whose arguments are no addresses.
    told: bool,
}

impl Buffer {
    #[inline]
    pub(crate) fn new() -> Self {
        Self { words: SmallVec::new(), next: 0, told: false }
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.next as usize == self.words.len()
    }

    /// Appends a call.
    #[inline]
    pub(crate) fn push_call(&mut self, call: Hold) {
        let entry: *mut Header = call.into_entry().as_ptr();
        self.words.push(word(entry.cast()));
    }

    /// Appends a told call.
    #[inline]
    pub(crate) fn push_told<P>(&mut self, told: &'static Told, caller: u64, args: P) {
        // Known at compile time, so it costs nothing.
        assert!(fits::<P>());
        debug_assert!(told.words == words_of::<P>());
        self.words.reserve(2 + told.words);
        self.told = true;
        let table: *const Told = told;
        let end = self.words.len();
        // SAFETY: the words were reserved above. They are `MaybeUninit`, so the padding of `P` may be uninitialized, and
        // they are aligned for `P`, as `fits` says.
        unsafe {
            let record = self.words.as_mut_ptr().add(end);
            record.write(word(table.cast_mut().cast::<()>().map_addr(|address| address | 1)));
            record.add(1).write(MaybeUninit::new(usize::try_from(caller).unwrap_or(usize::MAX)));
            record.add(2).cast::<P>().write(args);
            self.words.set_len(end + 2 + told.words);
        }
    }

    /// The number of records.
    pub(crate) fn len(&self) -> usize {
        let (mut at, mut records) = (self.next as usize, 0);
        while at < self.words.len() {
            let first = self.at(at);
            at += 1;
            if first.addr() & 1 != 0 {
                at += 1 + told_of(first).words;
            }
            records += 1;
        }
        records
    }

    /// The first word of the record at `index`.
    fn at(&self, index: usize) -> *mut () {
        // SAFETY: `index` is that of a record's first word, in which `push_call` or `push_told` has stored a pointer.
        unsafe { self.words.as_ptr().add(index).cast::<*mut ()>().read() }
    }

    /// Looks at the next record.
    #[inline]
    pub(crate) fn peek(&self) -> Option<Next> {
        if self.is_empty() {
            return None;
        }
        let first = self.at(self.next as usize);
        if first.addr() & 1 == 0 {
            return NonNull::new(first.cast()).map(Next::Call);
        }
        let told = told_of(first);
        // SAFETY: `push_told` has stored the caller in the second word of the record.
        let caller = unsafe { self.words[self.next as usize + 1].assume_init() };
        Some(Next::Told { caller: caller as u64, definition: crate::call::spec::instance(told.spec, told) })
    }

    /// Takes the next record out.
    #[inline]
    pub(crate) fn pop(&mut self) -> Option<Record> {
        if self.is_empty() {
            return None;
        }
        let first = self.at(self.next as usize);
        if first.addr() & 1 == 0 {
            self.next += 1;
            // Another processor wrote the entries of the next calls. The prefetch has brought them here when these calls
            // run.
            if !self.told && (self.next as usize + AHEAD) < self.words.len() {
                let soon = self.at(self.next as usize + AHEAD).cast::<u8>();
                crate::base::sync::prefetch(soon);
                crate::base::sync::prefetch(soon.wrapping_add(64));
            }
            // SAFETY: the record owns a hold, and is consumed once (rule 3), as `next` was moved past it.
            return NonNull::new(first.cast::<Header>()).map(|entry| Record::Call(unsafe { Hold::adopt(entry) }));
        }
        let told = told_of(first);
        // SAFETY: the result lies in the buffer, or one past its end if the arguments have no size.
        let args = unsafe { self.words.as_ptr().add(self.next as usize + 2) };
        self.next += 2 + told.words as u32;
        Some(Record::Told(told, args))
    }

    /// Inserts a call before all others.
    pub(crate) fn push_front(&mut self, call: Hold) {
        let entry: *mut Header = call.into_entry().as_ptr();
        if self.next > 0 {
            self.next -= 1;
            self.words[self.next as usize] = word(entry.cast());
        } else {
            self.words.insert(0, word(entry.cast()));
        }
    }

    /// Whether the buffer, which is consumed, had few words.
    pub(crate) fn was_small(&self) -> bool {
        (1..128).contains(&self.words.len())
    }

    /// Prepares an empty buffer for use.
    #[inline]
    pub(crate) fn reset(&mut self) {
        self.words.clear();
        self.next = 0;
        self.told = false;
    }

    /// Resets an empty buffer, and frees its memory if that is large.
    pub(crate) fn shrink(&mut self) {
        self.reset();
        if self.words.capacity() > KEPT {
            self.words = SmallVec::new();
        }
    }

    /// Takes all records out.
    pub(crate) fn take(&mut self) -> Self {
        std::mem::take(self)
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        while let Some(record) = self.pop() {
            if let Record::Told(told, args) = record {
                // SAFETY: the record was taken out, so its arguments are dropped here and nowhere else (rule 3).
                crate::base::users_code::quietly(|| unsafe { (told.drop)(args) });
            }
        }
    }
}

/// The table of a told call, of the first word of its record.
#[inline]
fn told_of(first: *mut ()) -> &'static Told {
    debug_assert!(first.addr() & 1 != 0);
    // SAFETY: `push_told` alone stores words with the lowest bit set, and makes them of the addresses of tables.
    unsafe { &*first.map_addr(|address| address & !1).cast::<Told>().cast_const() }
}

/// A word that holds a pointer.
fn word(pointer: *mut ()) -> Word {
    let mut word = Word::uninit();
    // SAFETY: a pointer has the size and the alignment of a word, and a `MaybeUninit` keeps its provenance.
    unsafe { word.as_mut_ptr().cast::<*mut ()>().write(pointer) };
    word
}

/// The number of words of a value.
pub(crate) const fn words_of<P>() -> usize {
    size_of::<P>().div_ceil(size_of::<usize>())
}

/// Whether arguments may be stored in the buffer.
pub(crate) const fn fits<P>() -> bool {
    align_of::<P>() <= align_of::<usize>() && words_of::<P>() <= 64
}
