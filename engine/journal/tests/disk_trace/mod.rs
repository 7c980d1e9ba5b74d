//! A process's writes as strace saw them, and the disk as a power cut may leave it.
//!
//! The model: what was written before the last finished sync of its file is
//! there; of what came later, any part may be there in any order, torn at 512
//! bytes. Names (create, rename, link, remove) keep their order, as journaling file
//! systems do it, and every sync settles the ones before it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// What strace is asked for.
pub(crate) const STRACE: &[&str] = &[
    "-f",
    "-qq",
    "-xx",
    "-s",
    "100000000",
    "-e",
    "trace=openat,write,pwrite64,fsync,fdatasync,ftruncate,rename,unlink,close,fallocate,writev,pwritev,mkdir,linkat",
];

/// Cheap numbers that are the same in every run.
pub(crate) struct Dice(pub u64);

impl Dice {
    /// A number below `n`.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) % n.max(1)
    }
}

#[derive(Debug)]
enum Event {
    /// A directory or file came to be.
    Create(PathBuf),
    Mkdir(PathBuf),
    Rename(PathBuf, PathBuf),
    Link(PathBuf, PathBuf),
    Unlink(PathBuf),
    Write {
        file: usize,
        at: u64,
        bytes: Vec<u8>,
    },
    Resize {
        file: usize,
        len: u64,
    },
    /// Settles the file's writes that ended before this index, and every name.
    Sync {
        file: usize,
        before: usize,
    },
    Said(String),
}

/// Everything that a process did below one folder, in order.
pub(crate) struct Trace {
    events: Vec<Event>,
    /// Each file's first name, and what it held before; numbers are inodes, so to speak.
    files: Vec<(PathBuf, Vec<u8>)>,
    /// The folders that were there before, and how many files.
    folders: Vec<PathBuf>,
    known: usize,
    root: PathBuf,
}

#[derive(Default)]
struct Reader {
    fds: HashMap<u64, (usize, u64)>,
    names: HashMap<PathBuf, usize>,
    begun: HashMap<String, (String, usize)>,
}

/// What is on the disk before a trace begins, all of it settled.
#[derive(Clone, Default)]
pub(crate) struct Before {
    files: Vec<(PathBuf, Vec<u8>)>,
    folders: Vec<PathBuf>,
}

impl Before {
    /// Looks at a folder and all that is below it.
    pub(crate) fn of(folder: &Path) -> Before {
        let mut before = Before { folders: vec![folder.to_owned()], ..Before::default() };
        let mut next = 0;
        while let Some(folder) = before.folders.get(next).cloned() {
            next += 1;
            for item in std::fs::read_dir(folder).unwrap() {
                let path = item.unwrap().path();
                match path.is_dir() {
                    true => before.folders.push(path),
                    false => before.files.push((path.clone(), std::fs::read(path).unwrap())),
                }
            }
        }
        before
    }
}

impl Trace {
    /// Reads a log; only what happened below `root` counts.
    pub(crate) fn read(log: &Path, root: &Path, before: Before) -> Trace {
        let Before { files, folders } = before;
        let (known, mut reader) = (files.len(), Reader::default());
        reader.names = files.iter().enumerate().map(|(n, (path, _))| (path.clone(), n)).collect();
        let mut trace = Trace { events: Vec::new(), files, folders, known, root: root.to_owned() };
        for line in std::fs::read_to_string(log).unwrap().lines() {
            let Some((pid, call)) = line.split_once(' ') else { continue };
            let call = call.trim_start();
            let begun = trace.events.len();
            if let Some(head) = call.strip_suffix(" <unfinished ...>") {
                reader.begun.insert(pid.to_owned(), (head.to_owned(), begun));
            } else if let Some((_, rest)) = call.strip_prefix("<... ").and_then(|rest| rest.split_once(" resumed>")) {
                if let Some((head, begun)) = reader.begun.remove(pid) {
                    trace.call(&mut reader, &format!("{head}{rest}"), begun);
                }
            } else {
                trace.call(&mut reader, call, begun);
            }
        }
        let syncs = trace.events.iter().filter(|event| matches!(event, Event::Sync { .. })).count();
        assert!(syncs > 100, "the log has {} events and {syncs} syncs only", trace.events.len());
        trace
    }

