//! Logical resources: amounts that work asks for, and the pool they are taken from.
//!
//! They decide what runs together, as in Ray, and bind nothing physically: a task that asks for one CPU may still start ten
//! threads. Amounts are whole numbers of one [`UNITS`]-th, so that taking 0.1 three times and giving 0.3 back leaves nothing over;
//! memory is in bytes.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use crate::base::error::{Error, ErrorKind, Result};

/// What one whole CPU, GPU or custom resource is counted as: amounts go down to a ten-thousandth.
pub(crate) const UNITS: u64 = 10_000;

/// Above this, ten-thousandths would no longer fit the arithmetic.
const LARGEST: f64 = 1e15;

/// Custom resources that one attribute may list; a bound, because a `const` cannot grow a list.
pub(crate) const ATTRIBUTE_RESOURCES: usize = 8;

/// Amounts of resources: what a task or an actor holds while it runs, or what there is in all.
///
/// ```
/// # extern crate ray_core as ray;
/// fn describe(r: &ray::Resources) -> String {
///     format!("{r}: {} CPUs, {} of a licence", r.num_cpus(), r.get("licence"))
/// }
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Resources {
    pub(crate) cpu: u64,
    pub(crate) gpu: u64,
    pub(crate) memory: u64,
    /// Sorted by name, no zeros; shared, because the same demand is cloned for every call of a function.
    custom: Option<Arc<[Custom]>>,
}

type Custom = (Cow<'static, str>, u64);

impl Resources {
    /// Nothing.
    pub(crate) const NONE: Resources = Resources { cpu: 0, gpu: 0, memory: 0, custom: None };

    /// What a task asks for that says nothing.
    pub(crate) const ONE_CPU: Resources = Resources { cpu: UNITS, gpu: 0, memory: 0, custom: None };

    /// Amounts in units; of a name that `custom` lists twice the last counts.
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

    /// CPUs.
    #[must_use]
    pub fn num_cpus(&self) -> f64 {
        amount(self.cpu)
    }

    /// GPUs.
    #[must_use]
    pub fn num_gpus(&self) -> f64 {
        amount(self.gpu)
    }

    /// Memory, in bytes.
    #[must_use]
    pub fn memory(&self) -> u64 {
        self.memory
    }

    /// The amount of the resource `name`, which may be `CPU`, `GPU`, `memory` or a custom one; 0 where there is none.
    #[must_use]
    pub fn get(&self, name: &str) -> f64 {
        match name {
            "CPU" => self.num_cpus(),
            "GPU" => self.num_gpus(),
            "memory" => self.memory as f64,
            _ => amount(self.custom_units(name)),
        }
    }

    /// Every resource there is more than nothing of, with its amount: `CPU`, `GPU`, `memory`, then the custom ones by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, f64)> {
        let known = [("CPU", self.num_cpus()), ("GPU", self.num_gpus()), ("memory", self.memory as f64)];
        let custom = self.custom().iter().map(|(name, units)| (&**name, amount(*units)));
        known.into_iter().filter(|(_, amount)| *amount > 0.0).chain(custom)
    }

    /// The CPUs, in units.
    pub(crate) fn cpu(&self) -> u64 {
        self.cpu
    }

    /// Whether this is what a task asks for that says nothing: the case worth a fast path.
    pub(crate) fn is_only_one_cpu(&self) -> bool {
        self.cpu == UNITS && self.gpu == 0 && self.memory == 0 && self.custom.is_none()
    }

    /// Whether nothing is asked for.
    pub(crate) fn is_none(&self) -> bool {
        self.cpu == 0 && self.gpu == 0 && self.memory == 0 && self.custom.is_none()
    }

    /// All but the CPUs: what a blocked `get` keeps.
    pub(crate) fn without_cpu(&self) -> Resources {
        Resources { cpu: 0, ..self.clone() }
    }

    /// Whether the demand could be met if all of this were free; if not, an `Infeasible` error for `who`, such as "task `f`".
    pub(crate) fn check_covers(&self, demand: &Resources, who: &dyn fmt::Display) -> Result<()> {
        let known = [("CPU", demand.cpu, self.cpu), ("GPU", demand.gpu, self.gpu), ("memory", demand.memory, self.memory)];
        let custom = demand.custom().iter().map(|(name, units)| (&**name, *units, self.custom_units(name)));
        let Some((name, ..)) = known.into_iter().chain(custom).find(|(_, asked, there)| asked > there) else { return Ok(()) };
        let (asked, there) = (demand.get(name), self.get(name));
        Err(Error::new(
            ErrorKind::Infeasible,
            format!(
                "{who} asks for {demand}, but there is {self} in all: {name} {asked} is more than {there}; ask for less, or give `ray::init_with` a Config with more"
            ),
        ))
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

/// Why a number is no amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    NotANumber,
    Negative,
    Infinite,
    TooFine,
    TooLarge,
    BrokenGpu,
}

impl Refusal {
    const fn text(self) -> &'static str {
        match self {
            Refusal::NotANumber => "an amount of a resource cannot be NaN",
            Refusal::Negative => "an amount of a resource cannot be negative",
            Refusal::Infinite => "an amount of a resource cannot be infinite",
            Refusal::TooFine => "an amount of a resource has at most four decimals (0.0001)",
            Refusal::TooLarge => "an amount of a resource is at most 1e15",
            Refusal::BrokenGpu => "an amount of GPUs above 1 must be a whole number",
        }
    }
}

