//! Temperatures of the bearing and the casing, and of the room over the day.
//!
//! The heat of a healthy machine warms a large mass of iron, with lags of many minutes. The heat of a fault develops in
//! a small place near the sensor (a bearing race, a seal face) before it warms the iron around. It is added with a
//! separate short lag, so a short fault run shows its heat within minutes.

use std::f64::consts::TAU;

use volute_plant::Timestamp;

use crate::{condition::Condition, noise::follow};

/// Lag of a fault's heat near the sensor, in seconds.
const LOCAL_LAG_S: f64 = 60.0;
/// Boiling temperature of water at the pressure of a closed pump, about 5 bar. The casing gets no hotter.
const BOILING_C: f64 = 155.0;
/// The warmest hour of the day.
const WARMEST_HOUR: f64 = 15.0;
/// Temperature rise of the bearing by vibration, K per (mm/s)².
const VIBRATION_HEAT_K: f64 = 0.01;

/// The thermal properties of the machine and its room.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Thermal {
    /// Mean temperature of the room, °C.
    pub(crate) ambient_c: f64,
    /// By how much the warmest hour of the day is above that mean, K.
    pub(crate) daily_swing_k: f64,
    /// Temperature of the water at the inlet, °C.
    pub(crate) process_c: f64,
    /// Temperature of the bearing above the room at rated speed and load.
    pub(crate) bearing_rise_k: f64,
    /// Lag of the bearing's housing, in seconds.
    pub(crate) bearing_lag_s: f64,
    /// Heat capacity of the casing with its water, J/K.
    pub(crate) casing_j_k: f64,
    /// Heat transfer from the water to the casing, W/K.
    pub(crate) water_w_k: f64,
    /// Heat transfer from the casing to the room, W/K.
    pub(crate) air_w_k: f64,
}

/// The heat sources and sinks at one time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Heating<'a> {
    pub(crate) ambient_c: f64,
    /// Speed as a share of rated speed.
    pub(crate) speed: f64,
    /// Shaft power as a share of rated shaft power.
    pub(crate) load: f64,
    pub(crate) vibration_mm_s: f64,
    /// Power lost in the pump, W.
    pub(crate) lost_w: f64,
    /// Heat capacity flow of the delivered water, W/K.
    pub(crate) heat_capacity_w_k: f64,
    pub(crate) condition: &'a Condition,
}

/// The temperatures of the machine.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Temperatures {
    housing_c: f64,
    /// Rise of the race above the housing.
    race_k: f64,
    casing_c: f64,
    /// Rise of the seal face above the casing.
    face_k: f64,
}

impl Thermal {
    /// Returns the room temperature at this time of day (UTC), °C.
    pub(crate) fn ambient_at(&self, at: Timestamp) -> f64 {
        let hour = at.millis().rem_euclid(86_400_000) as f64 / 3_600_000.0;
        self.ambient_c + self.daily_swing_k * (TAU * (hour - WARMEST_HOUR) / 24.0).cos()
    }

    /// Returns the steady-state temperatures under this heating.
    pub(crate) fn steady_state(&self, heating: &Heating) -> Temperatures {
        let (housing_c, race_k) = self.bearing_targets(heating);
        let (casing_c, _) = self.casing_target(heating);
        Temperatures { housing_c, race_k, casing_c, face_k: heating.condition.casing_heat_k }
    }

    /// Advances the temperatures by `dt_s`.
    pub(crate) fn advance(&self, now: &mut Temperatures, heating: &Heating, dt_s: f64) {
        let (housing_c, race_k) = self.bearing_targets(heating);
        follow(&mut now.housing_c, housing_c, dt_s, self.bearing_lag_s);
        follow(&mut now.race_k, race_k, dt_s, LOCAL_LAG_S);
        let (casing_c, casing_lag_s) = self.casing_target(heating);
        follow(&mut now.casing_c, casing_c, dt_s, casing_lag_s);
        now.casing_c = now.casing_c.min(BOILING_C);
        follow(&mut now.face_k, heating.condition.casing_heat_k, dt_s, LOCAL_LAG_S);
    }

    fn bearing_targets(&self, heating: &Heating) -> (f64, f64) {
        let friction = heating.speed * (0.75 + 0.25 * heating.load);
        let vibration_heat_k = VIBRATION_HEAT_K * heating.vibration_mm_s.powi(2);
        let race_k = heating.speed * heating.condition.bearing_heat_k + vibration_heat_k;
        (heating.ambient_c + self.bearing_rise_k * friction, race_k)
    }

    /// Returns the steady-state temperature of the casing, and its lag.
    ///
    /// The heat capacity of the water in the pump is neglected: `lost + carry (T_in - T_w) + water (T - T_w) = 0` gives
    /// `T_w`, and with it the heat into the casing, `water (T_w - T)`. With much flow that is `water (T_in - T)`.
    /// Without flow all of the lost power heats the casing.
    fn casing_target(&self, heating: &Heating) -> (f64, f64) {
        let carry = heating.heat_capacity_w_k;
        let share = self.water_w_k / (self.water_w_k + carry);
        let exchange = share * carry;
        let total = exchange + self.air_w_k;
        let gained = share * heating.lost_w + exchange * self.process_c + self.air_w_k * heating.ambient_c;
        (gained / total, self.casing_j_k / total)
    }
}

impl Temperatures {
    /// Returns the temperature at the bearing, °C.
    pub(crate) fn bearing_c(&self) -> f64 {
        self.housing_c + self.race_k
    }

    /// Returns the temperature at the casing, °C.
    pub(crate) fn casing_c(&self) -> f64 {
        self.casing_c + self.face_k
    }
}
