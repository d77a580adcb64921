//! Losses: of rows of logits, or of units of several rows.

use crate::memory::{slice, slice_mut};
use crate::{Params, Result};

/// One row of a loss. What it refers to belongs to gsc.
pub struct Row<'a> {
    pub logits: &'a [f32],
    /// Of a loss over classes: an index of `logits`.
    pub label: usize,
    /// Of a loss over values: one for each logit.
    pub targets: &'a [f32],
    /// The row in each of the tensors that the manifest names as inputs, in that order: as many numbers as there are logits.
    pub inputs: Inputs<'a>,
    /// Out: the derivative of the row's loss by its logits; `None` where none is asked for.
    pub gradient: Option<&'a mut [f32]>,
}

/// A loss of rows with its parameters.
pub trait Loss: Sized {
    /// Gets the parameters, once; `None`: there is no loss for them.
    fn new(params: Params) -> Option<Self>;

    /// A row's loss, with its gradient where one is asked for. It depends on the row alone, and must be finite; `self` is for room that is used again.
    fn row(&mut self, row: Row) -> f32;
}

/// The rows of a unit: of one record where the manifest says `sequences`, or of two, the chosen one first, where it says `pairs`. What it refers to belongs to gsc.
pub struct Unit<'a> {
    /// How wide a row of logits is.
    pub classes: usize,
    /// How many rows a sequence has; a pair has twice as many.
    pub length: usize,
    /// Of each sequence: its rows up to the last that is scored. What follows only pads it.
    pub lengths: &'a [i32],
    /// Of each row: an index of its logits, or -1, where the row is not scored.
    pub labels: &'a [i32],
    /// One row behind the other.
    pub logits: &'a [f32],
    /// The unit in each of the tensors that the manifest names as inputs, as wide as the logits.
    pub inputs: Inputs<'a>,
    /// Out: the derivative of the unit's loss by its logits, 0 for rows that are not scored; `None` where none is asked for.
    pub gradient: Option<&'a mut [f32]>,
}

impl<'a> Unit<'a> {
    /// The logits of a row.
    pub fn row(&self, i: usize) -> &'a [f32] {
        &self.logits[i * self.classes..][..self.classes]
    }
}

/// A loss of units with its parameters.
pub trait UnitLoss: Sized {
    /// Gets the parameters, once; `None`: there is no loss for them.
    fn new(params: Params) -> Option<Self>;

    /// A unit's loss, with its gradient where one is asked for. It depends on the unit alone, and must be finite.
    fn unit(&mut self, unit: Unit) -> f32;
}

/// The same part of each of a loss's inputs.
#[derive(Clone, Copy)]
pub struct Inputs<'a> {
    tensors: &'a [*const f32],
    from: usize,
    n: usize,
}

impl<'a> Inputs<'a> {
    /// Of the i-th tensor that the manifest names.
    pub fn get(&self, i: usize) -> &'a [f32] {
        // SAFETY: gsc gives as many tensors as are named, as wide as the logits.
        unsafe { slice(self.tensors[i], self.from, self.n) }
    }
}

/// A call as it lies in memory: `plugins/abi` tells what is what.
#[doc(hidden)]
#[repr(C)]
pub struct Call {
    rows: u32,
    classes: u32,
    logits: *const f32,
    targets: *const u8,
    weights: *const f32,
    values: *mut f32,
    gradients: *mut f32,
    length: u32,
    lengths: *const i32,
    inputs: *const *const f32,
}

impl Call {
    /// Computes all rows.
    ///
    /// # Safety
    ///
    /// The call is gsc's, whose pointers hold what it says, for a loss that names so many inputs.
    #[doc(hidden)]
    pub unsafe fn rows<L: Loss>(&self, loss: &mut L, values: bool, inputs: usize) -> Result {
        let n = self.classes as usize;
        for i in 0..self.rows as usize {
            let mut row = Row {
                logits: slice(self.logits, i * n, n),
                label: 0,
                targets: &[],
                inputs: Inputs { tensors: slice(self.inputs, 0, inputs), from: i * n, n },
                gradient: self.gradient(i * n, n),
            };
            if values {
                row.targets = slice(self.targets.cast(), i * n, n);
            } else {
                row.label = *self.targets.cast::<i32>().add(i) as usize;
            }
            *self.values.add(i) = loss.row(row);
        }
        Ok(())
    }

