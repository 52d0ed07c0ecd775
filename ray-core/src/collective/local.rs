//! The transport within a process: each member hands over its buffer while all members are inside of an operation, and the
//! members that are awake do the work on all buffers, block by block. No buffer is copied on the way.
//!
//! [`Group`](crate::collective::Group) asks three things of [`Member`]: to run a [`Request`], to break the group, to leave it. A
//! transport to other nodes would take the same requests, and stand beside this one.
//!
//! # Rules
//!
//! The rules of [`rendezvous`](crate::collective::rendezvous) say when a member's memory may be touched, the rules of
//! [`kernel`](crate::collective::kernel) how. Here they meet: the blocks of one round are disjoint parts of the outputs, and no
//! block writes what another one reads, since a part of an input overlaps either the same part of one output (in place) or no
//! output.

use std::cell::RefCell;
use std::sync::Arc;
use std::thread::Thread;
use std::time::{Duration, Instant};

use smallvec::SmallVec;

use crate::actor::head::ActorHold;
use crate::base::error::{Error, Result};
use crate::collective::errors;
use crate::collective::kernel::Part;
use crate::collective::rendezvous::{Entered, Exchange, Progress, Rendezvous, Table};
use crate::collective::request::{Operation, Request};
use crate::engine::blocking::park::{Waited, until};
use crate::engine::thread;
use crate::engine::thread_state::ThreadState;

/// The approximate size of a block, in bytes of each buffer: small enough that the last blocks end at about the same time,
/// large enough that the cost of claiming one does not matter.
const BLOCK: usize = 64 * 1024;

/// The elements of a block are a multiple of this, so that two blocks do not share a cache line.
const LINE: usize = 64;

/// If all buffers together have at most so many bytes, the last member to enter does all the work: the others would not be
/// awake in time.
const ALONE: usize = 32 * 1024;

/// A member checks the progress so often before it yields its processor, where each member has one: some tens of microseconds.
const LOOKS: u32 = 1_000;
/// The same where there are more members than processors: the member that it waits for may need this very processor.
const FEW_LOOKS: u32 = 50;
/// For so long a member yields its processor again and again before it parks: a wake-up costs about as much.
const YIELDS: Duration = Duration::from_micros(200);

/// A parked member checks so often for events that wake no thread: a cancelled task, an actor that died before it joined.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// A group within this process.
#[derive(Debug)]
pub(crate) struct LocalGroup {
    pub(crate) rendezvous: Rendezvous<Thread>,
    /// The name of the group in errors.
    pub(crate) title: String,
    /// The actors that are to join, by rank; empty if the group was not made of actors.
    pub(crate) actors: Vec<ActorHold>,
    processors: usize,
}

impl LocalGroup {
    pub(crate) fn new(members: usize, title: String, actors: Vec<ActorHold>, joined: bool) -> Arc<Self> {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Arc::new(Self { rendezvous: Rendezvous::new(members, joined), title, actors, processors })
    }

    /// Breaks the group for a reason from outside.
    pub(crate) fn poison(&self, why: Error) -> Error {
        let (fault, sleepers) = self.rendezvous.break_with(|_| why);
        wake(sleepers);
        fault
    }

    /// The rank of an actor that died before it joined.
    fn missing_actor(&self) -> Option<usize> {
        if self.actors.is_empty() {
            return None;
        }
        let missing = errors::not_joined(&self.rendezvous.lock());
        missing.into_iter().find(|rank| self.actors.get(*rank).is_some_and(|actor| actor.is_dead()))
    }

    fn looks(&self) -> u32 {
        if self.rendezvous.members() <= self.processors { LOOKS } else { FEW_LOOKS }
    }
}

fn wake(sleepers: Vec<Thread>) {
    for sleeper in sleepers {
        sleeper.unpark();
    }
}

/// A member of a group. Its drop leaves the group.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) group: Arc<LocalGroup>,
    pub(crate) rank: usize,
}

