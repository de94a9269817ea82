//! The vocabulary of Volute and its pure rules.
//!
//! What a pump, a channel, a reading, a window, a detection and a maintenance event *are*, and the
//! rules that need nothing but their inputs: checking a posted item, ordering and filling readings,
//! opening and closing maintenance events.
//!
//! Deliberately absent: I/O, async, threads, a wall clock (a [`Clock`] is passed in), and every other
//! crate of this workspace. Nothing here knows how many channels a pump has; a [`Profile`] says so.

mod admission;
pub mod cadence;
mod clock_check;
mod detection;
mod device_clock;
mod id;
mod intake;
mod label;
mod maintenance;
mod money;
mod operating;
mod profile;
mod quantity;
mod reading;
mod rule;
mod spelling;
mod time;
mod windower;

pub use admission::{Admission, Admitted, FreeTime, Judgement, Lookup, LookupResult, Verdict};
pub use cadence::{Cadence, CadenceMeter};
pub use clock_check::{ClockCheck, ClockState, RetentionClock};
pub use detection::Detection;
pub use device_clock::{ClockFault, DeviceClock, FaultKind, TimeRules, in_words};
pub use id::{PumpId, PumpIdError, PumpName};
pub use intake::{
    Draft, LISTED, LeftOut, NotANumber, PostProfiles, Profiles, Rejection, Stamp, UnknownField, is_no_number,
    parse_item,
};
pub use maintenance::{EventChange, EventState, MaintenanceDesk, MaintenanceEvent};
pub use money::{Currency, Money, MoneyError};
pub use operating::OperatingState;
pub use profile::{Channel, HOLDS_S, INTERVALS_MS, Limits, MAX_CHANNELS, Profile, ProfileError, ZERO_BAND};
pub use quantity::Quantity;
pub use reading::{Beside, Reading, Sample};
pub use rule::{Rule, Severity};
pub use time::{Clock, ManualClock, SystemClock, Timestamp, TimestampError};
pub use windower::{ChannelSet, NoWindow, Placed, Window, WindowRules, Windower};
