//! The transport within a process: each member's buffer is shown to the others while all are inside of an operation, and
//! whoever is awake does a block of the work on all of them. Nothing is copied on the way.
//!
//! A transport is what [`Group`](crate::collective::Group) asks of [`Member`] here: run an [`Ask`], break, leave. One that
//! reaches other nodes takes the same asks, and stands beside this one.
//!
//! # Rules
//!
//! Those of [`board`](crate::collective::board) say when a member's memory may be touched, those of [`kernel`](crate::collective::kernel) how. Here they
//! meet: blocks of one round are disjoint parts of the outputs, and no block writes what another one reads, since a part
//! of an input is in place of the same part of an output, or of none.

use std::cell::RefCell;
use std::sync::Arc;
use std::thread::Thread;
use std::time::{Duration, Instant};

use smallvec::SmallVec;

use crate::actor::head::ActorHold;
use crate::base::error::{Error, Result};
use crate::collective::ask::{Ask, What};
use crate::collective::board::{Board, Entered, Stand, Table, Turn};
use crate::collective::kernel::Part;
use crate::collective::trouble;
use crate::engine::blocking::park::{Waited, until};
use crate::engine::thread;
use crate::engine::thread_state::ThreadState;

/// About so many bytes of each buffer are a block: few enough that the last ones end together, many enough that to take one
/// costs nothing.
const BLOCK: usize = 64 * 1024;

/// Blocks are so many elements or a multiple of it, so that two do not share a cache line.
const LINE: usize = 64;

/// Up to so many bytes in all, whoever comes last does the work alone: others would not be awake in time.
const ALONE: usize = 32 * 1024;

/// Looks before a member gives the processor away, where there is one for each: some tens of microseconds.
const LOOKS: u32 = 1_000;
/// The same where there is not: whom it waits for may want this very processor.
const FEW_LOOKS: u32 = 50;
/// So long it gives the processor away again and again before it parks: to be woken costs about as much.
const YIELDS: Duration = Duration::from_micros(200);

/// A sleeper looks this often for what nobody tells it: a cancelled task, an actor that died before it joined.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// A group within this process.
#[derive(Debug)]
pub(crate) struct Room {
    pub(crate) board: Board<Thread>,
    /// What errors call the group.
    pub(crate) title: String,
    /// The actors that are to join, by rank, where they were named.
    pub(crate) actors: Vec<ActorHold>,
    processors: usize,
}

impl Room {
    pub(crate) fn new(members: usize, title: String, actors: Vec<ActorHold>, joined: bool) -> Arc<Self> {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Arc::new(Self { board: Board::new(members, joined), title, actors, processors })
    }

    /// Breaks the group for a reason from outside.
    pub(crate) fn poison(&self, why: Error) -> Error {
        let (fault, sleepers) = self.board.break_with(|_| why);
        wake(sleepers);
        fault
    }

    /// An actor that died before it joined.
    fn missing_actor(&self) -> Option<usize> {
        if self.actors.is_empty() {
            return None;
        }
        let away = trouble::away(&self.board.lock());
        away.into_iter().find(|rank| self.actors.get(*rank).is_some_and(|actor| actor.is_dead()))
    }
}

fn wake(sleepers: Vec<Thread>) {
    for sleeper in sleepers {
        sleeper.unpark();
    }
}

/// One member's place in a room; to drop it is to leave.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) room: Arc<Room>,
    pub(crate) rank: usize,
}

impl Drop for Member {
    fn drop(&mut self) {
        let panics = std::thread::panicking();
        wake(self.room.board.leave(self.rank, panics, |table| trouble::left(&self.room.title, table, self.rank, panics)));
    }
}

