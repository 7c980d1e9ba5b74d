//! Each instruction's meaning, as <https://docs.docker.com/reference/dockerfile/> has it.

use super::lines::LogicalLine;
use super::words::{self, BuildVariables};
use super::{ArchiveRule, Copy, EmptyObject, FileStep, ImageConfig, InstructionKind, Into, Objection, Recipe};
use crate::image::ignore;
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

/// Docker gives this path to an image that is built on nothing.
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// How much the variables of a file may make, all its texts together, in bytes.
const MOST_EXPANDED: usize = 8 << 20;
const RUN_HERE: &str = "build on a server with a Docker Engine, or build before and COPY what was built";

/// Folds instructions into a recipe, and keeps every objection.
pub(super) struct InstructionReader<'a> {
    escape: char,
    build_args: &'a BTreeMap<String, String>,
    /// Arguments declared before `FROM`; they live on only where they are declared again.
    global: BuildVariables,
    arguments: BuildVariables,
    declared: BTreeSet<String>,
    environment: BuildVariables,
    /// How many bytes the texts have so far, their variables put in.
    expanded: Cell<usize>,
    stages: usize,
    recipe: Recipe,
    objections: Vec<Objection>,
}

/// Why an instruction cannot be done: kind, message, help.
struct No(InstructionKind, String, String);

fn engine(message: impl std::convert::Into<String>) -> No {
    No(InstructionKind::NeedsEngine, message.into(), RUN_HERE.into())
}

fn mistake(message: impl std::convert::Into<String>, help: impl std::convert::Into<String>) -> No {
    No(InstructionKind::Mistake, message.into(), help.into())
}

impl<'a> InstructionReader<'a> {
    pub(super) fn new(escape: char, build_args: &'a BTreeMap<String, String>) -> Self {
        let config = ImageConfig { env: vec![PATH.into()], ..ImageConfig::default() };
        InstructionReader {
            escape,
            build_args,
            global: BuildVariables::new(),
            arguments: BuildVariables::new(),
            declared: BTreeSet::new(),
            environment: BuildVariables::new(),
            expanded: Cell::new(0),
            stages: 0,
            recipe: Recipe { config, ..Recipe::default() },
            objections: Vec::new(),
        }
    }

    pub(super) fn read(&mut self, line: &LogicalLine) {
        if let Err(No(kind, message, help)) = self.instruction(line) {
            let source = format!("{} {}", line.word, line.rest).trim_end().to_owned();
            self.objections.push(Objection { line: line.number, source, kind, message, help });
        }
    }

    pub(super) fn finish(mut self) -> Result<Recipe, Vec<Objection>> {
        let mut whole = |source: &str, message: &str, help: &str| {
            let (source, message, help) = (source.to_owned(), message.to_owned(), help.to_owned());
            self.objections.push(Objection { line: 0, source, kind: InstructionKind::Mistake, message, help });
        };
        if self.stages == 0 {
            whole("FROM", "the file has no FROM", "begin with `FROM scratch`");
        }
        for name in self.build_args.keys().filter(|name| !self.declared.contains(*name)) {
            whole(name, "this build argument is declared by no ARG", "declare it by `ARG NAME`, or leave it out");
        }
        if self.objections.is_empty() { Ok(self.recipe) } else { Err(self.objections) }
    }

    fn instruction(&mut self, line: &LogicalLine) -> Result<(), No> {
        if line.has_heredoc {
            return Err(engine("a here-document is not supported without a daemon"));
        }
        if self.stages == 0 && !matches!(line.word.as_str(), "FROM" | "ARG") {
            return Err(mistake("an instruction stands before FROM", "begin with `FROM scratch`"));
        }
        match line.word.as_str() {
            "FROM" => self.from(line),
            "ARG" => self.arg(line),
            "COPY" => self.copy(line, ArchiveRule::Copied),
            "ADD" => self.copy(line, ArchiveRule::Unpacked),
            "ENV" => self.env(line),
            "LABEL" => self.label(line),
            "WORKDIR" => self.workdir(line),
            "USER" => self.one(line).map(|user| self.recipe.config.user = user),
            "STOPSIGNAL" => self.one(line).map(|signal| self.recipe.config.stop_signal = signal),
            "EXPOSE" => self.expose(line),
            "VOLUME" => self.volume(line),
            "ENTRYPOINT" => command(&line.rest).map(|command| self.recipe.config.entrypoint = command),
            "CMD" => command(&line.rest).map(|command| self.recipe.config.cmd = command),
            "RUN" => Err(engine("RUN starts a process")),
            "HEALTHCHECK" | "ONBUILD" | "SHELL" => Err(engine(format!("{} is not supported without one", line.word))),
            "MAINTAINER" => Err(mistake("MAINTAINER is no longer used", "write `LABEL maintainer=...`")),
            _ => Err(mistake("this is no instruction of a Dockerfile", "correct the word, or take the line away")),
        }
    }

