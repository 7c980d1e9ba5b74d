//! Waiting through an outage, for what must be known before a step or the server can go on.

use crate::drive::Trouble;
use sandbox::Failure;
use std::time::Duration;

/// Looks until there is an answer, or trouble that does not pass. `told` hears of trouble that differs from the one
/// before. Dropping the future, as a step's timeout does, ends the wait.
///
/// # Errors
/// Trouble that is permanent.
pub(crate) async fn until_known<T, F>(look: impl Fn() -> F, told: impl Fn(&Trouble)) -> Result<T, Trouble>
where
    F: Future<Output = Result<T, Trouble>>,
{
    until_known_with(look, told, |pause| tokio::time::sleep(pause)).await
}

/// The same of what the server's own disk is asked for on behalf of a step: one without room has some later.
///
/// # Errors
/// As `ask`, but for what may pass.
pub(crate) async fn until_served<T, F>(ask: impl Fn() -> F, told: impl Fn(&Trouble)) -> Result<T, Failure>
where
    F: Future<Output = Result<T, Failure>>,
{
    let look = || async {
        match ask().await {
            Err(Failure::Transient(because)) => Err(Trouble::passing(because)),
            answered => Ok(answered),
        }
    };
    until_known(look, told).await?
}

async fn until_known_with<T, F, S>(
    look: impl Fn() -> F,
    told: impl Fn(&Trouble),
    sleep: impl Fn(Duration) -> S,
) -> Result<T, Trouble>
where
    F: Future<Output = Result<T, Trouble>>,
    S: Future<Output = ()>,
{
    let mut failures = 0;
    let mut before = None;
    loop {
        let trouble = match look().await {
            Err(trouble) if trouble.retry.may_pass() => trouble,
            answered => return answered,
        };
        failures += 1;
        let pause = trouble.retry.pause_ms(failures, rand::random());
        if before.as_ref() != Some(&trouble.message) {
            told(&trouble);
            before = Some(trouble.message);
        }
        sleep(Duration::from_millis(pause)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::{Cell, RefCell};

    /// What comes of a look-up that meets this trouble so many times and is then answered; how often the trouble was
    /// told, and how long it waited altogether.
    async fn look(trouble: &Trouble, times: u32) -> (Result<u32, Trouble>, u32, Duration) {
        let (looks, told, slept) = (Cell::new(0), Cell::new(0), RefCell::new(Duration::ZERO));
        let looking = || async {
            let look = looks.replace(looks.get() + 1);
            if look < times { Err(trouble.clone()) } else { Ok(look) }
        };
        let sleep = |pause| {
            *slept.borrow_mut() += pause;
            std::future::ready(())
        };
        let known = until_known_with(looking, |_| told.set(told.get() + 1), sleep).await;
        (known, told.get(), slept.into_inner())
    }

    #[tokio::test]
    async fn an_outage_is_waited_for_and_told_once() {
        let (known, told, slept) = look(&Trouble::passing("the API server answers 500"), 7).await;
        assert_eq!((known, told), (Ok(7), 1));
        // 0.2 + 0.4 + ... + 12.8 s, each with a quarter of jitter.
        assert!((19_050..=31_750).contains(&slept.as_millis()), "{slept:?}");
        let (known, told, _) = look(&Trouble::needs_person("the token is refused"), 2).await;
        assert_eq!((known, told), (Ok(2), 1));
    }

    #[tokio::test]
    async fn what_does_not_pass_is_answered_at_once() {
        let wrong = Trouble::permanent("`a/b/c` is no application");
        assert_eq!(look(&wrong, 1).await, (Err(wrong.clone()), 0, Duration::ZERO));
    }

    #[tokio::test]
    async fn a_full_disk_is_waited_for_and_a_refusal_is_not() {
        let (asks, told) = (Cell::new(0), Cell::new(0));
        let ask = || async {
            match asks.replace(asks.get() + 1) {
                0 => Err(Failure::Transient("the server's disk: no space left on device".into())),
                1 => Ok("stored"),
                _ => Err(Failure::Rejected("another step's".into())),
            }
        };
        assert_eq!(until_served(ask, |_| told.set(told.get() + 1)).await, Ok("stored"));
        assert_eq!(told.get(), 1);
        assert_eq!(until_served(ask, |_| unreachable!()).await, Err(Failure::Rejected("another step's".into())));
    }
}
