//! What people do about a maintenance event: its status, and who changed it when and why.
//!
//! The history is a part of the event ([`crate::MaintenanceEvent::work`]). The status is independent of the event's state ([`crate::EventState`]), which says whether the rule is still
//! violated: a bearing that has cooled down may still be planned to be replaced.
//!
//! An example, one event's way:
//!
//! | time | by | action | status |
//! | --- | --- | --- | --- |
//! | 08:02 | the rule | | open |
//! | 08:10 | asha, engineer | acknowledge: "going there" | acknowledged |
//! | 08:40 | asha | plan for Friday, owner ravi | planned |
//! | 08:41 | asha | submit | submitted |
//! | 09:30 | meera, manager | approve (asha may not: it is her plan) | approved |
//! | Fri | ravi | finish: bearing worn | done |
//! | Sun | asha | reopen: "hot again" | reopened |
//!
//! What an action does in each status, with `-` where it is refused:
//!
//! | status | acknowledge | plan | submit | approve | reject | finish | reopen |
//! | --- | --- | --- | --- | --- | --- | --- | --- |
//! | open, reopened | acknowledged | planned | - | - | - | done | - |
//! | acknowledged | - | planned | - | - | - | done | - |
//! | planned | - | planned | submitted | - | - | done | - |
//! | submitted | - | planned | - | approved | rejected | - | - |
//! | approved | - | planned | - | - | - | done | - |
//! | rejected | - | planned | - | - | - | done | - |
//! | done | - | - | - | - | - | - | reopened |
//!
//! A plan that is changed while it waits for approval has to be submitted again.
//!
//! A finding is a label for the diagnosis: which failure mode it was, another cause, or nothing at all.
//!
//! Does not know which role may do what; that is the table of permissions in `volute-access`. Does not store anything.

use serde::{Deserialize, Serialize};

use crate::{
    Comment, Timestamp,
    label::{LabelError, LengthLimits, normalize},
};

/// The number of changes after which an event accepts no more. With the longest comments, the event still fits into a
/// stored document. The last two are kept for a decision and the finding, so that an event can always be finished.
pub const MAX_STATUS_CHANGES: usize = 200;

/// The maximum length of an owner's name or a failure mode.
const NAME_LENGTH: LengthLimits = LengthLimits { max_chars: 100, max_bytes: 400 };

/// What is being done about an event.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventStatus {
    /// Nobody has reacted yet.
    #[default]
    Open,
    /// Somebody has seen it.
    Acknowledged,
    /// The work has a date and an owner.
    Planned,
    /// The plan waits for approval.
    Submitted,
    /// The plan is approved.
    Approved,
    /// The plan is rejected.
    Rejected,
    /// The work is done, or nothing had to be done. The event has a finding.
    Done,
    /// It was done, but the fault is there again.
    Reopened,
}

/// What somebody does about an event.
#[derive(Debug, Clone, PartialEq)]
pub enum EventAction {
    /// Say that one has seen it.
    Acknowledge,
    /// Plan the work, or change the plan.
    Plan(WorkPlan),
    /// Ask for approval of the plan.
    Submit,
    /// Approve the plan. Whoever made or submitted it may not.
    Approve,
    /// Reject the plan. Needs a comment. Whoever made or submitted it may not.
    Reject,
    /// Say what was found.
    Finish(Finding),
    /// Say that the fault is there again.
    Reopen,
}

/// When the work is done and by whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkPlan {
    /// When it is to be done.
    pub on: Timestamp,
    /// Who is responsible.
    pub owner: ShortText,
}

/// What was found at a pump.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Finding {
    /// A failure mode of the diagnosis's table.
    FailureMode {
        /// Its name there.
        mode: ShortText,
    },
    /// Another cause, which the comment describes.
    Other,
    /// Nothing: it was a false alarm.
    Nothing,
}

/// A text of one line with 1 to 100 characters, normalised as pumps' names are.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ShortText(String);

/// A text that is not allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not allowed: {why}; allowed: one line of 1 to {max_chars} printable characters")]
pub struct TextError {
    why: String,
    max_chars: usize,
}

/// One change of the status.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StatusChange {
    /// When.
    pub at: Timestamp,
    /// Who, in the form of the audit log.
    pub by: String,
    /// The status after it.
    pub status: EventStatus,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<Comment>,
    /// The new plan, if the work was planned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<WorkPlan>,
    /// The finding, if the work is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finding: Option<Finding>,
}

/// All that was done about an event. The status follows from the last change.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StatusHistory(Vec<StatusChange>);

