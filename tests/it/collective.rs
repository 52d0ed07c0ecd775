//! Collective groups: every operation is compared with a sequential reference, for every element type.

use std::fmt::Debug;

use proptest::prelude::*;
use ray::collective::{Element, Float, Group, Max, Mean, Min, Product, ReduceOp, Sum, f16};

/// Runs `body` for each member of a new group in a separate thread, and returns their results by rank.
pub(crate) fn each<R: Send>(size: usize, body: impl Fn(Group) -> R + Sync) -> Vec<R> {
    let members = Group::members(size).unwrap();
    std::thread::scope(|threads| {
        let bodies: Vec<_> = members.into_iter().map(|group| threads.spawn(|| body(group))).collect();
        bodies.into_iter().map(|body| body.join().unwrap()).collect()
    })
}

/// An element type with a second, simple implementation of its arithmetic.
trait Value: Element + Debug {
    type Wide: Copy;
    /// A value of the type, special values included.
    fn any(random: u64) -> Self;
    fn wide(self) -> Self::Wide;
    fn narrow(wide: Self::Wide) -> Self;
    fn sum(a: Self::Wide, b: Self::Wide) -> Self::Wide;
    fn product(a: Self::Wide, b: Self::Wide) -> Self::Wide;
    fn least(a: Self::Wide, b: Self::Wide) -> Self::Wide;
    fn greatest(a: Self::Wide, b: Self::Wide) -> Self::Wide;
    /// Whether the values have the same bits or are both NaN: the bits of a computed NaN depend on the processor.
    fn same(self, other: Self) -> bool;
    /// Whether the values have the same bits.
    fn identical(self, other: Self) -> bool;
}

macro_rules! integers {
    ($($type:ident)+) => {
        $(impl Value for $type {
            type Wide = $type;
            fn any(random: u64) -> Self {
                u128::from(random).wrapping_mul(0x1_0000_0001_0000_0001_0001) as $type
            }
            fn wide(self) -> $type {
                self
            }
            fn narrow(wide: $type) -> Self {
                wide
            }
            fn sum(a: $type, b: $type) -> $type {
                a.wrapping_add(b)
            }
            fn product(a: $type, b: $type) -> $type {
                a.wrapping_mul(b)
            }
            fn least(a: $type, b: $type) -> $type {
                a.min(b)
            }
            fn greatest(a: $type, b: $type) -> $type {
                a.max(b)
            }
            fn same(self, other: Self) -> bool {
                self == other
            }
            fn identical(self, other: Self) -> bool {
                self == other
            }
        })+
    };
}

integers! { i8 i16 i32 i64 i128 isize u8 u16 u32 u64 u128 usize }

/// The better of two values; `a`, of the lower rank, if it is NaN or equal.
fn chosen<F: PartialOrd + Copy>(a: F, b: F, better: impl Fn(&F, &F) -> bool) -> F {
    #[allow(clippy::eq_op, reason = "NaN")]
    if a != a {
        a
    } else if b != b || better(&b, &a) {
        b
    } else {
        a
    }
}

macro_rules! floats {
    ($($type:ident: $wide:ident, |$number:ident| $narrow:expr;)+) => {
        $(impl Value for $type {
            type Wide = $wide;
            fn any(random: u64) -> Self {
                let $number = match random % 23 {
                    0 => $wide::NAN,
                    1 => $wide::INFINITY,
                    2 => -0.0,
                    3 => 0.0,
                    4 => -1e-7,
                    _ => ((random >> 32) as i32) as $wide / 1e8,
                };
                $narrow
            }
            fn wide(self) -> $wide {
                $wide::from(self)
            }
            fn narrow($number: $wide) -> Self {
                $narrow
            }
            fn sum(a: $wide, b: $wide) -> $wide {
                a + b
            }
            fn product(a: $wide, b: $wide) -> $wide {
                a * b
            }
            fn least(a: $wide, b: $wide) -> $wide {
                chosen(a, b, |b, a| b < a)
            }
            fn greatest(a: $wide, b: $wide) -> $wide {
                chosen(a, b, |b, a| b > a)
            }
            fn same(self, other: Self) -> bool {
                self.identical(other) || (self.is_nan() && other.is_nan())
            }
            fn identical(self, other: Self) -> bool {
                self.to_bits() == other.to_bits()
            }
        })+
    };
}

floats! {
    f32: f32, |number| number;
    f64: f64, |number| number;
    f16: f32, |number| f16::from_f32(number);
}

/// The values of a member, from a seeded generator, so that they can be computed again anywhere.
fn values<T: Value>(seed: u64, rank: usize, len: usize) -> Vec<T> {
    let mut state = seed ^ (rank as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let next = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        T::any(state ^ (state >> 29))
    };
    std::iter::repeat_with(next).take(len).collect()
}

/// The sequential reference: folds the values in the order of the ranks.
fn reference<T: Value>(seed: u64, size: usize, len: usize, fold: impl Fn(T::Wide, T::Wide) -> T::Wide) -> Vec<T::Wide> {
    let mut all: Vec<T::Wide> = values::<T>(seed, 0, len).into_iter().map(T::wide).collect();
    for rank in 1..size {
        for (all, next) in all.iter_mut().zip(values::<T>(seed, rank, len)) {
            *all = fold(*all, next.wide());
        }
    }
    all
}

