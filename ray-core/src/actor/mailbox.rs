//! The mailbox: what was sent to an actor and has not begun.
//!
//! Two buffers of words. Senders append to `back` under the actor's lock; whoever has the run right consumes `front`,
//! and swaps the two when it is empty. So a send costs one short lock and no allocation of its own, and a batch is
//! taken out at the price of one lock.
//!
//! # Records and rules
//!
//! 1. A *call* is one word: the address of its entry, with a hold. A *told* call (no reference, no entry) is the
//!    address of its table with the lowest bit set, its caller, and its arguments in as many words as they take.
//! 2. `back` is touched under the lock. `front` belongs to the runner; of a dead actor whose runner is not in the mailbox
//!    (see [`current`](crate::actor::current)) it belongs to the lock, so that a killer can fail what is in it.
//! 3. A record is consumed or dropped once.

use std::mem::MaybeUninit;
use std::ptr::NonNull;

use crate::actor::cell::ActorHead;
use smallvec::SmallVec;

use crate::base::error::Error;
use crate::call::spec::Spec;
use crate::engine::thread_state::ThreadState;
use crate::object::entry::{Header, Hold};

type Word = MaybeUninit<usize>;

/// So many records ahead the entries are asked for.
const AHEAD: usize = 4;

/// An emptied buffer above this is freed, in words, so that an idle actor is small.
const KEPT: usize = 4;

/// What there is to know of a told call without its types.
pub(crate) struct Told {
    /// Reads the arguments from the words, leaves the mailbox, and runs the body; the panic, if it ended in one.
    pub(crate) run: unsafe fn(NonNull<ActorHead>, *const Word, &ThreadState) -> Option<Error>,
    /// Drops the arguments.
    pub(crate) drop: unsafe fn(*const Word),
    /// Words that the arguments take.
    pub(crate) words: usize,
    pub(crate) spec: &'static Spec,
}

/// A message, taken out or looked at.
pub(crate) enum Record {
    Call(Hold),
    Told(&'static Told, *const Word),
}

/// One of the two buffers.
#[derive(Default)]
pub(crate) struct Buffer {
    /// An idle actor's fits its head.
    words: SmallVec<[Word; 2]>,
    next: u32,
    /// There may be told calls in it, whose arguments are no addresses.
    told: bool,
}

impl Buffer {
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
        debug_assert!(told.words == words_of::<P>());
        self.words.reserve(2 + told.words);
        self.told = true;
        let table: *const Told = told;
        self.words.push(word(table.cast_mut().cast::<()>().map_addr(|address| address | 1)));
        self.words.push(MaybeUninit::new(usize::try_from(caller).unwrap_or(usize::MAX)));
        let end = self.words.len();
        // SAFETY: room was reserved; the words may be uninitialised between and after the fields of `P`, as
        // MaybeUninit allows, and are aligned for `P` (checked by `fits`).
        unsafe {
            self.words.as_mut_ptr().add(end).cast::<P>().write(args);
            self.words.set_len(end + told.words);
        }
    }

    /// How many records it holds.
    pub(crate) fn len(&self) -> usize {
        let (mut at, mut records) = (self.next as usize, 0);
        while at < self.words.len() {
            let first = self.at(at);
            at += 1;
            if first.addr() & 1 != 0 {
                // SAFETY: made of a table's address by `push_told`.
                at += 1 + unsafe { &*first.map_addr(|address| address & !1).cast::<Told>().cast_const() }.words;
            }
            records += 1;
        }
        records
    }

    fn at(&self, index: usize) -> *mut () {
        // SAFETY: a record's first word is initialised, with a pointer's bytes.
        unsafe { self.words.as_ptr().add(index).cast::<*mut ()>().read() }
    }