    fn from(&mut self, line: &LogicalLine) -> Result<(), No> {
        self.stages += 1;
        let (flags, rest) = flags(&line.rest);
        for (name, value) in flags {
            match name {
                "platform" => self.recipe.platform = Some(self.expand_with(value, &[&self.global])?),
                _ => return Err(mistake(format!("FROM has no flag --{name}"), "take it away")),
            }
        }
        let image = rest.split_whitespace().next().unwrap_or_default();
        let image = self.expand_with(image, &[&self.global])?;
        self.arguments.clear();
        match (image.as_str(), self.stages) {
            ("", _) => Err(mistake("FROM names no image", "write `FROM scratch`")),
            ("scratch", 1) => Ok(()),
            ("scratch", _) => Err(engine("a second stage is not supported without one")),
            _ => Err(engine(format!("the image {image} would have to be unpacked"))),
        }
    }

    fn arg(&mut self, line: &LogicalLine) -> Result<(), No> {
        for word in words::split(&line.rest, self.escape) {
            let (name, default) = match word.split_once('=') {
                Some((name, default)) => (name.to_owned(), Some(self.expand(default)?)),
                None => (word, None),
            };
            let given = self.build_args.get(&name).cloned();
            let value = given.or(default).or_else(|| self.global.get(&name).cloned());
            let scope = if self.stages == 0 { &mut self.global } else { &mut self.arguments };
            self.declared.insert(name.clone());
            if let Some(value) = value {
                scope.insert(name, value);
            }
        }
        Ok(())
    }

    fn env(&mut self, line: &LogicalLine) -> Result<(), No> {
        for (name, value) in self.pairs(line, "ENV NAME=value")? {
            let prefix = format!("{name}=");
            if name == "PATH" || self.environment.contains_key(&name) {
                self.recipe.config.env.retain(|entry| !entry.starts_with(&prefix));
            }
            self.recipe.config.env.push(format!("{name}={value}"));
            self.environment.insert(name, value);
        }
        Ok(())
    }

    fn label(&mut self, line: &LogicalLine) -> Result<(), No> {
        let pairs = self.pairs(line, "LABEL name=value")?;
        self.recipe.config.labels.extend(pairs);
        Ok(())
    }

    /// `NAME=value` pairs, or the old form: one name, white space, and the rest.
    fn pairs(&self, line: &LogicalLine, example: &str) -> Result<Vec<(String, String)>, No> {
        let all = words::split(&line.rest, self.escape);
        let wrong = || mistake("it has no name and value", format!("write `{example}`"));
        let first = all.first().ok_or_else(wrong)?;
        if !first.contains('=') {
            let value = line.rest.strip_prefix(first.as_str()).unwrap_or_default().trim();
            let name = self.expand(first)?;
            return if value.is_empty() { Err(wrong()) } else { Ok(vec![(name, self.expand(value)?)]) };
        }
        let pair = |word: &String| {
            let (name, value) = word.split_once('=').ok_or_else(wrong)?;
            let name = self.expand(name)?;
            if name.is_empty() { Err(wrong()) } else { Ok((name, self.expand(value)?)) }
        };
        all.iter().map(pair).collect()
    }

    fn workdir(&mut self, line: &LogicalLine) -> Result<(), No> {
        let path = self.absolute(&self.one(line)?);
        self.recipe.config.working_dir.clone_from(&path);
        self.recipe.steps.push(FileStep::Directory { path });
        Ok(())
    }

