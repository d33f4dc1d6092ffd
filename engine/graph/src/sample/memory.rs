//! Where the columns of batches lie: aligned memory of the host, used again once nothing reads it any more.

use std::alloc::{alloc_zeroed, dealloc, Layout};
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Of a cache line, and what vector instructions ask for at most.
const ALIGNMENT: usize = 64;

/// What a column holds.
///
/// # Safety
/// Each pattern of bits is a value, and needs no more alignment than that of a buffer.
pub unsafe trait Number: Copy + Default + Send + Sync + 'static {}
// SAFETY: integers and floats of at most eight bytes.
unsafe impl Number for u8 {}
// SAFETY: as above.
unsafe impl Number for f32 {}
// SAFETY: as above.
unsafe impl Number for i64 {}

/// One allocation, of which `start` is the first aligned place.
struct Block<T> {
    whole: NonNull<u8>,
    layout: Layout,
    start: NonNull<T>,
    length: usize,
}

// SAFETY: a block owns its memory, as a `Box<[T]>` does, and has no access to it of its own.
unsafe impl<T: Send> Send for Block<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Block<T> {}

impl<T: Number> Block<T> {
    /// Zeros, which the system gives without touching them where they are many. `None`: there is no memory for them.
    fn zeroed(length: usize) -> Option<Block<T>> {
        let bytes = length.checked_mul(size_of::<T>())?.checked_add(ALIGNMENT)?;
        let layout = Layout::from_size_align(bytes, 1).ok()?;
        // SAFETY: the layout has at least ALIGNMENT bytes.
        let whole = NonNull::new(unsafe { alloc_zeroed(layout) })?;
        // SAFETY: the next aligned place is less than ALIGNMENT bytes on, and `length` values behind it end within the allocation.
        let start = unsafe { whole.add(whole.align_offset(ALIGNMENT)) }.cast();
        Some(Block { whole, layout, start, length })
    }
}

impl<T> Drop for Block<T> {
    fn drop(&mut self) {
        // SAFETY: what `zeroed` allocated, with that layout.
        unsafe { dealloc(self.whole.as_ptr(), self.layout) }
    }
}

/// The memory of one column: what its batches give back serves the next ones.
pub struct Memory<T> {
    free: Mutex<Vec<Block<T>>>,
}

impl<T: Number> Memory<T> {
    pub fn new() -> Arc<Memory<T>> {
        Arc::new(Memory { free: Mutex::new(Vec::new()) })
    }
    fn free(&self) -> MutexGuard<'_, Vec<Block<T>>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// Room for so many numbers, whatever it holds; what was given back last comes first. `None`: there is no memory for it.
    pub fn take(self: &Arc<Memory<T>>, length: usize) -> Option<Buffer<T>> {
        let mut free = self.free();
        let block = match free.iter().rposition(|block| block.length >= length) {
            Some(place) => free.remove(place),
            None => {
                // they are too small for what is asked for now
                free.clear();
                drop(free);
                Block::zeroed(length)?
            }
        };
        Some(Buffer { block: Some(block), length, home: Arc::clone(self) })
    }
    /// Makes `count` buffers of that length ready, as far as there is memory for them.
    pub fn reserve(&self, length: usize, count: usize) {
        self.free().extend((0..count).map_while(|_| Block::zeroed(length)));
    }
}

/// Numbers of a batch. They go back to the column's memory when the buffer is dropped.
pub struct Buffer<T: Number> {
    /// Until the drop.
    block: Option<Block<T>>,
    length: usize,
    home: Arc<Memory<T>>,
}

impl<T: Number> Buffer<T> {
    /// Where they lie; aligned to 64 bytes. It stays there when the buffer is moved.
    pub fn start(&self) -> NonNull<T> {
        self.block.as_ref().map_or(NonNull::dangling(), |block| block.start)
    }
}

impl<T: Number> Drop for Buffer<T> {
    fn drop(&mut self) {
        self.home.free().extend(self.block.take());
    }
}

impl<T: Number> Deref for Buffer<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        // SAFETY: the block has at least `length` numbers, which were zeros at first, and the buffer owns it.
        unsafe { std::slice::from_raw_parts(self.start().as_ptr(), self.length) }
    }
}

impl<T: Number> DerefMut for Buffer<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as above, and the borrow is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.start().as_ptr(), self.length) }
    }
}

impl<T: Number + std::fmt::Debug> std::fmt::Debug for Buffer<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: Number + PartialEq> PartialEq for Buffer<T> {
    fn eq(&self, other: &Buffer<T>) -> bool {
        **self == **other
    }
}

/// A buffer of which each of several threads writes its own parts.
pub struct Parts<T: Number> {
    buffer: Buffer<T>,
    /// Numbers of a part.
    length: usize,
    /// By part: whether it was handed out.
    taken: Vec<AtomicBool>,
}

impl<T: Number> Parts<T> {
    /// Parts of equal length.
    pub fn of(buffer: Buffer<T>, count: usize) -> Parts<T> {
        let length = buffer.len() / count.max(1);
        Parts { buffer, length, taken: (0..count).map(|_| AtomicBool::new(false)).collect() }
    }
    /// One part, whatever it holds. `None`: there is no such part, or it was handed out before.
    #[allow(clippy::mut_from_ref)]
    pub fn part(&self, number: usize) -> Option<&mut [T]> {
        if self.taken.get(number)?.swap(true, Ordering::Relaxed) {
            return None;
        }
        // SAFETY: the parts lie side by side within the buffer and are initialised as it is. The swap hands out each once, so no two borrows
        // are of the same numbers; nothing else reads or writes the buffer before `whole` or a drop, which take `self` by value: after the
        // end of every borrow of it.
        Some(unsafe { std::slice::from_raw_parts_mut(self.buffer.start().add(number * self.length).as_ptr(), self.length) })
    }
    pub fn whole(self) -> Buffer<T> {
        self.buffer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_used_again() {
        let memory = Memory::<i64>::new();
        let first = memory.take(100).unwrap();
        assert!(first.iter().all(|n| *n == 0) && first.len() == 100 && first.start().addr().get().is_multiple_of(ALIGNMENT));
        let place = first.start();
        let second = memory.take(100).unwrap();
        assert_ne!(second.start(), place);
        drop(first);
        // a shorter one fits too
        let third = memory.take(60).unwrap();
        assert_eq!((third.start(), third.len()), (place, 60));
        drop((third, second));
        assert_eq!(memory.free().len(), 2);
        // what is too small goes
        assert_eq!(memory.take(101).unwrap().len(), 101);
        assert_eq!(memory.free().len(), 1);
        memory.reserve(101, 3);
        assert_eq!(memory.free().len(), 4);
        assert!(memory.take(usize::MAX / 8).is_none() && memory.take(usize::MAX / 2).is_none());
        let none = memory.take(0).unwrap();
        assert!(none.is_empty());
    }

    #[test]
    fn threads_write_parts() {
        let memory = Memory::<f32>::new();
        let parts = Parts::of(memory.take(6 * 5).unwrap(), 6);
        std::thread::scope(|scope| {
            for number in 0..6 {
                let parts = &parts;
                scope.spawn(move || parts.part(number).unwrap().fill(number as f32));
            }
        });
        assert!(parts.part(2).is_none() && parts.part(6).is_none());
        let whole = parts.whole();
        assert!(whole.iter().enumerate().all(|(i, n)| *n == (i / 5) as f32));
    }
}
