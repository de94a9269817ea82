//! Heat: the bearing, the casing, the day.
//!
//! What a healthy machine gives off warms a lot of iron, with lags of many minutes. What a fault adds is born in a
//! small place right at the sensor (a bearing's race, a seal's face), before the iron around it has noticed: it comes on
//! top with a short lag of its own. So a hurried episode shows its heat within its minutes.

use std::f64::consts::TAU;

use volute_plant::Timestamp;

use crate::{condition::Condition, noise::follow};

/// Lag of the places where a fault's heat is born.
const LOCAL_LAG_S: f64 = 60.0;
/// Water boils at this temperature under the pressure of a closed pump (about 5 bar); then it stays there.
const BOILING_C: f64 = 155.0;
/// The hour of the day that is warmest.
const WARMEST_HOUR: f64 = 15.0;
/// What vibration's friction adds to the bearing, K for each (mm/s)².
const SHAKING_K: f64 = 0.01;

/// How the machine warms and cools.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Thermal {
    /// Mean temperature of the room, °C.
    pub(crate) ambient_c: f64,
    /// How far the day's warmest hour is above that mean.
    pub(crate) daily_swing_k: f64,
    /// Temperature of the water that comes in, °C.
    pub(crate) process_c: f64,
    /// The bearing above the room at rated speed and load.
    pub(crate) bearing_rise_k: f64,
    /// Lag of the bearing's housing.
    pub(crate) bearing_lag_s: f64,
    /// Heat that warms the casing with its water by a kelvin, J/K.
    pub(crate) casing_j_k: f64,
    /// From the water to the casing, W/K.
    pub(crate) water_w_k: f64,
    /// From the casing to the room, W/K.
    pub(crate) air_w_k: f64,
}

/// What heats.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Heating<'a> {
    pub(crate) ambient_c: f64,
    /// Speed over rated speed.
    pub(crate) speed: f64,
    /// Shaft power over rated shaft power.
    pub(crate) load: f64,
    pub(crate) vibration_mm_s: f64,
    /// Power lost in the pump, W.
    pub(crate) lost_w: f64,
    /// What the delivered water can carry away, W/K.
    pub(crate) heat_capacity_w_k: f64,
    pub(crate) condition: &'a Condition,
}

/// The temperatures that there are to know.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Temperatures {
    housing_c: f64,
    race_k: f64,
    casing_c: f64,
    face_k: f64,
}

impl Thermal {
    /// The room at this time of the day (UTC), °C.
    pub(crate) fn ambient_at(&self, at: Timestamp) -> f64 {
        let hour = at.millis().rem_euclid(86_400_000) as f64 / 3_600_000.0;
        self.ambient_c + self.daily_swing_k * (TAU * (hour - WARMEST_HOUR) / 24.0).cos()
    }

    /// The temperatures that last under this heating.
    pub(crate) fn settled(&self, heating: &Heating) -> Temperatures {
        let (housing_c, race_k) = self.bearing_targets(heating);
        let (casing_c, _) = self.casing_target(heating);
        Temperatures { housing_c, race_k, casing_c, face_k: heating.condition.casing_heat_k }
    }

    /// Moves the temperatures on by `dt_s`.
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
        let shaking_k = SHAKING_K * heating.vibration_mm_s.powi(2);
        let race_k = heating.speed * heating.condition.bearing_heat_k + shaking_k;
        (heating.ambient_c + self.bearing_rise_k * friction, race_k)
    }

    /// Where the casing tends to, and its lag.
    ///
    /// The water in the pump holds no heat of note: `lost + carry (T_in - T_w) + water (T - T_w) = 0` gives `T_w`, and
    /// with it the heat into the casing, `water (T_w - T)`. With much flow that is `water (T_in - T)`; with none, all of
    /// the lost power stays, and heats fast.
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
    /// At the bearing, °C.
    pub(crate) fn bearing_c(&self) -> f64 {
        self.housing_c + self.race_k
    }

    /// At the casing, °C.
    pub(crate) fn casing_c(&self) -> f64 {
        self.casing_c + self.face_k
    }
}
