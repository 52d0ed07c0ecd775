//! One end of the socket to the Python package: the objects and actors that this process has, and its requests.
//!
//! # Numbers
//!
//! An object is a number in the frames. The result of a call has the id of its entry. An object that this process stores gets a
//! number from this file, and so does an actor that it creates. The Python side numbers the references and handles that come inside
//! values. Both sides count how often this process has an object: each time that it comes in a value counts, and each [`Object`]
//! that is dropped counts back.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};

use parking_lot::Mutex;
use ray_core::__private::executor::{Carried, RemoteObject, Reply, fail};
use ray_core::__private::{AnyRef, Encoded, EncodedArg, EncodedError};
use ray_core::{Error, ErrorKind, Result};
use serde::de::DeserializeOwned;

use crate::actors::Actors;
use crate::channel::Sender;
use crate::document::Documents;
use crate::frame::{Kind, Reader, Writer, malformed};
use crate::object::{Handle, Object, Wish};
use crate::outcome::{Origin, kind_of, placed};
use crate::question::Question;
use crate::reading::Reading;

/// The first number of an object that this process stores, and of an actor that it creates.
const FIRST_STORED: u64 = 1 << 61;
const FIRST_ACTOR: u64 = 1 << 60;

/// The answer to a question of [`Link::ask`].
type Answer = mpsc::Sender<Result<Vec<u8>>>;

/// A connection to the Python package.
pub(crate) struct Link {
    sender: Sender,
    /// In a worker, the threads that read: one must, while an answer is expected.
    reading: Option<Arc<Reading>>,
    next: AtomicU64,
    open: Mutex<Open>,
    pub(crate) documents: Documents,
    pub(crate) actors: Actors,
}

/// What the other side has not answered yet.
#[derive(Default)]
struct Open {
    replies: HashMap<u64, (Reply, Origin)>,
    answers: HashMap<u64, Answer>,
    /// The reason, when the connection has ended.
    ended: Option<Error>,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Link")
    }
}

impl Link {
    pub(crate) fn new(sender: Sender, reading: Option<Arc<Reading>>) -> Arc<Self> {
        Arc::new(Self {
            sender,
            reading,
            next: AtomicU64::new(1),
            open: Mutex::default(),
            documents: Documents::default(),
            actors: Actors::default(),
        })
    }