impl Drop for Member {
    fn drop(&mut self) {
        let panics = std::thread::panicking();
        let why = |table: &Table<Thread>| errors::left(&self.group.title, table, self.rank, panics);
        wake(self.group.rendezvous.leave(self.rank, panics, why));
    }
}

impl Member {
    /// Runs the request together with the other members, and returns when no other member uses the memory any more.
    ///
    /// # Errors
    /// The group is broken or breaks; it breaks if this member gives up after `timeout`.
    ///
    /// # Safety
    /// The input of the request, if it has one, can be read, and its output written, for as long as this runs, and only the
    /// transport touches them: `len` elements each, except that the output of a gather and the input of a scatter have `len`
    /// elements for each member. The peer or root is a rank of the group; the peer is another member.
    pub(crate) unsafe fn run(&mut self, request: &Request, timeout: Duration) -> Result<()> {
        let (group, rank) = (&*self.group, self.rank);
        let state = thread::existing().filter(|state| state.frame().is_some());
        if let Some(state) = state
            && let Err(refusal) = crate::engine::blocking::may_block(state, request.call.site)
        {
            return Err(self.refuse(request, refusal));
        }
        let plan = Plan::new(request, group.rendezvous.members());
        let entered = group.rendezvous.enter(rank, request.call, (request.input, request.output), plan.blocks(), |table| {
            table.mismatch(rank).map(|mismatch| errors::differs(&group.title, table, rank, mismatch))
        });
        match entered {
            Err((fault, sleepers)) => {
                wake(sleepers);
                Err(fault)
            }
            Ok(Entered::Waiting(exchange)) => {
                let progress = self.wait(request, exchange, state, timeout)?;
                if progress == Progress::Open {
                    self.finish(request, &plan, exchange);
                }
                Ok(())
            }
            Ok(Entered::Opened(exchange, sleepers)) => {
                wake(sleepers);
                self.finish(request, &plan, exchange);
                Ok(())
            }
            Ok(Entered::Matched) => {
                let peer = request.call.operation.peer().unwrap_or(rank);
                let (input, output) = group.rendezvous.memory(peer);
                let (from, to) = if request.input.is_null() { (input, request.output) } else { (request.input, output) };
                // SAFETY: both have `len` elements of one type, else `mismatch` had refused the pair. The peer is committed until
                // `copied`, and its memory is handed over until then. The caller of one of the two operations borrows its buffer
                // mutably, so the buffers do not overlap.
                unsafe { std::ptr::copy_nonoverlapping(from, to, request.call.len * request.size) };
                wake(group.rendezvous.copied(peer).into_iter().collect());
                Ok(())
            }
        }
    }

    /// Breaks the group because this member's operation was refused, so that no other member waits for it.
    pub(crate) fn refuse(&self, request: &Request, refusal: Error) -> Error {
        self.group.poison(errors::refused(&self.group.title, self.rank, &request.call, &refusal));
        refusal
    }

    /// Waits until the exchange begins or is complete.
    fn wait(&self, request: &Request, exchange: Exchange, state: Option<&ThreadState>, timeout: Duration) -> Result<Progress> {
        let group = &*self.group;
        let progress = || group.rendezvous.progress(self.rank, exchange);
        let mut now = spin(group.looks(), progress, |now| now != Progress::Waiting);
        if now == Progress::Waiting {
            now = self.sleep(request, exchange, state, timeout)?;
        }
        match now {
            // The group has its fault already: the reason given here is not used.
            Progress::Broken => {
                self.give_up(exchange, |table| errors::timed_out(&group.title, table, self.rank, &request.call, timeout))
            }
            now => Ok(now),
        }
    }

