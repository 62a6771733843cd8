//! Which edges of the program one run went over, and what it compared.
//!
//! `make fuzz` builds with `-Cpasses=sancov-module` (stable Rust): LLVM then calls the functions below on every edge
//! and comparison. Nothing behind the pointers is read: the address of an edge's guard is its number. Built without
//! that flag nobody calls them, and the driver works without guidance.
//!
//! LLVM leaves functions whose names begin with `__sanitizer_` uninstrumented, so they do not call themselves. The driver's other
//! functions are instrumented; what they do is not recorded. It would stand where the edges of the target have not been read yet.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};

use bulkhead_fuzz::mutate::Comparison;

/// Edges that are told apart; more share a number.
const EDGES: usize = 1 << 20;
/// Comparisons that are remembered of one run.
const COMPARISONS: usize = 64;

/// Runs between two times that all counts are made 0: a thread may have touched an edge while the list of them was read.
const CLEANING: u64 = 4096;

static RECORDING: AtomicBool = AtomicBool::new(false);
static COUNTS: [AtomicU8; EDGES] = [const { AtomicU8::new(0) }; EDGES];
static TOUCHED: [AtomicU32; EDGES] = [const { AtomicU32::new(0) }; EDGES];
static TOUCHED_LENGTH: AtomicUsize = AtomicUsize::new(0);
static INSTRUMENTED: AtomicUsize = AtomicUsize::new(0);
static LEFT: [AtomicU64; COMPARISONS] = [const { AtomicU64::new(0) }; COMPARISONS];
static RIGHT: [AtomicU64; COMPARISONS] = [const { AtomicU64::new(0) }; COMPARISONS];
static SIZE: [AtomicU8; COMPARISONS] = [const { AtomicU8::new(0) }; COMPARISONS];
static COMPARED: AtomicUsize = AtomicUsize::new(0);

// SAFETY: LLVM defines these names for whoever wants to provide them; nothing else in the program does.
#[unsafe(no_mangle)]
extern "C" fn __sanitizer_cov_trace_pc_guard_init(start: *mut u32, stop: *mut u32) {
    INSTRUMENTED.fetch_add((stop.addr() - start.addr()) / 4, Relaxed);
}

// SAFETY: as above.
#[unsafe(no_mangle)]
extern "C" fn __sanitizer_cov_trace_pc_guard(guard: *mut u32) {
    if !RECORDING.load(Relaxed) {
        return;
    }
    let edge = (guard.addr() >> 2) & (EDGES - 1);
    let count = COUNTS[edge].load(Relaxed);
    if count == 0 {
        let index = TOUCHED_LENGTH.fetch_add(1, Relaxed) & (EDGES - 1);
        TOUCHED[index].store(edge as u32, Relaxed);
    }
    if count < u8::MAX {
        COUNTS[edge].store(count + 1, Relaxed);
    }
}

macro_rules! comparison {
    ($($name:ident $type:ty),*) => {$(
        // SAFETY: as above.
        #[unsafe(no_mangle)]
        extern "C" fn $name(left: $type, right: $type) {
            if left != right && RECORDING.load(Relaxed) {
                // Targets have one thread; a locked instruction for each comparison would take a third of the time.
                let made = COMPARED.load(Relaxed);
                COMPARED.store(made + 1, Relaxed);
                let index = made % COMPARISONS;
                LEFT[index].store(left as u64, Relaxed);
                RIGHT[index].store(right as u64, Relaxed);
                SIZE[index].store(size_of::<$type>() as u8, Relaxed);
            }
        }
    )*};
}

comparison!(
    __sanitizer_cov_trace_cmp1 u8,
    __sanitizer_cov_trace_cmp2 u16,
    __sanitizer_cov_trace_cmp4 u32,
    __sanitizer_cov_trace_cmp8 u64,
    __sanitizer_cov_trace_const_cmp1 u8,
    __sanitizer_cov_trace_const_cmp2 u16,
    __sanitizer_cov_trace_const_cmp4 u32,
    __sanitizer_cov_trace_const_cmp8 u64
);

// SAFETY: as above.
#[unsafe(no_mangle)]
extern "C" fn __sanitizer_cov_trace_switch(_: u64, _: *mut u64) {}

/// Edges in the program; 0 when it was built without instrumentation.
pub fn instrumented() -> usize {
    INSTRUMENTED.load(Relaxed)
}

/// Records what `run` goes over and compares.
pub fn record<T>(run: impl FnOnce() -> T) -> T {
    RECORDING.store(true, Relaxed);
    let result = run();
    RECORDING.store(false, Relaxed);
    result
}

/// What all runs so far went over: per edge one bit per class of counts (1, 2, 3, 4, 8, 16, 32, 128).
pub struct Seen {
    classes: Vec<u8>,
    edges: usize,
    taken: u64,
}

impl Seen {
    pub fn new() -> Self {
        Self { classes: vec![0; EDGES], edges: 0, taken: 0 }
    }

    /// Edges that some run went over.
    pub fn edges(&self) -> usize {
        self.edges
    }

    /// Takes what was recorded since the last call and forgets it; whether some of it was new.
    pub fn take(&mut self) -> bool {
        assert!(!RECORDING.load(Relaxed), "the driver's own edges are none of the target");
        let mut new = false;
        let length = TOUCHED_LENGTH.swap(0, Relaxed).min(EDGES);
        for touched in &TOUCHED[..length] {
            let edge = touched.load(Relaxed) as usize;
            let class = class(COUNTS[edge].swap(0, Relaxed));
            if self.classes[edge] & class == 0 {
                self.edges += usize::from(self.classes[edge] == 0);
                self.classes[edge] |= class;
                new = true;
            }
        }
        self.taken += 1;
        if self.taken.is_multiple_of(CLEANING) {
            COUNTS.iter().for_each(|count| count.store(0, Relaxed));
        }
        new
    }
}

fn class(count: u8) -> u8 {
    match count {
        0 => 0,
        1 => 1,
        2 => 2,
        3 => 4,
        4..=7 => 8,
        8..=15 => 16,
        16..=31 => 32,
        32..=127 => 64,
        128.. => 128,
    }
}

/// The last comparisons of unequal values.
pub fn comparisons() -> Vec<Comparison> {
    let made = COMPARED.swap(0, Relaxed).min(COMPARISONS);
    (0..made)
        .map(|index| (LEFT[index].load(Relaxed), RIGHT[index].load(Relaxed), usize::from(SIZE[index].load(Relaxed))))
        .collect()
}
