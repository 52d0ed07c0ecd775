//! The numbers that a setter of an amount takes.

/// A number of CPUs, GPUs or units of a custom resource: any integer or float. Sealed.
///
/// ```
/// # extern crate ray_core as ray;
/// let config = ray::Config::new().num_cpus(4).resource("licence", 1.5);
/// let cpus: usize = 2;
/// let config = ray::Config::new().num_cpus(cpus);
/// ```
#[diagnostic::on_unimplemented(
    message = "an amount of a resource is a number, not `{Self}`",
    label = "expected an integer or a float",
    note = "for example `.num_cpus(2)` or `.num_cpus(0.5)`"
)]
pub trait Amount: sealed::Sealed {
    #[doc(hidden)]
    fn amount(self) -> f64;
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! numbers {
    ($($number:ty)*) => {
        $(
            impl sealed::Sealed for $number {}
            impl Amount for $number {
                #[inline]
                #[allow(clippy::cast_lossless, clippy::cast_precision_loss, reason = "an amount above 1e15 is refused, and smaller integers are exact")]
                fn amount(self) -> f64 {
                    self as f64
                }
            }
        )*
    };
}
numbers! { i8 i16 i32 i64 isize u8 u16 u32 u64 usize f32 f64 }
