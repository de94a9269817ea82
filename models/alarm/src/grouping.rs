//! Groups the standing alarms of a pump: alarms that another explains come under it.

use std::collections::BTreeMap;

use crate::{AlarmId, Status, Suppression};

/// An alarm with those that it explains.
#[derive(Debug, Clone, PartialEq)]
pub struct Group<'a> {
    /// The alarm that no other explains.
    pub leader: &'a AlarmId,
    /// The alarms that it explains, directly or through others: whose condition holds, or that wait for a person.
    pub explained: Vec<&'a AlarmId>,
}

/// Groups the alarms of one pump that stand, or are suppressed because another one explains them. Alarms that are out of
/// view for another reason are left out.
pub fn group<'a>(alarms: impl IntoIterator<Item = (&'a AlarmId, &'a Status)>) -> Vec<Group<'a>> {
    let alarms: BTreeMap<&AlarmId, &Status> = alarms.into_iter().collect();
    let mut groups: BTreeMap<&AlarmId, Vec<&AlarmId>> = BTreeMap::new();
    for (&alarm, status) in &alarms {
        let stands = status.state().is_standing();
        let waits = stands || status.holds() || status.has_unacknowledged();
        match leader(alarm, &alarms) {
            Some(leader) if waits => groups.entry(leader).or_default().push(alarm),
            None if stands => {
                groups.entry(alarm).or_default();
            }
            _ => {}
        }
    }
    groups.into_iter().map(|(leader, explained)| Group { leader, explained }).collect()
}

/// Returns the alarm at the end of the chain of explanations; none if no other alarm explains this one.
fn leader<'a>(alarm: &AlarmId, alarms: &BTreeMap<&'a AlarmId, &'a Status>) -> Option<&'a AlarmId> {
    let explanation = |alarm: &AlarmId| {
        let reasons = alarms.get(alarm)?.suppressions();
        reasons.iter().find_map(|why| match why {
            Suppression::ExplainedBy { alarm } => alarms.get_key_value(alarm).map(|(known, _)| *known),
            _ => None,
        })
    };
    let mut leader = explanation(alarm)?;
    // Definitions with a circle are refused; rows of older ones could have one.
    for _ in 0..alarms.len() {
        match explanation(leader) {
            Some(next) => leader = next,
            None => break,
        }
    }
    Some(leader)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Alarm, AlarmKey, Evidence, Priority, Signal,
        testing::{at_s, id},
    };

    fn alarm(name: &str, signals: &[Signal]) -> Alarm {
        let mut alarm = Alarm::new(AlarmKey { pump: None, alarm: id(name) }, Priority::Low, false, Status::default());
        for signal in signals {
            alarm.observe(signal.clone(), at_s(0));
        }
        alarm
    }

    #[test]
    fn explained_alarms_come_under_the_last_of_the_chain() {
        let raise = || Signal::Raise(Evidence::at(at_s(0)));
        let by = |name: &str| Signal::Suppress(Suppression::ExplainedBy { alarm: id(name) });
        let alarms = [
            alarm("alone", &[raise()]),
            alarm("normal", &[]),
            alarm("pump-stale", &[raise()]),
            alarm("rpm-no-data", &[by("pump-stale"), raise()]),
            alarm("flow-no-data", &[by("pump-stale")]),
            alarm("ratio", &[raise(), by("rpm-no-data")]),
            alarm("off", &[Signal::Suppress(Suppression::OperatingState), raise()]),
        ];
        let groups = group(alarms.iter().map(|alarm| (&alarm.key().alarm, alarm.status())));
        let names = |group: &Group<'_>| {
            let explained: Vec<&str> = group.explained.iter().map(|alarm| alarm.as_str()).collect();
            format!("{}: {}", group.leader, explained.join(" "))
        };
        assert_eq!(groups.iter().map(names).collect::<Vec<_>>(), ["alone: ", "pump-stale: ratio rpm-no-data"]);
    }
}
