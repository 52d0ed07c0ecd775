//! One member's handle of a group, and its operations.

use crate::collective::element::{Element, ReduceOp};
use crate::collective::{kernel, trouble};
use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use crate::base::error::{Error, ErrorKind, Result};
use crate::collective::ask::{Ask, Call, What};
use crate::collective::shared::{Member, Room};

/// How long a member waits for the others unless it is told otherwise.
const TIMEOUT: Duration = Duration::from_secs(1800);

/// One member's handle of a group: its place among the others, and the operations that it takes part in.
///
/// Made by [`Group::members`], or by name: [`init_collective_group`], [`create_collective_group`]. To drop it is to
/// leave: whoever needs this member from then on, and that is every operation of the whole group, has an error. Who has had
/// its last operation may go.
///
/// Its operations take `&mut self`: a member is in one at a time. They block; in an `async fn` of the engine they are an error
/// of kind `BlockingInAsync`, as [`get`](crate::get) is. A handle is data of this process: it goes into closures
/// ([`task`](crate::task)) and into what is `#[remote(local)]`.
///
/// # Errors
/// Of all operations: `Collective`, naming rank and cause, where the group is or gets broken; `GetTimeout` after
/// [`set_timeout`](Group::set_timeout), naming the missing ranks; `InvalidArgument` for what cannot be meant (a root that is no
/// rank, lengths that do not fit), which breaks the group too, so that nobody waits for this member. The contents of a
/// buffer are as before if the operation did not begin, and it ends well if it did.
///
/// ```
/// # extern crate ray_core as ray;
/// use ray::collective::{Group, Sum};
/// let [mut a, mut b]: [Group; 2] = Group::members(2)?.try_into().unwrap();
/// std::thread::scope(|threads| {
///     threads.spawn(move || a.allreduce(&mut [1, 2], Sum));
///     let mut mine = [10, 20];
///     b.allreduce(&mut mine, Sum)?;
///     assert_eq!(mine, [11, 22]);
///     Ok::<(), ray::Error>(())
/// })?;
/// # Ok::<(), ray::Error>(())
/// ```
pub struct Group {
    member: Member,
    timeout: Duration,
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Group(rank {} of {}, {})", self.rank(), self.size(), self.member.room.title)
    }
}

impl Group {
    /// A new group's members, to be handed to tasks, actors or threads: the i-th has rank i.
    ///
    /// # Errors
    /// `InvalidArgument` if there are to be none.
    ///
    /// ```
    /// # extern crate ray_core as ray;
    /// let members = ray::collective::Group::members(3)?;
    /// assert_eq!(members.iter().map(|member| member.rank()).collect::<Vec<_>>(), [0, 1, 2]);
    /// # Ok::<(), ray::Error>(())
    /// ```
    pub fn members(size: usize) -> Result<Vec<Group>> {
        if size == 0 {
            return Err(invalid("a collective group of no members: it has one at least".to_owned()));
        }
        let room = Room::new(size, "the collective group".to_owned(), Vec::new(), true);
        Ok((0..size).map(|rank| Group::of(&room, rank)).collect())
    }

    pub(super) fn of(room: &Arc<Room>, rank: usize) -> Group {
        Group { member: Member { room: Arc::clone(room), rank }, timeout: TIMEOUT }
    }

    /// How long this member waits for others in one operation before it gives up, which breaks the group; 1800 seconds
    /// unless set.
    ///
    /// ```
    /// # extern crate ray_core as ray;
    /// use std::time::Duration;
    /// let members = ray::collective::Group::members(2)?;
    /// let mut members = members.into_iter().map(|member| member.with_timeout(Duration::from_millis(1)));
    /// let (mut first, _second) = (members.next().unwrap(), members.next().unwrap());
    /// let error = first.barrier().unwrap_err();
    /// assert!(error.is_timeout() && error.to_string().contains("rank 1"), "{error}");
    /// # Ok::<(), ray::Error>(())
    /// ```
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Group {
        self.set_timeout(timeout);
        self
    }

