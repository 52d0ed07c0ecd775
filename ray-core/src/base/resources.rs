//! Logical resources: the amounts that tasks and actors ask for.
//!
//! They decide which work runs at the same time, as in Ray, and limit nothing physically: a task that asks for one CPU may still
//! start ten threads. Amounts are stored as whole numbers of 1/[`UNITS`], so that taking 0.1 three times and giving 0.3 back
//! leaves no remainder; memory is in bytes.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use crate::base::error::{Error, ErrorKind, Result};

/// The units of one whole CPU, GPU or custom resource: the smallest amount is one ten-thousandth.
pub(crate) const UNITS: u64 = 10_000;

/// The largest amount: in units it still fits a `u64`.
const LARGEST: f64 = 1e15;

/// How many custom resources one attribute may list. A bound, because a `const` cannot grow a list.
pub(crate) const ATTRIBUTE_RESOURCES: usize = 8;

/// Amounts of resources: those that a task or an actor holds, or the total of the engine.
///
/// `Display` and `Debug` print them as Ray does: `{CPU: 2, GPU: 0.5}`.
///
/// ```
/// # extern crate ray_core as ray;
/// ray::init_with(ray::Config::new().num_cpus(2).resource("licence", 1.5))?;
/// let total = &ray::nodes()?[0].resources;
/// assert_eq!((total.num_cpus(), total.num_gpus(), total.get("licence")), (2.0, 0.0, 1.5));
/// assert!(total.iter().any(|(name, amount)| name == "licence" && amount == 1.5));
/// # Ok::<(), ray::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Resources {
    pub(crate) cpu: u64,
    pub(crate) gpu: u64,
    pub(crate) memory: u64,
    /// Sorted by name, without zeros. Shared, because the demand of a function is cloned for every call.
    custom: Option<Arc<[Custom]>>,
}

