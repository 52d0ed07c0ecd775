//! Trace contexts travel from a call to its body, and on to the calls that the body makes.

use ray::{TraceContext, remote};

use crate::stage::alone;
use crate::support::{Words, calls};

const FIRST: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const SECOND: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

fn context(parent: &str) -> TraceContext {
    TraceContext::new(parent, "vendor=1").unwrap()
}

/// The context of the running code.
fn seen() -> Option<String> {
    ray::context().trace_context().map(|context| format!("{} {}", context.traceparent(), context.tracestate()))
}

fn sees(parent: &str) -> Option<String> {
    Some(format!("{parent} vendor=1"))
}

#[remote]
fn task() -> Option<String> {
    seen()
}

#[remote]
async fn asynchronous() -> Option<String> {
    seen()
}

/// Its own context, that of a call, that of a method, and that of a call in another context.
#[remote]
fn nested() -> Vec<Option<String>> {
    let place = Place::remote();
    let other = context(SECOND).run(|| task.remote());
    let called = ray::get(task.options().name("named").remote()).unwrap();
    let (made, method) = ray::get(place.seen.remote()).unwrap();
    vec![seen(), called, made, method, ray::get(other).unwrap()]
}

#[remote]
struct Place(Option<String>);

#[remote]
impl Place {
    pub fn new() -> Self {
        Place(seen())
    }

    /// The contexts of the constructor and of the call.
    pub fn seen(&self) -> (Option<String>, Option<String>) {
        (self.0.clone(), seen())
    }

    pub fn say(&self, words: Words) {
        words.say(seen().unwrap_or_default());
    }
}

/// A body sees the context of its call, and so do the calls that it makes. A call outside of `run` has none.
#[test]
fn calls_inherit_the_context() {
    alone(|| {
        let first = context(FIRST);
        let (one, two, all) = first.run(|| (task.remote(), asynchronous.remote(), nested.remote()));
        assert_eq!((ray::get(one).unwrap(), ray::get(two).unwrap()), (sees(FIRST), sees(FIRST)));
        assert_eq!(ray::get(all).unwrap(), [sees(FIRST), sees(FIRST), sees(FIRST), sees(FIRST), sees(SECOND)]);
        assert_eq!(ray::get(task.remote()).unwrap(), None);
        assert_eq!(seen(), None);
        assert_eq!(first.run(seen), sees(FIRST));
    });
}

/// A method has the context of its call, not that of the actor's creation; and so has a call without a reference.
#[test]
fn methods_have_the_context_of_their_call() {
    alone(|| {
        let (first, second) = (context(FIRST), context(SECOND));
        let place = first.run(Place::remote);
        let words = Words::new();
        let call = second.run(|| {
            place.say.tell(words);
            place.seen.remote()
        });
        assert_eq!(ray::get(call).unwrap(), (sees(FIRST), sees(SECOND)));
        assert_eq!(ray::get(place.seen.remote()).unwrap(), (sees(FIRST), None));
        assert_eq!(words.said(), [sees(SECOND).unwrap()]);
    });
}

/// A body that a getter runs on its own thread, inside of `run`, has its own context.
#[test]
fn a_getter_does_not_lend_its_context() {
    alone(|| {
        for _ in 0..calls(3, 100) {
            let other = task.remote();
            assert_eq!(context(FIRST).run(|| ray::get(other)).unwrap(), None);
            let outside = nested.remote();
            let seen = context(SECOND).run(|| ray::get(outside)).unwrap();
            assert_eq!(seen, [None, None, None, None, sees(SECOND)]);
        }
    });
}
