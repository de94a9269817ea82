//! The condition of the machine's parts, as factors and terms that change its design.
//!
//! Defines what each fault changes in the machine. The symptoms are not defined anywhere: they follow from the physics.

use crate::Fault;

/// The condition of the parts. The default is that of a machine as built.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Condition {
    /// Factor on the head without flow.
    pub(crate) head: f64,
    /// Factor on the head lost in the impeller.
    pub(crate) droop: f64,
    /// Share of the impeller's flow that leaks back inside the pump.
    pub(crate) inner_leak: f64,
    /// Share of the impeller's flow that is lost at the shaft seal.
    pub(crate) seal_leak: f64,
    /// Share of the pump that is filled with liquid, 0 to 1.
    pub(crate) fill: f64,
    /// Head that the suction tank has lost, m.
    pub(crate) suction_drop_m: f64,
    /// Factor on the suction line's loss.
    pub(crate) suction_loss: f64,
    /// Opening of a valve downstream of the pump, 0 (closed) to 1 (open).
    pub(crate) opening: f64,
    /// Additional friction at the shaft, W at rated speed.
    pub(crate) drag_w: f64,
    /// Steady-state temperature rise of the bearing by that friction, K.
    pub(crate) bearing_heat_k: f64,
    /// Steady-state temperature rise of the casing by friction at the seal, K.
    pub(crate) casing_heat_k: f64,
    /// Factor on the oil's pressure.
    pub(crate) oil: f64,
    /// Factor on the motor's slip.
    pub(crate) slip: f64,
    /// Factor on the current in the measured phase.
    pub(crate) current: f64,
    /// Additional vibration by the fault at rated speed, mm/s RMS.
    pub(crate) vibration_mm_s: f64,
}

impl Default for Condition {
    fn default() -> Self {
        Self {
            head: 1.0,
            droop: 1.0,
            inner_leak: 0.0,
            seal_leak: 0.0,
            fill: 1.0,
            suction_drop_m: 0.0,
            suction_loss: 1.0,
            opening: 1.0,
            drag_w: 0.0,
            bearing_heat_k: 0.0,
            casing_heat_k: 0.0,
            oil: 1.0,
            slip: 1.0,
            current: 1.0,
            vibration_mm_s: 0.0,
        }
    }
}

impl Condition {
    /// Returns the condition with this fault at `level`, 0 (none) to 1 (drastic). A sensor fault leaves the machine as
    /// built.
    ///
    /// Magnitudes are chosen for an 18.5 kW pump so that the symptoms match published fault tables.
    pub(crate) fn of(fault: Fault, level: f64) -> Self {
        let built = Self::default();
        // The share of `level` beyond `start`, 0 to 1.
        let beyond = |start: f64| ((level - start) / (1.0 - start)).max(0.0);
        match fault {
            Fault::BearingWear => Self {
                vibration_mm_s: 9.0 * (3.0 * level).exp_m1() / 3.0_f64.exp_m1(),
                bearing_heat_k: 28.0 * beyond(0.4).powi(2),
                drag_w: 1_100.0 * beyond(0.4).powi(2),
                ..built
            },
            // The oil film holds up to a level of 0.2. Metal touches metal from a level of 0.5 on.
            Fault::LubricationLoss => Self {
                oil: 1.0 - 0.8 * level,
                bearing_heat_k: 45.0 * beyond(0.2),
                drag_w: 1_000.0 * beyond(0.2),
                vibration_mm_s: 6.0 * beyond(0.5).powf(1.5),
                ..built
            },
            Fault::Cavitation => Self { suction_drop_m: 11.0 * level.powf(0.7), ..built },
            Fault::BlockedSuction => Self { suction_loss: 1.0 + 14.0 * level, ..built },
            // Closed from a level of 0.75 on.
            Fault::DeadHead => Self { opening: (1.0 - level / 0.75).max(0.0), ..built },
            Fault::DryRun => Self {
                fill: 1.0 - level,
                suction_drop_m: 6.0 * level,
                bearing_heat_k: 25.0 * level * level,
                casing_heat_k: 40.0 * level * level,
                vibration_mm_s: 4.0 * level,
                ..built
            },
            Fault::ImpellerWear => Self { head: 1.0 - 0.18 * level, inner_leak: 0.12 * level, ..built },
            Fault::ImpellerClog => {
                Self { head: 1.0 - 0.08 * level, droop: 1.0 + 4.0 * level, vibration_mm_s: 6.0 * level, ..built }
            }
            Fault::SealLeak => Self {
                seal_leak: 0.07 * level,
                casing_heat_k: 22.0 * beyond(0.5),
                drag_w: 400.0 * beyond(0.5),
                ..built
            },
            Fault::Unbalance => Self { vibration_mm_s: 8.0 * level, ..built },
            Fault::Misalignment => {
                Self { vibration_mm_s: 5.0 * level, bearing_heat_k: 14.0 * level, drag_w: 700.0 * level, ..built }
            }
            Fault::Overload => Self { drag_w: 14_000.0 * level, bearing_heat_k: 18.0 * level, ..built },
            Fault::PhaseFault => {
                Self { slip: 1.0 + 4.0 * level, current: 1.0 + 0.9 * level, vibration_mm_s: 4.5 * level, ..built }
            }
            Fault::Sensor(..) => built,
        }
    }
}