type Custom = (Cow<'static, str>, u64);

impl Resources {
    /// No resources.
    pub(crate) const NONE: Resources = Resources { cpu: 0, gpu: 0, memory: 0, custom: None };

    /// One CPU: the default of a task.
    pub(crate) const ONE_CPU: Resources = Resources { cpu: UNITS, gpu: 0, memory: 0, custom: None };

    /// Amounts in units. If `custom` lists a name twice, the last amount counts.
    /// The resources that a cluster names. An amount is rounded down to a multiple of 0.0001.
    #[doc(hidden)]
    #[must_use]
    pub fn of_amounts(amounts: impl IntoIterator<Item = (String, f64)>) -> Resources {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a cast of a float saturates")]
        let units = |amount: f64| (amount * UNITS as f64) as u64;
        let (mut cpu, mut gpu, mut memory, mut custom) = (0, 0, 0, Vec::new());
        for (name, amount) in amounts {
            match &*name {
                "CPU" => cpu = units(amount),
                "GPU" => gpu = units(amount),
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a cast of a float saturates")]
                "memory" => memory = amount as u64,
                _ => custom.push((Cow::Owned(name), units(amount))),
            }
        }
        Resources::new(cpu, gpu, memory, custom)
    }

    pub(crate) fn new(cpu: u64, gpu: u64, memory: u64, custom: impl IntoIterator<Item = Custom>) -> Resources {
        let mut list: Vec<Custom> = Vec::new();
        for (name, amount) in custom {
            match list.binary_search_by(|(known, _)| known.cmp(&name)) {
                Ok(at) => list[at].1 = amount,
                Err(at) => list.insert(at, (name, amount)),
            }
        }
        list.retain(|(_, amount)| *amount > 0);
        let custom = (!list.is_empty()).then(|| list.into());
        Resources { cpu, gpu, memory, custom }
    }

    /// The number of CPUs; a multiple of 0.0001.
    #[must_use]
    pub fn num_cpus(&self) -> f64 {
        amount(self.cpu)
    }

    /// The number of GPUs; a multiple of 0.0001.
    #[must_use]
    pub fn num_gpus(&self) -> f64 {
        amount(self.gpu)
    }

    /// The memory, in bytes.
    #[must_use]
    pub fn memory(&self) -> u64 {
        self.memory
    }

    /// The amount of the resource `name`: `CPU`, `GPU`, `memory` (in bytes) or a custom resource; 0 if there is none.
    #[must_use]
    pub fn get(&self, name: &str) -> f64 {
        match name {
            "CPU" => self.num_cpus(),
            "GPU" => self.num_gpus(),
            "memory" => self.memory as f64,
            _ => amount(self.custom_units(name)),
        }
    }

    /// Every resource with an amount above 0: `CPU`, `GPU`, `memory` (in bytes), then the custom resources, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, f64)> {
        let known = [("CPU", self.num_cpus()), ("GPU", self.num_gpus()), ("memory", self.memory as f64)];
        let custom = self.custom().iter().map(|(name, units)| (&**name, amount(*units)));
        known.into_iter().filter(|(_, amount)| *amount > 0.0).chain(custom)
    }

    /// The CPUs, in units.
    pub(crate) fn cpu(&self) -> u64 {
        self.cpu
    }

    /// Whether this is exactly one CPU, the default of a task, which has a fast path.
    pub(crate) fn is_only_one_cpu(&self) -> bool {
        self.cpu == UNITS && self.gpu == 0 && self.memory == 0 && self.custom.is_none()
    }

    /// Whether all amounts are 0.
    pub(crate) fn is_none(&self) -> bool {
        self.cpu == 0 && self.gpu == 0 && self.memory == 0 && self.custom.is_none()
    }

    /// So many units of CPUs, and nothing else.
    pub(crate) const fn of_cpu(units: u64) -> Resources {
        Resources { cpu: units, gpu: 0, memory: 0, custom: None }
    }

    /// Whether some resource has an amount above 0 in both.
    pub(crate) fn overlaps(&self, other: &Resources) -> bool {
        let known = [(self.cpu, other.cpu), (self.gpu, other.gpu), (self.memory, other.memory)];
        known.iter().any(|(mine, theirs)| *mine > 0 && *theirs > 0)
            || self.custom().iter().any(|(name, _)| other.custom_units(name) > 0)
    }

    /// The sum of these amounts; none: an amount is too large.
    pub(crate) fn sum<'a>(all: impl IntoIterator<Item = &'a Resources>) -> Option<Resources> {
        let mut sum = Resources::NONE;
        for one in all {
            let names = sum.custom().iter().chain(one.custom()).map(|(name, _)| name);
            let both = names.map(|name| Some((name.clone(), sum.custom_units(name).checked_add(one.custom_units(name))?)));
            let both: Option<Vec<Custom>> = both.collect();
            let (cpu, gpu) = (sum.cpu.checked_add(one.cpu)?, sum.gpu.checked_add(one.gpu)?);
            sum = Resources::new(cpu, gpu, sum.memory.checked_add(one.memory)?, both?);
        }
        Some(sum)
    }

    /// All resources but the CPUs: those that a body keeps while it blocks in a `get`.
    pub(crate) fn without_cpu(&self) -> Resources {
        self.with_cpu(0)
    }

    /// These resources, with so many units of CPUs.
    pub(crate) fn with_cpu(&self, units: u64) -> Resources {
        Resources { cpu: units, ..self.clone() }
    }

    /// Checks that the demand does not exceed these total resources. `who` is the subject of the error, such as "task `f`".
    ///
    /// # Errors
    /// `Infeasible`.
    pub(crate) fn check_covers(&self, demand: &Resources, who: &dyn fmt::Display) -> Result<()> {
        let known = [("CPU", demand.cpu, self.cpu), ("GPU", demand.gpu, self.gpu), ("memory", demand.memory, self.memory)];
        let custom = demand.custom().iter().map(|(name, units)| (&**name, *units, self.custom_units(name)));
        let Some((name, ..)) = known.into_iter().chain(custom).find(|(_, asked, there)| asked > there) else { return Ok(()) };
        let (asked, there) = (demand.get(name), self.get(name));
        Err(Error::new(
            ErrorKind::Infeasible,
            format!(
                "{who} asks for {demand}, but the total is {self}: {name} {asked} is more than {there}; ask for less, or pass a Config with more to `ray::init_with`"
            ),
        ))
    }

    /// This and the resource that a node has for the type of its accelerators. Ray asks for so little of it that each of them serves
    /// many tasks.
    pub(crate) fn with_accelerator(self, name: Option<&str>) -> Resources {
        let Some(name) = name else { return self };
        let accelerator = (Cow::Owned(format!("accelerator_type:{name}")), UNITS / 1000);
        Resources::new(self.cpu, self.gpu, self.memory, self.custom().iter().cloned().chain([accelerator]))
    }

    pub(crate) fn custom(&self) -> &[Custom] {
        self.custom.as_deref().unwrap_or_default()
    }

    fn custom_units(&self, name: &str) -> u64 {
        let list = self.custom();
        list.binary_search_by(|(known, _)| (**known).cmp(name)).map_or(0, |at| list[at].1)
    }
}

