//! A centrifugal pump as physics: it makes labelled readings for tests, training, evaluation and the demo.
//!
//! A [`Simulator`] is a [`Design`] (the pump as built) under a [`LoadPlan`] (what is asked of it), with at most one
//! [`Episode`] of a [`Fault`] at a time. A fault changes physical parameters, and its signs follow through the solved
//! operating point. The same seed gives the same readings, bit for bit on one kind of machine.
//!
//! Deliberately absent: I/O, a clock, files, and two faults at once.

mod condition;
mod design;
mod episode;
mod fault;
mod hydraulics;
mod load;
mod motor;
mod noise;
mod sensor_specs;
mod sensors;
mod simulator;
mod step;
mod thermal;

pub use design::Design;
pub use episode::{Episode, MachineStatus};
pub use fault::{Fault, FaultError, SensorFault, Severity, SeverityError};
pub use load::LoadPlan;
pub use sensor_specs::unit_of;
pub use simulator::Simulator;
pub use step::{Step, Truth};
