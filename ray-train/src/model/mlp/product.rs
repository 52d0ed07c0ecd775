//! Products of matrices: a checked face for the crate `gemm`, which takes pointers.
#![allow(unsafe_code)]

use std::time::{Duration, Instant};

use gemm::Parallelism;

/// A matrix in a slice, row by row or column by column.
#[derive(Clone, Copy)]
pub(super) struct Matrix<'a> {
    numbers: &'a [f32],
    rows: usize,
    columns: usize,
    /// From one number to the one below it, and to the one at its right.
    down: usize,
    right: usize,
}

impl<'a> Matrix<'a> {
    /// A matrix that lies in a slice row by row, and fills it.
    pub(super) fn of(numbers: &'a [f32], rows: usize, columns: usize) -> Matrix<'a> {
        assert!(rows * columns == numbers.len(), "{rows} x {columns} numbers are not {}", numbers.len());
        Matrix { numbers, rows, columns, down: columns, right: 1 }
    }

    /// The same slice, with rows for columns.
    pub(super) fn transposed(self) -> Matrix<'a> {
        Matrix { rows: self.columns, columns: self.rows, down: self.right, right: self.down, ..self }
    }
}

/// Makes products on the calling thread, and knows how long they took.
#[derive(Clone, Debug, Default)]
pub(super) struct Products {
    pub(super) time: Duration,
}

impl Products {
    /// Writes the product of two matrices into a slice, row by row; or adds it to what is there.
    pub(super) fn add(&mut self, into: &mut [f32], left: Matrix<'_>, right: Matrix<'_>, add: bool) {
        assert!(left.columns == right.rows && left.rows * right.columns == into.len(), "matrices that do not fit together");
        let begin = Instant::now();
        // SAFETY: each of the three slices holds as many numbers as its rows and columns say, checked above and in
        // `Matrix::of`, and its strides are those of a matrix that fills it. `into` is borrowed alone.
        unsafe {
            gemm::gemm(
                left.rows,
                right.columns,
                left.columns,
                into.as_mut_ptr(),
                1,
                right.columns as isize,
                add,
                left.numbers.as_ptr(),
                left.right as isize,
                left.down as isize,
                right.numbers.as_ptr(),
                right.right as isize,
                right.down as isize,
                1.0,
                1.0,
                false,
                false,
                false,
                Parallelism::None,
            );
        }
        self.time += begin.elapsed();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_of_all_layouts() {
        let (a, b) = ([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [7.0, 8.0, 9.0, 10.0, 11.0, 12.0]);
        let mut into = [1.0; 4];
        let mut products = Products::default();
        products.add(&mut into, Matrix::of(&a, 2, 3), Matrix::of(&b, 3, 2), true);
        assert_eq!(into, [59.0, 65.0, 140.0, 155.0]);
        products.add(&mut into, Matrix::of(&a, 3, 2).transposed(), Matrix::of(&b, 2, 3).transposed(), false);
        assert_eq!(into, [1.0 * 7.0 + 3.0 * 8.0 + 5.0 * 9.0, 1.0 * 10.0 + 3.0 * 11.0 + 5.0 * 12.0, 100.0, 136.0]);
    }

    #[test]
    #[should_panic(expected = "do not fit together")]
    fn sizes_are_checked() {
        Products::default().add(&mut [0.0; 4], Matrix::of(&[0.0; 6], 2, 3), Matrix::of(&[0.0; 6], 2, 3), false);
    }
}