/// Why an action is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StatusError {
    /// The status does not allow it.
    #[error("{action}: not allowed for an event that is {status}; allowed: {allowed}")]
    NotNow {
        /// The action.
        action: &'static str,
        /// The status.
        status: &'static str,
        /// The allowed actions, separated by commas.
        allowed: String,
    },
    /// Whoever made or submitted a plan does not decide on it.
    #[error("{action}: {by} made or submitted this plan; somebody else must decide on it")]
    OwnPlan {
        /// The action.
        action: &'static str,
        /// Who tried.
        by: String,
    },
    /// Somebody else has changed the event since the user saw it.
    #[error("{action}: the event has {changes} changes of its status, and you have seen {seen}; look at it again")]
    Stale {
        /// The action.
        action: &'static str,
        /// How many changes the user saw.
        seen: usize,
        /// How many there are.
        changes: usize,
    },
    /// A rejection or another cause needs a comment.
    #[error("{action}: needs a comment that says {what}")]
    NeedsComment {
        /// The action.
        action: &'static str,
        /// What the comment has to say.
        what: &'static str,
    },
    /// The event has as many changes as it can have.
    #[error(
        "the event has too many changes of its status (at most {MAX_STATUS_CHANGES}); allowed: to decide and to finish"
    )]
    TooMany,
}

impl EventStatus {
    /// Every status.
    pub const ALL: [Self; 8] = [
        Self::Open,
        Self::Acknowledged,
        Self::Planned,
        Self::Submitted,
        Self::Approved,
        Self::Rejected,
        Self::Done,
        Self::Reopened,
    ];

    /// Returns its name in the API and the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Acknowledged => "acknowledged",
            Self::Planned => "planned",
            Self::Submitted => "submitted",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
            Self::Done => "done",
            Self::Reopened => "reopened",
        }
    }

    /// Returns the names of the actions that are allowed in this status.
    pub fn allowed(self) -> &'static [&'static str] {
        match self {
            Self::Open | Self::Reopened => &["acknowledge", "plan", "finish"],
            Self::Acknowledged | Self::Approved | Self::Rejected => &["plan", "finish"],
            Self::Planned => &["plan", "submit", "finish"],
            Self::Submitted => &["plan", "approve", "reject"],
            Self::Done => &["reopen"],
        }
    }
}

impl EventAction {
    /// Returns its name in the API.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Acknowledge => "acknowledge",
            Self::Plan(_) => "plan",
            Self::Submit => "submit",
            Self::Approve => "approve",
            Self::Reject => "reject",
            Self::Finish(_) => "finish",
            Self::Reopen => "reopen",
        }
    }

    /// Returns the status after it.
    fn status(&self) -> EventStatus {
        match self {
            Self::Acknowledge => EventStatus::Acknowledged,
            Self::Plan(_) => EventStatus::Planned,
            Self::Submit => EventStatus::Submitted,
            Self::Approve => EventStatus::Approved,
            Self::Reject => EventStatus::Rejected,
            Self::Finish(_) => EventStatus::Done,
            Self::Reopen => EventStatus::Reopened,
        }
    }
}

impl StatusHistory {
    /// Returns the present status.
    pub fn status(&self) -> EventStatus {
        self.0.last().map_or(EventStatus::Open, |change| change.status)
    }

    /// Returns whether nothing was done yet.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns all changes, oldest first.
    pub fn changes(&self) -> &[StatusChange] {
        &self.0
    }

    /// Returns the plan in force.
    pub fn plan(&self) -> Option<&WorkPlan> {
        self.0.iter().rev().find_map(|change| change.plan.as_ref())
    }

    /// Returns the finding, if the work is done.
    pub fn finding(&self) -> Option<&Finding> {
        self.0.last().and_then(|change| change.finding.as_ref())
    }

    /// Carries out an action of `by` at `at`, and returns the change. Refuses what the module's table does not allow.
    pub fn act(
        &mut self,
        action: EventAction,
        by: &str,
        comment: Option<Comment>,
        at: Timestamp,
    ) -> Result<&StatusChange, StatusError> {
        self.check(&action, by, comment.as_ref())?;
        let status = action.status();
        let (plan, finding) = match action {
            EventAction::Plan(plan) => (Some(plan), None),
            EventAction::Finish(finding) => (None, Some(finding)),
            _ => (None, None),
        };
        let change = StatusChange { at, by: by.to_owned(), status, comment, plan, finding };
        Ok(self.0.push_mut(change))
    }

    /// Refuses an action of somebody who has not seen all changes.
    pub fn check_seen(&self, action: &EventAction, seen: usize) -> Result<(), StatusError> {
        let changes = self.0.len();
        if seen == changes { Ok(()) } else { Err(StatusError::Stale { action: action.name(), seen, changes }) }
    }

