//! The calls of ELBv2's API that a reading takes, each with its pages.
//!
//! Source: ELBv2's API reference. Each call needs the permission `elasticloadbalancing:` with its name.

use super::refusal::ElbRefusal;
use crate::connect::ElbSettings;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region};
use aws_sdk_elasticloadbalancingv2::types::{
    Action, Listener, LoadBalancerTypeEnum, TargetGroup as GroupOfTargets, TargetHealthDescription,
};
use aws_sdk_elasticloadbalancingv2::{Client, config};
use decide::retry::Retry;
use futures::future::try_join_all;
use std::collections::BTreeMap;
use std::time::Duration;

/// How long one call may take; tests of silence are not to wait for it.
const CALL: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 5 });
/// How many items a page has: the most that the API gives.
const PAGE: i32 = 400;
/// How many pages of one list are read.
const PAGES: usize = 20;
/// Of how many resources the API tells the tags in one call.
const TAGGED: usize = 20;

/// The calls that need something to ask about.
pub(super) const TARGET_GROUPS: &str = "DescribeTargetGroups";
pub(super) const TAGS: &str = "DescribeTags";
pub(super) const LISTENERS: &str = "DescribeListeners";
pub(super) const RULES: &str = "DescribeRules";
pub(super) const TARGET_HEALTH: &str = "DescribeTargetHealth";

/// The API of one region, with its credentials.
#[derive(Clone, Debug)]
pub(super) struct ElbApi(Client);

impl ElbApi {
    /// Binds the settings; whether the credentials are taken is known by the first call.
    pub(super) async fn bind(settings: &ElbSettings) -> Result<ElbApi, ElbRefusal> {
        let mut loader = aws_config::defaults(BehaviorVersion::latest());
        if let Some(region) = &settings.region {
            loader = loader.region(Region::new(region.clone()));
        }
        let found = loader.load().await;
        if found.region().is_none() {
            let help = "write it as `elb = { region = \"...\" }` at the cluster";
            let message = format!("no AWS region of the load balancers is known; {help}");
            return Err(ElbRefusal::new(message, Retry::NeedsPerson));
        }
        Ok(ElbApi::of(config::Builder::from(&found), settings))
    }

    /// A client for the settings' endpoint, whatever it logs in by.
    pub(super) fn of(config: config::Builder, settings: &ElbSettings) -> ElbApi {
        let config = config
            .timeout_config(TimeoutConfig::builder().operation_timeout(CALL).build())
            // Whoever asks tries again, and keeps to what the API asks for.
            .retry_config(RetryConfig::disabled());
        let config = match &settings.endpoint {
            Some(endpoint) => config.endpoint_url(endpoint),
            None => config,
        };
        ElbApi(Client::from_conf(config.build()))
    }

    /// The region that is asked.
    pub(super) fn region(&self) -> String {
        self.0.config().region().map(ToString::to_string).unwrap_or_default()
    }