    /// Parks until the exchange has made progress. A waiting task lends its CPU meanwhile. An actor does not lend the CPU that
    /// it holds for life: the other members usually come within microseconds, and then it would have to wait for the end of the
    /// body that took the CPU.
    fn sleep(&self, request: &Request, exchange: Exchange, state: Option<&ThreadState>, timeout: Duration) -> Result<Progress> {
        let group = &*self.group;
        let deadline = Instant::now().checked_add(timeout);
        let progress = || group.rendezvous.progress(self.rank, exchange);
        let reason = RefCell::new(None);
        let done = || {
            if self.is_done_or_sleeping(|| progress() != Progress::Waiting) {
                return true;
            }
            *reason.borrow_mut() = if state.is_some_and(is_cancelled) {
                Some(errors::cancelled(&group.title, self.rank, &request.call))
            } else {
                group.missing_actor().map(|rank| errors::never_joined(&group.title, rank))
            };
            reason.borrow().is_some()
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
        group.rendezvous.wake_up(self.rank);
        let now = progress();
        if now != Progress::Waiting {
            return Ok(now);
        }
        self.give_up(exchange, |table| match (slept, reason.into_inner()) {
            (Err(interruption), _) => errors::interrupted(&group.title, self.rank, &request.call, interruption),
            (Ok(_), Some(why)) => why,
            (Ok(_), None) => errors::timed_out(&group.title, table, self.rank, &request.call, timeout),
        })
    }

    /// Whether `is_done`; if not, this thread is registered as the member's sleeper, and is woken when that may have changed.
    /// The caller asks again before each sleep, because a wake-up takes all sleepers out, for whatever reason.
    fn is_done_or_sleeping(&self, is_done: impl Fn() -> bool) -> bool {
        is_done() || {
            self.group.rendezvous.sleep(self.rank, std::thread::current());
            is_done()
        }
    }

    /// Returns without the exchange, unless it has begun.
    fn give_up(&self, exchange: Exchange, why: impl FnOnce(&Table<Thread>) -> Error) -> Result<Progress> {
        match self.group.rendezvous.give_up(self.rank, exchange, why) {
            Ok(progress) => Ok(progress),
            Err((fault, sleepers)) => {
                wake(sleepers);
                Err(fault)
            }
        }
    }

    /// A committed member works until no block is left to claim, then waits for the blocks that other members have claimed.
    fn finish(&self, request: &Request, plan: &Plan, exchange: Exchange) {
        let rendezvous = &self.group.rendezvous;
        if let Exchange::Round(round) = exchange {
            let buffers = Buffers::of(rendezvous, request);
            let mut done = 0;
            // Its own share first, from one end to the other, for the caches; then the rest of the other members' shares.
            for share in (self.rank..rendezvous.members()).chain(0..self.rank) {
                let (begin, end) = plan.share(share, rendezvous.members());
                while let Some(block) = rendezvous.claim(share, end - begin) {
                    // SAFETY: the round is open, so every member's memory is handed over; this thread alone has claimed the block.
                    unsafe { buffers.work(request, plan, begin + block) };
                    done += 1;
                }
            }
            if rendezvous.done(done, round) {
                wake(rendezvous.take_sleepers());
            }
        }
        let complete = || rendezvous.progress(self.rank, exchange) == Progress::Complete;
        if !spin(self.group.looks(), complete, |complete| complete) {
            // Other members are still busy with their blocks, a few microseconds each.
            park(None, || self.is_done_or_sleeping(complete));
            rendezvous.wake_up(self.rank);
        }
    }
}

/// Looks until it sees `enough`: first in a busy loop, then with a yield of the processor before each look. Returns what it saw
/// last.
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

/// Parks a thread that runs no body, or whose body must not lend its CPU.
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

/// Whether the running body was asked to stop.
fn is_cancelled(state: &ThreadState) -> bool {
    state.frame().is_some_and(|frame| crate::engine::blocking::interrupt::is_asked_to_stop(frame.header(), frame.host()))
}

/// How the work of a round is divided into blocks; the same for all members.
#[derive(Clone, Copy, Debug)]
struct Plan {
    /// Parts with blocks of their own: one, or one for each member where the operation gathers or scatters.
    parts: usize,
    /// Blocks of each part.
    each: usize,
    /// Elements of a block.
    block: usize,
}

impl Plan {
    fn new(request: &Request, members: usize) -> Self {
        let len = request.call.len;
        let parts = match request.call.operation {
            Operation::AllGather | Operation::ReduceScatter(_) => members,
            // A single member has the result already.
            Operation::AllReduce(_) | Operation::Reduce(..) | Operation::Broadcast(_) if members > 1 => 1,
            _ => 0,
        };
        let bytes = len.saturating_mul(request.size);
        let block = if bytes.saturating_mul(members) <= ALONE {
            len
        } else {
            // At least one block for each member.
            len.div_ceil(members).next_multiple_of(LINE).min(BLOCK.div_ceil(request.size.max(1)))
        };
        Self { parts, each: len.div_ceil(block.max(1)), block }
    }

