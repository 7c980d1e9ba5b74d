//! The abilities that stages and executors stand behind.

use std::collections::BTreeMap;

use secrecy::{ExposeSecret, SecretString};

use super::bindings::bespin::plugin::{canary, cluster, containers, git, images, registry, workspace};
use super::{Answer, value};
use crate::abilities::{
    Build, Built, Bump, Bumped, Container, Exit, Failure, Follow, Followed, List, Listed, ListedKind, Mount, Named,
    OnTimeout, Place, Process, Push, Pushed, Read, SyncRequest, Synced,
};
use crate::state::State;
use pipeline::permission;
use pipeline::permission::Ability;

/// All arguments or all variables of a container or a build together, in bytes; a kernel takes about as many.
const WORDS: usize = 128 << 10;

/// The longest name or address of a repository, in bytes.
const NAME: usize = 1024;

/// The longest message of a commit, in bytes.
const MESSAGE: usize = 8 << 10;

impl workspace::Host for State {
    async fn read(&mut self, path: String) -> Answer<Vec<u8>> {
        self.count()?;
        let read = self.read_file(&path).await;
        self.answer(read)
    }

    async fn list(&mut self, path: String) -> Answer<Vec<workspace::Entry>> {
        self.count()?;
        let listed = match value::path(&path) {
            Ok(path) => self.ask(|abilities| async move { abilities.list(List { path }).await }).await,
            Err(failure) => Err(failure),
        };
        self.answer(listed.map(|entries| entries.into_iter().map(entry).collect()))
    }
}

fn entry(listed: Listed) -> workspace::Entry {
    let kind = match listed.kind {
        ListedKind::File => workspace::Kind::File,
        ListedKind::Directory => workspace::Kind::Directory,
        ListedKind::Other => workspace::Kind::Other,
    };
    workspace::Entry { name: listed.name, kind, size: listed.size }
}

impl containers::Host for State {
    async fn run(&mut self, container: containers::Container) -> Answer<i32> {
        self.count()?;
        let env = match self.environment(&container) {
            Ok(env) => env,
            Err(failure) => return self.answer(Err(failure)),
        };
        let process = match container.process {
            containers::Process::Image => Process::Image,
            containers::Process::Args(args) => Process::Args(args),
            containers::Process::Command(command) => Process::Command(command),
        };
        let workspace = match container.workspace {
            containers::Mount::None => Mount::None,
            containers::Mount::ReadOnly => Mount::ReadOnly,
            containers::Mount::ReadWrite => Mount::ReadWrite,
        };
        let asked = Container { image: container.image, process, env, workdir: container.workdir, workspace };
        let ended = self.run_container(asked).await;
        self.answer(ended.map(|exit| exit.code))
    }
}

impl images::Host for State {
    async fn build(&mut self, request: images::BuildRequest) -> Answer<images::Built> {
        self.count()?;
        let built = self.build_image(request).await;
        self.answer(built.map(|Built { build, digest }| images::Built { build, digest }))
    }
}

impl registry::Host for State {
    async fn push(&mut self, request: registry::PushRequest) -> Answer<registry::Pushed> {
        self.count()?;
        let registry::PushRequest { build, to, tag } = request;
        let pushed = self.push_image(Push { build, to, tag }).await;
        let answer = |Pushed { image, digest, reference }| registry::Pushed { image, digest, reference };
        self.answer(pushed.map(answer))
    }
}

impl git::Host for State {
    async fn bump(&mut self, request: git::BumpRequest) -> Answer<git::Bumped> {
        self.count()?;
        let git::BumpRequest { repo, branch, path, image, message } = request;
        let bumped = self.bump_image(Bump { repo, branch, path, image, message }).await;
        self.answer(bumped.map(|Bumped { commit, changed }| git::Bumped { commit, changed }))
    }
}

impl cluster::Host for State {
    async fn sync(&mut self, request: cluster::SyncRequest) -> Answer<cluster::Synced> {
        self.count()?;
        let synced = self.sync_application(request).await;
        self.answer(synced.map(|Synced { revision }| cluster::Synced { revision }))
    }
}

impl canary::Host for State {
    async fn follow(&mut self, request: canary::FollowRequest) -> Answer<canary::Followed> {
        self.count()?;
        let followed = self.follow_rollout(request).await;
        self.answer(followed.map(|Followed { outcome }| canary::Followed { outcome }))
    }
}

impl State {
    /// A container's variables, and with them the bounds of all that a container is told.
    fn environment(&self, container: &containers::Container) -> Result<Vec<(String, SecretString)>, Failure> {
        let mut words: Vec<&str> = container.workdir.iter().map(String::as_str).collect();
        match &container.process {
            containers::Process::Image => {}
            containers::Process::Args(given) | containers::Process::Command(given) => {
                words.extend(given.iter().map(String::as_str));
            }
        }
        let length = words.iter().map(|word| word.len() + 1).sum();
        value::at_most("the container's command", length, WORDS)?;
        let mut left = WORDS;
        let mut env = Vec::with_capacity(container.env.len().min(1000));
        for variable in &container.env {
            let value = self.assemble("the container's environment", &variable.value, left)?.text;
            let length = variable.name.len() + value.expose_secret().len() + 2;
            value::at_most("the container's environment", length, left)?;
            left -= length;
            env.push((variable.name.clone(), value));
        }
        Ok(env)
    }