    fn fresh(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn fresh_actor(&self) -> u64 {
        FIRST_ACTOR + self.fresh()
    }

    /// Sends a frame.
    ///
    /// # Errors
    /// `InvalidArgument`: the frame is too long.
    pub(crate) fn send(&self, frame: Writer) -> Result<()> {
        self.sender.send(frame).map_err(too_large)
    }

    /// Sends a frame of fixed size.
    pub(crate) fn send_short(&self, kind: Kind, number: u64, flags: Option<u8>) {
        let mut frame = Writer::new(kind);
        frame.u64(number);
        if let Some(flags) = flags {
            frame.u8(flags);
        }
        let _ = self.sender.send(frame);
    }

    /// Gives back a handle of an actor.
    pub(crate) fn release_actor(&self, actor: u64) {
        self.actors.release(actor, || self.send_short(Kind::Release, actor, None));
    }

    /// Asks a question, and waits for the answer.
    ///
    /// # Errors
    /// The error that the other side answers with; `System`: the connection has ended.
    pub(crate) fn ask<T: DeserializeOwned>(&self, question: &Question<'_>) -> Result<T> {
        let question = Encoded::of(question)?.bytes;
        self.ask_with(|request| {
            let mut frame = Writer::new(Kind::Ask);
            frame.u64(request).rest(&question);
            Ok(frame)
        })
    }

    /// Sends a frame that is answered like a question, and waits for the answer.
    ///
    /// # Errors
    /// Those of [`ask`](Self::ask) and of `frame`.
    pub(crate) fn ask_with<T: DeserializeOwned>(&self, frame: impl FnOnce(u64) -> Result<Writer>) -> Result<T> {
        let request = self.fresh();
        let frame = frame(request)?;
        let (answers, answer) = mpsc::channel();
        {
            let mut open = self.open.lock();
            if let Some(ended) = &open.ended {
                return Err(ended.clone());
            }
            open.answers.insert(request, answers);
        }
        if let Err(error) = self.send(frame) {
            self.open.lock().answers.remove(&request);
            return Err(error);
        }
        self.expect_answer();
        let lost = || Err(fail::error(ErrorKind::System, "the connection to the cluster has ended"));
        Encoded::from(answer.recv().unwrap_or_else(|_| lost())?).decode()
    }

    /// Handles an answer of the other side.
    ///
    /// # Errors
    /// The frame is malformed.
    pub(crate) fn answered(&self, frame: &mut Reader<'_>) -> io::Result<()> {
        let (request, fine) = (frame.u64()?, frame.u8()? == 1);
        let answer = if fine {
            Ok(frame.rest().to_vec())
        } else {
            let (kind, text) = (frame.text()?, frame.text()?);
            Err(fail::error(kind_of(&kind), text))
        };
        let asker = self.open.lock().answers.remove(&request);
        if let Some(asker) = asker {
            let _ = asker.send(answer);
        }
        Ok(())
    }

    /// Asks for the value of an object, or only whether it is ready.
    pub(crate) fn ask_for(&self, number: u64, wish: Wish, origin: Origin) {
        let (kind, reply) = match wish {
            Wish::Value(reply) => (Kind::Want, reply),
            Wish::Readiness(reply) => (Kind::Look, reply),
        };
        let request = self.fresh();
        let mut open = self.open.lock();
        if let Some(ended) = open.ended.clone() {
            // The reply settles an object, which may call this again.
            drop(open);
            return reply.send(Err(ended));
        }
        open.replies.insert(request, (reply, origin));
        drop(open);
        let mut frame = Writer::new(kind);
        frame.u64(request).u64(number);
        let _ = self.sender.send(frame);
        self.expect_answer();
    }

    fn expect_answer(&self) {
        if let Some(reading) = &self.reading {
            reading.need();
        }
    }

    /// Whether the other side has not answered something yet.
    pub(crate) fn expects_answers(&self) -> bool {
        let open = self.open.lock();
        !open.replies.is_empty() || !open.answers.is_empty()
    }

    /// Handles the value of an object that was asked for.
    ///
    /// # Errors
    /// The frame is malformed.
    pub(crate) fn settled(self: &Arc<Self>, frame: &mut Reader<'_>) -> io::Result<()> {
        let (request, status) = (frame.u64()?, frame.u8()?);
        let reply = self.open.lock().replies.remove(&request);
        let origin = reply.as_ref().map_or(Origin::Other, |(_, origin)| origin.clone());
        let outcome = match status {
            0 => Ok(self.read_value(frame)?),
            1 => {
                let whose = frame.u8()?;
                let error = EncodedError { bytes: frame.blob()? }.decode(None);
                Err(placed(whose, error, &origin, &self.actors))
            }
            _ => {
                let (whose, kind, text) = (frame.u8()?, frame.text()?, frame.text()?);
                let error = fail::error(kind_of(&kind), text);
                Err(match (whose, &origin) {
                    (0, Origin::Task(name)) => fail::crash(name, "the process of Ray's worker", error),
                    (0, Origin::Method(_, actor)) if error.is_actor_died() => self.actors.after_death(*actor, error),
                    (0, _) => error,
                    _ => placed(whose, error, &origin, &self.actors),
                })
            }
        };
        if let Some((reply, _)) = reply {
            reply.send(outcome);
        }
        Ok(())
    }

    /// The connection has ended: everything that was asked for fails with this error.
    pub(crate) fn end(&self, error: &Error) {
        self.sender.close();
        let (replies, answers) = {
            let mut open = self.open.lock();
            open.ended.get_or_insert_with(|| error.clone());
            (std::mem::take(&mut open.replies), std::mem::take(&mut open.answers))
        };
        for (reply, _) in replies.into_values() {
            reply.send(Err(error.clone()));
        }
        for answer in answers.into_values() {
            let _ = answer.send(Err(error.clone()));
        }
    }

    // Values

    /// Writes a value. The objects that were stored for it must live until the frame is sent; they are added to `stored`.
    ///
    /// # Errors
    /// `Serialization`; the error of an object inside the value that has failed.
    pub(crate) fn write_value(
        self: &Arc<Self>,
        frame: &mut Writer,
        value: &Encoded,
        stored: &mut Vec<Arc<Object>>,
    ) -> Result<()> {
        frame.blob(&value.bytes).map_err(too_large)?;
        let count = u16::try_from(value.carried.len()).map_err(|_| {
            fail::error(ErrorKind::Serialization, "a value has more than 65,535 references and handles inside: divide it")
        })?;
        frame.u16(count);
        for carried in &value.carried {
            match carried {
                Carried::Actor(actor) => frame.u8(1).u64(actor.id()),
                Carried::Remote(source) => match self.own(source) {
                    Some(object) => frame.u8(0).u64(object.number),
                    None => {
                        return Err(fail::error(ErrorKind::Serialization, "a reference of another connection cannot be sent"));
                    }
                },
                Carried::Object(object) => match self.number_of(object.object()) {
                    Some(number) => frame.u8(0).u64(number),
                    None => {
                        let kept = self.store(&object.encode_value()?)?;
                        let number = kept.number;
                        stored.push(kept);
                        frame.u8(0).u64(number)
                    }
                },
            };
        }
        Ok(())
    }

    /// Reads a value.
    ///
    /// # Errors
    /// The frame is malformed.
    pub(crate) fn read_value(self: &Arc<Self>, frame: &mut Reader<'_>) -> io::Result<Encoded> {
        let bytes = frame.blob()?;
        let count = frame.u16()?;
        let carried = (0..count).map(|_| {
            Ok(match frame.u8()? {
                0 => Carried::Remote(Object::known(self, frame.u64()?, Origin::Other)),
                1 => {
                    let (number, class) = (frame.u64()?, frame.text()?);
                    self.actors.enter(number);
                    Carried::Actor(Arc::new(Handle::new(self, number, class)))
                }
                other => return Err(malformed(format!("a value with an item of kind {other}"))),
            })
        });
        Ok(Encoded { carried: carried.collect::<io::Result<_>>()?, bytes })
    }

    fn own<'a>(self: &Arc<Self>, source: &'a Arc<dyn RemoteObject>) -> Option<&'a Object> {
        source.as_any().downcast_ref::<Object>().filter(|object| object.is_known_to(self))
    }

    /// The number of an object that the other side has.
    pub(crate) fn number_of(self: &Arc<Self>, object: &AnyRef) -> Option<u64> {
        Some(self.own(&object.remote()?)?.number)
    }

    /// Stores a value.
    ///
    /// # Errors
    /// `Serialization`.
    pub(crate) fn store(self: &Arc<Self>, value: &Encoded) -> Result<Arc<Object>> {
        let number = FIRST_STORED + self.fresh();
        let mut frame = Writer::new(Kind::Put);
        frame.u64(number);
        let mut stored = Vec::new();
        self.write_value(&mut frame, value, &mut stored)?;
        self.send(frame)?;
        Ok(Object::known(self, number, Origin::Other))
    }

    // Arguments

    /// The objects among the arguments of which the other side knows nothing and that are not ready.
    pub(crate) fn unready(self: &Arc<Self>, args: &[EncodedArg]) -> Vec<AnyRef> {
        let mut unready = Vec::new();
        for arg in args {
            match arg {
                EncodedArg::Value(value) => unready.extend(self.unready_in(value)),
                EncodedArg::Reference(reference) => {
                    let objects = reference.objects();
                    // If the other side does not know one of them, the values of all are sent.
                    if objects.iter().any(|object| self.number_of(object).is_none()) {
                        unready.extend(objects.iter().filter(|object| !object.is_here()).cloned());
                    }
                }
            }
        }
        unready
    }

    /// The objects inside a value of which the other side knows nothing and that are not ready.
    pub(crate) fn unready_in(self: &Arc<Self>, value: &Encoded) -> Vec<AnyRef> {
        let objects = value.carried.iter().filter_map(|carried| match carried {
            Carried::Object(object) => Some(object.object()),
            Carried::Remote(_) | Carried::Actor(_) => None,
        });
        objects.filter(|object| self.is_unready(object)).cloned().collect()
    }

    fn is_unready(self: &Arc<Self>, object: &AnyRef) -> bool {
        self.number_of(object).is_none() && !object.is_here()
    }
}

fn too_large(error: io::Error) -> Error {
    fail::error(ErrorKind::InvalidArgument, format!("a value cannot be sent to Ray: {error}"))
}
