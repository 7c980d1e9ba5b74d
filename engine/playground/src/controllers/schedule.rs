//! A schedule in cron's five fields.

use std::collections::BTreeSet;

use jiff::{Timestamp, ToSpan, Zoned, tz::TimeZone};

/// The times that a schedule names.
#[derive(Debug)]
pub(super) struct Schedule {
    minutes: BTreeSet<i8>,
    hours: BTreeSet<i8>,
    days: BTreeSet<i8>,
    months: BTreeSet<i8>,
    weekdays: BTreeSet<i8>,
    /// How the days of the month and those of the week come together.
    match_days: Days,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Days {
    Both,
    Either,
}

impl Schedule {
    /// Reads a schedule; `None` when it is none.
    pub(super) fn parse(text: &str) -> Option<Schedule> {
        let text = match text {
            "@yearly" | "@annually" => "0 0 1 1 *",
            "@monthly" => "0 0 1 * *",
            "@weekly" => "0 0 * * 0",
            "@daily" | "@midnight" => "0 0 * * *",
            "@hourly" => "0 * * * *",
            other => other,
        };
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [minutes, hours, days, months, weekdays] = fields.as_slice() else {
            return None;
        };
        const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
        const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
        let open = |field: &str| field.starts_with(['*', '?']);
        Some(Schedule {
            minutes: field(minutes, 0, 59, &[])?,
            hours: field(hours, 0, 23, &[])?,
            days: field(days, 1, 31, &[])?,
            months: field(months, 1, 12, &MONTHS)?,
            weekdays: field(weekdays, 0, 7, &WEEKDAYS)?.into_iter().map(|day| day % 7).collect(),
            match_days: if open(days) || open(weekdays) { Days::Both } else { Days::Either },
        })
    }

    /// The first time after another; `None` when there is none within five years.
    pub(super) fn after(&self, time: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let mut at: Zoned = time.to_zoned(zone.clone()).checked_add(1.minute()).ok()?;
        at = at.with().second(0).subsec_nanosecond(0).build().ok()?;
        let end = at.checked_add(5.years()).ok()?;
        while at < end {
            if !self.is_day(&at) {
                at = at.tomorrow().ok()?.start_of_day().ok()?;
            } else if !self.hours.contains(&at.hour()) {
                at = at.with().minute(0).build().ok()?.checked_add(1.hour()).ok()?;
            } else if !self.minutes.contains(&at.minute()) {
                at = at.checked_add(1.minute()).ok()?;
            } else {
                return Some(at.timestamp());
            }
        }
        None
    }

    fn is_day(&self, at: &Zoned) -> bool {
        let day = self.days.contains(&at.day());
        let weekday = self.weekdays.contains(&at.weekday().to_sunday_zero_offset());
        let both = match self.match_days {
            Days::Both => day && weekday,
            Days::Either => day || weekday,
        };
        both && self.months.contains(&at.month())
    }
}

/// One field: a list of numbers, ranges and steps.
fn field(text: &str, least: i8, most: i8, names: &[&str]) -> Option<BTreeSet<i8>> {
    let mut all = BTreeSet::new();
    for part in text.split(',') {
        let (range, step) = part.split_once('/').map_or((part, None), |(range, step)| (range, Some(step)));
        let number = |text: &str| {
            let named = names.iter().position(|name| text.eq_ignore_ascii_case(name));
            named.map_or_else(|| text.parse().ok(), |at| i8::try_from(at).ok().map(|at| at + least))
        };
        let (from, to) = match range.split_once('-') {
            _ if range == "*" || range == "?" => (least, most),
            Some((from, to)) => (number(from)?, number(to)?),
            None => (number(range)?, if step.is_some() { most } else { number(range)? }),
        };
        let step = step.map_or(Some(1), |step| step.parse::<usize>().ok().filter(|step| *step > 0))?;
        if from < least || to > most || from > to {
            return None;
        }
        all.extend((from..=to).step_by(step));
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(schedule: &str, time: &str) -> String {
        let schedule = Schedule::parse(schedule).unwrap();
        schedule.after(time.parse().unwrap(), &TimeZone::UTC).unwrap().to_string()
    }

    #[test]
    fn the_next_time_is_the_first_that_every_field_names() {
        assert_eq!(next("* * * * *", "2026-01-01T00:00:30Z"), "2026-01-01T00:01:00Z");
        assert_eq!(next("*/15 * * * *", "2026-01-01T00:15:00Z"), "2026-01-01T00:30:00Z");
        assert_eq!(next("0 3 1 1 *", "2026-01-01T03:00:00Z"), "2027-01-01T03:00:00Z");
        assert_eq!(next("30 9 * * MON-FRI", "2026-01-02T10:00:00Z"), "2026-01-05T09:30:00Z");
        assert_eq!(next("@hourly", "2026-01-01T23:59:59Z"), "2026-01-02T00:00:00Z");
        assert_eq!(next("0 0 13 * 5", "2026-01-01T00:00:00Z"), "2026-01-02T00:00:00Z", "the 13th, or a Friday");
    }

    #[test]
    fn what_names_no_time_is_none() {
        for text in ["", "* * * *", "60 * * * *", "* * 0 * *", "*/0 * * * *", "5-1 * * * *", "often"] {
            assert!(Schedule::parse(text).is_none(), "{text:?}");
        }
    }
}
