//! The trait of training loops: functions with or without a configuration.

use serde::Serialize;

use crate::TrainContext;

/// The function that each rank runs: `Fn(&TrainContext, C) -> ray::Result<R>` or `Fn(&TrainContext) -> ray::Result<R>`.
///
/// It is `Fn` because it runs again when the group is restarted after a failure. The trait is implemented for these functions and
/// closures only; `M` distinguishes the two signatures.
///
/// ```
/// use ray_train::{TrainContext, Trainer};
///
/// fn plain(ctx: &TrainContext) -> ray::Result<()> {
///     ctx.barrier()
/// }
///
/// #[derive(Clone, serde::Serialize)]
/// struct Config { epochs: usize }
///
/// fn configured(ctx: &TrainContext, config: Config) -> ray::Result<usize> {
///     Ok(config.epochs * ctx.world_size())
/// }
///
/// let a = Trainer::new(plain);
/// let b = Trainer::new(configured).config(Config { epochs: 3 });
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a training loop",
    label = "not a training loop",
    note = "a loop is a `Fn(&TrainContext) -> ray::Result<R>` or a `Fn(&TrainContext, C) -> ray::Result<R>`, `Send + Sync + 'static`, where `C` is `Clone + Serialize + Send`; a closure writes `|ctx: &TrainContext, config: C|`"
)]
pub trait TrainLoop<M>: Send + Sync + 'static {
    /// The configuration; `()` for a loop without one.
    type Config: Clone + Serialize + Send + 'static;
    /// The configuration of a new trainer: [`ConfigMissing`], or `()` for a loop without a configuration.
    type Unset;
    /// The type that the loop returns.
    type Output: Send + 'static;

    #[doc(hidden)]
    const UNSET: Self::Unset;

    #[doc(hidden)]
    fn run(&self, context: &TrainContext, config: Self::Config) -> ray::Result<Self::Output>;
}

/// The configuration of a trainer that has none yet, although its loop takes one: call `.config(..)` before `.fit()`.
///
/// ```compile_fail
/// use ray_train::{TrainContext, Trainer};
/// let result = Trainer::new(|_: &TrainContext, epochs: usize| Ok(epochs)).fit(); // without `.config(3)`
/// ```
#[derive(Clone, Copy, Debug)]
pub struct ConfigMissing(());

impl<F, C, R> TrainLoop<fn(C) -> R> for F
where
    F: Fn(&TrainContext, C) -> ray::Result<R> + Send + Sync + 'static,
    C: Clone + Serialize + Send + 'static,
    R: Send + 'static,
{
    type Config = C;
    type Unset = ConfigMissing;
    type Output = R;

    const UNSET: ConfigMissing = ConfigMissing(());

    fn run(&self, context: &TrainContext, config: C) -> ray::Result<R> {
        self(context, config)
    }
}

impl<F, R> TrainLoop<fn() -> R> for F
where
    F: Fn(&TrainContext) -> ray::Result<R> + Send + Sync + 'static,
    R: Send + 'static,
{
    type Config = ();
    type Unset = ();
    type Output = R;

    const UNSET: () = ();

    fn run(&self, context: &TrainContext, (): ()) -> ray::Result<R> {
        self(context)
    }
}
