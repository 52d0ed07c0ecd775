//! What the Python package is told of a definition and of the options of a call: a document in MessagePack.
//!
//! The package reads equal documents once, and so does the worker that runs the call. So the documents of two calls with the same
//! options must be equal bytes: the fields have a fixed order.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use ray_core::__private::executor::{BodyInfo, OwnActor, RemoteCall, RemoteCreation, Retry};
use ray_core::__private::{Encoded, Spec, lookup};
use ray_core::{Lifetime, Resources, Result, TraceContext};
use serde::{Deserialize, Serialize};

use crate::placement::Placement;

/// A definition and the options of a call.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Document {
    pub(crate) path: String,
    pub(crate) name: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    method: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    methods: Vec<String>,
    #[serde(default, rename = "async", skip_serializing_if = "std::ops::Not::not")]
    is_async: bool,
    #[serde(default)]
    pub(crate) options: Options,
}

impl Document {
    /// The properties of a task with these options.
    pub(crate) fn body(&self, attempt: u32, trace: Option<TraceContext>) -> BodyInfo {
        BodyInfo { name: self.name.clone(), resources: self.options.resources(), attempt, trace }
    }

    /// The properties of an actor whose creation has these options.
    pub(crate) fn actor(&self, restarts: u32) -> OwnActor {
        OwnActor { name: self.options.name.clone(), resources: self.options.resources(), restarts }
    }
}

/// The options, under the names that Ray has for them.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Options {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    num_cpus: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    num_gpus: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    memory: Option<u64>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    resources: BTreeMap<String, f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_retries: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retry_exceptions: Option<RetryExceptions>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    get_if_exists: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_restarts: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_task_retries: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) max_concurrency: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_pending_calls: Option<u64>,
    /// Of an actor: the groups and their sizes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) concurrency_groups: BTreeMap<String, u32>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    allow_out_of_order_execution: bool,
    /// Of a call of a method.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    concurrency_group: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none", skip_deserializing)]
    lifetime: Option<&'static str>,
    /// A worker has no use for them, which has been chosen already.
    #[serde(flatten, skip_deserializing)]
    placement: Placement,
}

/// After which errors of the body a task is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum RetryExceptions {
    All(bool),
    /// The predicate of the attribute decides, in the worker.
    If(If),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum If {
    #[serde(rename = "if")]
    If,
}

fn retry_exceptions(retry: Retry) -> Option<RetryExceptions> {
    match retry {
        Retry::Never => None,
        Retry::Always => Some(RetryExceptions::All(true)),
        Retry::If => Some(RetryExceptions::If(If::If)),
    }
}

impl Options {
    fn of_resources(resources: &Resources) -> Self {
        let mut options = Options { num_cpus: Some(0.0), ..Options::default() };
        for (name, amount) in resources.iter() {
            match name {
                "CPU" => options.num_cpus = Some(amount),
                "GPU" => options.num_gpus = Some(amount).filter(|amount| *amount > 0.0),
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an amount of bytes")]
                "memory" => options.memory = Some(amount as u64).filter(|amount| *amount > 0),
                other => _ = options.resources.insert(other.to_owned(), amount),
            }
        }
        options
    }
}

impl Options {
    fn resources(&self) -> Resources {
        let known = [("CPU", self.num_cpus), ("GPU", self.num_gpus), ("memory", self.memory.map(|bytes| bytes as f64))];
        let known = known.into_iter().filter_map(|(name, amount)| Some((name.to_owned(), amount?)));
        Resources::of_amounts(known.chain(self.resources.clone()))
    }
}

/// The documents of calls without options, by the address of the definition.
#[derive(Debug, Default)]
pub(crate) struct Documents {
    plain: RwLock<HashMap<usize, Arc<[u8]>>>,
}

impl Documents {
    /// The document of a call of a function.
    ///
    /// # Errors
    /// `InvalidArgument`: its retry predicate cannot be sent.
    pub(crate) fn of_function(&self, call: &RemoteCall) -> Result<Arc<[u8]>> {
        self.of(call, |call| {
            let is_async = lookup(call.spec.path()).is_ok_and(|found| found.is_async());
            let mut options = match call.resources() {
                Some(resources) => Options::of_resources(resources),
                None => Options { num_cpus: Some(if is_async { 0.0 } else { 1.0 }), ..Options::default() },
            };
            if call.has_settings() {
                options.max_retries = Some(call.max_retries());
                options.retry_exceptions = retry_exceptions(call.retry()?);
            }
            options.placement = call.placement().map(Placement::of).unwrap_or_default();
            Ok(Document { path: call.spec.path().to_owned(), name: call.name().to_owned(), options, ..Document::default() })
        })
    }

