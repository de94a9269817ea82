//! The specifications of the ten sensors: unit, resolution, noise and limits, in the order of the default profile.

use volute_plant::Quantity;

/// The number of sensors.
pub(crate) const COUNT: usize = 10;

/// One value for each sensor, in the order of [`SENSORS`].
pub(crate) type PerSensor<T> = [T; COUNT];

/// The specification of one sensor.
#[derive(Debug)]
pub(crate) struct Sensor {
    pub(crate) quantity: Quantity,
    pub(crate) unit: &'static str,
    /// The smallest step of its values.
    pub(crate) resolution: f64,
    /// Standard deviation of its noise.
    pub(crate) noise: f64,
    /// Correlation time of the noise, s.
    pub(crate) correlation_s: f64,
    /// The lowest value that it can give.
    pub(crate) floor: f64,
    /// The offset that a sensor fault of severity 1 adds, in the sensor's unit.
    pub(crate) fault_offset: f64,
    /// Whether it has no noise while the machine stands.
    pub(crate) quiet_at_rest: bool,
}

/// The sensors, in the order and units of the default profile.
pub(crate) const SENSORS: PerSensor<Sensor> = {
    use Quantity as Q;
    const fn sensor(quantity: Quantity, unit: &'static str, resolution: f64) -> Sensor {
        let (noise, correlation_s, floor, fault_offset, quiet_at_rest) = (0.0, 1.0, 0.0, 0.0, true);
        Sensor { quantity, unit, resolution, noise, correlation_s, floor, fault_offset, quiet_at_rest }
    }
    const fn temperature(quantity: Quantity, fault_offset: f64) -> Sensor {
        let (noise, correlation_s, floor, quiet_at_rest) = (0.08, 5.0, -40.0, false);
        Sensor { noise, correlation_s, floor, fault_offset, quiet_at_rest, ..sensor(quantity, "°C", 0.1) }
    }
    const fn pressure(quantity: Quantity, noise: f64, fault_offset: f64) -> Sensor {
        let (correlation_s, floor, quiet_at_rest) = (2.0, -1.0, false);
        Sensor { noise, correlation_s, floor, fault_offset, quiet_at_rest, ..sensor(quantity, "bar", 0.01) }
    }
    [
        Sensor { noise: 1.5, correlation_s: 2.0, fault_offset: 400.0, ..sensor(Q::RotationalSpeed, "rpm", 1.0) },
        temperature(Q::BearingTemperature, 30.0),
        Sensor { floor: 0.0, quiet_at_rest: true, ..pressure(Q::OilPressure, 0.012, 1.5) },
        Sensor { noise: 0.05, correlation_s: 3.0, fault_offset: 5.0, ..sensor(Q::Vibration, "mm/s", 0.01) },
        Sensor { noise: 5.0, correlation_s: 2.0, fault_offset: 350.0, ..sensor(Q::Flow, "L/min", 0.1) },
        pressure(Q::SuctionPressure, 0.006, 0.5),
        pressure(Q::DischargePressure, 0.02, 2.0),
        Sensor { noise: 0.12, correlation_s: 2.0, fault_offset: 9.0, ..sensor(Q::Current, "A", 0.1) },
        temperature(Q::CasingTemperature, 25.0),
        temperature(Q::AmbientTemperature, 15.0),
    ]
};

/// Returns the index of the sensor that measures this quantity; none if there is no such sensor.
pub(crate) fn index_of(quantity: Quantity) -> Option<usize> {
    SENSORS.iter().position(|sensor| sensor.quantity == quantity)
}

/// Returns the unit of the sensor that measures this quantity; none if there is no such sensor.
pub fn unit_of(quantity: Quantity) -> Option<&'static str> {
    index_of(quantity).map(|index| SENSORS[index].unit)
}

/// Rounds to the nearest step of a resolution. The result prints with no more digits than the resolution has.
pub(crate) fn at_resolution(value: f64, resolution: f64) -> f64 {
    let steps_in_one = (1.0 / resolution).round();
    if steps_in_one >= 1.0 && (steps_in_one * resolution - 1.0).abs() < 1e-9 {
        (value * steps_in_one).round() / steps_in_one
    } else {
        (value / resolution).round() * resolution
    }
}

#[cfg(test)]
mod tests {
    use volute_plant::Profile;

    use super::*;

    #[test]
    fn the_sensors_are_those_of_the_default_profile() {
        let text = include_str!("../../../config/profiles/centrifugal.toml");
        let profile = Profile::from_toml(text).expect("the default profile");
        assert_eq!(profile.channels().len(), COUNT);
        for (channel, sensor) in profile.channels().iter().zip(&SENSORS) {
            assert_eq!(channel.quantity, sensor.quantity);
            assert_eq!((channel.unit.as_str(), channel.resolution), (sensor.unit, sensor.resolution));
            assert!(channel.is_plausible(sensor.floor), "{:?}", sensor.quantity);
        }
    }

    #[test]
    fn a_value_has_no_more_digits_than_its_resolution() {
        for (value, resolution, expected) in [
            (58.349, 0.1, "58.3"),
            (2.4051, 0.01, "2.41"),
            (2951.6, 1.0, "2952"),
            (47.0, 5.0, "45"),
            (0.3, 0.25, "0.25"),
        ] {
            assert_eq!(at_resolution(value, resolution).to_string(), expected);
        }
    }
}