    async fn read_file(&mut self, path: &str) -> Result<Vec<u8>, Failure> {
        let path = value::file_path(path)?;
        let at_most = self.limits.response_bytes;
        let asked = Read { path: path.clone(), at_most };
        let file = self.ask(|abilities| async move { abilities.read(asked).await }).await?;
        if file.len() as u64 > at_most {
            return Err(Failure::Rejected(format!("`{path}` has {} bytes; {at_most} can be read", file.len())));
        }
        Ok(file)
    }

    async fn run_container(&mut self, asked: Container) -> Result<Exit, Failure> {
        value::word("image", &asked.image)?;
        for (name, _) in &asked.env {
            value::variable(name)?;
        }
        if matches!(&asked.process, Process::Command(command) if command.is_empty()) {
            return Err(Failure::Rejected("the command is empty".to_owned()));
        }
        self.covers(Ability::Containers, &asked.image)?;
        self.ask(|abilities| async move { abilities.container(asked).await }).await
    }

    async fn build_image(&mut self, request: images::BuildRequest) -> Result<Built, Failure> {
        let context = value::path(&request.context)?;
        let dockerfile = value::file_path(&request.dockerfile)?;
        let length = request.build_args.iter().map(|arg| arg.name.len() + arg.value.len()).sum();
        value::at_most("the list of build arguments", length, WORDS)?;
        let mut build_args = BTreeMap::new();
        for images::BuildArg { name, value } in request.build_args {
            value::variable(&name)?;
            build_args.insert(name, value);
        }
        self.covers(Ability::Images, "build")?;
        let asked = Build { context, dockerfile, build_args };
        self.ask(|abilities| async move { abilities.build(asked).await }).await
    }

    async fn push_image(&mut self, asked: Push) -> Result<Pushed, Failure> {
        value::at_most("the repository's name", asked.to.len(), NAME)?;
        permission::registry_value(&asked.to).map_err(Failure::Rejected)?;
        value::tag(&asked.tag)?;
        value::optional_word("build", asked.build.as_ref())?;
        self.covers(Ability::Registry, &asked.to)?;
        self.ask(|abilities| async move { abilities.push(asked).await }).await
    }

    async fn bump_image(&mut self, asked: Bump) -> Result<Bumped, Failure> {
        value::at_most("the repository's address", asked.repo.len(), NAME)?;
        value::at_most("the message", asked.message.as_ref().map_or(0, String::len), MESSAGE)?;
        let repository = permission::git_value(&asked.repo).map_err(Failure::Rejected)?;
        value::optional_word("branch", asked.branch.as_ref())?;
        value::word("image", &asked.image)?;
        let asked = Bump { path: value::path(&asked.path)?, ..asked };
        self.covers(Ability::Git, &repository)?;
        self.ask(|abilities| async move { abilities.bump(asked).await }).await
    }

    async fn sync_application(&mut self, request: cluster::SyncRequest) -> Result<Synced, Failure> {
        let cluster::SyncRequest { application, revision } = request;
        value::word("application", &application)?;
        value::optional_word("revision", revision.as_ref())?;
        let place = self.locate(Ability::Cluster, &application, Named::Application(application.clone())).await?;
        let asked = SyncRequest { application, place, revision };
        self.ask(|abilities| async move { abilities.sync(asked).await }).await
    }

    async fn follow_rollout(&mut self, request: canary::FollowRequest) -> Result<Followed, Failure> {
        let canary::FollowRequest { rollout, image, on_timeout } = request;
        value::word("rollout", &rollout)?;
        value::optional_word("image", image.as_ref())?;
        let on_timeout = match on_timeout {
            canary::OnTimeout::Hold => OnTimeout::Hold,
            canary::OnTimeout::Retreat => OnTimeout::Retreat,
        };
        let place = self.locate(Ability::Canary, &rollout, Named::Rollout(rollout.clone())).await?;
        let asked = Follow { rollout, place, image, on_timeout };
        self.ask(|abilities| async move { abilities.follow(asked).await }).await
    }

    /// Where something is. A plugin without any permission does not learn whether it exists.
    async fn locate(&mut self, ability: Ability, written: &str, named: Named) -> Result<Place, Failure> {
        self.grants.holds(ability, written).map_err(Failure::Denied)?;
        let place = self.ask(|abilities| async move { abilities.locate(named).await }).await?;
        self.covers(ability, &place.to_string())?;
        Ok(place)
    }
}