    fn check(&self, action: &EventAction, by: &str, comment: Option<&Comment>) -> Result<(), StatusError> {
        let (name, status) = (action.name(), self.status());
        if !status.allowed().contains(&name) {
            let allowed = status.allowed().join(", ");
            return Err(StatusError::NotNow { action: name, status: status.as_str(), allowed });
        }
        let ends = matches!(action, EventAction::Approve | EventAction::Reject | EventAction::Finish(_));
        let max = if ends { MAX_STATUS_CHANGES } else { MAX_STATUS_CHANGES - 2 };
        if self.0.len() >= max {
            return Err(StatusError::TooMany);
        }
        let submitted = self.0.last().filter(|_| status == EventStatus::Submitted);
        let planned = self.0.iter().rev().find(|change| change.plan.is_some());
        if submitted.is_some() && submitted.into_iter().chain(planned).any(|change| change.by == by) {
            return Err(StatusError::OwnPlan { action: name, by: by.to_owned() });
        }
        match (action, comment) {
            (EventAction::Reject, None) => Err(StatusError::NeedsComment { action: name, what: "why" }),
            (EventAction::Finish(Finding::Other), None) => {
                Err(StatusError::NeedsComment { action: name, what: "what was found" })
            }
            _ => Ok(()),
        }
    }
}

impl ShortText {
    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ShortText {
    type Error = TextError;

    fn try_from(text: String) -> Result<Self, TextError> {
        parse(&text, NAME_LENGTH).map(Self)
    }
}

impl From<ShortText> for String {
    fn from(text: ShortText) -> Self {
        text.0
    }
}

fn parse(text: &str, length: LengthLimits) -> Result<String, TextError> {
    normalize(text, length).map_err(|why: LabelError| TextError { why: why.to_string(), max_chars: length.max_chars })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_millis(1_773_000_000_000 + second * 1_000).expect("a time")
    }

    fn comment(text: &str) -> Option<Comment> {
        Some(Comment::try_from(text.to_owned()).expect("a comment"))
    }

    fn plan() -> EventAction {
        EventAction::Plan(WorkPlan { on: at(86_400), owner: ShortText::try_from("ravi".to_owned()).expect("a name") })
    }

    fn actions() -> [EventAction; 7] {
        [
            EventAction::Acknowledge,
            plan(),
            EventAction::Submit,
            EventAction::Approve,
            EventAction::Reject,
            EventAction::Finish(Finding::Nothing),
            EventAction::Reopen,
        ]
    }

    /// A history that ends in the status.
    fn history(status: EventStatus) -> StatusHistory {
        let steps: &[EventAction] = match status {
            EventStatus::Open => &[],
            EventStatus::Acknowledged => &[EventAction::Acknowledge],
            EventStatus::Planned => &[plan()],
            EventStatus::Submitted => &[plan(), EventAction::Submit],
            EventStatus::Approved => &[plan(), EventAction::Submit, EventAction::Approve],
            EventStatus::Rejected => &[plan(), EventAction::Submit, EventAction::Reject],
            EventStatus::Done => &[EventAction::Finish(Finding::Nothing)],
            EventStatus::Reopened => &[EventAction::Finish(Finding::Nothing), EventAction::Reopen],
        };
        let mut history = StatusHistory::default();
        for (second, action) in (0..).zip(steps) {
            let by = if matches!(action, EventAction::Approve | EventAction::Reject) { "meera" } else { "asha" };
            history.act(action.clone(), by, comment("because"), at(second)).expect("allowed");
        }
        assert_eq!(history.status(), status);
        history
    }

    /// The table of the module's documentation.
    #[test]
    fn each_action_in_each_status() {
        use EventStatus::{Acknowledged, Approved, Done, Open, Planned, Rejected, Reopened, Submitted};
        let none = [None; 7];
        let table = |status| match status {
            Open | Reopened => [Some(Acknowledged), Some(Planned), None, None, None, Some(Done), None],
            Acknowledged | Approved | Rejected => [None, Some(Planned), None, None, None, Some(Done), None],
            Planned => [None, Some(Planned), Some(Submitted), None, None, Some(Done), None],
            Submitted => [None, Some(Planned), None, Some(Approved), Some(Rejected), None, None],
            Done => [None, None, None, None, None, None, Some(Reopened)],
        };
        for status in EventStatus::ALL {
            assert_ne!(table(status), none);
            for (action, expected) in actions().into_iter().zip(table(status)) {
                let mut history = history(status);
                let before = history.clone();
                let name = action.name();
                let result = history.act(action, "meera", comment("because"), at(9)).map(|change| change.status);
                match expected {
                    Some(next) => {
                        assert_eq!(result, Ok(next), "{status:?} {name}");
                        assert_eq!(history.changes().len(), before.changes().len() + 1);
                    }
                    None => {
                        let allowed = status.allowed().join(", ");
                        let status = status.as_str();
                        assert_eq!(result, Err(StatusError::NotNow { action: name, status, allowed }));
                        assert_eq!(history, before);
                    }
                }
            }
        }
    }

