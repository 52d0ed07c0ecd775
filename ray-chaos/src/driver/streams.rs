//! Operations on streams: of functions, of actors, several at once, and in bodies.

use std::time::Duration;

use ray::{Error, ErrorKind, ObjectRef, ObjectRefStream, Pending};

use super::races::yields;
use super::{Driver, Errors, errors, is_excused};
use crate::program::{
    AsyncSource, End, Source, Thing, borrowed, count_made, forget_made, gather, gather_async, made, numbers, numbers_async,
    pushes, pushes_async, relay, stumbling,
};
use crate::state::{ending, few_threads, give_up, plan};

/// What a stream must yield: the numbers after `from`, so many, and then perhaps an error.
#[derive(Clone, Copy, Debug)]
struct Script {
    from: i64,
    count: i64,
    /// The kinds that the error after the last item may have; an empty list: the stream ends without an error.
    last: Errors,
    /// The kinds of the error that may end the stream at any item.
    cut: Errors,
}

/// The place in a stream up to which its items were checked.
#[derive(Debug)]
struct Reader {
    script: Script,
    taken: i64,
    /// Whether the error was found.
    over: bool,
}

/// Whether the engine ends or has few threads, so that any operation may fail.
fn anything_goes() -> bool {
    ending() || few_threads()
}

impl Reader {
    fn new(script: Script) -> Self {
        Reader { script, taken: 0, over: false }
    }

    fn item(&mut self, outcome: Result<Thing, Error>) {
        let outcome = outcome.map(|thing| thing.value());
        let Script { from, count, last, cut } = self.script;
        match &outcome {
            Ok(value) if !self.over && self.taken < count && *value == from + self.taken + 1 => self.taken += 1,
            Err(error) if !self.over && (self.taken == count && last.has(error.kind()) || cut.has(error.kind())) => {
                self.over = true
            }
            Err(error) if is_excused(error) || anything_goes() => self.over = true,
            _ => give_up(&format!("an item of a stream is {outcome:?}: {self:?}")),
        }
    }

    fn end(&self) {
        let complete = self.taken == self.script.count && self.script.last.is_none();
        if !self.over && !complete && !anything_goes() {
            give_up(&format!("a stream ends too early: {self:?}"));
        }
    }
}

impl Driver {
    /// Takes items, at most so many, in one of several ways. Returns the stream, unless it has ended.
    fn take(&mut self, mut stream: ObjectRefStream<Thing>, reader: &mut Reader, most: i64) -> Option<ObjectRefStream<Thing>> {
        let how = self.chance.below(6);
        let more = |reader: &Reader| reader.taken < most || reader.over || most >= reader.script.count;
        match how {
            0 => {
                let patience = plan().watchdog;
                while more(reader) {
                    match stream.next_timeout(patience) {
                        Ok(Some(item)) => reader.item(ray::get(item)),
                        Ok(None) => return self.ended(&stream, reader),
                        Err(error) if is_excused(&error) || anything_goes() => return None,
                        Err(error) => give_up(&format!("the next item of a stream: {error}: {reader:?}")),
                    }
                }
            }
            1 => {
                let mut items = stream.stream();
                let runtime = &self.runtime;
                runtime.block_on(async {
                    while more(reader) {
                        match futures::StreamExt::next(&mut items).await {
                            Some(item) => reader.item(item.await),
                            None => return reader.end(),
                        }
                    }
                });
                // An `ItemStream` cannot be converted back: its drop drops the rest.
                return None;
            }
            2 => {
                let mut pending = Pending::from(vec![stream]);
                while more(reader) {
                    let Ok((mut ready, rest)) = ray::wait(pending, 1) else {
                        if anything_goes() {
                            return None;
                        }
                        give_up("a wait for a stream fails");
                    };
                    let mut stream = ready.pop().expect("one stream is ready");
                    if !stream.next_ready() && !stream.is_finished() && !anything_goes() {
                        give_up(&format!("`wait` returns a stream that is not ready: {reader:?}"));
                    }
                    match stream.next() {
                        Some(item) => reader.item(ray::get(item)),
                        None => return self.ended(&stream, reader),
                    }
                    pending = rest;
                    pending.push(stream);
                }
                return pending.into_iter().next();
            }
            3 if most >= reader.script.count => {
                let done = ray::get(stream.completed());
                if done.is_ok() != reader.script.last.is_none() && reader.script.cut.is_none() && !anything_goes() {
                    give_up(&format!("the completion of a stream is {done:?}: {reader:?}"));
                }
                stream.by_ref().for_each(|item| reader.item(ray::get(item)));
                return self.ended(&stream, reader);
            }
            4 if most >= reader.script.count => {
                let items: Vec<ObjectRef<Thing>> = stream.by_ref().collect();
                items.into_iter().for_each(|item| reader.item(ray::get(item)));
                return self.ended(&stream, reader);
            }
            _ => {
                while more(reader) {
                    match stream.next() {
                        Some(item) => reader.item(ray::get(item)),
                        None => return self.ended(&stream, reader),
                    }
                }
            }
        }
        Some(stream)
    }

