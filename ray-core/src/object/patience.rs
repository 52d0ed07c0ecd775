//! How long the producer or the consumer of a stream (a *side*) looks for room or for an item before it parks.
//!
//! A park and its wake take some ten microseconds, in which the other side handles hundreds of items. Two sides that are equally fast
//! and park in turn spend most of their time in that. So a side looks for about as long as a wake takes. If that was in vain, the
//! other side is slow, or it needs the processor of this one: then the side looks long only once in two waits, in four, and so on.

use std::time::{Duration, Instant};

/// How long a side looks at most. A future looks as long: an await may hold its thread for twice this time anyway
/// (`engine::blocking::awaiting`).
const LONG: Duration = Duration::from_micros(50);

/// The looks of a side that does not look long, and the looks between two yields of one that does.
const LOOKS: u32 = 60;

/// The largest number of waits without a long look is two to this power.
const MOST: u32 = 10;

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Patience {
    /// The waits until the next long look.
    skip: u32,
    /// The long looks that were in vain, one after the other.
    vain: u32,
}

impl Patience {
    /// Looks whether `found` returns true.
    pub(crate) fn look(&mut self, found: impl Fn() -> bool) -> bool {
        let look = || {
            (0..LOOKS).any(|_| {
                std::hint::spin_loop();
                found()
            })
        };
        if look() {
            return true;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return false;
        }
        let end = Instant::now() + LONG;
        while Instant::now() < end {
            // Another thread may need this processor.
            std::thread::yield_now();
            if look() {
                self.vain = 0;
                return true;
            }
        }
        self.vain = (self.vain + 1).min(MOST);
        self.skip = 1 << self.vain;
        false
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn looks_in_vain_become_rare() {
        let mut patience = Patience::default();
        let long = |patience: &mut Patience| {
            let looks = Cell::new(0);
            assert!(!patience.look(|| {
                looks.set(looks.get() + 1);
                false
            }));
            looks.get() > LOOKS
        };
        let long: Vec<usize> = (0..100).filter(|_| long(&mut patience)).collect();
        assert_eq!(long, [0, 3, 8, 17, 34, 67]);
        patience.skip = 0;
        let looks = Cell::new(0);
        assert!(patience.look(|| {
            looks.set(looks.get() + 1);
            looks.get() > LOOKS
        }));
        assert!(long_is_next(&patience));
    }

    fn long_is_next(patience: &Patience) -> bool {
        patience.skip == 0 && patience.vain == 0
    }
}
