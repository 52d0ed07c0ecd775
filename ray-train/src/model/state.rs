//! Named arrays of numbers, in files that torch reads.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write};
use std::fs;
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors};
use serde_json::{Map, Value, json};

use crate::faults::failed;

/// An error names so many arrays, and how many more there are.
const NAMED: usize = 5;

/// Arrays of numbers by name: what a checkpoint keeps of a model or an optimiser.
///
/// As a file it is [safetensors](https://huggingface.co/docs/safetensors): in Python
/// `model.load_state_dict(safetensors.torch.load_file("model.safetensors"))` takes a model's. Every bit of every number is
/// kept, those of NaN too.
///
/// ```
/// use ray_train::model::StateDict;
/// let mut state = StateDict::new();
/// state.insert("fc1.weight", &[2, 2], vec![1.0, f32::NAN, 3.0, 4.0]);
/// let folder = tempfile::tempdir().unwrap();
/// state.save(folder.path().join("model.safetensors"))?;
/// assert_eq!(StateDict::load(folder.path().join("model.safetensors"))?, state);
/// # Ok::<(), ray::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct StateDict {
    arrays: BTreeMap<String, Array>,
    metadata: BTreeMap<String, String>,
}

#[derive(Clone)]
struct Array {
    shape: Vec<usize>,
    numbers: Numbers,
}

/// Parameters and what goes with them are of 32 bits, counts of 64: what torch takes for the number of steps.
#[derive(Clone)]
enum Numbers {
    F32(Vec<f32>),
    F64(Vec<f64>),
}

impl StateDict {
    /// An empty one.
    ///
    /// ```
    /// assert_eq!(ray_train::model::StateDict::new().names().count(), 0);
    /// ```
    pub fn new() -> StateDict {
        StateDict::default()
    }

    /// Puts an array under a name, the last dimension the closest; one that was there goes.
    ///
    /// # Panics
    /// If the shape does not have as many places as there are numbers.
    ///
    /// ```
    /// let mut state = ray_train::model::StateDict::new();
    /// state.insert("fc1.bias", &[2], vec![0.5, 1.5]);
    /// assert_eq!(state.get("fc1.bias"), Some(&[0.5, 1.5][..]));
    /// ```
    pub fn insert(&mut self, name: &str, shape: &[usize], numbers: Vec<f32>) {
        let places: usize = shape.iter().product();
        assert!(places == numbers.len(), "{name}: {} numbers do not make an array of {shape:?}", numbers.len());
        self.arrays.insert(name.to_owned(), Array { shape: shape.to_vec(), numbers: Numbers::F32(numbers) });
    }

    /// Puts a single number under a name.
    ///
    /// ```
    /// let mut state = ray_train::model::StateDict::new();
    /// state.insert_number("epoch", 3.0);
    /// assert_eq!(state.number("epoch"), Some(3.0));
    /// ```
    pub fn insert_number(&mut self, name: &str, number: f64) {
        self.arrays.insert(name.to_owned(), Array { shape: Vec::new(), numbers: Numbers::F64(vec![number]) });
    }

    /// The numbers of an array of that name.
    ///
    /// ```
    /// assert_eq!(ray_train::model::StateDict::new().get("fc1.bias"), None);
    /// ```
    pub fn get(&self, name: &str) -> Option<&[f32]> {
        match &self.arrays.get(name)?.numbers {
            Numbers::F32(numbers) => Some(numbers),
            Numbers::F64(_) => None,
        }
    }

    /// The single number of that name.
    ///
    /// ```
    /// assert_eq!(ray_train::model::StateDict::new().number("epoch"), None);
    /// ```
    pub fn number(&self, name: &str) -> Option<f64> {
        match self.arrays.get(name)? {
            Array { numbers: Numbers::F64(numbers), .. } => numbers.first().copied(),
            Array { shape, numbers: Numbers::F32(numbers) } if shape.is_empty() => {
                numbers.first().map(|number| f64::from(*number))
            }
            _ => None,
        }
    }

