/// Room for so many bytes, at a multiple of 16, which is never freed; 0: there is none. It takes pages of its own, and so goes with any allocator.
#[cfg(target_arch = "wasm32")]
pub fn allocate(bytes: u32) -> u32 {
    use core::arch::wasm32::memory_grow;
    use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

    const PAGE: u64 = 65536;
    static NEXT: AtomicU32 = AtomicU32::new(0); // what is free of the pages
    static END: AtomicU32 = AtomicU32::new(0);

    let size = (u64::from(bytes) + 15) & !15;
    let mut at = u64::from(NEXT.load(Relaxed));
    if at + size > u64::from(END.load(Relaxed)) {
        let pages = (size + PAGE - 1) / PAGE;
        let page = memory_grow::<0>(pages as usize);
        if page == usize::MAX {
            return 0;
        }
        at = page as u64 * PAGE;
        END.store((at + pages * PAGE).min(u64::from(u32::MAX)) as u32, Relaxed);
    }
    NEXT.store((at + size).min(u64::from(u32::MAX)) as u32, Relaxed);
    at as u32
}

/// Elsewhere there is no gsc to ask.
#[cfg(not(target_arch = "wasm32"))]
pub fn allocate(_bytes: u32) -> u32 {
    0
}
