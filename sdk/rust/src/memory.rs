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

/// Numbers, as many as are added, at a multiple of 16: what plugins hand out, or keep from call to call, without the standard library. Its memory is [`allocate`]d, and so never freed: what is
/// cleared is used again, and what grows leaves its old place behind.
pub struct Buffer<T> {
    at: *mut T,
    length: usize,
    room: usize,
}

impl<T: Copy> Buffer<T> {
    pub const fn new() -> Self {
        Buffer { at: core::ptr::null_mut(), length: 0, room: 0 }
    }

    /// Adds some; false: there is no memory left.
    pub fn extend(&mut self, more: &[T]) -> bool {
        let length = self.length + more.len();
        if length > self.room && !self.grow(length) {
            return false;
        }
        // SAFETY: there is room, in memory of this buffer alone.
        unsafe { core::ptr::copy_nonoverlapping(more.as_ptr(), self.at.add(self.length), more.len()) };
        self.length = length;
        true
    }

    /// Adds one; false: there is no memory left.
    pub fn push(&mut self, one: T) -> bool {
        self.extend(&[one])
    }

    /// Takes away all but the first.
    pub fn truncate(&mut self, length: usize) {
        self.length = self.length.min(length);
    }

    fn grow(&mut self, need: usize) -> bool {
        let room = need.max(2 * self.room).max(64);
        let bytes = room as u64 * core::mem::size_of::<T>() as u64;
        let at = if bytes > u64::from(u32::MAX) { 0 } else { allocate(bytes as u32) };
        if at == 0 {
            return false;
        }
        let at = at as usize as *mut T;
        // SAFETY: the new room is larger than the old, and apart from it.
        unsafe { core::ptr::copy_nonoverlapping(self.at, at, self.length) };
        self.at = at;
        self.room = room;
        true
    }
}

impl<T> core::ops::Deref for Buffer<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        // SAFETY: so many were written.
        unsafe { slice(self.at, 0, self.length) }
    }
}

impl<T> core::ops::DerefMut for Buffer<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as above.
        unsafe { slice_mut(self.at, 0, self.length) }
    }
}

/// Elements of a column of gsc's, so many from one on; none, where there is no such column.
///
/// # Safety
///
/// They lie there, for as long as the call lasts.
pub(crate) unsafe fn slice<'a, T>(at: *const T, from: usize, n: usize) -> &'a [T] {
    if at.is_null() {
        return &[];
    }
    core::slice::from_raw_parts(at.add(from), n)
}

/// As [`slice`].
///
/// # Safety
///
/// Nothing else refers to them, besides.
pub(crate) unsafe fn slice_mut<'a, T>(at: *mut T, from: usize, n: usize) -> &'a mut [T] {
    if at.is_null() {
        return &mut [];
    }
    core::slice::from_raw_parts_mut(at.add(from), n)
}
