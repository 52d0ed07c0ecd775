//! One member's handle of a group, and its operations.

use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use crate::base::error::{Error, ErrorKind, Result};
use crate::collective::element::{Element, ReduceOp};
use crate::collective::local::{LocalGroup, Member};
use crate::collective::request::{Call, Operation, Request};
use crate::collective::{errors, kernel};

/// How long a member waits for the others unless `set_timeout` says otherwise.
const TIMEOUT: Duration = Duration::from_secs(1800);

/// One member's handle of a group: its place among the others, and the operations that it takes part in.
///
/// Made by [`Group::members`], or by name: [`init_collective_group`](crate::collective::init_collective_group),
/// [`create_collective_group`](crate::collective::create_collective_group). A member leaves the group when its handle is
/// dropped: from then on every operation that needs it (each operation of the whole group does) returns an error. A member may
/// leave after its last operation.
///
/// The operations take `&mut self`: a member is in one operation at a time. They block; in an `async fn` of the engine they
/// return an error of kind `BlockingInAsync`, as [`get`](crate::get) does. A handle cannot be serialised: it goes into closures
/// ([`task`](crate::task())) and into arguments and actors marked `#[remote(local)]`.
///
/// # Errors
/// Of all operations: `Collective`, with the rank and the cause, where the group is broken or breaks; `GetTimeout` after
/// [`set_timeout`](Group::set_timeout), with the missing ranks; `InvalidArgument` for a root that is not a rank or lengths that
/// do not fit, which breaks the group too, so that no member waits for this one. If an operation returns an error, the buffer
/// is unchanged; once all members have entered an operation, it succeeds.
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
        write!(f, "Group(rank {} of {}, {})", self.rank(), self.size(), self.member.group.title)
    }
}

impl Group {
    /// The members of a new group of `size` members, to be moved into tasks, actors or threads: the i-th has rank i.
    ///
    /// # Errors
    /// `InvalidArgument` if `size` is 0.
    ///
    /// ```
    /// # extern crate ray_core as ray;
    /// let members = ray::collective::Group::members(3)?;
    /// assert_eq!(members.iter().map(|member| member.rank()).collect::<Vec<_>>(), [0, 1, 2]);
    /// # Ok::<(), ray::Error>(())
    /// ```
    pub fn members(size: usize) -> Result<Vec<Group>> {
        if size == 0 {
            return Err(invalid("a collective group needs at least one member".to_owned()));
        }
        let group = LocalGroup::new(size, "the collective group".to_owned(), Vec::new(), true);
        Ok((0..size).map(|rank| Group::of(&group, rank)).collect())
    }

    pub(super) fn of(group: &Arc<LocalGroup>, rank: usize) -> Group {
        Group { member: Member { group: Arc::clone(group), rank }, timeout: TIMEOUT }
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

    /// Sets the time-out of [`with_timeout`](Group::with_timeout) on an existing handle.
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

    /// The rank of this member: 0 to [`size`](Group::size) - 1.
    #[must_use]
    pub fn rank(&self) -> usize {
        self.member.rank
    }

    /// How many members the group has.
    #[must_use]
    pub fn size(&self) -> usize {
        self.member.group.rendezvous.members()
    }

    /// A handle that ends the group from outside.
    ///
    /// ```
    /// # extern crate ray_core as ray;
    /// let mut alone = ray::collective::Group::members(1)?.remove(0);
    /// alone.poisoner().poison(ray::Error::other("enough"));
    /// assert!(alone.barrier().unwrap_err().is_collective());
    /// # Ok::<(), ray::Error>(())
    /// ```
    #[must_use]
    pub fn poisoner(&self) -> Poisoner {
        Poisoner(Arc::clone(&self.member.group))
    }

    /// Reduces all members' buffers into each of them.
    ///
    /// # Errors
    /// Those of every operation, see [`Group`].
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
        // SAFETY: the buffer is borrowed mutably until the call returns, so only the transport touches it.
        unsafe {
            self.run::<T>(
                Operation::AllReduce(O::REDUCTION),
                len,
                memory,
                memory,
                Some(T::__kernel(O::REDUCTION)),
                Location::caller(),
            )
        }
    }

