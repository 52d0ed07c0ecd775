//! The environment in which a worker process of a cluster runs a task or an actor.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::base::value;

/// The environment of a task or an actor on a cluster: environment variables, packages, files.
/// [Ray's page](https://docs.ray.io/en/latest/ray-core/handling-dependencies.html).
///
/// Ray starts the workers of each environment, so the first task in a new one takes longer. Fields that are not set are those of
/// the job ([`Config::runtime_env`](crate::Config::runtime_env)); environment variables are added to those of the job.
///
/// The embedded engine runs bodies in this process, and refuses tasks and actors that have an environment.
///
/// ```
/// # extern crate ray_core as ray;
/// let environment = ray::RuntimeEnv::new().env_var("OMP_NUM_THREADS", "4").pip(["requests==2.32.3"]);
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct RuntimeEnv {
    pub(crate) env_vars: BTreeMap<String, String>,
    /// The other fields, as MessagePack.
    pub(crate) fields: BTreeMap<String, Vec<u8>>,
    /// The first field whose value could not be encoded, and why.
    pub(crate) error: Option<String>,
}

impl RuntimeEnv {
    /// An environment that differs in nothing from that of the job.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets an environment variable.
    pub fn env_var(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env_vars.insert(name.into(), value.into());
        self
    }

    /// Sets the folder in which bodies run. In [`Config::runtime_env`](crate::Config::runtime_env) it can be a folder of this
    /// machine, which Ray ships. In the options of a task or an actor it must be the address of a ZIP file, such as
    /// `https://..` or `s3://..`.
    pub fn working_dir(self, folder: impl Into<String>) -> Self {
        self.field("working_dir", &folder.into())
    }

    /// Sets the Python packages that Ray installs for Python code beside the program, in the syntax of `pip install`.
    pub fn pip<P: Into<String>>(self, packages: impl IntoIterator<Item = P>) -> Self {
        let packages: Vec<String> = packages.into_iter().map(Into::into).collect();
        self.field("pip", &packages)
    }

    /// Sets any field that [Ray knows](https://docs.ray.io/en/latest/ray-core/handling-dependencies.html#api-reference), such as
    /// `conda`, `image_uri` or `config`. Ray checks its name and value. The field `py_modules` is not available: it ships the
    /// program.
    ///
    /// ```
    /// # extern crate ray_core as ray;
    /// use std::collections::BTreeMap;
    /// let config = BTreeMap::from([("setup_timeout_seconds", 60)]);
    /// let environment = ray::RuntimeEnv::new().field("config", &config);
    /// ```
    pub fn field(mut self, name: impl Into<String>, value: &impl Serialize) -> Self {
        let name = name.into();
        match name.as_str() {
            "py_modules" => {
                self.error.get_or_insert_with(|| "the field `py_modules` ships the program: leave it out".to_owned());
            }
            "env_vars" => {
                self.error.get_or_insert_with(|| "set environment variables with `RuntimeEnv::env_var`".to_owned());
            }
            _ => match value::encode(value) {
                Ok(bytes) => _ = self.fields.insert(name, bytes),
                Err(error) => _ = self.error.get_or_insert_with(|| format!("the field `{name}`: {error}")),
            },
        }
        self
    }

    /// The environment variables.
    #[doc(hidden)]
    #[must_use]
    pub fn env_vars(&self) -> &BTreeMap<String, String> {
        &self.env_vars
    }

    /// The other fields, as MessagePack.
    #[doc(hidden)]
    #[must_use]
    pub fn fields(&self) -> &BTreeMap<String, Vec<u8>> {
        &self.fields
    }
}
