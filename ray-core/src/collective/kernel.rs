//! The loops of reductions: they combine the elements of several members into one, and write it to one or several outputs.
//!
//! # Rules
//!
//! A kernel gets the addresses of *other threads'* buffers. It touches the given part of them and nothing else. Its caller
//! guarantees that the part lies inside of all buffers, that the buffers stay where they are until the kernel returns, and
//! that meanwhile no other thread reads or writes that part of any output, or writes that part of any input. An input may be
//! an output at the same place (in place): the kernel reads each tile from all inputs before it writes it to any output, and
//! keeps no reference to it in between.
//!
//! The order of the members is always the order of the inputs: results do not depend on which thread runs the kernel, on the
//! number of parts, or on the width of the processor's registers.

use crate::collective::element::{Fold, Number};

/// Addresses of the elements' buffers, one for each member that has one.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    pub(crate) inputs: &'a [*const u8],
    /// The part's place in each input, in elements.
    pub(crate) input_at: usize,
    pub(crate) outputs: &'a [*mut u8],
    /// The part's place in each output, in elements.
    pub(crate) output_at: usize,
    /// Elements.
    pub(crate) len: usize,
}

/// A loop over a part. A call is unsafe: the caller guarantees what the rules above say.
pub(crate) type Kernel = unsafe fn(&Part<'_>);

/// The bytes of a tile, which is combined at once: few enough for registers, so that each element is read and written once.
pub(crate) const TILE: usize = 128;

// No order of accesses helps in one case: AMD's processors tell the cache lines of a set apart by a hash of address bits below
// 2^28, so buffers whose distance is a multiple of 256 MiB evict each other from the first-level cache, and cost up to four
// times as much. One allocation for all members, or allocations that the system maps one by one, do not have that distance.

/// Tiles begin at a multiple of this in the first output, because an access of a register's width that crosses a cache line
/// costs twice. Buffers of one allocator mostly have the same alignment; where they do not, the other buffers pay.
const LINE: usize = 64;

/// Folds the inputs' elements in the order of the inputs, into every output; `N` elements at a time.
///
/// # Safety
/// The caller guarantees what the rules of this module say of the part.
pub(crate) unsafe fn reduce<T: Number, F: Fold<T>, const N: usize>(part: &Part<'_>) {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("f16c") {
        // SAFETY: the processor has the features that `wide` is compiled for; the caller guarantees the rules for the part.
        return unsafe { wide::<T, F, N>(part) };
    }
    // SAFETY: the same part, for which the caller guarantees the rules of this module.
    unsafe { tiles::<T, F, N>(part) }
}

/// # Safety
/// As of [`reduce`], and the processor has these features.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,f16c")]
unsafe fn wide<T: Number, F: Fold<T>, const N: usize>(part: &Part<'_>) {
    // Two and four members, the most common numbers, have their own loops, in which all addresses are in registers.
    // SAFETY: the same buffers and part, for which the caller guarantees the rules of this module.
    unsafe {
        if let (Ok(inputs), Ok(outputs)) = (<[_; 2]>::try_from(part.inputs), <[_; 2]>::try_from(part.outputs)) {
            tiles::<T, F, N>(&Part { inputs: &inputs, outputs: &outputs, ..*part });
        } else if let (Ok(inputs), Ok(outputs)) = (<[_; 4]>::try_from(part.inputs), <[_; 4]>::try_from(part.outputs)) {
            tiles::<T, F, N>(&Part { inputs: &inputs, outputs: &outputs, ..*part });
        } else {
            tiles::<T, F, N>(part);
        }
    }
}

/// # Safety
/// As of [`reduce`].
#[inline(always)]
#[allow(clippy::needless_range_loop, reason = "a closure would be compiled without the features of its caller")]
unsafe fn tiles<T: Number, F: Fold<T>, const N: usize>(part: &Part<'_>) {
    let ([first, others @ ..], [output, ..]) = (part.inputs, part.outputs) else { return };
    let begin = output.cast::<T>().wrapping_add(part.output_at);
    let head = begin.align_offset(LINE).min(part.len);
    let whole = head + (part.len - head) / N * N;
    // SAFETY: by the rules no other thread touches the part while the kernel runs, and it lies inside of the buffers; `at`, and
    // the `N` elements from `at` below `whole`, lie inside of the part.
    unsafe {
        let mut at = if head > 0 { 0 } else { whole };
        while at < part.len {
            let mut all = first.cast::<T>().add(part.input_at + at).read().wide();
            for other in others {
                all = F::fold(all, other.cast::<T>().add(part.input_at + at).read().wide());
            }
            let all = T::narrow(F::end(all, part.inputs.len()));
            for output in part.outputs {
                output.cast::<T>().add(part.output_at + at).write(all);
            }
            at = if at + 1 == head { whole } else { at + 1 };
        }
        let mut at = head;
        while at < whole {
            let mut all = T::widen::<N>(first.cast::<T>().add(part.input_at + at));
            for other in others {
                let next = T::widen::<N>(other.cast::<T>().add(part.input_at + at));
                for i in 0..N {
                    all[i] = F::fold(all[i], next[i]);
                }
            }
            for i in 0..N {
                all[i] = F::end(all[i], part.inputs.len());
            }
            for output in part.outputs {
                T::narrow_all(&all, output.cast::<T>().add(part.output_at + at));
            }
            at += N;
        }
    }
}