    /// Reduces all members' buffers into that of `root`; the others' stay as they are.
    ///
    /// # Errors
    /// Those of every operation, see [`Group`]; `InvalidArgument` if `root` is no rank.
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
        // SAFETY: the buffer is borrowed mutably until the call returns, so only the transport touches it.
        unsafe {
            self.run::<T>(
                Operation::Reduce(O::REDUCTION, root),
                len,
                memory,
                memory,
                Some(T::__kernel(O::REDUCTION)),
                Location::caller(),
            )
        }
    }

    /// Copies the buffer of `root` into all others.
    ///
    /// # Errors
    /// Those of every operation, see [`Group`]; `InvalidArgument` if `root` is no rank.
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
        // SAFETY: the buffer is borrowed mutably until the call returns, so only the transport touches it.
        unsafe { self.run::<T>(Operation::Broadcast(root), len, memory, memory, None, Location::caller()) }
    }

    /// Copies all members' `part`s, in the order of ranks, into each member's `whole`, which is as long as all of them.
    ///
    /// # Errors
    /// Those of every operation, see [`Group`]; `InvalidArgument` if `whole` is not [`size`](Group::size) times as long as
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
        self.fits::<T>(Operation::AllGather, part.len(), whole.len(), site)?;
        // SAFETY: both are borrowed until the call returns, the whole mutably: no other thread writes to the part, and only the
        // transport touches the whole, which has `part.len()` elements for each member.
        unsafe { self.run::<T>(Operation::AllGather, part.len(), part.as_ptr(), whole.as_mut_ptr(), None, site) }
    }

    /// Reduces all members' `whole`s, and gives each member its `part` of the result: the member of rank i gets the i-th part.
    ///
    /// # Errors
    /// Those of every operation, see [`Group`]; `InvalidArgument` if `whole` is not [`size`](Group::size) times as long as
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
        let (operation, site) = (Operation::ReduceScatter(O::REDUCTION), Location::caller());
        self.fits::<T>(operation, part.len(), whole.len(), site)?;
        // SAFETY: both are borrowed until the call returns, the part mutably: no other thread writes to the whole, which has
        // `part.len()` elements for each member, and only the transport touches the part.
        unsafe { self.run::<T>(operation, part.len(), whole.as_ptr(), part.as_mut_ptr(), Some(T::__kernel(O::REDUCTION)), site) }
    }

    /// Waits until all members have called `barrier`.
    ///
    /// # Errors
    /// Those of every operation, see [`Group`].
    ///
    /// ```
    /// # extern crate ray_core as ray;
    /// ray::collective::Group::members(1)?[0].barrier()?;
    /// # Ok::<(), ray::Error>(())
    /// ```
    #[track_caller]
    pub fn barrier(&mut self) -> Result<()> {
        // SAFETY: a barrier reads and writes no memory.
        unsafe { self.run::<u8>(Operation::Barrier, 0, std::ptr::null(), std::ptr::null_mut(), None, Location::caller()) }
    }

    /// Copies `values` into the buffer with which member `to` calls [`recv`](Group::recv), and returns after the copy.
    /// No other member takes part.
    ///
    /// The sender and the receiver wait for each other: where each of two members sends and receives, one of them must receive
    /// first. Members that wait for each other in a circle get an error at once.
    ///
    /// # Errors
    /// Those of every operation, see [`Group`]; `Collective` on both sides if type or length differ; `InvalidArgument` if `to`
    /// is no rank or is this member's own.
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
        // SAFETY: the values are borrowed until the call returns, so no thread writes to them.
        unsafe { self.run::<T>(Operation::Send(to), values.len(), values.as_ptr(), none, None, Location::caller()) }
    }

    /// Waits for the values that member `from` [`send`](Group::send)s to this one, and copies them into `values`.
    ///
    /// # Errors
    /// Those of [`send`](Group::send).
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
        // SAFETY: the values are borrowed mutably until the call returns, so only the transport touches them.
        unsafe { self.run::<T>(Operation::Receive(from), values.len(), none, values.as_mut_ptr(), None, Location::caller()) }
    }

    /// # Safety
    /// As of [`Member::run`], for elements of type `T`; this function checks the ranks.
    unsafe fn run<T: Element>(
        &mut self,
        operation: Operation,
        len: usize,
        input: *const T,
        output: *mut T,
        kernel: Option<kernel::Kernel>,
        site: &'static Location<'static>,
    ) -> Result<()> {
        let request = Request {
            call: Call { operation, element: T::__NAME, len, site },
            size: size_of::<T>(),
            input: input.cast(),
            output: output.cast(),
            kernel,
        };
        let (rank, size) = (self.rank(), self.size());
        if let Some(other) = operation.root().or(operation.peer())
            && other >= size
        {
            let refusal = format!("{other} is no rank of this group, which has the ranks 0 to {}: {}", size - 1, request.call);
            return Err(self.member.refuse(&request, invalid(refusal)));
        }
        if operation.peer() == Some(rank) {
            let refusal = format!("rank {rank} cannot exchange with itself; copy the data instead: {}", request.call);
            return Err(self.member.refuse(&request, invalid(refusal)));
        }
        // SAFETY: the caller guarantees the memory, and the root or peer is a rank of the group, the peer another one (above).
        unsafe { self.member.run(&request, self.timeout) }
    }

    /// Refuses a whole that is not as long as all parts.
    fn fits<T: Element>(&self, operation: Operation, part: usize, whole: usize, site: &'static Location<'static>) -> Result<()> {
        let size = self.size();
        if part.checked_mul(size) == Some(whole) {
            return Ok(());
        }
        let call = Call { operation, element: T::__NAME, len: part, site };
        let request = Request { call, size: 0, input: std::ptr::null(), output: std::ptr::null_mut(), kernel: None };
        let refusal = format!("the whole has {whole} elements, which is not {size} parts of {part}: {call}");
        Err(self.member.refuse(&request, invalid(refusal)))
    }
}

pub(super) fn invalid(message: String) -> Error {
    Error::new(ErrorKind::InvalidArgument, message)
}

/// Ends a group from outside; made by [`Group::poisoner`]. It is for a supervisor of the members that has a reason to stop them.
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
pub struct Poisoner(Arc<LocalGroup>);

impl Poisoner {
    /// Breaks the group: every member that waits, now or in a later operation, gets an error that has `why` as its cause. An
    /// operation that all members have entered still succeeds. If the group is broken already, its first fault stays.
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
        self.0.poison(errors::poisoned(&self.0.title, why));
    }
}
