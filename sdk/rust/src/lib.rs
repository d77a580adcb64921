//! For authors of plugins of gsc in Rust: gsc's package `plugins/abi` is what they are held to, and this crate makes it a type and a function.
//!
//! A loss is a type that implements [`Loss`], and is exported by [`loss!`]:
//!
//! ```
//! struct CrossEntropy;
//!
//! impl gsc::Loss for CrossEntropy {
//!     fn new(_: gsc::Params) -> Option<Self> {
//!         Some(CrossEntropy)
//!     }
//!     fn row(&mut self, row: gsc::Row) -> f32 {
//!         let label = row.logits[row.label];
//!         match row.gradient {
//!             None => (gsc::math::log_sum_exp(row.logits) - label as f64) as f32,
//!             Some(p) => {
//!                 let log_sum = gsc::math::softmax(row.logits, p);
//!                 p[row.label] -= 1.0;
//!                 (log_sum - label as f64) as f32
//!             }
//!         }
//!     }
//! }
//!
//! gsc::loss! { CrossEntropy, name: "cross_entropy", version: "1.0.0", targets: classes, params: "" }
//! # fn main() {}
//! ```
//!
//! The other kinds are made likewise, each of a trait and a macro:
//!
//! | plugin | trait | macro | what there is to write |
//! |---|---|---|---|
//! | loss of rows | [`Loss`] | [`loss!`] | a row's loss and gradient |
//! | loss of sequences or pairs | [`UnitLoss`] | [`unit_loss!`] | a unit's loss and gradient |
//! | transform of records | [`RecordTransform`] | [`record_transform!`] | what comes of a record |
//! | transform of rows | [`RowTransform`] | [`row_transform!`] | what becomes of a row of tokens |
//! | compression policy | [`Policy`] | [`policy!`] | what may happen to a weight, and what does at a step |
//! | gradient codec | [`Codec`] | [`codec!`] | numbers to a code, and a code to numbers |
//!
//! It is built for the target `wasm32-unknown-unknown`, as a `cdylib`. The crate needs no standard library; a plugin that does without it, too, takes the feature
//! `panic-handler`.
#![no_std]

pub mod codec;
pub mod loss;
pub mod math;
mod memory;
mod params;
mod plugin;
pub mod policy;
mod random;
pub mod records;
pub mod rows;

pub use codec::Codec;
pub use loss::{Loss, Row, Unit, UnitLoss};
pub use memory::Buffer;
pub use params::{Params, Text};
pub use plugin::{Error, Result};
pub use policy::Policy;
pub use random::Random;
pub use records::{Record, RecordTransform, Records, Span};
pub use rows::{RowTransform, Tokens};

#[doc(hidden)]
pub use {memory::allocate, plugin::with, plugin::BAD_PARAMS};

#[cfg(all(feature = "panic-handler", target_arch = "wasm32"))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    core::arch::wasm32::unreachable()
}
