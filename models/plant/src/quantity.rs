//! The physical quantity that a channel measures.

use serde::{Deserialize, Serialize};

/// The physical quantity of a channel. Rules, detector weights and virtual sensors select channels by it. The units
/// named here are examples; each channel has its own.
///
/// A profile's hash contains the `Debug` names of its channels' quantities, so renaming a variant makes every model of
/// such a profile unusable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quantity {
    /// Shaft speed, as rpm.
    RotationalSpeed,
    /// Any other temperature, as °C: of a seal, a winding or a gearbox.
    Temperature,
    /// Bearing temperature.
    BearingTemperature,
    /// Temperature of the casing or of the motor's body.
    CasingTemperature,
    /// Room temperature.
    AmbientTemperature,
    /// Temperature of the pumped fluid.
    FluidTemperature,
    /// Lubricating oil temperature.
    OilTemperature,
    /// Lubricating oil pressure.
    OilPressure,
    /// Pressure at the pump's inlet.
    SuctionPressure,
    /// Pressure at the pump's outlet.
    DischargePressure,
    /// Volume flow.
    Flow,
    /// Level in a tank, a sump or a well, as m or %.
    Level,
    /// How far a valve is open, as %.
    ValvePosition,
    /// Velocity or acceleration of the housing.
    Vibration,
    /// Motor current.
    Current,
    /// Motor voltage.
    Voltage,
    /// Electric power of the motor, or power at the shaft, as kW.
    Power,
    /// Torque of the shaft, as N·m.
    Torque,
}
