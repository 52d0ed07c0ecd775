//! Named arrays, in files that torch can read.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write};
use std::fs;
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors};
use serde_json::{Map, Value, json};

use crate::error::failed;

/// An error names at most this many arrays, and counts the others.
const MAX_NAMES: usize = 5;

/// Arrays of numbers by name: the state of a model or of an optimiser, for a checkpoint.
///
/// Its file format is [safetensors](https://huggingface.co/docs/safetensors). Python loads the file of a model with
/// `model.load_state_dict(safetensors.torch.load_file("model.safetensors"))`. Every bit of every number is preserved, also of NaN.
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
    values: Values,
}

/// Parameters and buffers have 32 bits. Single numbers have 64 bits: the number of steps must be exact, and torch accepts it.
#[derive(Clone)]
enum Values {
    F32(Vec<f32>),
    F64(Vec<f64>),
}

impl StateDict {
    /// An empty state.
    ///
    /// ```
    /// assert_eq!(ray_train::model::StateDict::new().names().count(), 0);
    /// ```
    pub fn new() -> StateDict {
        StateDict::default()
    }

    /// Inserts an array, in row-major order. It replaces an array of the same name.
    ///
    /// # Panics
    /// If the number of values does not match the shape.
    ///
    /// ```
    /// let mut state = ray_train::model::StateDict::new();
    /// state.insert("fc1.bias", &[2], vec![0.5, 1.5]);
    /// assert_eq!(state.get("fc1.bias"), Some(&[0.5, 1.5][..]));
    /// ```
    pub fn insert(&mut self, name: &str, shape: &[usize], values: Vec<f32>) {
        let size: usize = shape.iter().product();
        assert!(size == values.len(), "{name}: {} values do not make an array of the shape {shape:?}", values.len());
        self.arrays.insert(name.to_owned(), Array { shape: shape.to_vec(), values: Values::F32(values) });
    }

    /// Inserts a single number. It replaces an array of the same name.
    ///
    /// ```
    /// let mut state = ray_train::model::StateDict::new();
    /// state.insert_number("epoch", 3.0);
    /// assert_eq!(state.number("epoch"), Some(3.0));
    /// ```
    pub fn insert_number(&mut self, name: &str, number: f64) {
        self.arrays.insert(name.to_owned(), Array { shape: Vec::new(), values: Values::F64(vec![number]) });
    }

    /// The values of the array of this name.
    ///
    /// ```
    /// assert_eq!(ray_train::model::StateDict::new().get("fc1.bias"), None);
    /// ```
    pub fn get(&self, name: &str) -> Option<&[f32]> {
        match &self.arrays.get(name)?.values {
            Values::F32(values) => Some(values),
            Values::F64(_) => None,
        }
    }

    /// The single number of this name.
    ///
    /// ```
    /// assert_eq!(ray_train::model::StateDict::new().number("epoch"), None);
    /// ```
    pub fn number(&self, name: &str) -> Option<f64> {
        match self.arrays.get(name)? {
            Array { values: Values::F64(values), .. } => values.first().copied(),
            Array { shape, values: Values::F32(values) } if shape.is_empty() => values.first().map(|value| f64::from(*value)),
            _ => None,
        }
    }