impl Member {
    /// Does what is asked, together with the others; returns when the memory is the caller's own again.
    ///
    /// # Errors
    /// The group is or gets broken, also because this member gave up after `timeout`.
    ///
    /// # Safety
    /// The input of the ask, if it has one, can be read, and its output written, for as long as this runs, and nobody but the
    /// transport touches them: `len` elements each, but for the output of a gathering and the input of a scattering, which
    /// are of `len` elements for each member. The peer or root is a rank of the group, the peer another one.
    pub(crate) unsafe fn run(&mut self, ask: &Ask, timeout: Duration) -> Result<()> {
        let (room, rank) = (&*self.room, self.rank);
        let state = thread::existing().filter(|state| state.frame().is_some());
        if let Some(state) = state
            && let Err(refusal) = crate::engine::blocking::may_block(state, ask.call.site)
        {
            return Err(self.refuse(ask, refusal));
        }
        let plan = Plan::new(ask, room.board.members());
        let entered = room.board.enter(rank, ask.call, (ask.input, ask.output), plan.blocks(), |table| {
            table.objection(rank).map(|objection| trouble::differs(&room.title, table, rank, objection))
        });
        match entered {
            Err((fault, sleepers)) => {
                wake(sleepers);
                Err(fault)
            }
            Ok(Entered::Waits(turn)) => {
                let stand = self.wait(ask, turn, state, timeout)?;
                if stand == Stand::Open {
                    self.see_through(ask, &plan, turn);
                }
                Ok(())
            }
            Ok(Entered::Opens(turn, sleepers)) => {
                wake(sleepers);
                self.see_through(ask, &plan, turn);
                Ok(())
            }
            Ok(Entered::Pairs) => {
                let peer = ask.call.what.peer().unwrap_or(rank);
                let (input, output) = room.board.memory(peer);
                let (from, to) = if ask.input.is_null() { (input, ask.output) } else { (ask.input, output) };
                // SAFETY: both are of `len` elements of one type (else it was objected to). The peer is committed until
                // `copied`, and its memory is shown until then; one of the two is a `&mut`, so that they do not overlap.
                unsafe { std::ptr::copy_nonoverlapping(from, to, ask.call.len * ask.size) };
                wake(room.board.copied(peer).into_iter().collect());
                Ok(())
            }
        }
    }

    /// An operation that could not begin: nobody is to wait for it.
    pub(crate) fn refuse(&self, ask: &Ask, refusal: Error) -> Error {
        self.room.poison(trouble::refused(&self.room.title, self.rank, &ask.call, &refusal));
        refusal
    }

    /// Until the operation begins or is complete.
    fn wait(&self, ask: &Ask, turn: Turn, state: Option<&ThreadState>, timeout: Duration) -> Result<Stand> {
        let room = &*self.room;
        let stand = || room.board.stand(self.rank, turn);
        let looks = if room.board.members() <= room.processors { LOOKS } else { FEW_LOOKS };
        let mut now = spin(looks, stand, |now| now != Stand::Waiting);
        if now == Stand::Waiting {
            now = self.sleep(ask, turn, state, timeout)?;
        }
        match now {
            Stand::Broken => self.give_up(turn, |table| trouble::timed_out(&room.title, table, self.rank, &ask.call, timeout)),
            now => Ok(now),
        }
    }

    /// Parks until it stands otherwise than waiting, lending the CPU of a task that waits. What an actor holds for life is
    /// not lent here: the others come in microseconds as a rule, and then it would wait for the end of the body that took it.
    fn sleep(&self, ask: &Ask, turn: Turn, state: Option<&ThreadState>, timeout: Duration) -> Result<Stand> {
        let room = &*self.room;
        let deadline = Instant::now().checked_add(timeout);
        let stand = || room.board.stand(self.rank, turn);
        let verdict = RefCell::new(None);
        let done = || {
            if self.is_awake(|| stand() != Stand::Waiting) {
                return true;
            }
            *verdict.borrow_mut() = if state.is_some_and(is_cancelled) {
                Some(trouble::cancelled(&room.title, self.rank, &ask.call))
            } else {
                room.missing_actor().map(|rank| trouble::never_joined(&room.title, rank))
            };
            verdict.borrow().is_some()
        };
        let slept = match state {
            Some(state) if state.frame().is_some_and(|frame| frame.actor.is_some()) => {
                let kept = state.cpu.replace(0);
                let slept = until(state, deadline, done);
                state.cpu.set(kept);
                slept
            }
            Some(state) => until(state, deadline, done),
            None => Ok(park(deadline, done)),
        };
        room.board.wake_up(self.rank);
        let now = stand();
        if now != Stand::Waiting {
            return Ok(now);
        }
        self.give_up(turn, |table| match (slept, verdict.into_inner()) {
            (Err(gone), _) => trouble::interrupted(&room.title, self.rank, &ask.call, gone),
            (Ok(_), Some(why)) => why,
            (Ok(_), None) => trouble::timed_out(&room.title, table, self.rank, &ask.call, timeout),
        })
    }

