//! Codecs of gradients, which ranks send each other in place of these.

use crate::memory::{slice, slice_mut};
use crate::{Params, Result};

/// A codec with its parameters. It keeps nothing from call to call: what a code leaves out gsc adds to the next gradient.
pub trait Codec: Sized {
    /// Gets the parameters, once; `None`: there is no codec for them.
    fn new(params: Params) -> Option<Self>;

    /// The bytes of the longest code of n numbers, of which there are 65,536 at most.
    fn code_bytes(&self, n: usize) -> usize;

    /// Codes numbers, which are finite, and says how many bytes the code has. The code begins at a multiple of 16.
    fn encode(&mut self, values: &[f32], code: &mut [u8]) -> usize;

    /// Sets the numbers to what a code says, all of them finite. A code that comes from elsewhere may be anything: [`Error::BadInput`](crate::Error::BadInput) of what `encode` would not have made.
    fn decode(&mut self, code: &[u8], values: &mut [f32]) -> Result;
}

/// A call as it lies in memory: `plugins/abi` tells what is what.
#[doc(hidden)]
#[repr(C)]
pub struct Call {
    numbers: u32,
    values: *mut f32,
    code: *mut u8,
    bytes: u32,
}

impl Call {
    /// # Safety
    ///
    /// The call is gsc's, whose pointers hold what it says.
    #[doc(hidden)]
    pub unsafe fn encode<C: Codec>(&mut self, codec: &mut C) -> Result {
        let n = self.numbers as usize;
        self.bytes = codec.encode(slice(self.values, 0, n), slice_mut(self.code, 0, codec.code_bytes(n))) as u32;
        Ok(())
    }

    /// # Safety
    ///
    /// As above.
    #[doc(hidden)]
    pub unsafe fn decode<C: Codec>(&mut self, codec: &mut C) -> Result {
        codec.decode(slice(self.code, 0, self.bytes as usize), slice_mut(self.values, 0, self.numbers as usize))
    }
}

/// Makes a type the plugin's codec: `gsc::codec! { Type, name: "topk", version: "1.0.0", contraction: "share", params: "share: *0.01 | number & >0 & <=1" }`.
///
/// The contraction is a number δ in (0, 1], or the name of the parameter that is it, with ‖x − decode(encode(x))‖² ≤ (1 − δ)·‖x‖² for every x.
#[macro_export]
macro_rules! codec {
    ($codec:ty, name: $name:literal, version: $version:literal, contraction: $contraction:literal, params: $params:literal $(,)?) => {
        const _: () = {
            $crate::plugin! { $codec, $crate::Codec, "policy", $name, $version, concat!(", \"codec\": {\"contraction\": \"", $contraction, "\"}"), $params }

            #[no_mangle]
            unsafe extern "C" fn gsc_code_bytes(n: u32) -> u32 {
                match &*core::ptr::addr_of!(PLUGIN) {
                    Some(codec) => $crate::Codec::code_bytes(codec, n as usize) as u32,
                    None => 0,
                }
            }

            #[no_mangle]
            unsafe extern "C" fn gsc_encode(call: *mut $crate::codec::Call) -> u32 {
                $crate::with(core::ptr::addr_of_mut!(PLUGIN), |codec| (*call).encode(codec))
            }

            #[no_mangle]
            unsafe extern "C" fn gsc_decode(call: *mut $crate::codec::Call) -> u32 {
                $crate::with(core::ptr::addr_of_mut!(PLUGIN), |codec| (*call).decode(codec))
            }
        };
    };
}