    /// Computes all units, which are of so many sequences.
    ///
    /// # Safety
    ///
    /// As above.
    #[doc(hidden)]
    pub unsafe fn units<L: UnitLoss>(&self, loss: &mut L, sequences: usize, inputs: usize) -> Result {
        let (classes, length) = (self.classes as usize, self.length as usize);
        let rows = sequences * length;
        for i in 0..self.rows as usize / rows {
            let (from, n) = (i * rows * classes, rows * classes);
            *self.values.add(i) = loss.unit(Unit {
                classes,
                length,
                lengths: slice(self.lengths, i * sequences, sequences),
                labels: slice(self.targets.cast(), i * rows, rows),
                logits: slice(self.logits, from, n),
                inputs: Inputs { tensors: slice(self.inputs, 0, inputs), from, n },
                gradient: self.gradient(from, n),
            });
        }
        Ok(())
    }

    unsafe fn gradient<'a>(&self, from: usize, n: usize) -> Option<&'a mut [f32]> {
        if self.gradients.is_null() {
            return None;
        }
        Some(slice_mut(self.gradients, from, n))
    }
}

/// Makes a type the plugin's loss: `gsc::loss! { Type, name: "focal", version: "1.0.0", targets: classes, params: "gamma: *2 | number & >=0" }`.
///
/// `targets` is `classes` or `values`; `params` are the fields of the parameters with their defaults, in CUE, with each `"` in them written as `\\\"`. Further tensors are named behind them:
/// `inputs: ["teacher_logits"]`.
#[macro_export]
macro_rules! loss {
    ($loss:ty, name: $name:literal, version: $version:literal, targets: $targets:ident, params: $params:literal $(, inputs: [$first:literal $(, $more:literal)*])? $(,)?) => {
        const _: () = {
            $crate::plugin! { $loss, $crate::Loss, "loss", $name, $version,
            concat!(", \"targets\": \"", stringify!($targets), "\"" $(, ", \"inputs\": [\"", $first, $("\", \"", $more,)* "\"]")?), $params }

            #[no_mangle]
            unsafe extern "C" fn gsc_loss(call: *const $crate::loss::Call) -> u32 {
                const INPUTS: &[&str] = &[$($first $(, $more)*)?];
                $crate::with(core::ptr::addr_of_mut!(PLUGIN), |loss| (*call).rows(loss, matches!(stringify!($targets), "values"), INPUTS.len()))
            }
        };
    };
}

/// Makes a type the plugin's loss of units: `gsc::unit_loss! { Type, name: "dpo", version: "1.0.0", unit: pairs, params: "beta: *0.1 | number", inputs: ["teacher_logits"] }`.
///
/// `unit` is `sequences` or `pairs`; the rest is as for [`loss!`].
#[macro_export]
macro_rules! unit_loss {
    ($loss:ty, name: $name:literal, version: $version:literal, unit: $unit:ident, params: $params:literal $(, inputs: [$first:literal $(, $more:literal)*])? $(,)?) => {
        const _: () = {
            $crate::plugin! { $loss, $crate::UnitLoss, "loss", $name, $version,
            concat!(", \"targets\": \"classes\", \"unit\": \"", stringify!($unit), "\"" $(, ", \"inputs\": [\"", $first, $("\", \"", $more,)* "\"]")?), $params }

            #[no_mangle]
            unsafe extern "C" fn gsc_loss(call: *const $crate::loss::Call) -> u32 {
                const INPUTS: &[&str] = &[$($first $(, $more)*)?];
                const SEQUENCES: usize = $crate::sequences!($unit);
                $crate::with(core::ptr::addr_of_mut!(PLUGIN), |loss| (*call).units(loss, SEQUENCES, INPUTS.len()))
            }
        };
    };
}

/// How many sequences a unit has.
#[doc(hidden)]
#[macro_export]
macro_rules! sequences {
    (sequences) => { 1 };
    (pairs) => { 2 };
}
