//! After warm-up a worker allocates nothing, for any batch up to the largest so far.
#![allow(unsafe_code, reason = "a counting allocator")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    path::Path,
};

use volute_anomaly::{Model, ScoreInput, Scorer, bench::UntrainedNetwork};
use volute_plant::{Profile, Window};

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

/// The system's allocator, with a count of allocations per thread.
struct Counting;

// SAFETY: every call is forwarded to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn a_warm_kernel_allocates_nothing() {
    let windows: Vec<f32> = (0..512 * 300).map(|i| (i as f32 * 0.7).sin()).collect();
    let mut worker = UntrainedNetwork::new(30, 10, 64, 1).worker();
    let before = ALLOCATIONS.get();
    worker.reconstruct(&windows);
    let warm = ALLOCATIONS.get();
    assert!(warm > before, "the counter works");
    for batch in [1, 2, 31, 32, 33, 128, 512, 1] {
        worker.reconstruct(&windows[..batch * 300]);
    }
    assert_eq!(ALLOCATIONS.get(), warm);
}

/// The same for a scorer: scaling, reconstruction and comparison.
#[test]
fn a_warm_scorer_allocates_nothing() {
    let text = include_str!("../../../config/profiles/centrifugal.toml");
    let profile = Profile::from_toml(text).expect("a profile");
    let model = Model::load(Path::new("../pretrained/centrifugal"), &profile).expect("the pretrained model");
    let window = |first: usize| Window {
        pump: "P-1".parse().expect("a name"),
        at: "2026-03-02T00:00:00Z".parse().expect("a time"),
        values: (first..first + 300).map(|i| (i as f64 * 0.7).sin()).collect(),
        held: Default::default(),
    };
    let windows: Vec<Window> = (0..512).map(window).collect();
    let scaler = volute_anomaly::Scaler::learn(profile.channels(), &windows).expect("a scaler");
    let inputs: Vec<ScoreInput> = windows.iter().map(|window| ScoreInput::window(window, &scaler)).collect();
    let mut scorer = Scorer::new(&model);
    scorer.score(&inputs).expect("scores");
    let warm = ALLOCATIONS.get();
    for batch in [1, 31, 32, 33, 128, 512, 1] {
        assert_eq!(scorer.score(&inputs[..batch]).expect("scores").len(), batch);
    }
    assert_eq!(ALLOCATIONS.get(), warm);
}
