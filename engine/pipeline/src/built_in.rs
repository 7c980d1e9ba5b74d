//! The plugins that come with Bespin, and what they declare.

/// Their names.
pub(crate) const BUILT_IN: [&str; 11] =
    ["approve", "bump", "canary", "container", "http", "image", "push", "scan", "slack", "sync", "terraform"];

/// Their declarations: what the SDK writes into their components.
pub(crate) const DECLARED: [(&str, &str); 11] = [
    ("approve", include_str!("../../../plugins/approve/settings.json")),
    ("bump", include_str!("../../../plugins/bump/settings.json")),
    ("canary", include_str!("../../../plugins/canary/settings.json")),
    ("container", include_str!("../../../plugins/container/settings.json")),
    ("http", include_str!("../../../plugins/http/settings.json")),
    ("image", include_str!("../../../plugins/image/settings.json")),
    ("push", include_str!("../../../plugins/push/settings.json")),
    ("scan", include_str!("../../../plugins/scan/settings.json")),
    ("slack", include_str!("../../../plugins/slack/settings.json")),
    ("sync", include_str!("../../../plugins/sync/settings.json")),
    ("terraform", include_str!("../../../plugins/terraform/settings.json")),
];
