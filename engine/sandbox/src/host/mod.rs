//! The host's side of the contract: form, permissions and limits are checked here, then the ability is called.

mod http;
mod kept;
mod secrets;
mod steps;
mod terraform;
mod value;
pub(crate) mod worlds;

use crate::abilities::{Failure, Level};
use crate::output;
use crate::state::State;
use pipeline::limits::Limit;

/// The bindings to `plugins/wit`.
pub(crate) mod bindings {
    wasmtime::component::bindgen!({
        path: "../../plugins/wit",
        world: "step",
        imports: { "bespin:plugin/log.line": trappable, default: async | trappable },
        exports: { default: async },
        with: { "bespin:plugin/secrets.secret": crate::host::secrets::Secret },
    });
}

use bindings::bespin::plugin::failures::{Denied, Fault};
use bindings::bespin::plugin::{failures, log};

/// What a host function returns: an answer, a fault, or the guest's end.
type Answer<T> = wasmtime::Result<Result<T, Fault>>;

impl State {
    /// What the guest is told; the first denial is remembered, and a limit is the end.
    fn answer<T>(&mut self, asked: Result<T, Failure>) -> Answer<T> {
        let failure = match asked {
            Ok(answer) => return Ok(Ok(answer)),
            Err(failure) => failure,
        };
        Ok(Err(match failure {
            Failure::Rejected(because) => Fault::Rejected(because),
            Failure::Transient(because) => Fault::Transient(because),
            Failure::Denied(denied) => {
                self.denied.get_or_insert_with(|| denied.clone());
                Fault::Denied(Denied { grant: denied.grant.name().to_owned(), value: denied.value, mend: denied.help })
            }
            Failure::Limit { which, because } => return Err(self.exceed(which, because)),
        }))
    }
}

impl failures::Host for State {}

impl log::Host for State {
    fn line(&mut self, level: log::Level, line: String) -> wasmtime::Result<()> {
        self.count()?;
        let level = match level {
            log::Level::Debug => Level::Debug,
            log::Level::Info => Level::Info,
            log::Level::Warn => Level::Warn,
            log::Level::Error => Level::Error,
        };
        let said = output::say(&*self.abilities, level, &line, &mut self.log_left);
        said.map_err(|()| self.exceed(Limit::Log, format!("more than {} bytes of log", self.limits.log_bytes)))
    }
}
