//! The description of a parameter of a model.

/// The description of one parameter of a model: its name, and its shape in torch's layout.
///
/// ```
/// use ray_train::model::{Mlp, Model};
/// let model = Mlp::new(&[784, 10], 0);
/// let weight = &model.parameters()[0];
/// assert_eq!((weight.path(), weight.shape()), ("fc1.weight", &[10, 784][..]));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    path: String,
    shape: Vec<usize>,
    trainable: bool,
    transposed: bool,
}

impl Parameter {
    /// A trainable parameter whose values are in memory in the order of its shape: the last dimension is contiguous.
    ///
    /// ```
    /// let bias = ray_train::model::Parameter::new("fc1.bias", [10]);
    /// assert_eq!(bias.len(), 10);
    /// ```
    pub fn new(path: impl Into<String>, shape: impl Into<Vec<usize>>) -> Parameter {
        Parameter { path: path.into(), shape: shape.into(), trainable: true, transposed: false }
    }

    /// Makes the parameter one without a gradient. It is saved and copied like the others, but no optimiser updates it. An example is
    /// the running mean of a normalisation.
    ///
    /// ```
    /// let mean = ray_train::model::Parameter::new("norm.running_mean", [3]).fixed();
    /// assert!(!mean.is_trainable());
    /// ```
    #[must_use]
    pub fn fixed(mut self) -> Parameter {
        self.trainable = false;
        self
    }

    /// Makes the parameter a matrix that is transposed in memory: its shape is `[out, in]`, as in torch and in files, and the model
    /// stores it as `[in, out]`, as burn does.
    ///
    /// # Panics
    /// If the shape does not have two dimensions.
    ///
    /// ```
    /// let weight = ray_train::model::Parameter::new("fc1.weight", [10, 784]).transposed();
    /// assert_eq!(weight.shape(), [10, 784]);
    /// ```
    #[must_use]
    pub fn transposed(mut self) -> Parameter {
        assert!(self.shape.len() == 2, "{} has the shape {:?}: only a matrix can be transposed", self.path, self.shape);
        self.transposed = true;
        self
    }

    /// Its name: the names of the modules that contain it and its own, joined by dots.
    ///
    /// ```
    /// assert_eq!(ray_train::model::Parameter::new("fc1.bias", [10]).path(), "fc1.bias");
    /// ```
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Its shape in torch's layout: the weight of a linear layer is `[out, in]`.
    ///
    /// ```
    /// assert_eq!(ray_train::model::Parameter::new("fc1.bias", [10]).shape(), [10]);
    /// ```
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The number of its values.
    ///
    /// ```
    /// assert_eq!(ray_train::model::Parameter::new("fc1.weight", [10, 784]).len(), 7840);
    /// ```
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether it has no values.
    ///
    /// ```
    /// assert!(ray_train::model::Parameter::new("fc1.weight", [0, 784]).is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether it has a gradient.
    ///
    /// ```
    /// assert!(ray_train::model::Parameter::new("fc1.bias", [10]).is_trainable());
    /// ```
    pub fn is_trainable(&self) -> bool {
        self.trainable
    }

    /// Sets its name.
    #[cfg(feature = "burn")]
    pub(super) fn rename(&mut self, path: String) {
        self.path = path;
    }

    /// Converts values from memory order to the order of the shape.
    pub(super) fn to_shape(&self, memory: &[f32]) -> Vec<f32> {
        match (self.transposed, &self.shape[..]) {
            (true, &[rows, columns]) => transpose(memory, columns, rows),
            _ => memory.to_vec(),
        }
    }

    /// Converts values from the order of the shape to memory order.
    pub(super) fn to_memory(&self, shaped: &[f32], memory: &mut [f32]) {
        match (self.transposed, &self.shape[..]) {
            (true, &[rows, columns]) => memory.copy_from_slice(&transpose(shaped, rows, columns)),
            _ => memory.copy_from_slice(shaped),
        }
    }
}

/// The transposed matrix; `matrix` has `rows` times `columns` values in row-major order.
fn transpose(matrix: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    (0..columns).flat_map(|column| (0..rows).map(move |row| matrix[row * columns + column])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transposed_matrix_converts_and_back() {
        let weight = Parameter::new("w", [2, 3]).transposed();
        let memory = [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]; // three rows of two
        let shaped = weight.to_shape(&memory);
        assert_eq!(shaped, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]); // two rows of three
        let mut back = [0.0; 6];
        weight.to_memory(&shaped, &mut back);
        assert_eq!(back, memory);
        assert_eq!(Parameter::new("w", [2, 3]).to_shape(&memory), memory);
    }
}