    /// Whether it `is_so`; if not, whoever makes it so will wake this thread. To be asked before each sleep: who wakes
    /// sleepers takes them all out, for whatever reason.
    fn is_awake(&self, is_so: impl Fn() -> bool) -> bool {
        is_so() || {
            self.room.board.sleep(self.rank, std::thread::current());
            is_so()
        }
    }

    /// Goes without the operation, unless it has begun.
    fn give_up(&self, turn: Turn, why: impl FnOnce(&Table<Thread>) -> Error) -> Result<Stand> {
        match self.room.board.give_up(self.rank, turn, why) {
            Ok(stand) => Ok(stand),
            Err((fault, sleepers)) => {
                wake(sleepers);
                Err(fault)
            }
        }
    }

    /// Committed: works until no block is left, then waits for those that others have taken.
    fn see_through(&self, ask: &Ask, plan: &Plan, turn: Turn) {
        let board = &self.room.board;
        if let Turn::Round(round) = turn {
            let members = Members::of(board, ask);
            let mut done = 0;
            // Its own share first, from one end to the other, as memory likes it; then what is left of the others'.
            for share in (self.rank..board.members()).chain(0..self.rank) {
                let (begin, end) = plan.share(share, board.members());
                while let Some(block) = board.claim(share, end - begin) {
                    // SAFETY: the round is open, so every member's memory is shown, and the block is this thread's alone.
                    unsafe { members.work(ask, plan, begin + block) };
                    done += 1;
                }
            }
            if board.done(done, round) {
                wake(board.sleepers());
            }
        }
        let complete = || board.stand(self.rank, turn) == Stand::Complete;
        let looks = if board.members() <= self.room.processors { LOOKS } else { FEW_LOOKS };
        if !spin(looks, complete, |complete| complete) {
            // Others have blocks in work, a few microseconds each.
            park(None, || self.is_awake(complete));
            board.wake_up(self.rank);
        }
    }
}

/// Looks, first on the processor, then giving it away in between; what it saw last.
fn spin<S: Copy>(looks: u32, look: impl Fn() -> S, enough: impl Fn(S) -> bool) -> S {
    for _ in 0..looks {
        let seen = look();
        if enough(seen) {
            return seen;
        }
        std::hint::spin_loop();
    }
    let begin = Instant::now();
    loop {
        std::thread::yield_now();
        let seen = look();
        if enough(seen) || begin.elapsed() >= YIELDS {
            return seen;
        }
    }
}

/// Parks this thread, which belongs to no body or is not to lend its CPU.
fn park(deadline: Option<Instant>, done: impl Fn() -> bool) -> Waited {
    while !done() {
        let left = deadline.map_or(LOOK_AGAIN, |deadline| deadline.saturating_duration_since(Instant::now()));
        if left.is_zero() {
            return Waited::TimedOut;
        }
        std::thread::park_timeout(left.min(LOOK_AGAIN));
    }
    Waited::Done
}

/// The running body was asked to stop.
fn is_cancelled(state: &ThreadState) -> bool {
    state.frame().is_some_and(|frame| {
        // SAFETY: a frame's entry is alive while it runs.
        let entry = unsafe { frame.entry.map(|entry| entry.as_ref()) };
        let actor = crate::actor::host::of_frame(frame);
        entry.is_some_and(crate::engine::blocking::interrupt::is_asked_to_stop) || actor.is_some_and(|actor| actor.is_dead())
    })
}

/// How the work of a round is cut into blocks; the same for all members.
#[derive(Clone, Copy, Debug)]
struct Plan {
    /// Parts of which each has its own blocks: one, or one for each member where the operation gathers or scatters.
    parts: usize,
    /// Blocks of each part.
    each: usize,
    /// Elements of a block.
    block: usize,
}

