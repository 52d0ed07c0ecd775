//! Matrix products: a safe interface to the crate `gemm`, whose function takes pointers.
//!
//! Rule of the unsafe code: `gemm` reads and writes only the elements that sizes and strides describe, so each of the three slices
//! must contain all of these elements, and the output must not overlap the inputs.
#![allow(unsafe_code, reason = "`gemm` takes pointers")]

use std::time::{Duration, Instant};

use gemm::Parallelism;

/// A matrix in a slice, in row-major or column-major order.
#[derive(Clone, Copy)]
pub(super) struct Matrix<'a> {
    values: &'a [f32],
    rows: usize,
    columns: usize,
    /// The distance in the slice from an element to the next one in its column.
    row_stride: usize,
    /// The distance in the slice from an element to the next one in its row.
    column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// A matrix that fills a slice, in row-major order.
    pub(super) fn of(values: &'a [f32], rows: usize, columns: usize) -> Matrix<'a> {
        assert!(rows * columns == values.len(), "{} values do not make a matrix of {rows} x {columns}", values.len());
        Matrix { values, rows, columns, row_stride: columns, column_stride: 1 }
    }

    /// The transposed matrix, in the same slice.
    pub(super) fn transposed(self) -> Matrix<'a> {
        Matrix { rows: self.columns, columns: self.rows, row_stride: self.column_stride, column_stride: self.row_stride, ..self }
    }
}

/// Computes products on the calling thread, and measures the time.
#[derive(Clone, Debug, Default)]
pub(super) struct Products {
    /// The total time of all products.
    pub(super) time: Duration,
}

impl Products {
    /// Writes the product of two matrices to a slice in row-major order, or adds it to the values of the slice.
    pub(super) fn add(&mut self, into: &mut [f32], left: Matrix<'_>, right: Matrix<'_>, add: bool) {
        assert!(left.columns == right.rows && left.rows * right.columns == into.len(), "the sizes of the matrices do not match");
        let begin = Instant::now();
        // SAFETY: by the rule at the head. `Matrix::of` and the assertion above check that each slice has exactly rows x columns
        // elements, and the strides are those of a matrix that fills its slice, in row-major or column-major order. `into` is an
        // exclusive borrow, so it does not overlap the inputs.
        unsafe {
            gemm::gemm(
                left.rows,
                right.columns,
                left.columns,
                into.as_mut_ptr(),
                1,
                right.columns as isize,
                add,
                left.values.as_ptr(),
                left.column_stride as isize,
                left.row_stride as isize,
                right.values.as_ptr(),
                right.column_stride as isize,
                right.row_stride as isize,
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
    fn products_of_both_layouts() {
        let (a, b) = ([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [7.0, 8.0, 9.0, 10.0, 11.0, 12.0]);
        let mut into = [1.0; 4];
        let mut products = Products::default();
        products.add(&mut into, Matrix::of(&a, 2, 3), Matrix::of(&b, 3, 2), true);
        assert_eq!(into, [59.0, 65.0, 140.0, 155.0]);
        products.add(&mut into, Matrix::of(&a, 3, 2).transposed(), Matrix::of(&b, 2, 3).transposed(), false);
        assert_eq!(into, [1.0 * 7.0 + 3.0 * 8.0 + 5.0 * 9.0, 1.0 * 10.0 + 3.0 * 11.0 + 5.0 * 12.0, 100.0, 136.0]);
    }

    #[test]
    #[should_panic(expected = "do not match")]
    fn sizes_are_checked() {
        Products::default().add(&mut [0.0; 4], Matrix::of(&[0.0; 6], 2, 3), Matrix::of(&[0.0; 6], 2, 3), false);
    }
}