    fn ended(&self, stream: &ObjectRefStream<Thing>, reader: &Reader) -> Option<ObjectRefStream<Thing>> {
        reader.end();
        if (!stream.is_finished() || stream.next_ready()) && !anything_goes() {
            give_up(&format!("a stream has ended, and says that it has not: {reader:?}"));
        }
        None
    }

    /// A stream that is read to its end, dropped half way, or cancelled.
    pub(super) fn stream(&mut self) {
        let count = if self.chance.one_in(8) { 200 } else { self.chance.below(12) as i64 };
        let end = [End::Returns, End::Returns, End::Fails, End::Panics][self.chance.below(4)];
        let (sort, bound, fate) = (self.chance.below(7), 1 + self.chance.below(5) as i64, self.chance.below(7));
        let run = (self.number as u64 + 1) << 40 | self.turn;
        let mut from = self.chance.below(1000) as i64;
        self.note("stream", [count, sort as i64, fate as i64]);
        let mut last = match end {
            End::Returns => Errors::NONE,
            End::Fails => errors([ErrorKind::Task]),
            End::Panics => errors([ErrorKind::Panic]),
        };
        let mut expected = count;
        count_made(run);
        let mut stream = match sort {
            0 => {
                if end == End::Fails {
                    expected = 0;
                }
                numbers.options().backpressure(bound).remote(Thing::new(from), count, end)
            }
            1 => {
                // An argument that cannot fail.
                let (node, object) = self.pick();
                let value = self.model.value(node).filter(|_| !self.model.may_fail(node));
                last = if end == End::Panics { last } else { Errors::NONE };
                match value {
                    Some(value) => {
                        from = value;
                        borrowed.options().backpressure(bound).remote(&object, count, end)
                    }
                    None => borrowed.remote(ray::put(Thing::new(from)), count, end),
                }
            }
            2 => {
                last = if end == End::Panics { last } else { Errors::NONE };
                numbers_async.options().backpressure(bound).remote(Thing::new(from), count, end)
            }
            3 => pushes_async.options().backpressure(bound).remote(Thing::new(from), count, end, run),
            4 => {
                last = Errors::NONE;
                stumbling.options().backpressure(bound).remote(Thing::new(from), count, self.chance.below(4) as u32)
            }
            _ => pushes.options().backpressure(bound).remote(Thing::new(from), count, end, run),
        };
        let mut reader = Reader::new(Script { from, count: expected, last, cut: Errors::NONE });
        let half = self.chance.below(expected as usize + 1) as i64;
        match fate {
            0 => drop(self.take(stream, &mut reader, half)),
            1 => drop(self.take(stream.cancel_on_drop(), &mut reader, half)),
            2 => {
                if let Some(stream) = self.take(stream, &mut reader, half) {
                    let _ = stream.cancel();
                    reader.script.cut = errors([ErrorKind::Cancelled]);
                    drop(self.take(stream, &mut reader, i64::MAX));
                }
            }
            3 => {
                reader.script.cut = errors([ErrorKind::Cancelled]);
                if let Some(first) = stream.next() {
                    // The cancel of an item is that of its task.
                    let (item, later) = (first.clone(), self.chance.below(20));
                    self.assistant.send(move || {
                        yields(later);
                        let _ = ray::cancel(&item);
                    });
                    reader.item(ray::get(first));
                }
                drop(self.take(stream, &mut reader, i64::MAX));
            }
            4 if sort > 4 || sort == 3 => {
                // The producer has at most the items of the bound, and one in its hand.
                for item in stream.by_ref() {
                    reader.item(ray::get(item));
                    let ahead = made(run) - reader.taken;
                    if ahead > bound + 1 {
                        give_up(&format!("a producer is {ahead} items ahead, with a bound of {bound}: {reader:?}"));
                    }
                }
                reader.end();
            }
            5 => {
                // Another thread reads the stream.
                let reader = std::thread::spawn(move || {
                    stream.for_each(|item| reader.item(ray::get(item)));
                    reader.end();
                });
                reader.join().expect("a reader does not panic");
            }
            _ => drop(self.take(stream, &mut reader, i64::MAX)),
        }
        forget_made(run);
    }

