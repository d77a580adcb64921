//! What every kind of plugin has: a manifest, parameters, and what calls return.

/// Why a call did not do what it should. Besides, a plugin may panic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Error {
    /// It does not take this input.
    BadInput = 2,
    /// It has no memory left.
    NoMemory = 3,
    /// It failed otherwise.
    Failed = 4,
}

/// What a call returns.
pub type Result = core::result::Result<(), Error>;

#[doc(hidden)]
pub const BAD_PARAMS: u32 = 1;

/// Has a plugin that has its parameters do something, and gives the status of that.
///
/// # Safety
///
/// Nothing else refers to the plugin.
#[doc(hidden)]
pub unsafe fn with<P>(plugin: *mut Option<P>, call: impl FnOnce(&mut P) -> Result) -> u32 {
    match &mut *plugin {
        Some(plugin) => match call(plugin) {
            Ok(()) => 0,
            Err(error) => error as u32,
        },
        None => BAD_PARAMS,
    }
}

/// What a plugin of any kind exports. The manifest is its kind, its name, its version, what else its kind has, and the fields of its parameters.
#[doc(hidden)]
#[macro_export]
macro_rules! plugin {
    ($plugin:ty, $kind:path, $word:literal, $name:literal, $version:literal, $more:expr, $params:literal) => {
        static MANIFEST: &str = concat!(
            "{\"abi\": 1, \"kind\": \"", $word, "\", \"name\": \"", $name, "\", \"version\": \"", $version, "\"", $more, ", \"params\": \"", $params, "\"}"
        );
        static mut PLUGIN: Option<$plugin> = None;

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
            let made = core::str::from_utf8(text).ok().and_then(|t| <$plugin as $kind>::new($crate::Params(t)));
            let ok = made.is_some();
            *core::ptr::addr_of_mut!(PLUGIN) = made;
            if ok { 0 } else { $crate::BAD_PARAMS }
        }
    };
}