    /// The document of a call of a method.
    ///
    /// # Errors
    /// `InvalidArgument`: its retry predicate cannot be sent.
    pub(crate) fn of_method(&self, call: &RemoteCall) -> Result<Arc<[u8]>> {
        self.of(call, |call| {
            let path = call.spec.path();
            let mut options = Options::default();
            if call.has_settings() {
                options.max_task_retries = Some(call.max_retries());
                options.retry_exceptions = retry_exceptions(call.retry()?);
            }
            options.concurrency_group = call.group().or_else(|| group_of_method(path)).map(str::to_owned);
            Ok(Document {
                path: path.to_owned(),
                name: call.name().to_owned(),
                method: path.rsplit("::").next().unwrap_or_default().to_owned(),
                options,
                ..Document::default()
            })
        })
    }

    fn of(&self, call: &RemoteCall, make: impl FnOnce(&RemoteCall) -> Result<Document>) -> Result<Arc<[u8]>> {
        let key = std::ptr::from_ref::<Spec>(call.spec).addr();
        if call.has_settings() {
            return Ok(bytes(&make(call)?));
        }
        if let Some(known) = self.plain.read().get(&key) {
            return Ok(Arc::clone(known));
        }
        let made = bytes(&make(call)?);
        Ok(Arc::clone(self.plain.write().entry(key).or_insert(made)))
    }
}

/// The concurrency group of the attribute of a method.
fn group_of_method(path: &str) -> Option<&'static str> {
    let (class, name) = path.rsplit_once("::")?;
    lookup(class).ok()?.method(name).ok()?.group()
}

/// The document of a creation.
pub(crate) fn of_creation(creation: &RemoteCreation) -> Arc<[u8]> {
    let path = creation.class.path();
    let methods = lookup(path).map_or(&[][..], |class| class.methods());
    let is_async = methods.iter().any(|method| method.is_async());
    // An actor that asks for no CPU holds none, as in Ray.
    let mut options = creation.resources().map(Options::of_resources).unwrap_or_default();
    if options.num_cpus == Some(0.0) {
        options.num_cpus = None;
    }
    if let Some((namespace, name)) = creation.name() {
        options.namespace = Some(namespace.to_owned());
        options.name = Some(name.to_owned());
    }
    options.get_if_exists = creation.get_if_exists();
    options.max_restarts = Some(creation.max_restarts()).filter(|restarts| *restarts != 0);
    options.max_task_retries = Some(creation.max_task_retries()).filter(|retries| *retries != 0);
    options.max_concurrency = Some(creation.max_concurrency()).filter(|concurrency| *concurrency > 0);
    options.max_pending_calls = creation.max_pending_calls();
    options.allow_out_of_order_execution = creation.allow_out_of_order_execution();
    options.concurrency_groups = creation.groups().iter().map(|(name, size)| ((*name).to_owned(), *size)).collect();
    options.lifetime = (creation.lifetime() == Lifetime::Detached).then_some("detached");
    options.placement = creation.placement().map(Placement::of).unwrap_or_default();
    bytes(&Document {
        path: path.to_owned(),
        name: creation.call.name().to_owned(),
        methods: methods.iter().map(|method| method.name().to_owned()).collect(),
        is_async,
        options,
        ..Document::default()
    })
}

fn bytes(document: &Document) -> Arc<[u8]> {
    Encoded::of(document).expect("a document can be encoded").bytes.into()
}

/// The documents that were read.
#[derive(Debug, Default)]
pub(crate) struct ReadDocuments(Mutex<HashMap<Vec<u8>, Arc<Document>>>);

impl ReadDocuments {
    /// Reads a document.
    ///
    /// # Errors
    /// It is no document.
    pub(crate) fn read(&self, bytes: Vec<u8>) -> Result<Arc<Document>> {
        /// A program that gives each call a name of its own must not fill the memory.
        const MOST: usize = 10_000;

        let mut known = self.0.lock();
        if let Some(known) = known.get(&bytes) {
            return Ok(Arc::clone(known));
        }
        let document: Arc<Document> = Arc::new(Encoded::from(bytes.clone()).decode()?);
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(bytes, Arc::clone(&document));
        Ok(document)
    }
}