    /// Streams of an actor, which ends in some way.
    pub(super) fn stream_actor(&mut self) {
        let (from, count, more) = (self.chance.below(100) as i64, self.chance.below(20) as i64, self.chance.below(5) as i64);
        let fate = self.chance.below(7);
        self.note("streams of an actor", [from, count, fate as i64]);
        let script = |from, count| Script { from, count, last: Errors::NONE, cut: Errors::NONE };
        let bound = 1 + self.chance.below(4) as i64;
        if fate == 6 {
            return self.stream_async_actor(from, count, more);
        }
        let restarts = if fate == 4 { -1 } else { 0 };
        let source = Source::options().max_restarts(restarts).remote(Thing::new(from));
        let pushed = self.chance.one_in(2);
        let stream = |count, end| match pushed {
            true => source.push.options().backpressure(bound).remote(count, end),
            false => source.count.options().backpressure(bound).remote(count, end),
        };
        let half = self.chance.below(count as usize + 1) as i64;
        let mut reader = Reader::new(script(from, count));
        match fate {
            0 => {
                // The next calls wait for the end of the stream.
                let (first, second, looks) = (stream(count, End::Returns), stream(more, End::Returns), source.look.remote(3));
                drop(self.take(first, &mut reader, i64::MAX));
                drop(self.take(second, &mut Reader::new(script(from + count, more)), i64::MAX));
                drop(self.take(looks, &mut Reader::new(script(from + count + more, 3)), i64::MAX));
                let value = ray::get(source.value.remote()).map(|thing| thing.value());
                self.expect("the value after two streams", value, from + count + more);
            }
            1 => {
                let first = stream(count, End::Returns);
                drop(self.take(first, &mut reader, half));
                let value = ray::get(source.value.remote()).map(|thing| thing.value());
                self.expect("the value after a stream that was dropped", value, from + count);
            }
            2 => {
                let (first, second) = (stream(count, End::Returns), stream(more, End::Returns));
                reader.script.cut = errors([ErrorKind::ActorDied]);
                let rest = self.take(first, &mut reader, half);
                let _ = ray::kill(&source);
                if let Some(rest) = rest {
                    drop(self.take(rest, &mut reader, i64::MAX));
                }
                let mut reader = Reader::new(Script { cut: errors([ErrorKind::ActorDied]), ..script(from + count, more) });
                drop(self.take(second, &mut reader, i64::MAX));
            }
            3 => {
                let first = stream(count, End::Returns);
                drop(source);
                drop(self.take(first, &mut reader, i64::MAX));
            }
            4 => {
                // The error says that the actor restarts, because of the panic.
                reader.script.last = errors([ErrorKind::ActorUnavailable]);
                let first = stream(count, End::Panics);
                drop(self.take(first, &mut reader, i64::MAX));
                // An actor whose method panics restarts.
                let value = ray::get(source.value.remote()).map(|thing| thing.value());
                if !matches!(&value, Ok(value) if *value == from || *value == from + count) && !anything_goes() {
                    give_up(&format!("the value after a crash is {value:?}, of a source at {from} with {count} items"));
                }
            }
            _ => {
                let first = stream(count, End::Returns);
                let rest = self.take(first, &mut reader, half);
                reader.script.cut = errors([ErrorKind::Cancelled]);
                if let Some(rest) = rest {
                    let _ = rest.cancel();
                    drop(self.take(rest, &mut reader, i64::MAX));
                }
                if let Err(error) = ray::get(source.value.remote())
                    && !is_excused(&error)
                    && !anything_goes()
                {
                    give_up(&format!("a call behind a stream that was cancelled: {error}"));
                }
            }
        }
    }

