//! The loops: several members' elements become one, and each of those who want it gets it.
//!
//! # Rules
//!
//! A kernel is handed the addresses of *other threads'* buffers. It may touch the part that it is told to, and nothing else,
//! under what its caller promises: the buffers stay where they are until it returns, nobody else reads or writes that part
//! of any output or writes that part of any input meanwhile. An input may be an output of the same place (in place): each
//! tile is read from all inputs before it is written to any output, and no reference to it lives in between.
//!
//! The order of the members is the order of the inputs, always: results do not depend on who runs the kernel, on the
//! number of parts, or on the processor's width.

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

/// A loop over a part; unsafe to call: see the rules.
pub(crate) type Kernel = unsafe fn(&Part<'_>);

/// So many bytes are made one at a time: few enough for registers, so that each element is read and written once.
pub(crate) const TILE: usize = 128;

// What no order of accesses helps against: AMD's processors tell the lines of a set apart by a hash of address bits below 2^28,
// so buffers that lie whole multiples of 256 MiB apart evict each other from the first-level cache, and cost up to four
// times as much. One allocation for all members, or of a size that the system maps by itself, does not lie so.

/// Tiles begin at a multiple of this in the first output: an access of a register's width that crosses a cache line costs
/// twice. Buffers of one allocator mostly lie alike, and where they do not the others pay.
const LINE: usize = 64;

/// Folds the inputs' elements in the order of the inputs, into every output; `N` elements at a time.
///
/// # Safety
/// The rules of this module.
pub(crate) unsafe fn reduce<T: Number, F: Fold<T>, const N: usize>(part: &Part<'_>) {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("f16c") {
        // SAFETY: the caller's promise, and the processor has what the loop is compiled for.
        return unsafe { wide::<T, F, N>(part) };
    }
    // SAFETY: the caller's promise.
    unsafe { tiles::<T, F, N>(part) }
}

/// # Safety
/// The rules of this module, on a processor with these features.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,f16c")]
unsafe fn wide<T: Number, F: Fold<T>, const N: usize>(part: &Part<'_>) {
    // Loops of their own for the most common numbers of members, in which all addresses are in registers.
    // SAFETY: the caller's promise.
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
/// The rules of this module.
#[inline(always)]
#[allow(clippy::needless_range_loop, reason = "closures would be compiled apart, for any processor")]
unsafe fn tiles<T: Number, F: Fold<T>, const N: usize>(part: &Part<'_>) {
    let ([first, others @ ..], [output, ..]) = (part.inputs, part.outputs) else { return };
    let begin = output.cast::<T>().wrapping_add(part.output_at);
    let head = begin.align_offset(LINE).min(part.len);
    let whole = head + (part.len - head) / N * N;
    // SAFETY: by the rules what is in the part of an input or an output is the kernel's alone, and `at` and what is done from
    // there are inside of it.
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
