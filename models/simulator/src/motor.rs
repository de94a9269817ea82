//! The induction motor: slip, input power and current as functions of the load.

use crate::condition::Condition;

/// A three-phase induction motor on the mains.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Motor {
    /// Speed without load: 3,000 rpm for two poles at 50 Hz.
    pub(crate) synchronous_rpm: f64,
    /// Shaft power on the name plate.
    pub(crate) rated_w: f64,
    /// Slip at that power, share of the synchronous speed.
    pub(crate) rated_slip: f64,
    /// Voltage between the phases.
    pub(crate) voltage_v: f64,
    /// Losses without load: iron, fan, friction.
    pub(crate) idle_loss_w: f64,
    /// Copper losses at rated power; they grow with the square of the power.
    pub(crate) copper_loss_w: f64,
    /// Magnetising current, which does no work.
    pub(crate) magnetising_a: f64,
}

/// Additional current at standstill, as limited by a soft starter, as a multiple of the magnetising current.
const INRUSH: f64 = 5.0;

impl Motor {
    /// Returns the slip at which the motor delivers `shaft_w` at `speed`, a share of the synchronous speed.
    pub(crate) fn slip(&self, shaft_w: f64, speed: f64, condition: &Condition) -> f64 {
        let torque = shaft_w / self.rated_w / speed.max(0.2);
        (self.rated_slip * torque * condition.slip).clamp(0.0, 0.3)
    }

    /// Returns the electrical input power for `shaft_w`.
    pub(crate) fn input_w(&self, shaft_w: f64) -> f64 {
        let share = shaft_w / self.rated_w;
        shaft_w + self.idle_loss_w + self.copper_loss_w * share * share
    }

    /// Returns the current in the measured phase. `run_up` is the progress of the start, 0 to 1.
    pub(crate) fn current_a(&self, input_w: f64, run_up: f64, condition: &Condition) -> f64 {
        let working_a = input_w / (3.0_f64.sqrt() * self.voltage_v);
        let running_a = working_a.hypot(self.magnetising_a) * condition.current;
        running_a + INRUSH * self.magnetising_a * (1.0 - run_up)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Design;

    #[test]
    fn slip_input_and_current_rise_with_load() {
        let motor = Design::rated().motor;
        let healthy = Condition::default();
        let mut before = (-1.0, 0.0, 0.0);
        for shaft_w in [0.0, 5e3, 10e3, 15e3, 18.5e3] {
            let input_w = motor.input_w(shaft_w);
            assert!(input_w > shaft_w);
            let now = (motor.slip(shaft_w, 0.98, &healthy), input_w, motor.current_a(input_w, 1.0, &healthy));
            assert!(now.0 > before.0 && now.1 > before.1 && now.2 > before.2, "{shaft_w}: {now:?}");
            before = now;
        }
        assert!(motor.current_a(0.0, 0.0, &healthy) > 2.0 * before.2, "a start takes more than full load");
    }
}