    /// As [`with_timeout`](Group::with_timeout), of a handle in use.
    ///
    /// ```
    /// # extern crate ray_core as ray;
    /// let mut alone = ray::collective::Group::members(1)?.remove(0);
    /// alone.set_timeout(std::time::Duration::from_secs(60));
    /// # Ok::<(), ray::Error>(())
    /// ```
    pub fn set_timeout(&mut self, timeout: Duration) {
        self.timeout = timeout;
    }

    /// This member's number: 0 to [`size`](Group::size) - 1.
    #[must_use]
    pub fn rank(&self) -> usize {
        self.member.rank
    }

    /// How many members the group has.
    #[must_use]
    pub fn size(&self) -> usize {
        self.member.room.board.members()
    }

    /// What ends the group from outside.
    #[must_use]
    pub fn poisoner(&self) -> Poisoner {
        Poisoner(Arc::clone(&self.member.room))
    }

    /// Reduces all members' buffers into each of them.
    ///
    /// # Errors
    /// As for every operation, see [`Group`].
    ///
    /// ```
    /// # extern crate ray_core as ray;
    /// use ray::collective::{Group, Mean};
    /// let mut gradients = vec![0.25_f32; 1000];
    /// Group::members(1)?[0].allreduce(&mut gradients, Mean)?;
    /// # Ok::<(), ray::Error>(())
    /// ```
    #[track_caller]
    pub fn allreduce<T: Element, O: ReduceOp<T>>(&mut self, buffer: &mut [T], _op: O) -> Result<()> {
        let (len, memory) = (buffer.len(), buffer.as_mut_ptr());
        // SAFETY: the buffer is this call's alone.
        unsafe { self.run::<T>(What::AllReduce(O::WAY), len, memory, memory, Some(T::__kernel(O::WAY)), Location::caller()) }
    }

    /// Reduces all members' buffers into that of `root`; the others' stay as they are.
    ///
    /// # Errors
    /// As for every operation, see [`Group`]; `InvalidArgument` if `root` is no rank.
    ///
    /// ```
    /// # extern crate ray_core as ray;
    /// use ray::collective::{Group, Sum};
    /// let mut counts = [3_u64, 4];
    /// Group::members(1)?[0].reduce(&mut counts, 0, Sum)?;
    /// # Ok::<(), ray::Error>(())
    /// ```
    #[track_caller]
    pub fn reduce<T: Element, O: ReduceOp<T>>(&mut self, buffer: &mut [T], root: usize, _op: O) -> Result<()> {
        let (len, memory) = (buffer.len(), buffer.as_mut_ptr());
        // SAFETY: the buffer is this call's alone.
        unsafe { self.run::<T>(What::Reduce(O::WAY, root), len, memory, memory, Some(T::__kernel(O::WAY)), Location::caller()) }
    }

    /// Copies the buffer of `root` into all others.
    ///
    /// # Errors
    /// As for every operation, see [`Group`]; `InvalidArgument` if `root` is no rank.
    ///
    /// ```
    /// # extern crate ray_core as ray;
    /// let mut parameters = vec![0.5_f64; 10];
    /// ray::collective::Group::members(1)?[0].broadcast(&mut parameters, 0)?;
    /// # Ok::<(), ray::Error>(())
    /// ```
    #[track_caller]
    pub fn broadcast<T: Element>(&mut self, buffer: &mut [T], root: usize) -> Result<()> {
        let (len, memory) = (buffer.len(), buffer.as_mut_ptr());
        // SAFETY: the buffer is this call's alone.
        unsafe { self.run::<T>(What::Broadcast(root), len, memory, memory, None, Location::caller()) }
    }

