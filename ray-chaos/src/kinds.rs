//! The kinds of operations, with their names, their weights and their paces.

use std::fmt;

/// The eras in which operations of a kind are drawn. An era is the lifetime of one engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// The operation takes microseconds. It is drawn in every era.
    Fast,
    /// The operation may need another thread or CPU, which the engine provides after some milliseconds. It is drawn in one
    /// of eight eras, and rarely there.
    Slow,
    /// The operation brings the engine into a certain state by means of gates, so no other driver may use the engine. It is
    /// drawn in eras with one driver.
    Stage,
    /// A property of an era, not an operation.
    Era,
}

macro_rules! kinds {
    ($($kind:ident $name:literal $weight:literal $pace:ident,)+) => {
        /// A kind of operation.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Kind { $(#[allow(missing_docs)] $kind,)+ }

        /// All kinds: kind, name, weight, pace.
        const ALL: &[(Kind, &str, u32, Pace)] = &[$((Kind::$kind, $name, $weight, Pace::$pace),)+];
    };
}

kinds! {
    Make "make" 60 Fast,
    Combine "combine" 160 Fast,
    Retry "retry" 20 Fast,
    Dawdle "dawdle" 20 Fast,
    FanIn "fan-in" 20 Fast,
    Fail "fail" 50 Fast,
    Nest "nest" 30 Fast,
    Split "split" 40 Fast,
    Async "async" 60 Fast,
    Actor "actor" 40 Fast,
    Call "call" 150 Fast,
    CallShared "call-shared" 40 Fast,
    Tear "tear" 15 Fast,
    Visit "visit" 20 Fast,
    Kill "kill" 12 Fast,
    Count "count" 10 Fast,
    Name "name" 10 Fast,
    Cancel "cancel" 30 Fast,
    Get "get" 100 Fast,
    GetMany "get-many" 30 Fast,
    Timeout "timeout" 20 Fast,
    Wait "wait" 40 Fast,
    Completed "as-completed" 20 Fast,
    Refill "refill" 2 Fast,
    Callback "callback" 20 Fast,
    Drop "drop" 80 Fast,
    Claim "claim" 20 Fast,
    ClaimActor "claim-actor" 10 Fast,
    RaceCancel "race-cancel" 20 Fast,
    RaceKill "race-kill" 10 Fast,
    Restart "restart" 8 Fast,
    Exit "exit" 8 Fast,
    Phoenix "phoenix" 10 Fast,
    Await "await" 60 Fast,
    GiveUp "give-up" 60 Fast,
    CallbackGet "callback-get" 4 Fast,
    Stream "stream" 20 Fast,
    StreamActor "stream-actor" 10 Fast,
    StreamWait "stream-wait" 10 Fast,
    StreamBody "stream-body" 10 Fast,
    Queue "queue" 10 Fast,
    QueueEnd "queue-end" 6 Fast,
    Semaphore "semaphore" 8 Fast,
    Event "event" 8 Fast,
    ActorPool "actor-pool" 8 Fast,
    Pool "pool" 5 Fast,
    Map "map" 10 Fast,
    Group "group" 10 Fast,
    GroupRemove "group-remove" 10 Fast,
    GroupRivals "group-rivals" 4 Fast,
    Lock "lock" 5 Slow,
    Once "once" 5 Slow,
    Threads "threads" 3 Slow,
    BlockOn "block-on" 3 Slow,
    CallbackLock "callback-lock" 3 Slow,
    Order "order" 2 Slow,
    GroupBlock "group-block" 3 Slow,
    StageClaim "stage-claim" 4 Stage,
    StageAdmit "stage-admit" 4 Stage,
    StageKill "stage-kill" 4 Stage,
    StageRestart "stage-restart" 4 Stage,
    StageExit "stage-exit" 4 Stage,
    StageGet "stage-get" 4 Stage,
    StageCallback "stage-callback" 4 Stage,
    StageGroup "stage-group" 4 Stage,
    Cut "cut" 0 Era,
    Keep "keep" 0 Era,
    FewThreads "few-threads" 0 Era,
    ThreadsEnd "threads-end" 0 Era,
    Lives "lives" 0 Era,
    Memory "memory" 0 Era,
}

/// A set of kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kinds(u128);

impl Kinds {
    /// Every kind.
    pub fn all() -> Self {
        ALL.iter().fold(Kinds(0), |set, (kind, ..)| set.and((*kind).into()))
    }

    /// Kinds of one pace.
    pub fn of(pace: Pace) -> Self {
        ALL.iter().filter(|(.., its)| *its == pace).fold(Kinds(0), |set, (kind, ..)| set.and((*kind).into()))
    }

    /// Parses names that are separated by commas.
    ///
    /// # Errors
    /// A name is not the name of a kind.
    pub fn parse(text: &str) -> Result<Self, String> {
        text.split(',').filter(|name| !name.is_empty()).try_fold(Kinds(0), |set, name| {
            let found = ALL.iter().find(|(_, its, ..)| *its == name);
            let (kind, ..) = found.ok_or_else(|| format!("there is no kind of operation `{name}`; --kinds lists all kinds"))?;
            Ok(set.and((*kind).into()))
        })
    }

    /// The union of both sets.
    pub fn and(self, other: Self) -> Self {
        Kinds(self.0 | other.0)
    }

    /// The kinds of this set that are not in the other set.
    pub fn but(self, other: Self) -> Self {
        Kinds(self.0 & !other.0)
    }

    /// Whether a kind is in the set.
    pub fn has(self, kind: Kind) -> bool {
        self.0 & Kinds::from(kind).0 != 0
    }

    /// Whether the set is empty.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The kinds in the set.
    pub fn iter(self) -> impl Iterator<Item = Kind> {
        ALL.iter().map(|(kind, ..)| *kind).filter(move |kind| self.has(*kind))
    }

    /// The sum of the weights of the kinds.
    pub fn weight(self) -> u32 {
        ALL.iter().filter(|(kind, ..)| self.has(*kind)).map(|(_, _, weight, _)| weight).sum()
    }

    /// The kind at a place from 0 up to [`weight`](Self::weight), where each kind takes as many places as its weight.
    pub fn at(self, mut place: u32) -> Kind {
        for (kind, _, weight, _) in ALL.iter().filter(|(kind, ..)| self.has(*kind)) {
            if place < *weight {
                return *kind;
            }
            place -= weight;
        }
        Kind::Make
    }
}

impl From<Kind> for Kinds {
    fn from(kind: Kind) -> Self {
        Kinds(1 << kind as u32)
    }
}

impl fmt::Display for Kinds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.iter().map(Kind::name).collect();
        f.write_str(&names.join(","))
    }
}

impl Kind {
    /// The name of the kind on the command line.
    pub fn name(self) -> &'static str {
        Self::name_at(self as usize)
    }

    /// The name of the kind with this number.
    pub fn name_at(number: usize) -> &'static str {
        ALL[number].1
    }
}

/// The kinds that every program contains: they create and drop objects.
pub fn needed() -> Kinds {
    Kinds::from(Kind::Make).and(Kind::Drop.into())
}

/// A line for each kind.
pub fn list() -> String {
    ALL.iter().map(|(_, name, weight, pace)| format!("{name:<16}{weight:>4}  {pace:?}\n")).collect()
}