    /// The shape of the array of this name. The shape of a single number is empty.
    ///
    /// ```
    /// let mut state = ray_train::model::StateDict::new();
    /// state.insert("fc1.bias", &[2], vec![0.5, 1.5]);
    /// assert_eq!(state.shape("fc1.bias"), Some(&[2][..]));
    /// ```
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.arrays.get(name).map(|array| &array.shape[..])
    }

    /// The names of all arrays, sorted.
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

    /// The metadata text of this key.
    ///
    /// ```
    /// let mut state = ray_train::model::StateDict::new();
    /// state.set_metadata("optimizer", "Sgd");
    /// assert_eq!(state.metadata("optimizer"), Some("Sgd"));
    /// ```
    pub fn metadata(&self, key: &str) -> Option<&str> {
        self.metadata.get(key).map(String::as_str)
    }

    /// Sets the metadata text of a key.
    ///
    /// ```
    /// ray_train::model::StateDict::new().set_metadata("trained on", "Fashion-MNIST");
    /// ```
    pub fn set_metadata(&mut self, key: &str, value: &str) {
        self.metadata.insert(key.to_owned(), value.to_owned());
    }

    /// The bytes of a safetensors file. Equal states give equal bytes.
    ///
    /// ```
    /// use ray_train::model::StateDict;
    /// let bytes = StateDict::new().to_bytes();
    /// assert_eq!(StateDict::from_bytes(&bytes)?, StateDict::new());
    /// # Ok::<(), ray::Error>(())
    /// ```
    pub fn to_bytes(&self) -> Vec<u8> {
        // 64-bit arrays first, after a header whose length is a multiple of eight bytes: so all values are aligned.
        let (wide, narrow): (Vec<_>, Vec<_>) = self.arrays.iter().partition(|(_, array)| matches!(array.values, Values::F64(_)));
        let mut header = Map::new();
        let mut metadata: Map<String, Value> = self.metadata.iter().map(|(key, value)| (key.clone(), json!(value))).collect();
        // torch's readers require this entry.
        metadata.insert("format".to_owned(), json!("pt"));
        header.insert("__metadata__".to_owned(), Value::Object(metadata));
        let mut end = 0;
        for (name, array) in wide.iter().chain(&narrow) {
            let (dtype, bytes) = match &array.values {
                Values::F32(values) => ("F32", 4 * values.len()),
                Values::F64(values) => ("F64", 8 * values.len()),
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
        for (_, array) in wide.iter().chain(&narrow) {
            match &array.values {
                Values::F32(values) => bytes.extend(values.iter().flat_map(|value| value.to_le_bytes())),
                Values::F64(values) => bytes.extend(values.iter().flat_map(|value| value.to_le_bytes())),
            }
        }
        bytes
    }

    /// Reads the bytes of a safetensors file.
    ///
    /// # Errors
    /// The bytes are not a safetensors file, are truncated, or have an array that is not of 32-bit floats (a single number may have 64
    /// bits).
    ///
    /// ```
    /// let error = ray_train::model::StateDict::from_bytes(b"PK\x03\x04").unwrap_err();
    /// assert!(error.to_string().contains("safetensors"), "{error}");
    /// ```
    pub fn from_bytes(bytes: &[u8]) -> ray::Result<StateDict> {
        let invalid = |error: &dyn fmt::Display| failed(format!("not a complete safetensors file: {error}"));
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(|error| invalid(&error))?;
        let file = SafeTensors::deserialize(bytes).map_err(|error| invalid(&error))?;
        let mut state = StateDict::new();
        for (key, value) in header.metadata().iter().flatten() {
            if key != "format" {
                state.set_metadata(key, value);
            }
        }
        for (name, view) in file.iter() {
            let values = match (view.dtype(), view.shape()) {
                (Dtype::F32, _) => Values::F32(view.data().as_chunks().0.iter().map(|four| f32::from_le_bytes(*four)).collect()),
                (Dtype::F64, []) => {
                    Values::F64(view.data().as_chunks().0.iter().map(|eight| f64::from_le_bytes(*eight)).collect())
                }
                (dtype, shape) => {
                    return Err(failed(format!(
                        "`{name}` has the type {dtype:?} and the shape {shape:?}, expected F32: convert it in Python with `tensor.float()`"
                    )));
                }
            };
            state.arrays.insert(name.to_owned(), Array { shape: view.shape().to_vec(), values });
        }
        Ok(state)
    }

    /// Writes a safetensors file.
    ///
    /// # Errors
    /// The file cannot be written; the error names its path.
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
    /// The file cannot be read; those of [`from_bytes`](StateDict::from_bytes). The error names the path.
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

    /// Checks that the state has exactly these arrays; an empty shape is that of a single number. The error names the `owner`.
    pub(super) fn require(&self, owner: &str, expected: Vec<(String, Vec<usize>)>) -> ray::Result<()> {
        let missing = expected.iter().filter(|(name, _)| !self.arrays.contains_key(name)).map(|(name, _)| format!("`{name}`"));
        let known: BTreeSet<&str> = expected.iter().map(|(name, _)| name.as_str()).collect();
        let extra = self.names().filter(|name| !known.contains(name)).map(|name| format!("`{name}`"));
        let other = expected.iter().filter_map(|(name, shape)| {
            let found = self.arrays.get(name)?;
            let right_type = matches!(found.values, Values::F32(_)) || shape.is_empty();
            (found.shape != *shape || !right_type)
                .then(|| format!("`{name}` has the shape {:?}, expected {shape:?}", found.shape))
        });
        let parts = [("missing: ", list(missing)), ("unknown: ", list(extra)), ("of another shape: ", list(other))];
        let mut text = String::new();
        for (heading, names) in parts.iter().filter(|(_, names)| !names.is_empty()) {
            let _ = write!(text, "{}{heading}{names}", if text.is_empty() { "" } else { "; " });
        }
        if text.is_empty() { Ok(()) } else { Err(failed(format!("the state does not match {owner}: {text}"))) }
    }
}

/// The first names, and the number of the others.
fn list(names: impl Iterator<Item = String>) -> String {
    let names: Vec<String> = names.collect();
    let mut text = names[..names.len().min(MAX_NAMES)].join(", ");
    if names.len() > MAX_NAMES {
        let _ = write!(text, " and {} more", names.len() - MAX_NAMES);
    }
    text
}

/// Compares the bits of the values, so a NaN equals itself.
impl PartialEq for StateDict {
    fn eq(&self, other: &StateDict) -> bool {
        self.metadata == other.metadata && self.arrays == other.arrays
    }
}

impl PartialEq for Array {
    fn eq(&self, other: &Array) -> bool {
        let same_values = match (&self.values, &other.values) {
            (Values::F32(a), Values::F32(b)) => a.iter().map(|value| value.to_bits()).eq(b.iter().map(|value| value.to_bits())),
            (Values::F64(a), Values::F64(b)) => a.iter().map(|value| value.to_bits()).eq(b.iter().map(|value| value.to_bits())),
            _ => false,
        };
        same_values && self.shape == other.shape
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

    fn example() -> StateDict {
        let mut state = StateDict::new();
        state.insert("a.weight", &[2, 3], vec![1.0, f32::NAN, -0.0, f32::INFINITY, 1e-42, 5.0]);
        state.insert("a.bias", &[0], vec![]);
        state.insert_number("step", 16_777_217.0);
        state.set_metadata("optimizer", "Adam");
        state
    }

    #[test]
    fn a_file_preserves_every_bit() {
        let odd_nan = f32::from_bits(0x7fc1_2345);
        let mut state = example();
        state.insert("nan", &[1], vec![odd_nan]);
        let back = StateDict::from_bytes(&state.to_bytes()).unwrap();
        assert_eq!(back, state);
        assert_eq!(back.get("nan").unwrap()[0].to_bits(), odd_nan.to_bits());
        assert_eq!((back.number("step"), back.metadata("optimizer")), (Some(16_777_217.0), Some("Adam")));
        assert_eq!(back.to_bytes(), state.to_bytes());
    }

    #[test]
    fn an_error_names_every_mismatch() {
        let required = |pairs: &[(&str, &[usize])]| {
            let expected = pairs.iter().map(|(name, shape)| ((*name).to_owned(), shape.to_vec())).collect();
            example().require("the model", expected).map_err(|error| error.to_string())
        };
        assert!(required(&[("a.weight", &[2, 3]), ("a.bias", &[0]), ("step", &[])]).is_ok());
        let error = required(&[("a.weight", &[3, 2]), ("a.bias", &[0]), ("b.bias", &[1])]).unwrap_err();
        let expected = "the state does not match the model: missing: `b.bias`; unknown: `step`; of another shape: `a.weight` has the shape [2, 3], expected [3, 2]";
        assert!(error.contains(expected), "{error}");
        let many: Vec<String> = (0..9).map(|n| n.to_string()).collect();
        let many: Vec<(&str, &[usize])> = many.iter().map(|name| (&name[..], &[][..])).collect();
        assert!(required(&many).unwrap_err().contains("`4` and 4 more"));
    }

    #[test]
    fn other_types_are_refused() {
        let half = TensorView::new(Dtype::F16, vec![1], &[0, 0]).unwrap();
        let bytes = safetensors::serialize([("w", half)], None).unwrap();
        let error = StateDict::from_bytes(&bytes).unwrap_err().to_string();
        assert!(error.contains("`w`") && error.contains("F16"), "{error}");
    }

    #[test]
    fn a_truncated_file_is_an_error() {
        let bytes = example().to_bytes();
        assert!((0..bytes.len()).all(|len| StateDict::from_bytes(&bytes[..len]).is_err()));
    }

    proptest! {
        #[test]
        fn no_input_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300), at in any::<prop::sample::Index>(), by: u8) {
            let _ = StateDict::from_bytes(&bytes);
            let mut damaged = example().to_bytes();
            let at = at.index(damaged.len());
            damaged[at] ^= by;
            let _ = StateDict::from_bytes(&damaged);
            let header = format!("{{\"a\":{{\"dtype\":\"F32\",\"shape\":[{}],\"data_offsets\":[0,{}]}}}}", u64::from(by) << 56, bytes.len());
            let _ = StateDict::from_bytes(&[&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &bytes].concat());
        }
    }
}