    fn stream_async_actor(&mut self, from: i64, count: i64, more: i64) {
        let source = AsyncSource::remote(Thing::new(from));
        let script = |from, count| Script { from, count, last: Errors::NONE, cut: Errors::NONE };
        let (looks, pushed, again) = (source.look.remote(count), source.push.remote(more), source.look.remote(count));
        drop(self.take(looks, &mut Reader::new(script(from, count)), i64::MAX));
        drop(self.take(pushed, &mut Reader::new(script(from, more)), i64::MAX));
        drop(self.take(again, &mut Reader::new(script(from + more, count)), i64::MAX));
        let value = ray::get(source.value.remote()).map(|thing| thing.value());
        self.expect("the value of an async source", value, from + more);
    }

    /// Several streams at once: merged, or in a wait. Each keeps its order, and no item is lost.
    pub(super) fn stream_wait(&mut self) {
        let how = self.chance.below(3);
        let many = 1 + self.chance.below(4);
        let bound = 1 + self.chance.below(5) as i64;
        self.note("streams at once", [how as i64, many as i64]);
        let mut readers = Vec::new();
        let mut streams = Vec::new();
        for number in 0..many {
            let (from, count) = (1000 * number as i64, self.chance.below(30) as i64);
            let end = if self.chance.one_in(3) { End::Panics } else { End::Returns };
            let last = if end == End::Panics { errors([ErrorKind::Panic]) } else { Errors::NONE };
            readers.push(Reader::new(Script { from, count, last, cut: Errors::NONE }));
            streams.push(match self.chance.below(3) {
                0 => numbers_async.options().backpressure(bound).remote(Thing::new(from), count, end),
                1 => pushes.options().backpressure(bound).remote(Thing::new(from), count, end, 0),
                _ => numbers.options().backpressure(bound).remote(Thing::new(from), count, end),
            });
        }
        // An error does not tell its stream: it belongs to one that has yielded all items and must fail.
        let item = |readers: &mut Vec<Reader>, outcome: Result<Thing, Error>| {
            let its = match &outcome {
                Ok(thing) => readers.iter_mut().find(|reader| (0..1000).contains(&(thing.value() - 1 - reader.script.from))),
                Err(_) => readers
                    .iter_mut()
                    .find(|reader| !reader.over && reader.taken == reader.script.count && !reader.script.last.is_none()),
            };
            match its {
                Some(reader) => reader.item(outcome),
                None if anything_goes() => {}
                None => give_up(&format!("an item of several streams is {:?}: {readers:?}", outcome.map(|thing| thing.value()))),
            }
        };
        match how {
            0 => ray::merge(streams).for_each(|one| item(&mut readers, ray::get(one))),
            1 => {
                let mut merged = ray::merge(streams);
                let runtime = &self.runtime;
                runtime.block_on(async {
                    while let Some(one) = futures::StreamExt::next(&mut merged).await {
                        item(&mut readers, one.await);
                    }
                });
            }
            _ => {
                let mut pending = Pending::from(streams);
                while !pending.is_empty() {
                    let Ok((ready, rest)) = ray::wait(pending, 1) else {
                        if anything_goes() {
                            return;
                        }
                        give_up("a wait for streams fails");
                    };
                    pending = rest;
                    for mut stream in ready {
                        match stream.next_timeout(Duration::ZERO) {
                            Ok(Some(one)) => {
                                item(&mut readers, ray::get(one));
                                pending.push(stream);
                            }
                            Ok(None) => {}
                            Err(_) if anything_goes() => return,
                            Err(error) => give_up(&format!("`wait` returns a stream that is not ready: {error}")),
                        }
                    }
                }
            }
        }
        readers.iter().for_each(Reader::end);
    }

    /// Bodies that read streams, and streams whose producers read streams.
    pub(super) fn stream_body(&mut self) {
        let (from, count, bound) = (self.chance.below(100) as i64, self.chance.below(30) as i64, 1 + self.chance.below(4) as i64);
        let sum = (1..=count).map(|x| from + x).sum();
        self.note("streams in bodies", [from, count, bound]);
        match self.chance.below(3) {
            0 => self.enter_value("gather", sum, gather.remote(from, count, bound)),
            1 => self.enter_value("gather (async)", sum, gather_async.remote(from, count, bound)),
            _ => {
                let mut reader = Reader::new(Script { from, count, last: Errors::NONE, cut: Errors::NONE });
                let half = self.chance.below(2 * count as usize + 1) as i64;
                drop(self.take(relay.remote(from, count), &mut reader, half));
            }
        }
    }
}
