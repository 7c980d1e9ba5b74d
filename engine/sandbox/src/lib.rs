//! The door to plugins: WebAssembly components, caged.
