//! What a sandbox does with a plugin: one method for each function that a world exports.

use std::sync::Arc;

use tokio::runtime::Handle;

use crate::abilities::Abilities;
use crate::asks::{Ask, Assess, Generate, Measure, Remove, RunStep, SetWeight, VerifyWeight};
use crate::call::PluginCall;
use crate::meter::Meter;
use crate::plugin::{Plugin, Pre};
use crate::sandbox::Sandbox;
use crate::threads::Panicked;
use crate::verdict::Verdict;
use crate::worlds::{Health, Measurement, Split, Verification, World};
use pipeline::limits::{Limit, Limits};
use pipeline::permission::Permissions;

/// Each call gets an instance of its own. Dropping a future stops its call. Abilities are called on the runtime that
/// the method is called on.
impl Sandbox {
    /// Runs a step once.
    ///
    /// `settings` is the step's `with:` as a JSON object.
    pub async fn run(
        &self,
        plugin: &Plugin,
        settings: &str,
        grants: &Permissions,
        limits: &Limits,
        abilities: Arc<dyn Abilities>,
    ) -> Verdict {
        let Pre::Step(pre) = &plugin.compiled.pre else { return plugin.is_no(World::Step) };
        let asked = RunStep { plugin: pre.clone(), settings: settings.to_owned() };
        self.ask(plugin, asked, grants, limits, abilities).await
    }

    /// Judges an object, given whole as a JSON object. Whatever is no success counts as unknown health.
    pub async fn health(
        &self,
        plugin: &Plugin,
        object: &str,
        limits: &Limits,
        abilities: Arc<dyn Abilities>,
    ) -> Verdict<Health> {
        let Pre::Health(pre) = &plugin.compiled.pre else { return plugin.is_no(World::Health) };
        let asked = Assess { plugin: pre.clone(), object: object.to_owned() };
        self.ask(plugin, asked, &Permissions::none(), limits, abilities).await
    }

    /// Makes manifests of the folder that the abilities show as the workspace: texts of YAML.
    ///
    /// `parameters` is a JSON object.
    pub async fn generate(
        &self,
        plugin: &Plugin,
        parameters: &str,
        limits: &Limits,
        abilities: Arc<dyn Abilities>,
    ) -> Verdict<Vec<String>> {
        let Pre::Generate(pre) = &plugin.compiled.pre else { return plugin.is_no(World::Generate) };
        let asked = Generate { plugin: pre.clone(), parameters: parameters.to_owned() };
        self.ask(plugin, asked, &Permissions::none(), limits, abilities).await
    }

    /// Measures once. Whatever is no success is an error of the measurement.
    ///
    /// `metric` is what the template says of the metric, as a JSON object.
    pub async fn measure(
        &self,
        plugin: &Plugin,
        metric: &str,
        grants: &Permissions,
        limits: &Limits,
        abilities: Arc<dyn Abilities>,
    ) -> Verdict<Measurement> {
        let Pre::Measure(pre) = &plugin.compiled.pre else { return plugin.is_no(World::Measure) };
        let asked = Measure { plugin: pre.clone(), metric: metric.to_owned() };
        self.ask(plugin, asked, grants, limits, abilities).await
    }

    /// Has a router share the traffic. Repeatable.
    pub async fn set_weight(
        &self,
        plugin: &Plugin,
        split: &Split,
        grants: &Permissions,
        limits: &Limits,
        abilities: Arc<dyn Abilities>,
    ) -> Verdict<()> {
        let Pre::Route(pre) = &plugin.compiled.pre else { return plugin.is_no(World::Route) };
        self.ask(plugin, SetWeight { plugin: pre.clone(), split: split.clone() }, grants, limits, abilities).await
    }

    /// Has a router look whether the traffic is shared like this. Whatever is no success is not verified.
    pub async fn verify_weight(
        &self,
        plugin: &Plugin,
        split: &Split,
        grants: &Permissions,
        limits: &Limits,
        abilities: Arc<dyn Abilities>,
    ) -> Verdict<Verification> {
        let Pre::Route(pre) = &plugin.compiled.pre else { return plugin.is_no(World::Route) };
        self.ask(plugin, VerifyWeight { plugin: pre.clone(), split: split.clone() }, grants, limits, abilities).await
    }

    /// Has a router take back what it made for a Rollout, given whole as a JSON object. Repeatable.
    pub async fn remove(
        &self,
        plugin: &Plugin,
        rollout: &str,
        grants: &Permissions,
        limits: &Limits,
        abilities: Arc<dyn Abilities>,
    ) -> Verdict<()> {
        let Pre::Route(pre) = &plugin.compiled.pre else { return plugin.is_no(World::Route) };
        self.ask(plugin, Remove { plugin: pre.clone(), rollout: rollout.to_owned() }, grants, limits, abilities).await
    }

    async fn ask<A: Ask>(
        &self,
        plugin: &Plugin,
        asked: A,
        grants: &Permissions,
        limits: &Limits,
        abilities: Arc<dyn Abilities>,
    ) -> Verdict<A::Answer> {
        let share = abilities.share();
        let queued = |because| abilities.queued(because);
        let place = match self.places.take(share.clone(), limits, queued).await {
            Ok(place) => place,
            Err(because) => return Verdict::Limit { which: Limit::Concurrent, because },
        };
        // Past what a place of the pool can hold, growing would fail without saying why.
        let memory_bytes = limits.memory_bytes.min(self.shared.settings.memory_bytes);
        let meter: Arc<Meter> = Arc::default();
        let call = PluginCall {
            engine: self.shared.engine.clone(),
            asked,
            grants: grants.clone(),
            limits: Limits { memory_bytes, ..limits.clone() },
            abilities,
            home: Handle::current(),
            share,
            first: Arc::clone(&plugin.compiled.first),
            clock: self.ticker.clock(),
            meter: Arc::clone(&meter),
        };
        let run = Box::pin(async move {
            let verdict = call.run().await;
            drop(place);
            verdict
        });
        let ended = self.threads.run(run, meter, &plugin.compiled.first).await;
        ended.unwrap_or_else(|Panicked| Verdict::Transient {
            because: "the sandbox failed to run it; the server's log says why".to_owned(),
        })
    }
}
