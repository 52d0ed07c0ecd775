//! The types of the elements that members exchange, and the reductions.

use half::f16;
use half::slice::HalfFloatSliceExt;

use crate::collective::kernel::{Kernel, TILE, reduce};

/// A number that members can exchange: `f32`, `f64`, [`half::f16`], and every integer of the language.
///
/// Sealed: only these types implement it.
///
/// ```
/// # extern crate ray_core as ray;
/// use ray::collective::Element;
/// fn bytes<T: Element>(values: &[T]) -> usize {
///     size_of_val(values)
/// }
/// assert_eq!(bytes(&[0.0_f32; 4]), 16);
/// ```
#[diagnostic::on_unimplemented(
    message = "members of a group cannot exchange `{Self}`",
    note = "they exchange f32, f64, ray::collective::f16 and the integers; send other data as bytes (`u8`)"
)]
pub trait Element: Copy + Send + Sync + 'static + sealed::Known {}

/// A reduction of elements of type `T`: [`Sum`], [`Product`], [`Min`], [`Max`] for all of them, [`Mean`] for floats.
///
/// ```
/// # extern crate ray_core as ray;
/// use ray::collective::{Element, Group, ReduceOp};
/// fn all<T: Element, O: ReduceOp<T>>(group: &mut Group, values: &mut [T], op: O) -> ray::Result<()> {
///     group.allreduce(values, op)
/// }
/// let mut alone = Group::members(1)?.remove(0);
/// all(&mut alone, &mut [1, 2, 3], ray::collective::Max)?;
/// # Ok::<(), ray::Error>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not reduce `{T}`",
    note = "Sum, Product, Min and Max reduce every element; Mean reduces f32, f64 and f16 only, because the mean of integers is rarely an integer: take Sum and divide"
)]
pub trait ReduceOp<T: Element>: sealed::Op<T> {}

pub(crate) mod sealed {
    use super::{Kernel, Reduction};

    /// What the engine needs to know of an element. The names begin with underscores so that they do not hide a user's method.
    pub trait Known {
        /// The name of the type in Rust.
        const __NAME: &'static str;
        /// The loop of a reduction. It is compiled with the engine, not with each program that calls it.
        fn __kernel(reduction: Reduction) -> Kernel;
    }

    /// The reduction of `T` that a type stands for.
    pub trait Op<T>: Copy + Send + Sync + 'static {
        const REDUCTION: Reduction;
    }
}

/// How several elements are combined into one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reduction {
    Sum,
    Product,
    Min,
    Max,
    Mean,
}

impl Reduction {
    /// Its name in errors.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sum => "sum",
            Self::Product => "product",
            Self::Min => "min",
            Self::Max => "max",
            Self::Mean => "mean",
        }
    }
}

/// The arithmetic of an element, for the loops.
#[allow(clippy::needless_range_loop, reason = "see `widen`")]
pub(crate) trait Number: Copy {
    /// The type of the accumulator.
    type Wide: Copy;
    fn wide(self) -> Self::Wide;
    fn narrow(wide: Self::Wide) -> Self;
    fn sum(a: Self::Wide, b: Self::Wide) -> Self::Wide;
    fn product(a: Self::Wide, b: Self::Wide) -> Self::Wide;
    fn min(a: Self::Wide, b: Self::Wide) -> Self::Wide;
    fn max(a: Self::Wide, b: Self::Wide) -> Self::Wide;
    /// The mean of `_of` elements with that sum. Only floats have a mean, and override this.
    fn mean(sum: Self::Wide, _of: usize) -> Self::Wide {
        sum
    }
    /// Reads and widens `N` elements. A plain loop over indices, here and in the kernel: a closure would be compiled without
    /// the processor features of its caller.
    ///
    /// # Safety
    /// `N` initialised elements lie at `from`, and no other thread writes to them meanwhile.
    #[inline(always)]
    unsafe fn widen<const N: usize>(from: *const Self) -> [Self::Wide; N] {
        // SAFETY: the caller guarantees `N` initialised elements at `from`, to which no thread writes.
        let from = unsafe { from.cast::<[Self; N]>().read_unaligned() };
        let mut wide = [from[0].wide(); N];
        for at in 0..N {
            wide[at] = from[at].wide();
        }
        wide
    }
    /// Narrows and writes `N` elements.
    ///
    /// # Safety
    /// There is room for `N` elements at `into`, and no other thread reads or writes there meanwhile.
    #[inline(always)]
    unsafe fn narrow_all<const N: usize>(from: &[Self::Wide; N], into: *mut Self) {
        let mut narrow = [Self::narrow(from[0]); N];
        for at in 0..N {
            narrow[at] = Self::narrow(from[at]);
        }
        // SAFETY: the caller guarantees room for `N` elements at `into`, which no other thread touches.
        unsafe { into.cast::<[Self; N]>().write_unaligned(narrow) };
    }
}