    /// Gathers all members' `part`s, in the order of ranks, in each member's `whole`, which is as long as all of them.
    ///
    /// # Errors
    /// As for every operation, see [`Group`]; `InvalidArgument` if `whole` is not [`size`](Group::size) times as long as
    /// `part`.
    ///
    /// ```
    /// # extern crate ray_core as ray;
    /// let mut whole = [0; 2];
    /// ray::collective::Group::members(1)?[0].allgather(&[7, 8], &mut whole)?;
    /// assert_eq!(whole, [7, 8]); // of one member
    /// # Ok::<(), ray::Error>(())
    /// ```
    #[track_caller]
    pub fn allgather<T: Element>(&mut self, part: &[T], whole: &mut [T]) -> Result<()> {
        let site = Location::caller();
        self.fits::<T>(What::AllGather, part.len(), whole.len(), site)?;
        // SAFETY: the part is not written while it is borrowed, and the whole is this call's alone.
        unsafe { self.run::<T>(What::AllGather, part.len(), part.as_ptr(), whole.as_mut_ptr(), None, site) }
    }

    /// Reduces all members' `whole`s, and gives each member its part of the result: the member of rank i the i-th.
    ///
    /// # Errors
    /// As for every operation, see [`Group`]; `InvalidArgument` if `whole` is not [`size`](Group::size) times as long as
    /// `part`.
    ///
    /// ```
    /// # extern crate ray_core as ray;
    /// use ray::collective::{Group, Sum};
    /// let mut part = [0; 2];
    /// Group::members(1)?[0].reducescatter(&[7, 8], &mut part, Sum)?;
    /// assert_eq!(part, [7, 8]); // of one member
    /// # Ok::<(), ray::Error>(())
    /// ```
    #[track_caller]
    pub fn reducescatter<T: Element, O: ReduceOp<T>>(&mut self, whole: &[T], part: &mut [T], _op: O) -> Result<()> {
        let (what, site) = (What::ReduceScatter(O::WAY), Location::caller());
        self.fits::<T>(what, part.len(), whole.len(), site)?;
        // SAFETY: the whole is not written while it is borrowed, and the part is this call's alone.
        unsafe { self.run::<T>(what, part.len(), whole.as_ptr(), part.as_mut_ptr(), Some(T::__kernel(O::WAY)), site) }
    }

    /// Waits until all members are here.
    ///
    /// # Errors
    /// As for every operation, see [`Group`].
    ///
    /// ```
    /// # extern crate ray_core as ray;
    /// ray::collective::Group::members(1)?[0].barrier()?;
    /// # Ok::<(), ray::Error>(())
    /// ```
    #[track_caller]
    pub fn barrier(&mut self) -> Result<()> {
        // SAFETY: no memory is given.
        unsafe { self.run::<u8>(What::Barrier, 0, std::ptr::null(), std::ptr::null_mut(), None, Location::caller()) }
    }

    /// Copies `values` into the buffer with which member `to` calls [`recv`](Group::recv); returns when they are there.
    /// No other member takes part.
    ///
    /// Both wait for each other: where each of two members sends and receives, one of them receives first. Circles are
    /// an error at once.
    ///
    /// # Errors
    /// As for every operation, see [`Group`]: also, on both sides, where type or length differ; `InvalidArgument` if `to` is no
    /// rank or this member's own.
    ///
    /// ```
    /// # extern crate ray_core as ray;
    /// use ray::collective::Group;
    /// let [mut a, mut b]: [Group; 2] = Group::members(2)?.try_into().unwrap();
    /// std::thread::scope(|threads| {
    ///     threads.spawn(move || a.send(&[1.5_f32, 2.5], 1));
    ///     let mut values = [0.0_f32; 2];
    ///     b.recv(&mut values, 0)?;
    ///     assert_eq!(values, [1.5, 2.5]);
    ///     Ok::<(), ray::Error>(())
    /// })?;
    /// # Ok::<(), ray::Error>(())
    /// ```
    #[track_caller]
    pub fn send<T: Element>(&mut self, values: &[T], to: usize) -> Result<()> {
        let none = std::ptr::null_mut();
        // SAFETY: the values are not written while they are borrowed.
        unsafe { self.run::<T>(What::Send(to), values.len(), values.as_ptr(), none, None, Location::caller()) }
    }