    /// The shape of what has that name; a single number's is empty.
    ///
    /// ```
    /// let mut state = ray_train::model::StateDict::new();
    /// state.insert("fc1.bias", &[2], vec![0.5, 1.5]);
    /// assert_eq!(state.shape("fc1.bias"), Some(&[2][..]));
    /// ```
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.arrays.get(name).map(|array| &array.shape[..])
    }

    /// All names, sorted.
    ///
    /// ```
    /// let mut state = ray_train::model::StateDict::new();
    /// state.insert("b", &[0], vec![]);
    /// state.insert("a", &[0], vec![]);
    /// assert!(state.names().eq(["a", "b"]));
    /// ```
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.arrays.keys().map(String::as_str)
    }

    /// The text under that key, beside the arrays.
    ///
    /// ```
    /// let mut state = ray_train::model::StateDict::new();
    /// state.set_metadata("optimizer", "Sgd");
    /// assert_eq!(state.metadata("optimizer"), Some("Sgd"));
    /// ```
    pub fn metadata(&self, key: &str) -> Option<&str> {
        self.metadata.get(key).map(String::as_str)
    }

    /// Puts a text under a key.
    ///
    /// ```
    /// ray_train::model::StateDict::new().set_metadata("trained on", "Fashion-MNIST");
    /// ```
    pub fn set_metadata(&mut self, key: &str, value: &str) {
        self.metadata.insert(key.to_owned(), value.to_owned());
    }

    /// The bytes of a safetensors file: the same for the same state.
    ///
    /// ```
    /// use ray_train::model::StateDict;
    /// let bytes = StateDict::new().to_bytes();
    /// assert_eq!(StateDict::from_bytes(&bytes)?, StateDict::new());
    /// # Ok::<(), ray::Error>(())
    /// ```
    pub fn to_bytes(&self) -> Vec<u8> {
        // The counts first: after a header of a multiple of eight bytes all numbers are aligned.
        let (counts, others): (Vec<_>, Vec<_>) =
            self.arrays.iter().partition(|(_, array)| matches!(array.numbers, Numbers::F64(_)));
        let mut header = Map::new();
        let mut metadata: Map<String, Value> = self.metadata.iter().map(|(key, value)| (key.clone(), json!(value))).collect();
        // What torch's own readers ask for.
        metadata.insert("format".to_owned(), json!("pt"));
        header.insert("__metadata__".to_owned(), Value::Object(metadata));
        let mut end = 0;
        for (name, array) in counts.iter().chain(&others) {
            let (dtype, bytes) = match &array.numbers {
                Numbers::F32(numbers) => ("F32", 4 * numbers.len()),
                Numbers::F64(numbers) => ("F64", 8 * numbers.len()),
            };
            let entry = json!({ "dtype": dtype, "shape": array.shape, "data_offsets": [end, end + bytes] });
            header.insert((*name).clone(), entry);
            end += bytes;
        }
        let mut header = Value::Object(header).to_string();
        header.extend(std::iter::repeat_n(' ', header.len().next_multiple_of(8) - header.len()));

        let mut bytes = Vec::with_capacity(8 + header.len() + end);
        bytes.extend((header.len() as u64).to_le_bytes());
        bytes.extend(header.as_bytes());
        for (_, array) in counts.iter().chain(&others) {
            match &array.numbers {
                Numbers::F32(numbers) => bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes())),
                Numbers::F64(numbers) => bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes())),
            }
        }
        bytes
    }

    /// Reads the bytes of a safetensors file.
    ///
    /// # Errors
    /// It is none, is cut short, or has arrays of other than 32-bit floats (single numbers may have 64).
    ///
    /// ```
    /// let error = ray_train::model::StateDict::from_bytes(b"PK\x03\x04").unwrap_err();
    /// assert!(error.to_string().contains("safetensors"), "{error}");
    /// ```
    pub fn from_bytes(bytes: &[u8]) -> ray::Result<StateDict> {
        let wrong = |error: &dyn fmt::Display| failed(format!("not a whole safetensors file: {error}"));
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(|error| wrong(&error))?;
        let file = SafeTensors::deserialize(bytes).map_err(|error| wrong(&error))?;
        let mut state = StateDict::new();
        for (key, value) in header.metadata().iter().flatten() {
            if key != "format" {
                state.set_metadata(key, value);
            }
        }
        for (name, view) in file.iter() {
            let numbers = match (view.dtype(), view.shape()) {
                (Dtype::F32, _) => Numbers::F32(view.data().as_chunks().0.iter().map(|four| f32::from_le_bytes(*four)).collect()),
                (Dtype::F64, []) => {
                    Numbers::F64(view.data().as_chunks().0.iter().map(|eight| f64::from_le_bytes(*eight)).collect())
                }
                (dtype, shape) => {
                    return Err(failed(format!(
                        "`{name}` is of {dtype:?} and of the shape {shape:?}: parameters are of F32; in Python `tensor.float()` makes them so"
                    )));
                }
            };
            state.arrays.insert(name.to_owned(), Array { shape: view.shape().to_vec(), numbers });
        }
        Ok(state)
    }

    /// Writes a safetensors file.
    ///
    /// # Errors
    /// The file cannot be written: no such folder, no space left, no permission.
    ///
    /// ```
    /// let error = ray_train::model::StateDict::new().save("/nowhere/model.safetensors").unwrap_err();
    /// assert!(error.to_string().contains("/nowhere/model.safetensors"), "{error}");
    /// ```
    pub fn save(&self, path: impl AsRef<Path>) -> ray::Result<()> {
        let path = path.as_ref();
        fs::write(path, self.to_bytes()).map_err(|error| failed(format!("{}: {error}", path.display())))
    }

    /// Reads a safetensors file.
    ///
    /// # Errors
    /// There is none, or as [`from_bytes`](StateDict::from_bytes).
    ///
    /// ```
    /// let error = ray_train::model::StateDict::load("/nowhere/model.safetensors").unwrap_err();
    /// assert!(error.to_string().contains("/nowhere/model.safetensors"), "{error}");
    /// ```
    pub fn load(path: impl AsRef<Path>) -> ray::Result<StateDict> {
        let path = path.as_ref();
        let bytes = fs::read(path).map_err(|error| failed(format!("{}: {error}", path.display())))?;
        StateDict::from_bytes(&bytes).map_err(|error| failed(format!("{}: {error}", path.display())))
    }

    /// That it has exactly these arrays (an empty shape is a single number), for the one who needs them.
    pub(super) fn require(&self, needed_by: &str, wanted: Vec<(String, Vec<usize>)>) -> ray::Result<()> {
        let missing = wanted.iter().filter(|(name, _)| !self.arrays.contains_key(name)).map(|(name, _)| format!("`{name}`"));
        let known: BTreeSet<&str> = wanted.iter().map(|(name, _)| name.as_str()).collect();
        let extra = self.names().filter(|name| !known.contains(name)).map(|name| format!("`{name}`"));
        let other = wanted.iter().filter_map(|(name, shape)| {
            let found = self.arrays.get(name)?;
            let kind = matches!(found.numbers, Numbers::F32(_)) || shape.is_empty();
            (found.shape != *shape || !kind).then(|| format!("`{name}` is {:?} and should be {shape:?}", found.shape))
        });
        let parts = [("missing: ", list(missing)), ("unknown: ", list(extra)), ("of another shape: ", list(other))];
        let mut said = String::new();
        for (what, names) in parts.iter().filter(|(_, names)| !names.is_empty()) {
            let _ = write!(said, "{}{what}{names}", if said.is_empty() { "" } else { "; " });
        }
        if said.is_empty() { Ok(()) } else { Err(failed(format!("the state does not fit {needed_by}: {said}"))) }
    }
}

