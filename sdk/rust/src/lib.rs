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
//! It is built for the target `wasm32-unknown-unknown`, as a `cdylib`. The crate needs no standard library; a plugin that does without it, too, takes the feature
//! `panic-handler`.
#![no_std]

pub mod loss;
pub mod math;
mod memory;
mod params;

pub use loss::{Loss, Row};
pub use params::Params;

#[doc(hidden)]
pub use memory::allocate;

/// A call that returns this did what it should.
#[doc(hidden)]
pub const OK: u32 = 0;
#[doc(hidden)]
pub const BAD_PARAMS: u32 = 1;

#[cfg(all(feature = "panic-handler", target_arch = "wasm32"))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    core::arch::wasm32::unreachable()
}