#[track_caller]
fn assert_same<T: Value>(got: &[T], expected: &[T], what: &str) {
    assert_eq!(got.len(), expected.len());
    let wrong = (0..got.len()).find(|at| !got[*at].same(expected[*at]));
    assert!(wrong.is_none(), "{what} at {wrong:?}: {:?}, not {:?}", got[wrong.unwrap()], expected[wrong.unwrap()]);
}

/// Checks all collectives that reduce, with one reduction, on buffers that begin `shift` elements into an allocation.
fn reductions<T: Value, O: ReduceOp<T>>(
    (size, len, shift, seed): Shape,
    op: O,
    fold: impl Fn(T::Wide, T::Wide) -> T::Wide + Sync,
    end: impl Fn(T::Wide) -> T::Wide,
) {
    let narrow = |wide: Vec<T::Wide>| wide.into_iter().map(|all| T::narrow(end(all))).collect::<Vec<T>>();
    let expected = narrow(reference::<T>(seed, size, len, &fold));
    let whole = narrow(reference::<T>(seed, size, len * size, &fold));
    let results = each(size, |mut group| {
        let rank = group.rank();
        let mut all = values::<T>(seed, rank, shift);
        all.extend(values::<T>(seed, rank, len));
        group.allreduce(&mut all[shift..], op).unwrap();

        let root = seed as usize % size;
        let mut rooted = values::<T>(seed, rank, len);
        group.reduce(&mut rooted, root, op).unwrap();
        let mine = values::<T>(seed, rank, len);
        let untouched = rank == root || (0..len).all(|at| rooted[at].identical(mine[at]));
        assert!(untouched, "`reduce` changed the buffer of a rank that is not the root");

        let mut part = values::<T>(0, 0, len);
        group.reducescatter(&values::<T>(seed, rank, len * size), &mut part, op).unwrap();
        (all.split_off(shift), (rank == root).then_some(rooted), part)
    });
    for (rank, (all, rooted, part)) in results.iter().enumerate() {
        assert_same(all, &expected, "allreduce");
        let replica = &results[0].0;
        assert!((0..len).all(|at| all[at].identical(replica[at])), "replicas differ");
        if let Some(rooted) = rooted {
            assert_same(rooted, &expected, "reduce");
        }
        assert_same(part, &whole[rank * len..(rank + 1) * len], "reducescatter");
    }
}

/// Checks all collectives that copy.
fn copies<T: Value>(size: usize, len: usize, seed: u64) {
    let root = seed as usize % size;
    let whole: Vec<T> = (0..size).flat_map(|rank| values::<T>(seed, rank, len)).collect();
    each(size, |mut group| {
        let rank = group.rank();
        let identical = |a: &[T], b: &[T]| a.len() == b.len() && (0..a.len()).all(|at| a[at].identical(b[at]));
        let mine = values::<T>(seed, rank, len);

        let mut buffer = mine.clone();
        group.broadcast(&mut buffer, root).unwrap();
        assert!(identical(&buffer, &values::<T>(seed, root, len)), "broadcast");

        let mut gathered = values::<T>(0, 0, len * size);
        group.allgather(&mine, &mut gathered).unwrap();
        assert!(identical(&gathered, &whole), "allgather");
        group.barrier().unwrap();

        // A ring of transfers, in which rank 0 receives before it sends.
        if size > 1 {
            let (next, before) = ((rank + 1) % size, (rank + size - 1) % size);
            let mut got = values::<T>(0, 0, len);
            if rank == 0 {
                group.recv(&mut got, before).unwrap();
                group.send(&mine, next).unwrap();
            } else {
                group.send(&mine, next).unwrap();
                group.recv(&mut got, before).unwrap();
            }
            assert!(identical(&got, &values::<T>(seed, before, len)), "send and recv");
        }
    });
}

/// The number of members, the number of elements, the offset of the buffer in its allocation, and the seed of the values.
type Shape = (usize, usize, usize, u64);

fn shapes() -> impl Strategy<Value = Shape> {
    let len = prop_oneof![Just(0), Just(1), 2_usize..200, Just(3_000), Just(20_011)];
    (1_usize..6, len, 0_usize..4, any::<u64>())
}

fn everything<T: Value>(shape: Shape) {
    reductions::<T, _>(shape, Sum, T::sum, |all| all);
    reductions::<T, _>(shape, Product, T::product, |all| all);
    reductions::<T, _>(shape, Min, T::least, |all| all);
    reductions::<T, _>(shape, Max, T::greatest, |all| all);
    copies::<T>(shape.0, shape.1, shape.3);
}

