//! The stories: what a user does, and what must have happened then.

mod approval_is_asked;
mod builtins_as_recorded;
mod canary_retreats;
mod container_is_caged;
mod disk_is_full;
mod fork_pr_steals_nothing;
mod groups_survive_a_restart;
mod hpa_keeps_its_replicas;
mod journal_is_carried;
mod manifests_push;
mod outage_as_sync_begins;
mod playground_is_a_cluster;
mod plugin_from_registry;
mod plugin_in_three_languages;
mod plugin_is_caged;
mod plugin_shares_traffic;
mod plugins_make_and_judge;
mod ports_are_given_once;
mod push_by_git;
mod push_to_canary;
mod real_parts;
mod restart_midway;
mod seed_as_it_stands;
mod steps_leave_things;
mod terraform_asks_first;
mod webhook_refuses;
