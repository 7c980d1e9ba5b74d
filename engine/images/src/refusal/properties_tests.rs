//! Any answer of a registry, or of whatever stands in its place.

use super::*;
use crate::corpus;
use proptest::prelude::*;

/// The body of an error as the specification has it, or nearly.
fn envelope() -> impl Strategy<Value = String> {
    let message = prop_oneof![any::<String>().prop_map(serde_json::Value::from), Just(serde_json::json!({ "a": 1 }))];
    prop::collection::vec(message, 0..4).prop_map(|messages| {
        let errors: Vec<_> = messages.iter().map(|message| serde_json::json!({ "message": message })).collect();
        serde_json::json!({ "errors": errors }).to_string()
    })
}

proptest! {
    #![proptest_config(corpus::cases(256))]

    /// Whatever stands in the body, what becomes of a request is decided by its status; the words are of the body, and
    /// no longer.
    #[test]
    fn an_answer_is_judged_by_its_status(
        status in 100u16..600,
        body in prop_oneof![any::<String>(), envelope(), "[x<é]{150,400}"],
        after_ms in prop::option::of(any::<u64>()),
    ) {
        let error = RegistryRefusal::Answer { status, body: body.clone(), after_ms }.at("h.io");
        prop_assert_eq!(error.retry(), Retry::of_status(status, after_ms));
        let Error::Registry { host, status: told, problem, .. } = error else { panic!("{error}") };
        prop_assert_eq!((host.as_str(), told), ("h.io", Some(status)));
        prop_assert!(problem.contains(&status.to_string()), "{}", problem);
        prop_assert!(problem.len() <= body.len() + 100, "{} bytes became {}", body.len(), problem.len());
    }
}