    fn call(&mut self, reader: &mut Reader, call: &str, begun: usize) {
        let Some((name, rest)) = call.split_once('(') else { return };
        // The result is padded to a column: `fsync(11)      = 0`.
        let Some((args, result)) = rest.rsplit_once(" = ") else { return };
        let Some(result) = result.trim().split(' ').next().and_then(|n| n.parse::<u64>().ok()) else { return };
        let args: Vec<&str> = args.trim_end().trim_end_matches(')').split(", ").collect();
        let number = |n: usize| args[n].trim().parse::<u64>().unwrap();
        match name {
            "openat" => self.open(reader, &path(args[1]), args[2], result),
            "close" => drop(reader.fds.remove(&number(0))),
            "mkdir" if self.is_ours(&path(args[0])) => self.events.push(Event::Mkdir(path(args[0]))),
            "rename" if self.is_ours(&path(args[0])) => {
                let (from, to) = (path(args[0]), path(args[1]));
                if let Some(file) = reader.names.remove(&from) {
                    reader.names.insert(to.clone(), file);
                }
                self.events.push(Event::Rename(from, to));
            }
            "linkat" if self.is_ours(&path(args[1])) => {
                let (from, to) = (path(args[1]), path(args[3]));
                reader.names.insert(to.clone(), reader.names[&from]);
                self.events.push(Event::Link(from, to));
            }
            "unlink" if self.is_ours(&path(args[0])) => {
                reader.names.remove(&path(args[0]));
                self.events.push(Event::Unlink(path(args[0])));
            }
            "write" if number(0) == 1 => self.events.push(Event::Said(String::from_utf8(text(args[1])).unwrap())),
            "write" => {
                if let Some((file, at)) = reader.fds.get_mut(&number(0)) {
                    let mut bytes = text(args[1]);
                    bytes.truncate(result as usize);
                    self.events.push(Event::Write { file: *file, at: *at, bytes });
                    *at += result;
                }
            }
            "pwrite64" => {
                if let Some((file, _)) = reader.fds.get(&number(0)) {
                    let mut bytes = text(args[1]);
                    bytes.truncate(result as usize);
                    self.events.push(Event::Write { file: *file, at: number(3), bytes });
                }
            }
            "ftruncate" => {
                if let Some((file, _)) = reader.fds.get(&number(0)) {
                    self.events.push(Event::Resize { file: *file, len: number(1) });
                }
            }
            "fsync" | "fdatasync" => {
                // A folder that was synced has no number, and still settles the names.
                let file = reader.fds.get(&number(0)).map_or(usize::MAX, |(file, _)| *file);
                self.events.push(Event::Sync { file, before: begun });
            }
            "writev" | "pwritev" | "fallocate" => {
                assert!(!reader.fds.contains_key(&number(0)), "{name} is not modelled");
            }
            _ => {}
        }
    }

    fn open(&mut self, reader: &mut Reader, path: &Path, flags: &str, fd: u64) {
        reader.fds.remove(&fd);
        // A file without a name is gone with its process.
        if !self.is_ours(path) || flags.contains("O_DIRECTORY") || flags.contains("O_TMPFILE") {
            return;
        }
        let writes = flags.contains("O_WRONLY") || flags.contains("O_RDWR");
        let known = reader.names.get(path).copied();
        if known.is_none() && !writes {
            return;
        }
        let file = known.unwrap_or_else(|| {
            self.files.push((path.to_owned(), Vec::new()));
            self.events.push(Event::Create(path.to_owned()));
            self.files.len() - 1
        });
        if flags.contains("O_TRUNC") {
            self.events.push(Event::Resize { file, len: 0 });
        }
        reader.names.insert(path.to_owned(), file);
        reader.fds.insert(fd, (file, 0));
    }