    fn blocks(&self) -> u64 {
        (self.parts * self.each) as u64
    }

    /// The blocks of a member's share, as a range.
    fn share(&self, rank: usize, members: usize) -> (u64, u64) {
        let begin = |rank: usize| (self.parts * self.each * rank / members) as u64;
        (begin(rank), begin(rank + 1))
    }
}

/// The buffers of the members during a round, in the order of ranks.
struct Buffers {
    /// Those that the operation reads.
    inputs: SmallVec<[*const u8; 8]>,
    /// Those that it writes.
    outputs: SmallVec<[*mut u8; 8]>,
}

impl Buffers {
    fn of(rendezvous: &Rendezvous<Thread>, request: &Request) -> Self {
        let root = request.call.operation.root();
        let ranks = 0..rendezvous.members();
        let reads = |rank: usize| !matches!(request.call.operation, Operation::Broadcast(root) if root != rank);
        let writes = |rank: usize| match request.call.operation {
            Operation::Broadcast(_) => root != Some(rank),
            Operation::Reduce(..) => root == Some(rank),
            _ => true,
        };
        Self {
            inputs: ranks.clone().filter(|rank| reads(*rank)).map(|rank| rendezvous.memory(rank).0).collect(),
            outputs: ranks.filter(|rank| writes(*rank)).map(|rank| rendezvous.memory(rank).1).collect(),
        }
    }

    /// Does a block.
    ///
    /// # Safety
    /// The round is open, and the caller has claimed the block.
    unsafe fn work(&self, request: &Request, plan: &Plan, block: u64) {
        let (len, size) = (request.call.len, request.size);
        let (part, block) = (block as usize / plan.each, block as usize % plan.each);
        let at = block * plan.block;
        let count = plan.block.min(len - at);
        match (request.call.operation, request.kernel) {
            (Operation::AllReduce(_) | Operation::Reduce(..), Some(kernel)) => {
                let part = Part { inputs: &self.inputs, input_at: at, outputs: &self.outputs, output_at: at, len: count };
                // SAFETY: the part lies inside of all buffers, which have `len` elements, and belongs to this block alone.
                unsafe { kernel(&part) };
            }
            (Operation::ReduceScatter(_), Some(kernel)) => {
                let outputs = &self.outputs[part..=part];
                let part = Part { inputs: &self.inputs, input_at: part * len + at, outputs, output_at: at, len: count };
                // SAFETY: inputs have `len` elements for each member, outputs have `len`, so the part lies inside of them; it
                // belongs to this block alone.
                unsafe { kernel(&part) };
            }
            (Operation::AllGather, _) => {
                for output in &self.outputs {
                    // SAFETY: inputs have `len` elements, outputs have `len` for each member. The callers borrow the outputs
                    // mutably, so they overlap no input.
                    unsafe {
                        let from = self.inputs[part].add(at * size);
                        std::ptr::copy_nonoverlapping(from, output.add((part * len + at) * size), count * size);
                    }
                }
            }
            (Operation::Broadcast(_), _) => {
                for output in &self.outputs {
                    // SAFETY: all buffers have `len` elements, and the root's is not among the outputs.
                    unsafe {
                        std::ptr::copy_nonoverlapping(self.inputs[0].add(at * size), output.add(at * size), count * size);
                    }
                }
            }
            _ => {}
        }
    }
}
