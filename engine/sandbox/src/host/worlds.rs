//! The bindings to the worlds beside `step`: what each exports. What they import is the step's own.

/// Bindings of the world `health`, which judges objects.
pub(crate) mod health {
    wasmtime::component::bindgen!({
        path: "../../plugins/wit",
        world: "health",
        imports: { default: async | trappable },
        exports: { default: async },
        with: {
            "bespin:plugin/failures": crate::host::bindings::bespin::plugin::failures,
            "bespin:plugin/log": crate::host::bindings::bespin::plugin::log,
        },
    });
    pub(crate) use exports::bespin::plugin::health_guest as guest;
}

/// Bindings of the world `generate`, which makes manifests.
pub(crate) mod generate {
    wasmtime::component::bindgen!({
        path: "../../plugins/wit",
        world: "generate",
        imports: { default: async | trappable },
        exports: { default: async },
        with: {
            "bespin:plugin/failures": crate::host::bindings::bespin::plugin::failures,
            "bespin:plugin/log": crate::host::bindings::bespin::plugin::log,
            "bespin:plugin/workspace": crate::host::bindings::bespin::plugin::workspace,
        },
    });
}

/// Bindings of the world `measure`, which measures metrics.
pub(crate) mod measure {
    wasmtime::component::bindgen!({
        path: "../../plugins/wit",
        world: "measure",
        imports: { default: async | trappable },
        exports: { default: async },
        with: {
            "bespin:plugin/failures": crate::host::bindings::bespin::plugin::failures,
            "bespin:plugin/log": crate::host::bindings::bespin::plugin::log,
            "bespin:plugin/secrets": crate::host::bindings::bespin::plugin::secrets,
            "bespin:plugin/http": crate::host::bindings::bespin::plugin::http,
            "bespin:plugin/metrics": crate::host::bindings::bespin::plugin::metrics,
        },
    });
    pub(crate) use exports::bespin::plugin::measure_guest as guest;
}

/// Bindings of the world `route`, which shares traffic.
pub(crate) mod route {
    wasmtime::component::bindgen!({
        path: "../../plugins/wit",
        world: "route",
        imports: { default: async | trappable },
        exports: { default: async },
        with: {
            "bespin:plugin/failures": crate::host::bindings::bespin::plugin::failures,
            "bespin:plugin/log": crate::host::bindings::bespin::plugin::log,
            "bespin:plugin/secrets": crate::host::bindings::bespin::plugin::secrets,
            "bespin:plugin/http": crate::host::bindings::bespin::plugin::http,
        },
    });
    pub(crate) use exports::bespin::plugin::route_guest as guest;
}
