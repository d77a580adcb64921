//! Transforms of rows of tokens, at each step.

use crate::memory::{slice, slice_mut};
use crate::{Params, Result};

/// A row, which a transform changes where it stands. What it refers to belongs to gsc; what pads it is not there.
pub struct Tokens<'a> {
    pub tokens: &'a mut [i32],
    /// One for each token, or one for the row; none where labels are numbers.
    pub labels: &'a mut [i32],
    /// As many as there are labels; none where all weigh 1, and the manifest does not say that the transform changes them.
    pub weights: &'a mut [f32],
    /// One for each token; none where there are none.
    pub types: &'a mut [i32],
    /// The document of each token, from 1; none where the row is one.
    pub segments: &'a [i32],
    /// Says that labels and weights are of tokens, not of the row.
    pub labels_tokens: bool,
    /// Tokens are below the first, labels below the second.
    pub vocabulary: i32,
    pub outputs: i32,
    /// The label that is not scored.
    pub ignore: i32,
    /// Of the run's seed, the step and the row of the global batch; in evaluation of the row of the split alone.
    pub seed: u64,
}

/// A transform of rows with its parameters.
pub trait RowTransform: Sized {
    /// Gets the parameters, once; `None`: there is no transform for them.
    fn new(params: Params) -> Option<Self>;

    /// Changes a row. What comes of it follows from the row and its seed alone.
    fn row(&mut self, row: Tokens) -> Result;
}

/// A call as it lies in memory: `plugins/abi` tells what is what.
#[doc(hidden)]
#[repr(C)]
pub struct Call {
    rows: u32,
    length: u32,
    vocabulary: u32,
    outputs: u32,
    ignore: i32,
    tokens: *mut i32,
    labels: *mut i32,
    labels_a_row: u32,
    weights: *mut f32,
    types: *mut i32,
    segments: *const i32,
    valid: *const i32,
    seeds: *const u64,
}

impl Call {
    /// Transforms all rows.
    ///
    /// # Safety
    ///
    /// The call is gsc's, whose pointers hold what it says.
    #[doc(hidden)]
    pub unsafe fn rows<T: RowTransform>(&self, transform: &mut T) -> Result {
        let (length, labels) = (self.length as usize, self.labels_a_row as usize);
        let weights = labels.max(1);
        for i in 0..self.rows as usize {
            let valid = *self.valid.add(i) as usize;
            transform.row(Tokens {
                tokens: slice_mut(self.tokens, i * length, valid),
                labels: slice_mut(self.labels, i * labels, valid.min(labels)),
                weights: slice_mut(self.weights, i * weights, valid.min(weights)),
                types: slice_mut(self.types, i * length, valid),
                segments: slice(self.segments, i * length, valid),
                labels_tokens: labels == length,
                vocabulary: self.vocabulary as i32,
                outputs: self.outputs as i32,
                ignore: self.ignore,
                seed: *self.seeds.add(i),
            })?;
        }
        Ok(())
    }
}

/// Makes a type the plugin's transform of rows: `gsc::row_transform! { Type, name: "mask", version: "1.0.0", params: "share: *0.15 | number" }`.
///
/// Behind the parameters may stand, in this order: `evaluates: true`, where rows of evaluation are changed, too; `labels: tokens`, where it labels tokens with token ids; `weights: true`, where it
/// changes weights.
#[macro_export]
macro_rules! row_transform {
    ($transform:ty, name: $name:literal, version: $version:literal, params: $params:literal $(, evaluates: $evaluates:literal)? $(, labels: $labels:ident)? $(, weights: $weights:literal)? $(,)?) => {
        const _: () = {
            $crate::plugin! { $transform, $crate::RowTransform, "transform", $name, $version,
            concat!(", \"on\": \"rows\"" $(, ", \"evaluates\": ", $evaluates)? $(, ", \"labels\": \"", stringify!($labels), "\"")? $(, ", \"weights\": ", $weights)?), $params }

            #[no_mangle]
            unsafe extern "C" fn gsc_transform(call: *const $crate::rows::Call) -> u32 {
                $crate::with(core::ptr::addr_of_mut!(PLUGIN), |transform| (*call).rows(transform))
            }
        };
    };
}