    fn expose(&mut self, line: &LogicalLine) -> Result<(), No> {
        for word in words::split(&line.rest, self.escape) {
            let word = self.expand(&word)?;
            let (range, protocol) = word.split_once('/').unwrap_or((&word, "tcp"));
            let (low, high) = range.split_once('-').unwrap_or((range, range));
            let wrong = || mistake(format!("`{word}` is no port"), "write it as `8080` or `8080/udp`");
            let low: u16 = low.parse().map_err(|_| wrong())?;
            let high: u16 = high.parse().map_err(|_| wrong())?;
            let protocol = protocol.to_ascii_lowercase();
            if low > high || !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
                return Err(wrong());
            }
            let ports = (low..=high).map(|port| (format!("{port}/{protocol}"), EmptyObject {}));
            self.recipe.config.exposed_ports.extend(ports);
        }
        Ok(())
    }

    fn volume(&mut self, line: &LogicalLine) -> Result<(), No> {
        for path in self.list(&line.rest)? {
            self.recipe.config.volumes.insert(path, EmptyObject {});
        }
        Ok(())
    }

    fn copy(&mut self, line: &LogicalLine, archives: ArchiveRule) -> Result<(), No> {
        let mut copy = Copy {
            line: line.number,
            sources: Vec::new(),
            target: String::new(),
            into: Into::Path,
            owner: (0, 0),
            mode: None,
            archives,
        };
        let (flags, rest) = flags(&line.rest);
        for (name, value) in flags {
            match name {
                "chown" => copy.owner = owner(&self.expand(value)?)?,
                "chmod" => copy.mode = Some(mode(&self.expand(value)?)?),
                "link" => {}
                "from" => return Err(engine("--from needs another stage or image")),
                _ => return Err(engine(format!("the flag --{name} is not supported without one"))),
            }
        }
        let mut paths = self.list(rest)?;
        let wrong = || mistake("it needs a source and a target", format!("write `{} source target`", line.word));
        let target = paths.pop().ok_or_else(wrong)?;
        if paths.is_empty() || target.is_empty() {
            return Err(wrong());
        }
        copy.sources = paths.iter().map(|path| source(path, archives)).collect::<Result<_, No>>()?;
        if target.ends_with('/') || target.ends_with("/.") || target == "." {
            copy.into = Into::Directory;
        }
        if copy.sources.len() > 1 && copy.into == Into::Path {
            let help = format!("write `{target}/`");
            return Err(mistake("several sources need a directory as target", help));
        }
        copy.target = self.absolute(&target);
        self.recipe.steps.push(FileStep::Copy(copy));
        Ok(())
    }

    /// An argument list: a JSON array of strings, or words.
    fn list(&self, rest: &str) -> Result<Vec<String>, No> {
        let words = match json_strings(rest) {
            Some(strings) => strings,
            None => words::split(rest, self.escape),
        };
        words.iter().map(|word| self.expand(word)).collect()
    }

    fn one(&self, line: &LogicalLine) -> Result<String, No> {
        let value = self.expand(&line.rest)?;
        let missing = || mistake("it has no value", format!("write one behind {}", line.word));
        if value.is_empty() { Err(missing()) } else { Ok(value) }
    }

    fn absolute(&self, path: &str) -> String {
        let joined =
            if path.starts_with('/') { path.into() } else { format!("{}/{path}", self.recipe.config.working_dir) };
        format!("/{}", ignore::clean(&joined))
    }

    /// Variables of the environment win over arguments of the same name.
    fn expand(&self, text: &str) -> Result<String, No> {
        let arguments = if self.stages == 0 { &self.global } else { &self.arguments };
        self.expand_with(text, &[&self.environment, arguments])
    }

    fn expand_with(&self, text: &str, variables: &[&BuildVariables]) -> Result<String, No> {
        let wrong = |message: String| mistake(message, "correct the text");
        let expanded = words::expand(text, variables, self.escape).map_err(wrong)?;
        self.expanded.set(self.expanded.get() + expanded.len());
        if self.expanded.get() > MOST_EXPANDED {
            return Err(wrong(format!("the file's variables make more than {MOST_EXPANDED} bytes of it")));
        }
        Ok(expanded)
    }
}

/// The `--name=value` flags in front, and what follows them.
fn flags(rest: &str) -> (Vec<(&str, &str)>, &str) {
    let mut flags = Vec::new();
    let mut rest = rest.trim_start();
    while let Some(flag) = rest.strip_prefix("--") {
        let (flag, after) = flag.split_once(char::is_whitespace).unwrap_or((flag, ""));
        flags.push(flag.split_once('=').unwrap_or((flag, "")));
        rest = after.trim_start();
    }
    (flags, rest)
}

fn json_strings(text: &str) -> Option<Vec<String>> {
    text.trim_start().starts_with('[').then(|| serde_json::from_str(text).ok()).flatten()
}

/// `["a", "b"]` as it stands, or a line for the shell.
fn command(rest: &str) -> Result<Vec<String>, No> {
    match json_strings(rest) {
        Some(command) => Ok(command),
        None if rest.is_empty() => Err(mistake("it has no command", "write it as `[\"program\", \"argument\"]`")),
        None => Ok(vec!["/bin/sh".into(), "-c".into(), rest.into()]),
    }
}

fn owner(text: &str) -> Result<(u64, u64), No> {
    let (user, group) = text.split_once(':').unwrap_or((text, text));
    let id = |name: &str| match name {
        "root" => Ok(0),
        name => name.parse::<u32>().map(u64::from).map_err(|_| {
            let message = format!("`{name}` cannot be looked up: nothing is installed in the image");
            mistake(message, "write the owner in numbers, such as `--chown=10001:10001`")
        }),
    };
    Ok((id(user)?, id(group)?))
}

fn mode(text: &str) -> Result<u32, No> {
    let mode = u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o7777);
    mode.ok_or_else(|| mistake(format!("`{text}` is no octal mode"), "write it as `--chmod=0755`"))
}

fn source(path: &str, archives: ArchiveRule) -> Result<String, No> {
    let is_remote = path.contains("://") || path.starts_with("git@");
    match (is_remote, archives) {
        (true, ArchiveRule::Unpacked) => return Err(engine("ADD would fetch from the network")),
        (true, ArchiveRule::Copied) => return Err(mistake("COPY takes files of the context only", "fetch it before")),
        (false, _) => {}
    }
    let mut depth = 0_i32;
    for part in path.split('/') {
        depth += match part {
            "" | "." => 0,
            ".." => -1,
            _ => 1,
        };
        if depth < 0 && !path.starts_with('/') {
            let help = "choose a context that holds the file";
            return Err(mistake(format!("`{path}` is outside of the context"), help));
        }
    }
    Ok(ignore::clean(path))
}
