//! The data model of Volute and its pure rules: pumps, channels, readings, windows, detections and maintenance events.
//!
//! What happens to one posted item:
//!
//! 1. The web crate checks its fields against the pump's profile and makes a [`Draft`].
//! 2. [`Admission`] compares the draft with the pump's other readings: new, late, a duplicate, rejected or deferred. A
//!    new one becomes a [`Reading`].
//! 3. The [`Windower`] orders readings and returns each with the [`Window`] that ends with it.
//! 4. The anomaly model (`volute-anomaly`) scores the window; the result is a [`Detection`].
//! 5. The [`RuleEvaluator`] evaluates the profile's rules on the reading and the detection, and opens or resolves
//!    [`MaintenanceEvent`]s.
//!
//! Terms used throughout the project:
//!
//! - *Profile*: describes one kind of pump: its channels, the interval between its readings, and its rules
//!   ([`Profile`]).
//! - *Window*: a pump's last 30 steps of one interval each, one row of channel values per step. It is the model's
//!   input.
//! - *Baseline*: what is normal for one pump; its windows are compared with it (`volute-anomaly`).
//! - *Commissioning*: learning a pump's baseline from windows of its healthy running.
//! - *Rollup*: count, minimum, maximum and sum of each channel over a minute or an hour (`volute-data`).
//!
//! Does no I/O, has no async code and no threads, reads no wall clock (a [`Clock`] is passed in), knows no JSON or
//! other wire format, and uses no other crate of this workspace. Nothing here depends on the number of channels; that
//! is in the [`Profile`].

mod admission;
pub mod cadence;
mod clock_check;
mod comment;
mod detection;
mod device_clock;
mod draft;
pub mod event_evidence;
pub mod event_status;
mod id;
mod label;
mod limits;
mod money;
mod operating;
pub mod planned_work;
mod profile;
mod quantity;
mod reading;
mod rejection;
mod rule;
mod rule_evaluator;
mod spelling;
mod time;
mod windower;

pub use admission::{Admission, AdmissionResult, AdmittedReading, DraftOutcome, FreeTimeSearch, Lookup, LookupResult};
pub use cadence::{Cadence, CadenceMeter};
pub use clock_check::{ClockCheck, ClockState, RetentionClock};
pub use comment::{Comment, CommentError};
pub use detection::Detection;
pub use device_clock::{ClockFault, ClockFaultKind, DeviceClock, TimestampLimits, format_duration};
pub use draft::{Draft, TimestampSource};
pub use id::{PumpId, PumpIdError, PumpName};
pub use limits::{Limit, Limits};
pub use money::{Currency, Money, MoneyError};
pub use operating::OperatingState;
pub use planned_work::PlannedWork;
pub use profile::{Channel, HOLD_RANGE_S, INTERVAL_RANGE_MS, MAX_CHANNELS, Profile, ProfileError, ZERO_BAND};
pub use quantity::Quantity;
pub use reading::{Reading, Sample, SampleOverlap};
pub use rejection::Rejection;
pub use rule::{Recommendation, Rule, RuleLevel, Severity, SparePart};
pub use rule_evaluator::{EventChange, EventKey, EventState, MaintenanceEvent, RuleEvaluator};
pub use spelling::names_match;
pub use time::{Clock, ManualClock, SystemClock, Timestamp, TimestampError};
pub use windower::{ChannelSet, NoWindow, StepRow, StepState, Window, WindowConfig, WindowedReading, Windower};