    fn is_ours(&self, path: &Path) -> bool {
        path.starts_with(&self.root)
    }

    /// How many things happened.
    pub(crate) fn len(&self) -> usize {
        self.events.len()
    }

    /// Cuts the power when so many things had happened, builds in `left` what
    /// the disk may hold then, and returns what the process had said by then.
    pub(crate) fn cut(&self, cut: usize, left: &Path, dice: &mut Dice) -> Vec<String> {
        let mut settled: HashMap<usize, usize> = HashMap::new();
        let mut names_settled = 0;
        for event in &self.events[..cut] {
            if let Event::Sync { file, before } = event {
                settled.insert(*file, *before);
                names_settled = names_settled.max(*before);
            }
        }
        let names_until = names_settled + dice.below((cut - names_settled) as u64 + 1) as usize;
        // Some cuts lose all that was not settled, some nothing, most something.
        let odds = dice.below(5);
        let mut contents: Vec<Vec<u8>> = self.files.iter().map(|(_, held)| held.clone()).collect();
        let before = self.files[..self.known].iter().enumerate();
        let mut names: HashMap<PathBuf, usize> = before.map(|(n, (path, _))| (path.clone(), n)).collect();
        let mut folders = [&self.folders[..], std::slice::from_ref(&self.root)].concat();
        let (mut said, mut created) = (Vec::new(), self.known);
        for (n, event) in self.events[..cut].iter().enumerate() {
            match event {
                Event::Said(text) => said.extend(text.lines().map(str::to_owned)),
                Event::Create(path) => {
                    if n < names_until {
                        names.insert(path.clone(), created);
                    }
                    created += 1;
                }
                Event::Mkdir(path) => folders.extend((n < names_until).then(|| path.clone())),
                Event::Rename(from, to) if n < names_until => {
                    if let Some(file) = names.remove(from) {
                        names.insert(to.clone(), file);
                    }
                }
                Event::Link(from, to) if n < names_until => {
                    if let Some(file) = names.get(from).copied() {
                        names.insert(to.clone(), file);
                    }
                }
                Event::Unlink(path) if n < names_until => drop(names.remove(path)),
                Event::Write { file, at, bytes } => {
                    let safe = settled.get(file).is_some_and(|before| n < *before);
                    write(&mut contents[*file], *at as usize, bytes, |d: &mut Dice| safe || d.below(4) < odds, dice);
                }
                Event::Resize { file, len } => contents[*file].resize(*len as usize, 0),
                Event::Rename(..) | Event::Link(..) | Event::Unlink(_) | Event::Sync { .. } => {}
            }
        }
        let place = |path: &Path| left.join(path.strip_prefix(&self.root).unwrap());
        folders.iter().for_each(|folder| std::fs::create_dir_all(place(folder)).unwrap());
        names.iter().for_each(|(path, file)| std::fs::write(place(path), &contents[*file]).unwrap());
        said
    }
}

fn write(content: &mut Vec<u8>, at: usize, bytes: &[u8], mut lands: impl FnMut(&mut Dice) -> bool, dice: &mut Dice) {
    let mut from = 0;
    while from < bytes.len() {
        let to = bytes.len().min(from + 512 - (at + from) % 512);
        if lands(dice) {
            if content.len() < at + to {
                content.resize(at + to, 0);
            }
            content[at + from..at + to].copy_from_slice(&bytes[from..to]);
        }
        from = to;
    }
}

fn path(arg: &str) -> PathBuf {
    PathBuf::from(String::from_utf8(text(arg)).unwrap())
}

/// strace's `"\x61\x62"`.
fn text(arg: &str) -> Vec<u8> {
    let inner = arg.trim().trim_matches('"');
    inner.split("\\x").skip(1).map(|hex| u8::from_str_radix(&hex[..2], 16).unwrap()).collect()
}