fn amount(units: u64) -> f64 {
    units as f64 / UNITS as f64
}

/// As Ray writes them: `{CPU: 2, GPU: 0.5}`.
impl fmt::Display for Resources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (i, (name, amount)) in self.iter().enumerate() {
            let comma = if i == 0 { "" } else { ", " };
            write!(f, "{comma}{name}: {amount}")?;
        }
        f.write_str("}")
    }
}

impl fmt::Debug for Resources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a number is not a valid amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum InvalidAmount {
    NotANumber,
    Negative,
    Infinite,
    TooFine,
    TooLarge,
    FractionalGpus,
}

impl InvalidAmount {
    const fn text(self) -> &'static str {
        match self {
            InvalidAmount::NotANumber => "an amount of a resource cannot be NaN",
            InvalidAmount::Negative => "an amount of a resource cannot be negative",
            InvalidAmount::Infinite => "an amount of a resource cannot be infinite",
            InvalidAmount::TooFine => "an amount of a resource has at most four decimals (0.0001)",
            InvalidAmount::TooLarge => "an amount of a resource is at most 1e15",
            InvalidAmount::FractionalGpus => "an amount of GPUs above 1 must be a whole number",
        }
    }
}

const fn units(amount: f64) -> std::result::Result<u64, InvalidAmount> {
    if amount.is_nan() {
        Err(InvalidAmount::NotANumber)
    } else if amount == f64::INFINITY {
        Err(InvalidAmount::Infinite)
    } else if amount < 0.0 {
        Err(InvalidAmount::Negative)
    } else if amount > LARGEST {
        Err(InvalidAmount::TooLarge)
    } else if amount == (amount as u64) as f64 {
        // A whole number is exact; the product below could be too large for an exact f64.
        Ok(amount as u64 * UNITS)
    } else {
        let scaled = amount * UNITS as f64;
        let nearest = (scaled + 0.5) as u64;
        let off = scaled - nearest as f64;
        // 0.1 + 0.2 is not exactly 0.3: errors as small as those of sums of decimals are accepted.
        if off > -1e-4 && off < 1e-4 && nearest > 0 { Ok(nearest) } else { Err(InvalidAmount::TooFine) }
    }
}

const fn gpu_units(amount: f64) -> std::result::Result<u64, InvalidAmount> {
    match units(amount) {
        Ok(units) if units > UNITS && !units.is_multiple_of(UNITS) => Err(InvalidAmount::FractionalGpus),
        other => other,
    }
}

/// The units of an amount of the resource `name`. An amount of `GPU` above 1 must be whole, as in Ray.
pub(crate) fn quantity(name: &str, amount: f64) -> Result<u64> {
    let units = if name == "GPU" { gpu_units(amount) } else { units(amount) };
    units.map_err(|invalid| Error::new(ErrorKind::InvalidArgument, format!("{name}: {amount}: {}", invalid.text())))
}

/// [`quantity`] for attributes, where the panic is a compile error.
#[track_caller]
pub(crate) const fn const_quantity(amount: f64) -> u64 {
    match units(amount) {
        Ok(units) => units,
        Err(invalid) => panic!("{}", invalid.text()),
    }
}