/// One step of a reduction, and its last step.
pub(crate) trait Fold<T: Number> {
    fn fold(a: T::Wide, b: T::Wide) -> T::Wide;
    #[inline(always)]
    fn end(all: T::Wide, _of: usize) -> T::Wide {
        all
    }
}

/// Defines the public type of each reduction, with its steps.
macro_rules! reductions {
    ($($(#[$doc:meta])+ $reduction:ident: $bound:ident, |$a:ident, $b:ident| $fold:expr $(, |$all:ident, $of:ident| $end:expr)?;)+) => {
        $(
            $(#[$doc])+
            #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
            pub struct $reduction;

            impl<T: $bound> sealed::Op<T> for $reduction {
                const REDUCTION: Reduction = Reduction::$reduction;
            }

            impl<T: $bound> ReduceOp<T> for $reduction {}

            impl<T: Number> Fold<T> for $reduction {
                #[inline(always)]
                fn fold($a: T::Wide, $b: T::Wide) -> T::Wide {
                    $fold
                }
                $(
                    #[inline(always)]
                    fn end($all: T::Wide, $of: usize) -> T::Wide {
                        $end
                    }
                )?
            }
        )+
    };
}

reductions! {
    /// The sum, in the order of ranks. Integers wrap; `f16` is summed in `f32` and rounded once, at the end.
    ///
    /// ```
    /// # extern crate ray_core as ray;
    /// use ray::collective::{Group, Sum};
    /// let sums = std::thread::scope(|threads| -> ray::Result<Vec<u8>> {
    ///     let members = Group::members(2)?.into_iter().map(|mut group| {
    ///         threads.spawn(move || -> ray::Result<u8> {
    ///             let mut value = [200_u8];
    ///             group.allreduce(&mut value, Sum)?;
    ///             Ok(value[0])
    ///         })
    ///     });
    ///     members.collect::<Vec<_>>().into_iter().map(|member| member.join().unwrap()).collect()
    /// })?;
    /// assert_eq!(sums, [144, 144]); // 400, wrapped
    /// # Ok::<(), ray::Error>(())
    /// ```
    Sum: Element, |a, b| T::sum(a, b);
    /// The product, in the order of ranks. Integers wrap; `f16` is multiplied in `f32` and rounded once, at the end.
    ///
    /// ```
    /// # extern crate ray_core as ray;
    /// use ray::collective::{Group, Product};
    /// let mut value = [7.0_f64];
    /// Group::members(1)?[0].allreduce(&mut value, Product)?;
    /// assert_eq!(value, [7.0]); // of one member
    /// # Ok::<(), ray::Error>(())
    /// ```
    Product: Element, |a, b| T::product(a, b);
    /// The minimum. If any member has a NaN, the result is the NaN of the lowest rank that has one. Of equal elements (such as
    /// -0.0 and 0.0) the result is that of the lowest rank.
    ///
    /// ```
    /// # extern crate ray_core as ray;
    /// use ray::collective::{Group, Min};
    /// let mut value = [7_i64];
    /// Group::members(1)?[0].allreduce(&mut value, Min)?;
    /// assert_eq!(value, [7]); // of one member
    /// # Ok::<(), ray::Error>(())
    /// ```
    Min: Element, |a, b| T::min(a, b);
    /// The maximum; NaN and equal elements as in [`Min`].
    ///
    /// ```
    /// # extern crate ray_core as ray;
    /// use ray::collective::{Group, Max};
    /// let mut value = [f32::NAN];
    /// Group::members(1)?[0].allreduce(&mut value, Max)?;
    /// assert!(value[0].is_nan());
    /// # Ok::<(), ray::Error>(())
    /// ```
    Max: Element, |a, b| T::max(a, b);
    /// The sum of W members, times 1/W, in the arithmetic of the sum. For floats only: on integers it does not compile.
    ///
    /// ```
    /// # extern crate ray_core as ray;
    /// use ray::collective::{Group, Mean};
    /// let mut gradients = [0.5_f32; 4];
    /// Group::members(1)?[0].allreduce(&mut gradients, Mean)?;
    /// assert_eq!(gradients, [0.5; 4]); // of one member
    /// # Ok::<(), ray::Error>(())
    /// ```
    ///
    /// ```compile_fail
    /// # extern crate ray_core as ray;
    /// use ray::collective::{Group, Mean};
    /// Group::members(1)?[0].allreduce(&mut [1, 2, 3], Mean)?; // `Mean` does not reduce integers
    /// # Ok::<(), ray::Error>(())
    /// ```
    Mean: Float, |a, b| T::sum(a, b), |all, of| T::mean(all, of);
}

/// An element that has a mean: `f32`, `f64`, [`half::f16`].
///
/// ```
/// # extern crate ray_core as ray;
/// use ray::collective::{Float, Group, Mean};
/// fn average<T: Float>(group: &mut Group, gradients: &mut [T]) -> ray::Result<()> {
///     group.allreduce(gradients, Mean)
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no mean here",
    note = "the mean of integers is rarely an integer: take Sum and divide, or convert to f32, f64 or f16 first"
)]
pub trait Float: Element {}

/// Implements an element type, with the loops of its reductions.
macro_rules! known {
    ($type:ty: $($reduction:ident)+) => {
        impl sealed::Known for $type {
            const __NAME: &'static str = stringify!($type);
            fn __kernel(reduction: Reduction) -> Kernel {
                match reduction {
                    $(Reduction::$reduction => reduce::<$type, $reduction, { TILE / size_of::<<$type as Number>::Wide>() }>,)+
                    #[allow(unreachable_patterns, reason = "floats have all reductions")]
                    _ => unreachable!("`ReduceOp` is not implemented for this type and reduction"),
                }
            }
        }

        impl Element for $type {}
    };
}

macro_rules! integers {
    ($($type:ident)+) => {
        $(
            impl Number for $type {
                type Wide = $type;
                #[inline(always)]
                fn wide(self) -> $type {
                    self
                }
                #[inline(always)]
                fn narrow(wide: $type) -> $type {
                    wide
                }
                #[inline(always)]
                fn sum(a: $type, b: $type) -> $type {
                    a.wrapping_add(b)
                }
                #[inline(always)]
                fn product(a: $type, b: $type) -> $type {
                    a.wrapping_mul(b)
                }
                #[inline(always)]
                fn min(a: $type, b: $type) -> $type {
                    if b < a { b } else { a }
                }
                #[inline(always)]
                fn max(a: $type, b: $type) -> $type {
                    if b > a { b } else { a }
                }
            }

            known!($type: Sum Product Min Max);
        )+
    };
}

integers! { i8 i16 i32 i64 i128 isize u8 u16 u32 u64 u128 usize }

/// The arithmetic that floats share; `a` comes from lower ranks than `b`.
macro_rules! arithmetic {
    ($wide:ident) => {
        #[inline(always)]
        fn sum(a: $wide, b: $wide) -> $wide {
            a + b
        }
        #[inline(always)]
        fn product(a: $wide, b: $wide) -> $wide {
            a * b
        }
        // A NaN in `a` stays. With a NaN in `b` the comparison is false, so the result is `b`.
        #[inline(always)]
        fn min(a: $wide, b: $wide) -> $wide {
            if a <= b || a.is_nan() { a } else { b }
        }
        #[inline(always)]
        fn max(a: $wide, b: $wide) -> $wide {
            if a >= b || a.is_nan() { a } else { b }
        }
        #[inline(always)]
        fn mean(sum: $wide, of: usize) -> $wide {
            sum * (1.0 / of as $wide)
        }
    };
}

macro_rules! floats {
    ($($type:ident)+) => {
        $(
            impl Number for $type {
                type Wide = $type;
                #[inline(always)]
                fn wide(self) -> $type {
                    self
                }
                #[inline(always)]
                fn narrow(wide: $type) -> $type {
                    wide
                }
                arithmetic!($type);
            }

            known!($type: Sum Product Min Max Mean);
            impl Float for $type {}
        )+
    };
}

floats! { f32 f64 }

impl Number for f16 {
    type Wide = f32;
    #[inline(always)]
    fn wide(self) -> f32 {
        self.to_f32()
    }
    #[inline(always)]
    fn narrow(wide: f32) -> f16 {
        f16::from_f32(wide)
    }
    arithmetic!(f32);
    // `half` converts whole slices, with the processor's instruction where there is one.
    #[inline(always)]
    unsafe fn widen<const N: usize>(from: *const f16) -> [f32; N] {
        // SAFETY: the caller guarantees `N` initialised elements at `from`, to which no thread writes.
        let from = unsafe { from.cast::<[f16; N]>().read_unaligned() };
        let mut wide = [0.0; N];
        from.convert_to_f32_slice(&mut wide);
        wide
    }
    #[inline(always)]
    unsafe fn narrow_all<const N: usize>(from: &[f32; N], into: *mut f16) {
        let mut narrow = [f16::ZERO; N];
        narrow.convert_from_f32_slice(from);
        // SAFETY: the caller guarantees room for `N` elements at `into`, which no other thread touches.
        unsafe { into.cast::<[f16; N]>().write_unaligned(narrow) };
    }
}

known!(f16: Sum Product Min Max Mean);
impl Float for f16 {}
