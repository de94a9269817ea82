//! Which channels of a profile are inputs, and which are tested. Chosen by [`Quantity`], so that any profile fits.
//!
//! *Inputs* say under which conditions the pump runs. *Outputs* are predicted from the inputs, and tested.
//!
//! Example: a profile has speed, flow, current, bearing temperature and ambient temperature. Speed and ambient temperature
//! are inputs. Flow, current and bearing temperature are outputs. The flow is also an input of the current: it is the load
//! that the current depends on. In a profile without speed and ambient temperature all channels are outputs.
//!
//! The operating point is the speed. While the speed is missing, the current takes its place and is not tested; a pump
//! without current has no operating point then.
//!
//! Of several channels of an input's quantity (two ambient temperatures, for example) the first is used; the others are
//! neither inputs nor outputs.

use serde::{Deserialize, Serialize};
use volute_plant::{Profile, Quantity, Sample};

/// The inputs and outputs of a pump.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Channels {
    /// The number of channels of the profile.
    pub count: usize,
    pub operating_point: OperatingPoint,
    /// The channel of the operating point: the speed, or the current in the speed's place.
    pub speed: Option<usize>,
    pub ambient: Option<usize>,
    /// The flow: an output, and an input of the channels that depend on the load.
    pub flow: Option<usize>,
    pub outputs: Vec<Output>,
    /// For a pump without a speed: a channel, and the value of it above which the pump runs.
    pub running: Option<(usize, f64)>,
}

/// What shows at which operating point a pump runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum OperatingPoint {
    Speed,
    Current,
    /// No channel shows it: the channels are tested by their values, given the other channels.
    Unmeasured,
}

/// A channel that is tested.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Output {
    /// Its index in the profile.
    pub channel: usize,
    pub group: Group,
    /// Its lowest plausible value, in its unit. A lower value counts as this one: -0.01 L/min of a sensor whose zero has
    /// drifted is 0 L/min.
    pub lowest: f64,
    /// The smallest meaningful change, in its unit.
    pub resolution: f64,
}

/// What a channel depends on, by its quantity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Group {
    /// A temperature: it follows the load with a delay, and follows the ambient temperature.
    Thermal,
    /// Current, power and torque: at one speed they depend on the flow, which is the load.
    Loaded,
    Flow,
    Other,
}

/// The inputs of one reading.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Inputs {
    pub speed: Option<f64>,
    pub ambient: Option<f64>,
    pub flow: Option<f64>,
}

impl Group {
    fn of(quantity: Quantity) -> Group {
        match quantity {
            Quantity::Temperature
            | Quantity::BearingTemperature
            | Quantity::CasingTemperature
            | Quantity::AmbientTemperature
            | Quantity::FluidTemperature
            | Quantity::OilTemperature => Group::Thermal,
            Quantity::Current | Quantity::Power | Quantity::Torque => Group::Loaded,
            Quantity::Flow => Group::Flow,
            Quantity::RotationalSpeed
            | Quantity::OilPressure
            | Quantity::SuctionPressure
            | Quantity::DischargePressure
            | Quantity::Vibration
            | Quantity::Voltage
            | Quantity::Level
            | Quantity::ValvePosition => Group::Other,
        }
    }
}

impl Channels {
    /// Returns the inputs and outputs of a profile.
    pub(super) fn of(profile: &Profile, operating_point: OperatingPoint) -> Channels {
        let channels = profile.channels();
        let first = |quantity| channels.iter().position(|channel| channel.quantity == quantity);
        let is_input = |quantity| matches!(quantity, Quantity::RotationalSpeed | Quantity::AmbientTemperature);
        let speed = match operating_point {
            OperatingPoint::Speed => first(Quantity::RotationalSpeed),
            OperatingPoint::Current => first(Quantity::Current),
            OperatingPoint::Unmeasured => None,
        };
        let is_output = |index: usize, quantity| !is_input(quantity) && speed != Some(index);
        let outputs = channels.iter().enumerate().filter(|(index, channel)| is_output(*index, channel.quantity));
        let running = channels.iter().enumerate().find_map(|(i, channel)| Some((i, channel.running_above?)));
        let output = |(index, channel): (usize, &volute_plant::Channel)| Output {
            channel: index,
            group: Group::of(channel.quantity),
            lowest: channel.plausible[0],
            resolution: channel.resolution,
        };
        Channels {
            count: channels.len(),
            operating_point,
            speed,
            ambient: first(Quantity::AmbientTemperature),
            flow: first(Quantity::Flow),
            outputs: outputs.map(output).collect(),
            running: if speed.is_some() { None } else { running },
        }
    }

