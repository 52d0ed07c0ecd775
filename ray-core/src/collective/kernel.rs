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

use super::element::{Fold, Number};

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

/// So many elements are made one at a time: few enough for registers.
const TILE: usize = 64;

/// Folds the inputs' elements in the order of the inputs, into every output.
///
/// # Safety
/// The rules of this module.
pub(crate) unsafe fn reduce<T: Number, F: Fold<T>>(part: &Part<'_>) {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("f16c") {
        // SAFETY: the caller's promise, and the processor has what the loop is compiled for.
        return unsafe { wide::<T, F>(part) };
    }
    // SAFETY: the caller's promise.
    unsafe { tiles::<T, F>(part) }
}

/// # Safety
/// The rules of this module, on a processor with these features.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,f16c")]
unsafe fn wide<T: Number, F: Fold<T>>(part: &Part<'_>) {
    // SAFETY: the caller's promise.
    unsafe { tiles::<T, F>(part) }
}

/// # Safety
/// The rules of this module.
#[inline(always)]
unsafe fn tiles<T: Number, F: Fold<T>>(part: &Part<'_>) {
    let whole = part.len - part.len % TILE;
    let mut at = 0;
    while at < whole {
        // SAFETY: the caller's promise, for a tile of the part.
        unsafe { tile::<T, F>(part, at, TILE) };
        at += TILE;
    }
    if at < part.len {
        // SAFETY: as above.
        unsafe { tile::<T, F>(part, at, part.len - at) };
    }
}

/// # Safety
/// The rules of this module.
#[inline(always)]
unsafe fn tile<T: Number, F: Fold<T>>(part: &Part<'_>, at: usize, len: usize) {
    let [first, others @ ..] = part.inputs else { return };
    // SAFETY: what is in the part of an input or an output is the kernel's alone, by the rules; the tile is inside of it.
    unsafe {
        let zero = first.cast::<T>().add(part.input_at + at).read().wide();
        let mut all = [zero; TILE];
        let all = &mut all[..len];
        T::widen(first.cast::<T>().add(part.input_at + at), all);
        for other in others {
            let other = other.cast::<T>().add(part.input_at + at);
            let mut next = [zero; TILE];
            let next = &mut next[..len];
            T::widen(other, next);
            for (all, next) in all.iter_mut().zip(next) {
                *all = F::fold(*all, *next);
            }
        }
        for all in all.iter_mut() {
            *all = F::end(*all, part.inputs.len());
        }
        for output in part.outputs {
            T::narrow_all(all, output.cast::<T>().add(part.output_at + at));
        }
    }
}
