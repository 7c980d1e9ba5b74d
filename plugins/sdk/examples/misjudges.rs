//! A judgement that goes wrong in the way that `spec.wants` of the object names, for the server's tests.

use bespin_sdk::health::{Health, Status};
use bespin_sdk::{Result, Value, reject, warn};

fn assess(object: Value) -> Result<Health> {
    match object["spec"]["wants"].as_str().unwrap_or_default() {
        "crash" => panic!("it was to crash"),
        "spin" => loop {
            std::hint::black_box(());
        },
        "flood" => loop {
            warn!("{}", "again and ".repeat(100));
        },
        "refuse" => reject!("it was to refuse"),
        _ => Ok(Health::new(Status::Healthy, "")),
    }
}

bespin_sdk::health!(assess);
