//! A worker that has warmed up allocates nothing, whatever the sizes of the batches up to its largest.
#![allow(unsafe_code, reason = "an allocator that counts")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    path::Path,
};

use volute_anomaly::{Model, Scorer, Task, bench::Untrained};
use volute_plant::{Profile, Window};

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

/// The system's, with a count for each thread.
struct Counting;

// SAFETY: every call goes on to the system's allocator as it came.
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
fn after_the_largest_batch_nothing_is_allocated() {
    let windows: Vec<f32> = (0..512 * 300).map(|i| (i as f32 * 0.7).sin()).collect();
    let mut worker = Untrained::new(30, 10, 64, 1).worker();
    let before = ALLOCATIONS.get();
    worker.reconstruct(&windows);
    let warm = ALLOCATIONS.get();
    assert!(warm > before, "the count counts");
    for batch in [1, 2, 31, 32, 33, 128, 512, 1] {
        worker.reconstruct(&windows[..batch * 300]);
    }
    assert_eq!(ALLOCATIONS.get(), warm);
}

/// The same of a scorer: scaling, network and comparison.
#[test]
fn a_warm_scorer_allocates_nothing() {
    let text = include_str!("../../../config/profiles/centrifugal.toml");
    let profile = Profile::from_toml(text).expect("a profile");
    let model =
        Model::load(Path::new("../pretrained/centrifugal"), &profile).expect("the model that comes with Volute");
    let window = |first: usize| Window {
        pump: "P-1".parse().expect("a name"),
        at: "2026-03-02T00:00:00Z".parse().expect("a time"),
        values: (first..first + 300).map(|i| (i as f64 * 0.7).sin()).collect(),
        held: Default::default(),
    };
    let windows: Vec<Window> = (0..512).map(window).collect();
    let scaler = volute_anomaly::Scaler::learn(profile.channels(), &windows).expect("a scaler");
    let tasks: Vec<Task> = windows.iter().map(|window| Task { window, scaler: &scaler }).collect();
    let mut scorer = Scorer::new(&model);
    scorer.score(&tasks).expect("scores");
    let warm = ALLOCATIONS.get();
    for batch in [1, 31, 32, 33, 128, 512, 1] {
        assert_eq!(scorer.score(&tasks[..batch]).expect("scores").len(), batch);
    }
    assert_eq!(ALLOCATIONS.get(), warm);
}
