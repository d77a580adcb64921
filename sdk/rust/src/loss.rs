//! Losses over rows of logits.

use crate::Params;

/// One row of a loss. What it refers to belongs to gsc.
pub struct Row<'a> {
    pub logits: &'a [f32],
    /// Of a loss over classes: an index of `logits`.
    pub label: usize,
    /// Of a loss over values: one for each logit.
    pub targets: &'a [f32],
    /// Out: the derivative of the row's loss by its logits; `None` where none is asked for.
    pub gradient: Option<&'a mut [f32]>,
}

/// A loss with its parameters.
pub trait Loss: Sized {
    /// Gets the parameters, once; `None`: there is no loss for them.
    fn new(params: Params) -> Option<Self>;

    /// A row's loss, with its gradient where one is asked for. It depends on the row alone, and must be finite; `self` is for room that is used again.
    fn row(&mut self, row: Row) -> f32;
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
}

impl Call {
    /// Computes all rows.
    ///
    /// # Safety
    ///
    /// The call is gsc's, whose pointers hold what it says.
    #[doc(hidden)]
    pub unsafe fn run<L: Loss>(&self, loss: &mut L, values: bool) {
        let n = self.classes as usize;
        for i in 0..self.rows as usize {
            let mut row = Row {
                logits: core::slice::from_raw_parts(self.logits.add(i * n), n),
                label: 0,
                targets: &[],
                gradient: None,
            };
            if values {
                row.targets = core::slice::from_raw_parts(self.targets.cast::<f32>().add(i * n), n);
            } else {
                row.label = *self.targets.cast::<i32>().add(i) as usize;
            }
            if !self.gradients.is_null() {
                row.gradient = Some(core::slice::from_raw_parts_mut(self.gradients.add(i * n), n));
            }
            *self.values.add(i) = loss.row(row);
        }
    }
}

/// Makes a type the plugin's loss: `gsc::loss! { Type, name: "focal", version: "1.0.0", targets: classes, params: "gamma: *2 | number & >=0" }`.
///
/// `targets` is `classes` or `values`; `params` are the fields of the parameters with their defaults, in CUE, with each `"` in them written as `\\\"`.
#[macro_export]
macro_rules! loss {
    ($loss:ty, name: $name:literal, version: $version:literal, targets: $targets:ident, params: $params:literal) => {
        const _: () = {
            static MANIFEST: &str = concat!(
                "{\"abi\": 1, \"kind\": \"loss\", \"name\": \"", $name, "\", \"version\": \"", $version,
                "\", \"targets\": \"", stringify!($targets), "\", \"params\": \"", $params, "\"}"
            );
            static mut LOSS: Option<$loss> = None;

            #[no_mangle]
            extern "C" fn gsc_manifest() -> u64 {
                (MANIFEST.len() as u64) << 32 | MANIFEST.as_ptr() as usize as u64
            }

            #[no_mangle]
            extern "C" fn gsc_alloc(bytes: u32) -> u32 {
                $crate::allocate(bytes)
            }

            #[no_mangle]
            unsafe extern "C" fn gsc_init(params: *const u8, length: u32) -> u32 {
                let text = core::slice::from_raw_parts(params, length as usize);
                let made = core::str::from_utf8(text).ok().and_then(|t| <$loss as $crate::Loss>::new($crate::Params(t)));
                let ok = made.is_some();
                *core::ptr::addr_of_mut!(LOSS) = made;
                if ok { $crate::OK } else { $crate::BAD_PARAMS }
            }

            #[no_mangle]
            unsafe extern "C" fn gsc_loss(call: *const $crate::loss::Call) -> u32 {
                match &mut *core::ptr::addr_of_mut!(LOSS) {
                    Some(loss) => {
                        (*call).run(loss, matches!(stringify!($targets), "values"));
                        $crate::OK
                    }
                    None => $crate::BAD_PARAMS,
                }
            }
        };
    };
}
