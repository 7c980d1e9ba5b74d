//! What the API of AWS' load balancers says in place of an answer: a sentence without secrets, and its class.

use aws_sdk_elasticloadbalancingv2::error::{ProvideErrorMetadata, SdkError};
use decide::outcome::Failure;
use decide::retry::{Retry, retry_after_ms};
use std::time::{SystemTime, UNIX_EPOCH};

/// A longer text of AWS is cut, in characters.
const TEXT: usize = 300;

/// How the codes begin by which AWS says that a right is missing.
const DENIED: [&str; 2] = ["AccessDenied", "UnauthorizedOperation"];

/// How the codes begin by which AWS says that it does not know who asks.
const UNKNOWN: [&str; 7] = [
    "AuthFailure",
    "ExpiredToken",
    "IncompleteSignature",
    "InvalidClientTokenId",
    "MissingAuthenticationToken",
    "SignatureDoesNotMatch",
    "UnrecognizedClient",
];

/// Why a call was not answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ElbRefusal {
    /// AWS' own word, such as `LoadBalancerNotFound`; empty where there was no answer.
    pub(super) code: String,
    /// What happened, and whether asking again may help.
    pub(super) failure: Failure,
}

impl ElbRefusal {
    /// A refusal of our own.
    pub(super) fn new(message: String, retry: Retry) -> ElbRefusal {
        ElbRefusal { code: String::new(), failure: Failure { message, retry } }
    }

    /// Words the SDK's error about a call such as `DescribeRules`, which is the name of its permission as well.
    pub(super) fn of<E>(call: &str, error: &SdkError<E>) -> ElbRefusal
    where
        E: std::error::Error + ProvideErrorMetadata + 'static,
    {
        let Some(answer) = error.raw_response() else { return unanswered(call, error) };
        let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
        let after_ms = answer.headers().get("retry-after").and_then(|after| retry_after_ms(after, now_ms));
        answered(call, answer.status().as_u16(), error.code(), error.message(), after_ms)
    }
}

/// There is no answer: the way to AWS is broken, or there are no credentials to ask with.
fn unanswered<E>(call: &str, error: &SdkError<E>) -> ElbRefusal
where
    E: std::error::Error + 'static,
{
    let is_passing = match error {
        SdkError::TimeoutError(_) => true,
        SdkError::DispatchFailure(failure) => failure.is_io() || failure.is_timeout(),
        _ => false,
    };
    let cause = short(&innermost(error));
    if is_passing {
        return ElbRefusal::new(format!("elasticloadbalancing:{call} is not answered: {cause}"), Retry::PASSING);
    }
    let help = "give the server credentials of AWS that the AWS SDK finds, and correct `elb`";
    ElbRefusal::new(format!("elasticloadbalancing:{call} cannot be asked: {cause}; {help}"), Retry::NeedsPerson)
}

/// AWS answered, and refused.
fn answered(call: &str, status: u16, code: Option<&str>, message: Option<&str>, after_ms: Option<u64>) -> ElbRefusal {
    let (code, text) = (code.unwrap_or_default(), short(message.unwrap_or_default()));
    let retry = retry(status, code, after_ms);
    let words: Vec<&str> = [code, &text].into_iter().filter(|word| !word.is_empty()).collect();
    let said = format!("elasticloadbalancing:{call} is answered by {status} {}", words.join(": "));
    let is_one_of = |words: &[&str]| words.iter().any(|word| code.starts_with(word));
    let help = match () {
        () if is_one_of(&DENIED) => "; allow it to the server's role",
        () if is_one_of(&UNKNOWN) => "; correct the server's credentials of AWS",
        () => "",
    };
    let message = format!("{}{help}", said.trim_end());
    ElbRefusal { code: code.to_owned(), failure: Failure { message, retry } }
}

/// Whether the same call may be answered later. A call is wrong only in who asks, and where.
fn retry(status: u16, code: &str, after_ms: Option<u64>) -> Retry {
    // AWS words a rate limit by a code; its status is often 400.
    let is_throttled = ["Throttl", "TooManyRequests", "LimitExceeded"].iter().any(|word| code.contains(word));
    if is_throttled {
        return Retry::of_status(429, after_ms);
    }
    // It went between two calls.
    if code.ends_with("NotFound") {
        return Retry::PASSING;
    }
    match Retry::of_status(status, after_ms) {
        Retry::Permanent => Retry::NeedsPerson,
        retry => retry,
    }
}

/// The first line of a text. Where a signature is wrong, AWS repeats below it what was signed, the session's token too.
fn short(text: &str) -> String {
    text.trim().lines().next().unwrap_or_default().chars().take(TEXT).collect()
}

/// The innermost cause is what a person can act on.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_waits_and_what_is_refused_asks_for_a_person() {
        for (status, code) in [
            (400, "Throttling"),
            (400, "ThrottlingException"),
            (503, "RequestLimitExceeded"),
            (400, "RequestLimitExceeded"),
            (400, "TooManyRequestsException"),
            (429, ""),
            (503, ""),
            (500, "InternalFailure"),
            (400, "LoadBalancerNotFound"),
            (400, "TargetGroupNotFound"),
            (200, ""),
        ] {
            assert_eq!(retry(status, code, None), Retry::PASSING, "{status} {code}");
        }
        assert_eq!(retry(400, "Throttling", Some(7_000)), Retry::after(7_000));
        for (status, code) in [
            (403, "AccessDenied"),
            (403, "UnauthorizedOperation"),
            (403, "ExpiredToken"),
            (403, "InvalidClientTokenId"),
            (403, "SignatureDoesNotMatch"),
            (400, "ValidationError"),
            (404, ""),
        ] {
            assert_eq!(retry(status, code, None), Retry::NeedsPerson, "{status} {code}");
        }
    }

    #[test]
    fn a_refusal_names_the_permission_that_is_missing() {
        let said = "User: arn:aws:sts::1:assumed-role/a is not authorized";
        let refusal = answered("DescribeTargetHealth", 403, Some("AccessDenied"), Some(said), None);
        assert_eq!(
            refusal.failure.message,
            format!(
                "elasticloadbalancing:DescribeTargetHealth is answered by 403 AccessDenied: {said}; \
                 allow it to the server's role"
            )
        );
        assert_eq!((refusal.code.as_str(), refusal.failure.retry), ("AccessDenied", Retry::NeedsPerson));
        let refusal = answered("DescribeRules", 503, None, None, None);
        assert_eq!(refusal.failure.message, "elasticloadbalancing:DescribeRules is answered by 503");
    }

    #[test]
    fn what_was_signed_is_not_repeated() {
        let said = "The signature does not match.\n\nThe Canonical String should have been\nx-amz-security-token:TOKEN";
        let refusal = answered("DescribeRules", 403, Some("SignatureDoesNotMatch"), Some(said), None);
        assert!(!refusal.failure.message.contains("TOKEN"), "{refusal:?}");
        let long = answered("DescribeRules", 400, Some("ValidationError"), Some(&"x".repeat(9_000)), None);
        assert!(long.failure.message.len() < 500, "{long:?}");
    }
}