const fn units(amount: f64) -> std::result::Result<u64, Refusal> {
    if amount.is_nan() {
        Err(Refusal::NotANumber)
    } else if amount == f64::INFINITY {
        Err(Refusal::Infinite)
    } else if amount < 0.0 {
        Err(Refusal::Negative)
    } else if amount > LARGEST {
        Err(Refusal::TooLarge)
    } else if amount == (amount as u64) as f64 {
        // Exact, where the product below would be beyond what an f64 holds exactly.
        Ok(amount as u64 * UNITS)
    } else {
        let scaled = amount * UNITS as f64;
        let nearest = (scaled + 0.5) as u64;
        let off = scaled - nearest as f64;
        // 0.1 + 0.2 is not quite 0.3: as much as sums of decimals are off by is forgiven.
        if off > -1e-4 && off < 1e-4 && nearest > 0 { Ok(nearest) } else { Err(Refusal::TooFine) }
    }
}

const fn gpu_units(amount: f64) -> std::result::Result<u64, Refusal> {
    match units(amount) {
        Ok(units) if units > UNITS && !units.is_multiple_of(UNITS) => Err(Refusal::BrokenGpu),
        other => other,
    }
}

/// The units of an amount of the resource `name`; for `GPU` the rule that Ray has for it too.
pub(crate) fn quantity(name: &str, amount: f64) -> Result<u64> {
    let units = if name == "GPU" { gpu_units(amount) } else { units(amount) };
    units.map_err(|refusal| Error::new(ErrorKind::InvalidArgument, format!("{name}: {amount}: {}", refusal.text())))
}

/// [`quantity`] for attributes: what is wrong there is a compile error.
#[track_caller]
pub(crate) const fn const_quantity(amount: f64) -> u64 {
    match units(amount) {
        Ok(units) => units,
        Err(refusal) => panic!("{}", refusal.text()),
    }
}

/// [`const_quantity`] of GPUs.
#[track_caller]
pub(crate) const fn const_gpu_quantity(amount: f64) -> u64 {
    match gpu_units(amount) {
        Ok(units) => units,
        Err(refusal) => panic!("{}", refusal.text()),
    }
}

const RESERVED: &str = "a custom resource cannot be called CPU, GPU or memory, which have options of their own (num_cpus, num_gpus, memory), nor nothing";

const fn is_reserved(name: &str) -> bool {
    matches!(name.as_bytes(), b"" | b"CPU" | b"GPU" | b"memory")
}

/// A custom resource's entry.
pub(crate) fn custom(name: impl Into<Cow<'static, str>>, amount: f64) -> Result<(Cow<'static, str>, u64)> {
    let name = name.into();
    if is_reserved(&name) {
        return Err(Error::new(ErrorKind::InvalidArgument, format!("`{name}`: {RESERVED}")));
    }
    let units = quantity(&name, amount)?;
    Ok((name, units))
}

/// What an attribute says about resources, as a constant.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AttributeResources {
    cpu: Option<u64>,
    gpu: u64,
    memory: u64,
    custom: [(&'static str, u64); ATTRIBUTE_RESOURCES],
    len: usize,
}

impl AttributeResources {
    /// It says nothing.
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

    /// The demand, where `cpu` units are asked for unless the attribute says otherwise.
    pub(crate) fn demand(&self, cpu: u64) -> Resources {
        let custom = self.custom[..self.len].iter().map(|(name, units)| (Cow::Borrowed(*name), *units));
        Resources::new(self.cpu.unwrap_or(cpu), self.gpu, self.memory, custom)
    }
}

/// What a call's options say about resources: each replaces what the attribute says of the same resource.
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

    /// Whether nothing is replaced.
    pub(crate) fn is_empty(&self) -> bool {
        self.cpu.is_none() && self.gpu.is_none() && self.memory.is_none() && self.custom.is_empty()
    }

    /// The demand, starting from that of the attribute.
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
        for (amount, refusal) in [
            (0.00005, Refusal::TooFine),
            (1.00001, Refusal::TooFine),
            (-1.0, Refusal::Negative),
            (f64::NEG_INFINITY, Refusal::Negative),
            (f64::INFINITY, Refusal::Infinite),
            (f64::NAN, Refusal::NotANumber),
            (1e16, Refusal::TooLarge),
        ] {
            assert_eq!(units(amount), Err(refusal), "{amount}");
        }
        assert_eq!(gpu_units(0.5), Ok(5_000));
        assert_eq!(gpu_units(1.5), Err(Refusal::BrokenGpu));
    }

    #[test]
    fn written_as_ray_writes_them() {
        let all = Resources::new(2 * UNITS, UNITS / 2, 1024, owned(&[("zeta", UNITS), ("alpha", 1), ("none", 0)]));
        assert_eq!(all.to_string(), "{CPU: 2, GPU: 0.5, memory: 1024, alpha: 0.0001, zeta: 1}");
        assert_eq!(Resources::NONE.to_string(), "{}");
        assert!(Resources::ONE_CPU.is_only_one_cpu() && !Resources::ONE_CPU.is_none());
    }

    #[test]
    fn the_name_of_a_custom_resource_is_its_own() {
        for name in ["CPU", "GPU", "memory", ""] {
            assert!(custom(name, 1.0).unwrap_err().is_invalid_argument(), "{name}");
        }
    }

    #[test]
    fn options_replace_what_the_attribute_says_one_by_one() {
        const ATTRIBUTE: AttributeResources = AttributeResources::new().num_cpus(2.0).resource("a", 1.0).resource("b", 0.5);
        let mut overrides = ResourceOverrides::new();
        overrides.num_gpus(1.0).unwrap();
        overrides.resource("b", 0.0).unwrap();
        let demand = overrides.over(ATTRIBUTE.demand(UNITS));
        assert_eq!(demand.to_string(), "{CPU: 2, GPU: 1, a: 1}");
    }
}