    /// The caller of the next record, and its function.
    pub(crate) fn peek(&self) -> Option<(u64, &'static Spec, Option<NonNull<Header>>)> {
        if self.is_empty() {
            return None;
        }
        let first = self.at(self.next as usize);
        if first.addr() & 1 == 0 {
            let entry = NonNull::new(first.cast::<Header>())?;
            // SAFETY: held by the record, a call.
            let head = unsafe { crate::actor::call::CallHead::of(entry) };
            Some((head.caller, head.task.vtable().definition(), Some(entry)))
        } else {
            // SAFETY: made of a table's address by `push_told`.
            let told = unsafe { &*first.map_addr(|address| address & !1).cast::<Told>().cast_const() };
            // SAFETY: the second word of a told call is its caller.
            let caller = unsafe { self.words[self.next as usize + 1].assume_init() };
            Some((caller as u64, crate::call::spec::instance(told.spec, told), None))
        }
    }

    /// The next record. A told call's arguments stay where they are until the buffer changes.
    #[inline]
    pub(crate) fn pop(&mut self) -> Option<Record> {
        if self.is_empty() {
            return None;
        }
        let first = self.at(self.next as usize);
        if first.addr() & 1 == 0 {
            self.next += 1;
            // The entries of the calls to come were written by another processor: by the time they are run they are here.
            if !self.told && (self.next as usize + AHEAD) < self.words.len() {
                let soon = self.at(self.next as usize + AHEAD).cast::<u8>();
                crate::base::sync::prefetch(soon);
                crate::base::sync::prefetch(soon.wrapping_add(64));
            }
            // SAFETY: the record's hold, given out once.
            return NonNull::new(first.cast::<Header>()).map(|entry| Record::Call(unsafe { Hold::adopt(entry) }));
        }
        // SAFETY: made of a table's address by `push_told`.
        let told = unsafe { &*first.map_addr(|address| address & !1).cast::<Told>().cast_const() };
        // SAFETY: within the buffer, or one past its end for arguments of no size.
        let args = unsafe { self.words.as_ptr().add(self.next as usize + 2) };
        self.next += 2 + told.words as u32;
        Some(Record::Told(told, args))
    }

    /// Puts a call before everything else; the buffer has just given out a record.
    pub(crate) fn push_front(&mut self, call: Hold) {
        let entry: *mut Header = call.into_entry().as_ptr();
        if self.next > 0 {
            self.next -= 1;
            self.words[self.next as usize] = word(entry.cast());
        } else {
            self.words.insert(0, word(entry.cast()));
        }
    }

    /// What it held, now consumed, was little.
    pub(crate) fn was_small(&self) -> bool {
        (1..128).contains(&self.words.len())
    }

    /// Makes an emptied buffer ready for use again.
    #[inline]
    pub(crate) fn reset(&mut self) {
        self.words.clear();
        self.next = 0;
        self.told = false;
    }

    /// Frees the memory of an emptied buffer that is large.
    pub(crate) fn shrink(&mut self) {
        self.reset();
        if self.words.capacity() > KEPT {
            self.words = SmallVec::new();
        }
    }

    /// Takes everything out.
    pub(crate) fn take(&mut self) -> Self {
        std::mem::take(self)
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        while let Some(record) = self.pop() {
            if let Record::Told(told, args) = record {
                // SAFETY: popped, so the arguments are ours.
                crate::base::users_code::quietly(|| unsafe { (told.drop)(args) });
            }
        }
    }
}

fn word(pointer: *mut ()) -> Word {
    let mut word = Word::uninit();
    // SAFETY: a pointer fits a word; its bytes keep their provenance in a MaybeUninit.
    unsafe { word.as_mut_ptr().cast::<*mut ()>().write(pointer) };
    word
}

/// Words that a value takes.
pub(crate) const fn words_of<P>() -> usize {
    size_of::<P>().div_ceil(size_of::<usize>())
}

/// Whether arguments can lie in the buffer.
pub(crate) const fn fits<P>() -> bool {
    align_of::<P>() <= align_of::<usize>() && words_of::<P>() <= 64
}