    /// Fills `values` with what member `from` [`send`](Group::send)s to this one.
    ///
    /// # Errors
    /// As for [`send`](Group::send).
    ///
    /// ```
    /// # extern crate ray_core as ray;
    /// let error = ray::collective::Group::members(1)?[0].recv(&mut [0_u8], 0).unwrap_err();
    /// assert!(error.is_invalid_argument()); // from itself
    /// # Ok::<(), ray::Error>(())
    /// ```
    #[track_caller]
    pub fn recv<T: Element>(&mut self, values: &mut [T], from: usize) -> Result<()> {
        let none = std::ptr::null();
        // SAFETY: the values are this call's alone.
        unsafe { self.run::<T>(What::Receive(from), values.len(), none, values.as_mut_ptr(), None, Location::caller()) }
    }

    /// # Safety
    /// As [`Member::run`], of elements of type `T`, but that ranks are looked at here.
    unsafe fn run<T: Element>(
        &mut self,
        what: What,
        len: usize,
        input: *const T,
        output: *mut T,
        kernel: Option<kernel::Kernel>,
        site: &'static Location<'static>,
    ) -> Result<()> {
        let ask = Ask {
            call: Call { what, element: T::__NAME, len, site },
            size: size_of::<T>(),
            input: input.cast(),
            output: output.cast(),
            kernel,
        };
        let (rank, size) = (self.rank(), self.size());
        if let Some(other) = what.root().or(what.peer())
            && other >= size
        {
            let refusal = format!("{other} is no rank of this group, which has the ranks 0 to {}: {}", size - 1, ask.call);
            return Err(self.member.refuse(&ask, invalid(refusal)));
        }
        if what.peer() == Some(rank) {
            let refusal = format!("rank {rank} would exchange with itself, where it could copy: {}", ask.call);
            return Err(self.member.refuse(&ask, invalid(refusal)));
        }
        // SAFETY: the caller's promise, and the ranks are.
        unsafe { self.member.run(&ask, self.timeout) }
    }

    /// Refuses a whole that is not all parts.
    fn fits<T: Element>(&self, what: What, part: usize, whole: usize, site: &'static Location<'static>) -> Result<()> {
        let size = self.size();
        if part.checked_mul(size) == Some(whole) {
            return Ok(());
        }
        let call = Call { what, element: T::__NAME, len: part, site };
        let ask = Ask { call, size: 0, input: std::ptr::null(), output: std::ptr::null_mut(), kernel: None };
        let refusal = format!("the whole has {whole} elements, and {size} parts of {part} are not that: {call}");
        Err(self.member.refuse(&ask, invalid(refusal)))
    }
}

pub(super) fn invalid(message: String) -> Error {
    Error::new(ErrorKind::InvalidArgument, message)
}

/// Ends a group from outside, made by [`Group::poisoner`]: for whoever watches over the members, and knows why they are not to
/// go on.
///
/// ```
/// # extern crate ray_core as ray;
/// let mut members = ray::collective::Group::members(2)?;
/// members[0].poisoner().poison(ray::Error::other("the user wants to stop"));
/// let error = members[1].barrier().unwrap_err();
/// assert!(error.is_collective() && error.to_string().contains("the user wants to stop"));
/// # Ok::<(), ray::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Poisoner(Arc<Room>);

impl Poisoner {
    /// Releases every member at once, now and in all later operations, with an error that has `why` as its cause. An
    /// operation that all have come to ends well all the same. Of a broken group the first fault stays.
    ///
    /// ```
    /// # extern crate ray_core as ray;
    /// use std::error::Error;
    /// let mut alone = ray::collective::Group::members(1)?.remove(0);
    /// alone.poisoner().poison(ray::Error::other("enough"));
    /// assert_eq!(alone.barrier().unwrap_err().source().unwrap().to_string(), "enough");
    /// # Ok::<(), ray::Error>(())
    /// ```
    pub fn poison(&self, why: Error) {
        self.0.poison(trouble::poisoned(&self.0.title, why));
    }
}