impl Plan {
    fn new(ask: &Ask, members: usize) -> Self {
        let len = ask.call.len;
        let parts = match ask.call.what {
            What::AllGather | What::ReduceScatter(_) => members,
            // What one member has is what all of it makes.
            What::AllReduce(_) | What::Reduce(..) | What::Broadcast(_) if members > 1 => 1,
            _ => 0,
        };
        let bytes = len.saturating_mul(ask.size);
        let block = if bytes.saturating_mul(members) <= ALONE {
            len
        } else {
            // One for each member at least.
            len.div_ceil(members).next_multiple_of(LINE).min(BLOCK.div_ceil(ask.size.max(1)))
        };
        Self { parts, each: len.div_ceil(block.max(1)), block }
    }

    fn blocks(&self) -> u64 {
        (self.parts * self.each) as u64
    }

    /// The blocks that a member is to do first.
    fn share(&self, rank: usize, members: usize) -> (u64, u64) {
        let begin = |rank: usize| (self.parts * self.each * rank / members) as u64;
        (begin(rank), begin(rank + 1))
    }
}

/// The members' memory during a round.
struct Members {
    inputs: SmallVec<[*const u8; 8]>,
    outputs: SmallVec<[*mut u8; 8]>,
}

impl Members {
    fn of(board: &Board<Thread>, ask: &Ask) -> Self {
        let root = ask.call.what.root();
        let is_in = |rank: usize, what: bool| root.is_none_or(|root| (root == rank) == what);
        let (reads_root, writes_root) = match ask.call.what {
            What::Broadcast(_) => (Some(true), Some(false)),
            What::Reduce(..) => (None, Some(true)),
            _ => (None, None),
        };
        let all = 0..board.members();
        let inputs = all.clone().filter(|rank| reads_root.is_none_or(|what| is_in(*rank, what)));
        let outputs = all.filter(|rank| writes_root.is_none_or(|what| is_in(*rank, what)));
        Self {
            inputs: inputs.map(|rank| board.memory(rank).0).collect(),
            outputs: outputs.map(|rank| board.memory(rank).1).collect(),
        }
    }

    /// Does a block.
    ///
    /// # Safety
    /// The round is open, and the block claimed by the caller.
    unsafe fn work(&self, ask: &Ask, plan: &Plan, block: u64) {
        let (len, size) = (ask.call.len, ask.size);
        let (part, block) = (block as usize / plan.each, block as usize % plan.each);
        let at = block * plan.block;
        let count = plan.block.min(len - at);
        match (ask.call.what, ask.kernel) {
            (What::AllReduce(_) | What::Reduce(..), Some(kernel)) => {
                let part = Part { inputs: &self.inputs, input_at: at, outputs: &self.outputs, output_at: at, len: count };
                // SAFETY: the part is inside of all buffers, which are of `len` elements, and this block's alone.
                unsafe { kernel(&part) };
            }
            (What::ReduceScatter(_), Some(kernel)) => {
                let outputs = &self.outputs[part..=part];
                let part = Part { inputs: &self.inputs, input_at: part * len + at, outputs, output_at: at, len: count };
                // SAFETY: inputs are of `len` elements for each member, outputs of `len`.
                unsafe { kernel(&part) };
            }
            (What::AllGather, _) => {
                for output in &self.outputs {
                    // SAFETY: inputs are of `len` elements, outputs of `len` for each member; the outputs are `&mut` of their
                    // owners, so that they overlap no input.
                    unsafe {
                        let from = self.inputs[part].add(at * size);
                        std::ptr::copy_nonoverlapping(from, output.add((part * len + at) * size), count * size);
                    }
                }
            }
            (What::Broadcast(_), _) => {
                for output in &self.outputs {
                    // SAFETY: all are of `len` elements, and the root's is none of the outputs.
                    unsafe {
                        std::ptr::copy_nonoverlapping(self.inputs[0].add(at * size), output.add(at * size), count * size);
                    }
                }
            }
            _ => {}
        }
    }
}