    /// Returns the inputs of a reading.
    pub(super) fn inputs(&self, samples: &[Sample]) -> Inputs {
        let value = |channel: Option<usize>| good(samples, channel?);
        Inputs { speed: value(self.speed), ambient: value(self.ambient), flow: value(self.flow) }
    }

    /// Whether the pump has a channel for its operating point, and this reading has no value of it.
    pub(super) fn lacks_operating_point(&self, samples: &[Sample]) -> bool {
        self.speed.is_some_and(|channel| good(samples, channel).is_none())
    }

    /// Writes the outputs of a reading to `values`, one per output; NaN if missing. If the operating point is missing, all
    /// outputs count as missing, because they cannot be predicted.
    pub(super) fn outputs(&self, samples: &[Sample], values: &mut Vec<f64>) {
        values.clear();
        if self.lacks_operating_point(samples) {
            values.resize(self.outputs.len(), f64::NAN);
            return;
        }
        values.extend(self.outputs.iter().map(|output| match good(samples, output.channel) {
            Some(value) => value.max(output.lowest),
            None => f64::NAN,
        }));
    }

    /// Whether the pump runs, as far as channels other than the speed show it. True if there is no such channel or no value.
    pub(super) fn is_on(&self, samples: &[Sample]) -> bool {
        self.running.is_none_or(|(channel, above)| good(samples, channel).is_none_or(|value| value > above))
    }
}

fn good(samples: &[Sample], channel: usize) -> Option<f64> {
    samples.get(channel)?.good().filter(|value| value.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conditional::tests::pump::profile;

    #[test]
    fn speed_and_ambient_are_inputs_and_the_rest_is_tested() {
        let profile = profile();
        let channels = Channels::of(&profile, OperatingPoint::Speed);
        let names = |indexes: Vec<usize>| -> Vec<&str> {
            indexes.into_iter().map(|index| profile.channels()[index].name.as_str()).collect()
        };
        let inputs: Vec<usize> = [channels.speed, channels.ambient].into_iter().flatten().collect();
        assert_eq!(names(inputs), ["Speed", "Ambient"]);
        let outputs = channels.outputs.iter().map(|output| output.channel).collect();
        assert_eq!(names(outputs), ["Bearing", "Vibration", "Flow", "Suction", "Discharge", "Current", "Casing"]);
        assert_eq!(names(channels.flow.into_iter().collect()), ["Flow"]);
    }

    #[test]
    fn without_speed_the_current_is_an_input() {
        let profile = profile();
        let channels = Channels::of(&profile, OperatingPoint::Current);
        let current = profile.index_of("Current");
        assert_eq!(channels.speed, current);
        assert_eq!(channels.outputs.len(), 6);
        assert!(channels.outputs.iter().all(|output| Some(output.channel) != current));
    }

    #[test]
    fn a_bad_value_is_missing_and_a_drifted_zero_is_zero() {
        let channels = Channels::of(&profile(), OperatingPoint::Speed);
        let mut samples = vec![Sample::Good(1.0); channels.count];
        samples[channels.outputs[1].channel] = Sample::Bad(1e9);
        samples[channels.outputs[2].channel] = Sample::Good(-0.01);
        assert!(!channels.lacks_operating_point(&samples));
        let mut values = Vec::new();
        channels.outputs(&samples, &mut values);
        assert!(values[1].is_nan());
        assert_eq!(values[2], 0.0);
        assert_eq!(channels.inputs(&samples[..1]).ambient, None, "a channel that was not passed is missing");
        channels.outputs(&[], &mut values);
        assert!(values.len() == channels.outputs.len() && values.iter().all(|value| value.is_nan()));
    }

    #[test]
    fn every_quantity_has_its_group() {
        use Quantity as Q;
        for (group, quantities) in [
            (
                Group::Thermal,
                &[Q::Temperature, Q::BearingTemperature, Q::CasingTemperature, Q::FluidTemperature, Q::OilTemperature]
                    [..],
            ),
            (Group::Loaded, &[Q::Current, Q::Power, Q::Torque]),
            (Group::Flow, &[Q::Flow]),
            (
                Group::Other,
                &[
                    Q::OilPressure,
                    Q::SuctionPressure,
                    Q::DischargePressure,
                    Q::Vibration,
                    Q::Voltage,
                    Q::Level,
                    Q::ValvePosition,
                ],
            ),
        ] {
            for quantity in quantities {
                assert_eq!(Group::of(*quantity), group, "{quantity:?}");
            }
        }
    }
}
