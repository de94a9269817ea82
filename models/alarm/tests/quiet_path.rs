//! A reading on which nothing happens allocates nothing. Prints how long it takes.
#![allow(unsafe_code, reason = "a counting allocator")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    sync::Arc,
    time::Instant,
};

use volute_alarm::{ArmedAlarms, PumpAlarms, default_alarms};
use volute_plant::{OperatingState, Profile, Reading, Sample, Timestamp};

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

const READINGS: i64 = 100_000;

#[test]
fn quiet_readings_allocate_nothing() {
    let profile = Profile::from_toml(include_str!("../../../config/profiles/centrifugal.toml")).expect("a profile");
    let start: Timestamp = "2026-03-02T00:00:00Z".parse().expect("a time");
    let values = [2950.0, 60.0, 2.0, 2.5, 1200.0, 1.0, 5.0, 30.0, 50.0, 20.0];
    let all = default_alarms(&profile);
    let six = all.iter().filter(|alarm| alarm.id.as_str().contains("-high-high")).take(6).cloned().collect();
    for definitions in [six, all] {
        let armed = ArmedAlarms::compile(&profile, &definitions).expect("armed");
        let mut alarms = PumpAlarms::new(Some("P-1".parse().expect("a pump")), armed);
        let (at, samples) = (start, Arc::new(values.map(Sample::Good)));
        let mut reading = Reading { pump: "P-1".parse().expect("a pump"), at, received: at, samples, late: false };
        let mut output = Vec::new();
        alarms.evaluate(&reading, OperatingState::Running, &mut output);
        let (warm, begun) = (ALLOCATIONS.get(), Instant::now());
        assert!(warm > 0, "the counter works");
        for step in 1..READINGS {
            reading.at = start.plus_ms(1_000 * step);
            reading.received = reading.at.plus_ms(40);
            alarms.evaluate(&reading, OperatingState::Running, &mut output);
            alarms.tick(reading.received, &mut output);
        }
        assert_eq!(ALLOCATIONS.get(), warm);
        assert_eq!(output, []);
        println!("{} alarms: {:?} per reading and tick", definitions.len(), begun.elapsed() / READINGS as u32);
    }
}
