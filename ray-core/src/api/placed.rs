//! The setters of placement, which the options of calls, of closures and of creations share.

/// Declares the setters. `self.options_mut()` has the options; `$work` names the work that has them.
macro_rules! placement {
    ($work:literal) => {
        /// Sets how the node is chosen that
        #[doc = concat!("the ", $work, " runs on: a [`SchedulingStrategy`](crate::SchedulingStrategy), or a")]
        /// [`PlacementGroup`](crate::PlacementGroup) for any bundle of it.
        ///
        /// ```
        /// # extern crate ray_core as ray;
        /// use ray::SchedulingStrategy::{NodeAffinity, Spread};
        /// let nodes = ray::init().and_then(|_| ray::nodes())?;
        /// let anywhere = ray::task(|| 1).scheduling_strategy(Spread).remote();
        /// let there = ray::task(|| 2).scheduling_strategy(NodeAffinity { node_id: nodes[0].id, soft: false }).remote();
        /// assert_eq!(ray::get((anywhere, there))?, (1, 2));
        /// # Ok::<(), ray::Error>(())
        /// ```
        pub fn scheduling_strategy(mut self, strategy: impl Into<SchedulingStrategy>) -> Self {
            self.options_mut().scheduling_strategy(strategy);
            self
        }

        /// Sets the labels that the node must have. A value is that of the label, or one of `!value`, `in(a, b)` and `!in(a, b)`.
        /// [Ray's page](https://docs.ray.io/en/latest/ray-core/scheduling/labels.html).
        ///
        /// ```
        /// # extern crate ray_core as ray;
        /// ray::init_with(ray::Config::new().label("region", "us"))?;
        /// let answer = ray::task(|| 42).label_selector([("region", "in(us, eu)"), ("disk", "!slow")]).remote();
        /// assert_eq!(ray::get(answer)?, 42);
        /// # Ok::<(), ray::Error>(())
        /// ```
        pub fn label_selector<K: Into<String>, V: Into<String>>(mut self, labels: impl IntoIterator<Item = (K, V)>) -> Self {
            self.options_mut().label_selector(labels);
            self
        }

        /// Sets label selectors that are tried in this order if no node has the labels of `label_selector`.
        ///
        /// ```
        /// # extern crate ray_core as ray;
        /// ray::init_with(ray::Config::new().label("region", "eu"))?;
        /// let task = ray::task(|| 42).label_selector([("region", "us")]).fallback_strategy([[("region", "eu")]]);
        /// assert_eq!(ray::get(task.remote())?, 42);
        /// # Ok::<(), ray::Error>(())
        /// ```
        pub fn fallback_strategy<S, K, V>(mut self, selectors: impl IntoIterator<Item = S>) -> Self
        where
            S: IntoIterator<Item = (K, V)>,
            K: Into<String>,
            V: Into<String>,
        {
            self.options_mut().fallback_strategy(selectors);
            self
        }

        /// Sets the type of the accelerator that the node must have, as in `A100`. Ray finds it out; for the embedded engine
        /// [`Config::resource`](crate::Config::resource) sets it: `resource("accelerator_type:A100", 1.0)`.
        pub fn accelerator_type(mut self, name: impl Into<String>) -> Self {
            self.options_mut().accelerator_type(name.into());
            self
        }

        /// Sets the environment on a cluster. The embedded engine refuses it, because it runs all bodies in this process.
        pub fn runtime_env(mut self, environment: RuntimeEnv) -> Self {
            self.options_mut().runtime_env(environment);
            self
        }
    };
}
pub(super) use placement;