/// [`const_quantity`] of GPUs.
#[track_caller]
pub(crate) const fn const_gpu_quantity(amount: f64) -> u64 {
    match gpu_units(amount) {
        Ok(units) => units,
        Err(invalid) => panic!("{}", invalid.text()),
    }
}

const RESERVED: &str = "a custom resource cannot have an empty name, or the name CPU, GPU or memory, which have options of their own (num_cpus, num_gpus, memory)";

const fn is_reserved(name: &str) -> bool {
    matches!(name.as_bytes(), b"" | b"CPU" | b"GPU" | b"memory")
}

/// Checks the name and the amount of a custom resource.
pub(crate) fn custom(name: impl Into<Cow<'static, str>>, amount: f64) -> Result<(Cow<'static, str>, u64)> {
    let name = name.into();
    if is_reserved(&name) {
        return Err(Error::new(ErrorKind::InvalidArgument, format!("`{name}`: {RESERVED}")));
    }
    let units = quantity(&name, amount)?;
    Ok((name, units))
}

/// The resources of an attribute, as a constant.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AttributeResources {
    cpu: Option<u64>,
    gpu: u64,
    memory: u64,
    custom: [(&'static str, u64); ATTRIBUTE_RESOURCES],
    len: usize,
}

impl AttributeResources {
    /// Whether no resource is set.
    pub(crate) const fn is_silent(&self) -> bool {
        self.cpu.is_none() && self.gpu == 0 && self.memory == 0 && self.len == 0
    }

    pub(crate) const fn new() -> Self {
        AttributeResources { cpu: None, gpu: 0, memory: 0, custom: [("", 0); ATTRIBUTE_RESOURCES], len: 0 }
    }

    #[track_caller]
    pub(crate) const fn num_cpus(mut self, amount: f64) -> Self {
        self.cpu = Some(const_quantity(amount));
        self
    }

    #[track_caller]
    pub(crate) const fn num_gpus(mut self, amount: f64) -> Self {
        self.gpu = const_gpu_quantity(amount);
        self
    }

    pub(crate) const fn memory(mut self, bytes: u64) -> Self {
        self.memory = bytes;
        self
    }

    #[track_caller]
    pub(crate) const fn resource(mut self, name: &'static str, amount: f64) -> Self {
        assert!(!is_reserved(name), "{}", RESERVED);
        assert!(self.len < ATTRIBUTE_RESOURCES, "an attribute lists at most 8 custom resources; give the others by `.options()`");
        self.custom[self.len] = (name, const_quantity(amount));
        self.len += 1;
        self
    }

    /// The demand; `cpu` is the CPU demand, in units, if the attribute sets none.
    pub(crate) fn demand(&self, cpu: u64) -> Resources {
        let custom = self.custom[..self.len].iter().map(|(name, units)| (Cow::Borrowed(*name), *units));
        Resources::new(self.cpu.unwrap_or(cpu), self.gpu, self.memory, custom)
    }
}

/// The resources of a call's options: each replaces the amount of the same resource in the attribute.
#[derive(Clone, Debug, Default)]
pub(crate) struct ResourceOverrides {
    cpu: Option<u64>,
    gpu: Option<u64>,
    memory: Option<u64>,
    custom: Vec<Custom>,
}

impl ResourceOverrides {
    pub(crate) const fn new() -> Self {
        ResourceOverrides { cpu: None, gpu: None, memory: None, custom: Vec::new() }
    }

    pub(crate) fn num_cpus(&mut self, amount: f64) -> Result<()> {
        self.cpu = Some(quantity("CPU", amount)?);
        Ok(())
    }

    pub(crate) fn num_gpus(&mut self, amount: f64) -> Result<()> {
        self.gpu = Some(quantity("GPU", amount)?);
        Ok(())
    }

    pub(crate) fn memory(&mut self, bytes: u64) {
        self.memory = Some(bytes);
    }

    pub(crate) fn resource(&mut self, name: impl Into<Cow<'static, str>>, amount: f64) -> Result<()> {
        self.custom.push(custom(name, amount)?);
        Ok(())
    }

    /// Whether no resource is set.
    pub(crate) fn is_empty(&self) -> bool {
        self.cpu.is_none() && self.gpu.is_none() && self.memory.is_none() && self.custom.is_empty()
    }

    /// The demand: these amounts over those of the attribute.
    pub(crate) fn over(&self, base: Resources) -> Resources {
        if self.is_empty() {
            return base;
        }
        let (cpu, gpu) = (self.cpu.unwrap_or(base.cpu), self.gpu.unwrap_or(base.gpu));
        let custom = base.custom().iter().chain(&self.custom).cloned();
        Resources::new(cpu, gpu, self.memory.unwrap_or(base.memory), custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(list: &[(&'static str, u64)]) -> Vec<Custom> {
        list.iter().map(|(name, units)| (Cow::Borrowed(*name), *units)).collect()
    }

    #[test]
    fn amounts_are_exact_to_a_ten_thousandth() {
        assert_eq!(units(0.1 + 0.2), Ok(3_000));
        assert_eq!(units(0.0001), Ok(1));
        assert_eq!(units(1e15), Ok(10_000_000_000_000_000_000));
        assert_eq!(units(1e6 + 0.0001), Ok(10_000_000_001));
        assert_eq!(units(-0.0), Ok(0));
        for (amount, invalid) in [
            (0.00005, InvalidAmount::TooFine),
            (1.00001, InvalidAmount::TooFine),
            (-1.0, InvalidAmount::Negative),
            (f64::NEG_INFINITY, InvalidAmount::Negative),
            (f64::INFINITY, InvalidAmount::Infinite),
            (f64::NAN, InvalidAmount::NotANumber),
            (1e16, InvalidAmount::TooLarge),
        ] {
            assert_eq!(units(amount), Err(invalid), "{amount}");
        }
        assert_eq!(gpu_units(0.5), Ok(5_000));
        assert_eq!(gpu_units(1.5), Err(InvalidAmount::FractionalGpus));
    }

    #[test]
    fn resources_are_printed_as_ray_prints_them() {
        let all = Resources::new(2 * UNITS, UNITS / 2, 1024, owned(&[("zeta", UNITS), ("alpha", 1), ("none", 0)]));
        assert_eq!(all.to_string(), "{CPU: 2, GPU: 0.5, memory: 1024, alpha: 0.0001, zeta: 1}");
        assert_eq!(Resources::NONE.to_string(), "{}");
        assert!(Resources::ONE_CPU.is_only_one_cpu() && !Resources::ONE_CPU.is_none());
    }

    #[test]
    fn sums_and_overlaps() {
        let one = Resources::new(UNITS, 0, 7, owned(&[("a", 1), ("b", 2)]));
        let other = Resources::new(0, UNITS, 0, owned(&[("b", 3), ("c", 4)]));
        let sum = Resources::sum([&one, &other]).unwrap();
        assert_eq!(sum, Resources::new(UNITS, UNITS, 7, owned(&[("a", 1), ("b", 5), ("c", 4)])));
        assert!(one.overlaps(&other) && sum.overlaps(&one) && !Resources::ONE_CPU.overlaps(&other));
        let most = Resources::of_cpu(u64::MAX);
        assert_eq!(Resources::sum([&most, &one]), None);
    }

    #[test]
    fn reserved_names_of_custom_resources_are_refused() {
        for name in ["CPU", "GPU", "memory", ""] {
            assert!(custom(name, 1.0).unwrap_err().is_invalid_argument(), "{name}");
        }
    }

    #[test]
    fn options_replace_single_resources_of_the_attribute() {
        const ATTRIBUTE: AttributeResources = AttributeResources::new().num_cpus(2.0).resource("a", 1.0).resource("b", 0.5);
        let mut overrides = ResourceOverrides::new();
        overrides.num_gpus(1.0).unwrap();
        overrides.resource("b", 0.0).unwrap();
        let demand = overrides.over(ATTRIBUTE.demand(UNITS));
        assert_eq!(demand.to_string(), "{CPU: 2, GPU: 1, a: 1}");
    }
}