    /// The ARNs of the region's application load balancers, by their DNS names in lower case.
    pub(super) async fn balancers(&self) -> Result<BTreeMap<String, String>, ElbRefusal> {
        let ask = |marker| {
            let request = self.0.describe_load_balancers().page_size(PAGE).set_marker(marker);
            async move {
                let page = request.send().await.map_err(|error| ElbRefusal::of("DescribeLoadBalancers", &error))?;
                Ok::<_, ElbRefusal>((page.load_balancers.unwrap_or_default(), page.next_marker))
            }
        };
        let all = pages("DescribeLoadBalancers", ask).await?;
        let all =
            all.into_iter().filter(|one| one.r#type.as_ref().is_none_or(|is| *is == LoadBalancerTypeEnum::Application));
        Ok(all.filter_map(|one| Some((one.dns_name?.to_lowercase(), one.load_balancer_arn?))).collect())
    }

    /// The target groups of a load balancer.
    pub(super) async fn groups(&self, balancer: &str) -> Result<Vec<GroupOfTargets>, ElbRefusal> {
        let ask = |marker| {
            let request = self.0.describe_target_groups().load_balancer_arn(balancer);
            let request = request.page_size(PAGE).set_marker(marker);
            async move {
                let page = request.send().await.map_err(|error| ElbRefusal::of(TARGET_GROUPS, &error))?;
                Ok::<_, ElbRefusal>((page.target_groups.unwrap_or_default(), page.next_marker))
            }
        };
        match pages(TARGET_GROUPS, ask).await {
            // It forwards to none.
            Err(refusal) if refusal.code == "TargetGroupNotFound" => Ok(Vec::new()),
            groups => groups,
        }
    }

    /// The value of a tag at each of these resources that has it, by their ARNs.
    pub(super) async fn tagged(&self, arns: &[String], tag: &str) -> Result<BTreeMap<String, String>, ElbRefusal> {
        let mut values = BTreeMap::new();
        for some in arns.chunks(TAGGED) {
            let asked = self.0.describe_tags().set_resource_arns(Some(some.to_vec())).send().await;
            let answer = asked.map_err(|error| ElbRefusal::of(TAGS, &error))?;
            for resource in answer.tag_descriptions() {
                let found = resource.tags().iter().find(|one| one.key() == Some(tag)).and_then(|one| one.value());
                values
                    .extend(resource.resource_arn().zip(found).map(|(arn, value)| (arn.to_owned(), value.to_owned())));
            }
        }
        Ok(values)
    }

    /// The targets of a group, each with its health.
    pub(super) async fn targets(&self, group: &str) -> Result<Vec<TargetHealthDescription>, ElbRefusal> {
        let asked = self.0.describe_target_health().target_group_arn(group).send().await;
        let answer = asked.map_err(|error| ElbRefusal::of(TARGET_HEALTH, &error))?;
        Ok(answer.target_health_descriptions.unwrap_or_default())
    }

    /// What each rule of a load balancer does, its listeners' defaults among them.
    pub(super) async fn rules(&self, balancer: &str) -> Result<Vec<Vec<Action>>, ElbRefusal> {
        let ask = |marker| {
            let request = self.0.describe_listeners().load_balancer_arn(balancer);
            let request = request.page_size(PAGE).set_marker(marker);
            async move {
                let page = request.send().await.map_err(|error| ElbRefusal::of(LISTENERS, &error))?;
                Ok::<_, ElbRefusal>((page.listeners.unwrap_or_default(), page.next_marker))
            }
        };
        let listeners = pages(LISTENERS, ask).await?;
        let each = listeners.into_iter().map(|listener| self.rules_of(listener));
        Ok(try_join_all(each).await?.into_iter().flatten().collect())
    }

    async fn rules_of(&self, listener: Listener) -> Result<Vec<Vec<Action>>, ElbRefusal> {
        let ask = |marker| {
            let request = self.0.describe_rules().set_listener_arn(listener.listener_arn.clone());
            let request = request.page_size(PAGE).set_marker(marker);
            async move {
                let page = request.send().await.map_err(|error| ElbRefusal::of(RULES, &error))?;
                Ok::<_, ElbRefusal>((page.rules.unwrap_or_default(), page.next_marker))
            }
        };
        let rules = pages(RULES, ask).await?;
        // The default is one of the rules, but that is nowhere promised.
        let default = listener.default_actions.filter(|_| !rules.iter().any(|rule| rule.is_default == Some(true)));
        Ok(rules.into_iter().filter_map(|rule| rule.actions).chain(default).collect())
    }
}

/// All items of a list, page by page.
pub(super) async fn pages<T, F>(call: &str, ask: impl Fn(Option<String>) -> F) -> Result<Vec<T>, ElbRefusal>
where
    F: Future<Output = Result<(Vec<T>, Option<String>), ElbRefusal>>,
{
    let (mut all, mut marker) = (Vec::new(), None);
    for _ in 0..PAGES {
        let (items, next) = ask(marker).await?;
        all.extend(items);
        marker = next.filter(|next| !next.is_empty());
        if marker.is_none() {
            return Ok(all);
        }
    }
    let message = format!("elasticloadbalancing:{call} has more than {PAGES} pages, and only so many are read");
    Err(ElbRefusal::new(message, Retry::NeedsPerson))
}