fn everything_and_means<T: Value + Float>(shape: Shape, times: impl Fn(T::Wide, f64) -> T::Wide) {
    everything::<T>(shape);
    reductions::<T, _>(shape, Mean, T::sum, |all| times(all, shape.0 as f64));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn operations_of_f32(shape in shapes()) {
        everything_and_means::<f32>(shape, |all, size| all * (1.0 / size as f32));
    }

    #[test]
    fn operations_of_f64(shape in shapes()) {
        everything_and_means::<f64>(shape, |all, size| all * (1.0 / size));
    }

    #[test]
    fn operations_of_f16(shape in shapes()) {
        everything_and_means::<f16>(shape, |all, size| all * (1.0 / size as f32));
    }

    #[test]
    fn operations_of_i8(shape in shapes()) {
        everything::<i8>(shape);
    }

    #[test]
    fn operations_of_i16(shape in shapes()) {
        everything::<i16>(shape);
    }

    #[test]
    fn operations_of_i32(shape in shapes()) {
        everything::<i32>(shape);
    }

    #[test]
    fn operations_of_i64(shape in shapes()) {
        everything::<i64>(shape);
    }

    #[test]
    fn operations_of_i128(shape in shapes()) {
        everything::<i128>(shape);
    }

    #[test]
    fn operations_of_isize(shape in shapes()) {
        everything::<isize>(shape);
    }

    #[test]
    fn operations_of_u8(shape in shapes()) {
        everything::<u8>(shape);
    }

    #[test]
    fn operations_of_u16(shape in shapes()) {
        everything::<u16>(shape);
    }

    #[test]
    fn operations_of_u32(shape in shapes()) {
        everything::<u32>(shape);
    }

    #[test]
    fn operations_of_u64(shape in shapes()) {
        everything::<u64>(shape);
    }

    #[test]
    fn operations_of_u128(shape in shapes()) {
        everything::<u128>(shape);
    }

    #[test]
    fn operations_of_usize(shape in shapes()) {
        everything::<usize>(shape);
    }
}

/// Two runs over 300,007 elements, several blocks for each member, give the same bits.
#[test]
fn runs_repeat_exactly() {
    let run = || {
        each(3, |mut group| {
            let mut gradients = values::<f32>(7, group.rank(), 300_007);
            for _ in 0..3 {
                group.allreduce(&mut gradients, Mean).unwrap();
                let rank = group.rank() as f32;
                gradients.iter_mut().for_each(|value| *value = *value * 1.01 + rank);
            }
            group.allreduce(&mut gradients, Sum).unwrap();
            gradients.into_iter().map(f32::to_bits).collect::<Vec<_>>()
        })
    };
    let first = run();
    assert!(first.iter().all(|replica| *replica == first[0]), "replicas differ");
    assert_eq!(first, run());
}

/// The mean of four `f16::MAX` is `f16::MAX`: a sum in `f16` would overflow to infinity.
#[test]
fn half_floats_are_summed_in_f32() {
    let means = each(4, |mut group| {
        let mut values = [f16::MAX, f16::from_f32(1.0)];
        group.allreduce(&mut values, Mean).unwrap();
        values
    });
    assert!(means.iter().all(|mean| *mean == [f16::MAX, f16::from_f32(1.0)]), "{means:?}");
}

#[test]
fn integers_wrap() {
    let sums = each(3, |mut group| {
        let (mut sum, mut product) = ([100_i8], [i64::MAX]);
        group.allreduce(&mut sum, Sum).unwrap();
        group.allreduce(&mut product, Product).unwrap();
        (sum[0], product[0])
    });
    assert_eq!(sums, [(44, i64::MAX.wrapping_mul(i64::MAX).wrapping_mul(i64::MAX)); 3]);
}

#[test]
fn min_and_max_return_the_nan_of_the_lowest_rank() {
    let own = |rank: usize| f32::from_bits(0x7fc0_0000 + rank as u32);
    let all = each(4, |mut group| {
        let rank = group.rank();
        let mut least = [if rank == 0 { 1.0 } else { own(rank) }, if rank % 2 == 0 { 0.0 } else { -0.0 }];
        let mut greatest = least;
        group.allreduce(&mut least, Min).unwrap();
        group.allreduce(&mut greatest, Max).unwrap();
        [least, greatest].map(|pair| pair.map(f32::to_bits))
    });
    assert_eq!(all, [[[own(1).to_bits(), 0.0_f32.to_bits()]; 2]; 4]);
}

/// Five members run thousands of different operations in sequence.
#[test]
fn thousands_of_operations_in_sequence() {
    each(5, |mut group| {
        let size = group.size() as u64;
        for turn in 0..2_000_u64 {
            let mut sum = [turn, 1];
            group.allreduce(&mut sum, Sum).unwrap();
            assert_eq!(sum, [turn * size, size]);
            match turn % 4 {
                0 => group.barrier().unwrap(),
                1 => {
                    let mut from = [group.rank() as u64];
                    group.broadcast(&mut from, turn as usize % 5).unwrap();
                    assert_eq!(from, [turn % 5]);
                }
                2 => {
                    let mut got = [0_u64];
                    match group.rank() {
                        1 => group.send(&[turn], 3).unwrap(),
                        3 => group.recv(&mut got, 1).unwrap(),
                        _ => got[0] = turn,
                    }
                    assert!(got[0] == turn || group.rank() == 1);
                }
                _ => {}
            }
        }
    });
}
