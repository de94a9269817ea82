//! The vocabulary of Volute and its pure rules.
//!
//! What a pump, a channel, a reading, a window, a detection and a maintenance event *are*, and the
//! rules that need nothing but their inputs: judging a draft, ordering and filling readings,
//! opening and closing maintenance events.
//!
//! Deliberately absent: I/O, async, threads, a wall clock (a [`Clock`] is passed in), JSON and other wire forms, and every
//! other crate of this workspace. Nothing here knows how many channels a pump has; a [`Profile`] says so.

mod admission;
pub mod cadence;
mod clock_check;
mod detection;
mod device_clock;
mod draft;
mod id;
mod label;
mod maintenance;
mod money;
mod operating;
mod profile;
mod quantity;
mod reading;
mod rejection;
mod rule;
mod spelling;
mod time;
mod windower;

pub use admission::{Admission, Admitted, FreeTime, Judgement, Lookup, LookupResult, Verdict};
pub use cadence::{Cadence, CadenceMeter};
pub use clock_check::{ClockCheck, ClockState, RetentionClock};
pub use detection::Detection;
pub use device_clock::{ClockFault, DeviceClock, FaultKind, TimeRules, in_words};
pub use draft::{Draft, TimestampSource};
pub use id::{PumpId, PumpIdError, PumpName};
pub use maintenance::{EventChange, EventState, MaintenanceDesk, MaintenanceEvent};
pub use money::{Currency, Money, MoneyError};
pub use operating::OperatingState;
pub use profile::{Channel, HOLDS_S, INTERVALS_MS, Limits, MAX_CHANNELS, Profile, ProfileError, ZERO_BAND};
pub use quantity::Quantity;
pub use reading::{Beside, Reading, Sample};
pub use rejection::Rejection;
pub use rule::{Rule, Severity};
pub use spelling::alike;
pub use time::{Clock, ManualClock, SystemClock, Timestamp, TimestampError};
pub use windower::{ChannelSet, NoWindow, Placed, Window, WindowRules, Windower};
