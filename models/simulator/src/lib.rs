//! A physical simulation of a centrifugal pump. It generates labelled readings for tests, training, evaluation and the
//! demo.
//!
//! A [`Simulator`] runs a [`Design`] (the pump as built) under a [`LoadPlan`] (the demand on it), with at most one
//! [`FaultRun`] of a [`Fault`] at a time. A fault changes physical parameters; its symptoms follow from the solved
//! operating point. The same seed gives the same readings, bit for bit on the same processor architecture.
//!
//! An example: [`Fault::BlockedSuction`] raises the loss of the suction line. Solving for the operating point then
//! gives less flow, less suction pressure, and at last cavitation with its vibration.
//!
//! [`variable_speed`] is a second pump with different physics, for evaluating detectors.
//!
//! Does not do I/O, does not read a clock, and does not simulate two faults at once.

mod condition;
mod design;
mod fault;
mod fault_run;
mod hydraulics;
mod load;
mod motor;
mod noise;
mod output;
mod sensor_specs;
mod sensors;
mod simulator;
mod thermal;
pub mod variable_speed;

pub use design::Design;
pub use fault::{Fault, FaultError, SensorFault, Severity, SeverityError};
pub use fault_run::{FaultRun, MachineStatus};
pub use load::LoadPlan;
pub use output::{SimulatorOutput, Truth};
pub use sensor_specs::unit_of;
pub use simulator::Simulator;