/// The first few, and how many more there are.
fn list(names: impl Iterator<Item = String>) -> String {
    let names: Vec<String> = names.collect();
    let mut said = names[..names.len().min(NAMED)].join(", ");
    if names.len() > NAMED {
        let _ = write!(said, " and {} more", names.len() - NAMED);
    }
    said
}

/// Bit by bit, so that a NaN equals itself.
impl PartialEq for StateDict {
    fn eq(&self, other: &StateDict) -> bool {
        self.metadata == other.metadata && self.arrays == other.arrays
    }
}

impl PartialEq for Array {
    fn eq(&self, other: &Array) -> bool {
        let same = match (&self.numbers, &other.numbers) {
            (Numbers::F32(mine), Numbers::F32(others)) => mine.iter().map(|n| n.to_bits()).eq(others.iter().map(|n| n.to_bits())),
            (Numbers::F64(mine), Numbers::F64(others)) => mine.iter().map(|n| n.to_bits()).eq(others.iter().map(|n| n.to_bits())),
            _ => false,
        };
        same && self.shape == other.shape
    }
}

impl fmt::Debug for StateDict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.arrays.iter().map(|(name, array)| (name, &array.shape))).finish()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use safetensors::tensor::TensorView;

    use super::*;

    fn some() -> StateDict {
        let mut state = StateDict::new();
        state.insert("a.weight", &[2, 3], vec![1.0, f32::NAN, -0.0, f32::INFINITY, 1e-42, 5.0]);
        state.insert("a.bias", &[0], vec![]);
        state.insert_number("step", 16_777_217.0);
        state.set_metadata("optimizer", "Adam");
        state
    }

    #[test]
    fn every_bit_comes_back() {
        let odd_nan = f32::from_bits(0x7fc1_2345);
        let mut state = some();
        state.insert("nan", &[1], vec![odd_nan]);
        let back = StateDict::from_bytes(&state.to_bytes()).unwrap();
        assert_eq!(back, state);
        assert_eq!(back.get("nan").unwrap()[0].to_bits(), odd_nan.to_bits());
        assert_eq!((back.number("step"), back.metadata("optimizer")), (Some(16_777_217.0), Some("Adam")));
        assert_eq!(back.to_bytes(), state.to_bytes());
    }

    #[test]
    fn what_does_not_fit_is_all_named() {
        let wanted = |pairs: &[(&str, &[usize])]| {
            let wanted = pairs.iter().map(|(name, shape)| ((*name).to_owned(), shape.to_vec())).collect();
            some().require("the model", wanted).map_err(|error| error.to_string())
        };
        assert!(wanted(&[("a.weight", &[2, 3]), ("a.bias", &[0]), ("step", &[])]).is_ok());
        let error = wanted(&[("a.weight", &[3, 2]), ("a.bias", &[0]), ("b.bias", &[1])]).unwrap_err();
        let expected = "the state does not fit the model: missing: `b.bias`; unknown: `step`; of another shape: `a.weight` is [2, 3] and should be [3, 2]";
        assert!(error.contains(expected), "{error}");
        let many: Vec<String> = (0..9).map(|n| n.to_string()).collect();
        let many: Vec<(&str, &[usize])> = many.iter().map(|name| (&name[..], &[][..])).collect();
        assert!(wanted(&many).unwrap_err().contains("`4` and 4 more"));
    }

    #[test]
    fn other_types_are_refused() {
        let half = TensorView::new(Dtype::F16, vec![1], &[0, 0]).unwrap();
        let bytes = safetensors::serialize([("w", half)], None).unwrap();
        let error = StateDict::from_bytes(&bytes).unwrap_err().to_string();
        assert!(error.contains("`w`") && error.contains("F16"), "{error}");
    }

    #[test]
    fn a_file_that_is_cut_short_is_an_error() {
        let bytes = some().to_bytes();
        assert!((0..bytes.len()).all(|len| StateDict::from_bytes(&bytes[..len]).is_err()));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), at in any::<prop::sample::Index>(), by: u8) {
            let _ = StateDict::from_bytes(&bytes);
            let mut torn = some().to_bytes();
            let at = at.index(torn.len());
            torn[at] ^= by;
            let _ = StateDict::from_bytes(&torn);
            let header = format!("{{\"a\":{{\"dtype\":\"F32\",\"shape\":[{}],\"data_offsets\":[0,{}]}}}}", u64::from(by) << 56, bytes.len());
            let _ = StateDict::from_bytes(&[&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &bytes].concat());
        }
    }
}