    #[test]
    fn nobody_decides_on_the_own_plan() {
        for action in [EventAction::Approve, EventAction::Reject] {
            let mut history = history(EventStatus::Submitted);
            let own = StatusError::OwnPlan { action: action.name(), by: "asha".into() };
            assert_eq!(history.act(action.clone(), "asha", comment("why not"), at(5)), Err(own));
            assert!(history.act(action, "meera", comment("fine"), at(6)).is_ok());
        }
        // Somebody else submits it: it is asha's plan all the same.
        let mut history = history(EventStatus::Planned);
        history.act(EventAction::Submit, "ravi", None, at(5)).expect("allowed");
        for by in ["asha", "ravi"] {
            let refused = history.act(EventAction::Approve, by, None, at(6));
            assert!(matches!(refused, Err(StatusError::OwnPlan { .. })), "{by}: {refused:?}");
        }
        assert!(history.act(EventAction::Approve, "meera", None, at(6)).is_ok());
    }

    #[test]
    fn whoever_has_not_seen_all_changes_is_told() {
        let history = history(EventStatus::Submitted);
        assert_eq!(history.check_seen(&EventAction::Approve, 2), Ok(()));
        let stale = StatusError::Stale { action: "approve", seen: 1, changes: 2 };
        assert_eq!(history.check_seen(&EventAction::Approve, 1), Err(stale));
    }

    #[test]
    fn a_rejection_and_another_cause_need_a_comment() {
        let mut submitted = history(EventStatus::Submitted);
        assert!(matches!(
            submitted.act(EventAction::Reject, "meera", None, at(5)),
            Err(StatusError::NeedsComment { action: "reject", .. })
        ));
        let mut open = StatusHistory::default();
        let other = EventAction::Finish(Finding::Other);
        assert!(matches!(open.act(other.clone(), "ravi", None, at(5)), Err(StatusError::NeedsComment { .. })));
        assert!(open.act(other, "ravi", comment("a rag in the inlet"), at(5)).is_ok());
        assert_eq!(open.finding(), Some(&Finding::Other));
    }

    #[test]
    fn plan_and_finding_are_those_in_force() {
        let mut history = history(EventStatus::Rejected);
        let later = WorkPlan { on: at(172_800), owner: ShortText::try_from("asha".to_owned()).expect("a name") };
        history.act(EventAction::Plan(later.clone()), "asha", None, at(7)).expect("allowed");
        assert_eq!(history.plan(), Some(&later));
        assert_eq!(history.finding(), None);
        let mode = ShortText::try_from("bearing_wear".to_owned()).expect("a name");
        history.act(EventAction::Finish(Finding::FailureMode { mode }), "ravi", None, at(8)).expect("allowed");
        assert!(history.finding().is_some());
        history.act(EventAction::Reopen, "asha", None, at(9)).expect("allowed");
        assert_eq!(history.finding(), None, "a reopened event has no finding");
    }

    #[test]
    fn the_number_of_changes_is_bounded_and_every_event_can_be_finished() {
        let finish = EventAction::Finish(Finding::Nothing);
        for submits in [false, true] {
            let mut history = StatusHistory::default();
            while history.changes().len() < MAX_STATUS_CHANGES - 3 {
                history.act(plan(), "asha", None, at(1)).expect("allowed");
            }
            let last = if submits { EventAction::Submit } else { plan() };
            history.act(last, "asha", None, at(2)).expect("allowed");
            if submits {
                history.act(EventAction::Reject, "meera", comment("later"), at(3)).expect("a decision");
            }
            assert_eq!(history.act(plan(), "asha", None, at(4)), Err(StatusError::TooMany));
            history.act(finish.clone(), "asha", None, at(5)).expect("finished");
            assert!(history.changes().len() <= MAX_STATUS_CHANGES);
            assert_eq!(history.act(EventAction::Reopen, "asha", None, at(6)), Err(StatusError::TooMany));
        }
    }

    #[test]
    fn texts_are_normalised_and_bounded() {
        let error = ShortText::try_from("x".repeat(101)).expect_err("too long").to_string();
        assert_eq!(
            error,
            "not allowed: it has more than 100 characters; allowed: one line of 1 to 100 printable characters"
        );
    }

    #[test]
    fn it_is_stored_and_read_back() {
        let history = history(EventStatus::Reopened);
        let json = serde_json::to_string(&history).expect("written");
        assert_eq!(serde_json::from_str::<StatusHistory>(&json).expect("read"), history);
        assert_eq!(serde_json::from_str::<StatusHistory>("[]").expect("read").status(), EventStatus::Open);
    }
}
