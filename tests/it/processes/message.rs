//! What the processes tell each other.

use std::io::{Read, Write};

use ray::__private::Encoded;
use ray::__private::executor::RemoteCreation;
use serde::{Deserialize, Serialize};

/// A value: MessagePack, and the references and handles that stand in it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Value {
    pub(super) bytes: Vec<u8>,
    pub(super) carried: Vec<Place>,
}

/// What stands inside a value.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Place {
    /// An object of the sender: the number that the sender has given to it, and the object's id.
    Sent(u64, u64),
    /// An object that the receiver has sent before.
    Returned(u64),
    /// An actor and its class. Each such place counts as a handle until it is released.
    Actor(u64, String),
}

/// An argument of a call.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Argument {
    Value(Value),
    /// The value of an object that may not be ready. Only the parent gets these.
    Reference(Place),
}

/// An error, encoded.
pub(super) type Failure = Vec<u8>;

/// A call, as a child sends it to the parent.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Call {
    pub(super) parent: Option<u64>,
    pub(super) task: u64,
    pub(super) path: String,
    pub(super) name: String,
    pub(super) args: Vec<Argument>,
    pub(super) max_retries: i64,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Message {
    /// To a child: run a function, or a method of the actor that the child is.
    Run {
        request: u64,
        task: u64,
        path: String,
        name: String,
        args: Vec<Value>,
    },
    /// To a child: be an actor. The child's answer comes when the constructor has run.
    Create {
        request: u64,
        task: u64,
        actor: u64,
        class: String,
        name: String,
        max_concurrency: u32,
        args: Vec<Value>,
    },
    /// To a child: ask the body of a task to stop.
    Cancel {
        task: u64,
    },
    /// The answer to a request.
    Answer {
        request: u64,
        answer: Result<Value, Failure>,
    },
    /// The value of an object that the receiver has sent is wanted.
    Get {
        request: u64,
        object: u64,
    },
    /// The sender has no reference to that object any more.
    Drop {
        object: u64,
    },
    /// From a child: its body calls a function, and, with an actor, a method.
    Submit {
        request: u64,
        actor: Option<u64>,
        call: Call,
    },
    /// From a child: its body creates an actor. The first answer is the actor's number.
    NewActor {
        request: u64,
        class: String,
        creation: Creation,
        call: Call,
    },
    /// From a child: it has one handle more, or less.
    Acquire {
        actor: u64,
    },
    Release {
        actor: u64,
    },
    Kill {
        actor: u64,
        restart: bool,
    },
    /// From a child: its own actor ends with the body that runs.
    Exit,
    CancelTask {
        task: u64,
        recursive: bool,
        force: bool,
    },
    Find {
        request: u64,
        namespace: String,
        name: String,
    },
    Names {
        request: u64,
    },
    Alive {
        request: u64,
        actor: u64,
    },
    Resources {
        request: u64,
        free: bool,
    },
    /// From a child: an operation on a tally of the tests' support, all of which are in the parent.
    Support {
        request: u64,
        operation: Vec<u8>,
    },
}

/// The settings of an actor that is to be created.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Creation {
    pub(super) name: Option<(String, String)>,
    pub(super) get_if_exists: bool,
    pub(super) max_restarts: i64,
    pub(super) max_concurrency: u32,
    pub(super) max_task_retries: i64,
}

impl Creation {
    pub(super) fn of(creation: &RemoteCreation) -> Self {
        Self {
            name: creation.name().map(|(namespace, name)| (namespace.to_owned(), name.to_owned())),
            get_if_exists: creation.get_if_exists(),
            max_restarts: creation.max_restarts(),
            max_concurrency: creation.max_concurrency(),
            max_task_retries: creation.max_task_retries(),
        }
    }
}

impl Message {
    pub(super) fn write(&self, to: &mut impl Write) -> std::io::Result<()> {
        let bytes = Encoded::of(self).expect("a message can be encoded").bytes;
        let length = u32::try_from(bytes.len()).expect("messages are short");
        let mut frame = length.to_le_bytes().to_vec();
        frame.extend(bytes);
        to.write_all(&frame)
    }

    pub(super) fn read(from: &mut impl Read) -> std::io::Result<Message> {
        let mut length = [0; 4];
        from.read_exact(&mut length)?;
        let mut bytes = vec![0; u32::from_le_bytes(length) as usize];
        from.read_exact(&mut bytes)?;
        Encoded::from(bytes).decode().map_err(std::io::Error::other)
    }
}
