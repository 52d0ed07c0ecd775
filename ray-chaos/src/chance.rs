//! A small random number generator (xorshift64*). Each operation has its own generator, whose seed is the operation's place
//! in the program. So the other operations do not change if one is left out.

/// The generator.
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    /// A generator whose seed is the combination of these numbers.
    pub fn new(names: &[u64]) -> Self {
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        for name in names {
            // One round of splitmix64 for each number.
            state = state.wrapping_add(*name).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            state ^= state >> 29;
            state = state.wrapping_mul(0x94D0_49BB_1331_11EB);
            state ^= state >> 32;
        }
        Chance(state | 1)
    }

    /// 64 random bits.
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// A number below `end`, or 0.
    pub fn below(&mut self, end: usize) -> usize {
        ((self.next() >> 33) % end.max(1) as u64) as usize
    }

    /// `true` once in `many` times.
    pub fn one_in(&mut self, many: usize) -> bool {
        self.below(many) == 0
    }
}
