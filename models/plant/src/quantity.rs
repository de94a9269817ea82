//! What a channel measures.

use serde::{Deserialize, Serialize};

/// The physical role of a channel, which rules and virtual sensors look for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quantity {
    /// Speed of the shaft.
    RotationalSpeed,
    /// Temperature of a bearing.
    BearingTemperature,
    /// Temperature of the casing or of the motor's body.
    CasingTemperature,
    /// Temperature of the room.
    AmbientTemperature,
    /// Temperature of the pumped fluid.
    FluidTemperature,
    /// Pressure of the lubricating oil.
    OilPressure,
    /// Pressure before the pump.
    SuctionPressure,
    /// Pressure after the pump.
    DischargePressure,
    /// Volume flow.
    Flow,
    /// Velocity or acceleration of the housing.
    Vibration,
    /// Current of the motor.
    Current,
    /// Voltage at the motor.
    Voltage,
}
